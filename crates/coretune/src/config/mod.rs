//! What a run is told to do: layers of TOML, checked against one table, resolved into one value.
//!
//! [`SETTINGS`] is the only place where a key, its flag, its type, its range and its default are written. What was typed
//! ([`Typed`]) is merged from the layers defaults < recipe < file < `--set` < flags, each entry remembering where it
//! came from; [`Typed::validate`] turns it into a [`RunConfig`], in which every value is present and checked before
//! anything is loaded. What only the checkpoint can say (size of the images, say) stays open until
//! [`RunConfig::resolve`].

mod choices;
mod defaults_table;
mod error;
mod input;
mod kind;
mod pretrain_config;
mod recipes;
mod run_config;
mod settings;
mod typed;
mod word;

pub use choices::{Accumulation, DataCheck, HeadInit, Method, Optimizer, PretrainMethod, Sampler, Schedule, Select};
pub use defaults_table::defaults_table;
pub use error::{ConfigError, Origin, SettingChange};
pub use input::Input;
pub use kind::{Kind, Range};
pub use pretrain_config::{PretrainConfig, PretrainSection};
pub use recipes::{RECIPES, Recipe};
pub use run_config::{
    CheckpointSection, DataSection, MethodSection, ModelSection, RunConfig, RunSection, TrainSection,
};
pub use settings::{Command, SETTINGS, Setting};
pub use typed::Typed;
