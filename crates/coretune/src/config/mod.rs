//! The configuration of a run: layers of TOML, checked against the tables of settings, resolved into one value.
//!
//! A setting is one line of a table in `sections/`, beside the struct that holds its value; [`settings`] lists them all.
//! [`Layers`] merges what was given, in the order defaults < recipe < file < assignments < flags, each entry remembering where it
//! came from; [`Layers::validate`] turns it into a [`RunConfig`], in which every value is present and checked before
//! anything is loaded. What only the checkpoint can say (size of the images, say) stays open until
//! [`RunConfig::resolve`].

mod automatic;
mod choices;
mod configuration;
mod error;
mod layers;
mod pretrain_config;
mod recipes;
mod run_config;
mod sections;
mod segmentation_config;
mod trainable;

pub use automatic::{Input, reading_threads};
pub use choices::{
    Accumulation, Cache, ClassWeights, DataCheck, HeadInit, Optimizer, ProbeRows, ProbeViews, ProjectionInit, Sampler,
    Schedule, Select,
};
pub use configuration::{Configuration, Regrouping};
pub use error::{ConfigError, Origin, SettingChange};
pub use layers::{Layers, setting_called, setting_named_by};
pub use pretrain_config::PretrainConfig;
pub use recipes::{RECIPES, Recipe};
pub use run_config::RunConfig;
pub use sections::{
    CheckpointSection, DataSection, MethodSection, ModelSection, PretrainCheckpointSection, PretrainSection, REST,
    RunSection, SegmentationSection, TrainSection, UnlabelledFrom, find_setting, settings,
};
pub use segmentation_config::SegmentationConfig;

pub use trainable::Trainable;

pub use crate::settings::{Kind, OnResume, Range, RunKind, Setting};
