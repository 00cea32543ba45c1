//! The configuration of a run of a comparison, of either task.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{
    ConfigError, Configuration, DataSection, HeadInit, Layers, MethodSection, RunConfig, RunSection,
    SegmentationConfig, TrainSection,
};
use crate::engine::Stop;
use crate::fit;
use crate::runs::{self, Changes, Options, RunError};
use crate::segment;
use crate::settings::RunKind;

/// What the runs of a comparison learn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedTask {
    /// The class of each image.
    #[default]
    Classification,
    /// The class of each pixel.
    Segmentation,
}

impl ComparedTask {
    /// The kind of its runs.
    pub fn kind(self) -> RunKind {
        match self {
            ComparedTask::Classification => RunKind::FineTuning,
            ComparedTask::Segmentation => RunKind::Segmentation,
        }
    }

    /// The figure that methods are compared by, in words.
    pub fn figure(self) -> &'static str {
        match self {
            ComparedTask::Classification => "top-1",
            ComparedTask::Segmentation => "mean IoU",
        }
    }
}

/// The configuration of a run of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum ComparedConfig {
    /// Of fine-tuning a classifier.
    Classification(Box<RunConfig>),
    /// Of segmentation.
    Segmentation(Box<SegmentationConfig>),
}

impl ComparedConfig {
    /// The configuration that the layers give; the probe is measured only if the run starts from it.
    pub(super) fn of(task: ComparedTask, layers: &Layers) -> Result<Self, ConfigError> {
        match task {
            ComparedTask::Classification => {
                let mut config = layers.validate()?;
                let needs_probe = config.method.build(0.0).is_some_and(|objective| objective.needs().probe);
                config.run.probe = needs_probe || config.method.head_init == HeadInit::LinearProbe;
                Ok(ComparedConfig::Classification(Box::new(config)))
            }
            ComparedTask::Segmentation => {
                let mut config = layers.validate_segmentation()?;
                config.run.probe = config.starts_from_probe();
                Ok(ComparedConfig::Segmentation(Box::new(config)))
            }
        }
    }

    /// Refuses a method that the task does not have, or that the other settings do not go with.
    pub(super) fn check_method(&self) -> Result<(), RunError> {
        match (self, self.method().build(0.0)) {
            (ComparedConfig::Classification(config), Some(objective)) => fit::check_method(&*objective, config),
            (ComparedConfig::Segmentation(_), Some(objective)) => segment::check_method(&*objective),
            (_, None) => Ok(()),
        }
    }

    /// Whether the method makes steps.
    pub(super) fn makes_steps(&self) -> bool {
        self.method().build(0.0).is_none_or(|objective| objective.needs().steps)
    }

    /// The objective.
    pub fn method(&self) -> &MethodSection {
        match self {
            ComparedConfig::Classification(config) => &config.method,
            ComparedConfig::Segmentation(config) => &config.method,
        }
    }

    /// The images.
    pub fn data(&self) -> &DataSection {
        match self {
            ComparedConfig::Classification(config) => &config.data,
            ComparedConfig::Segmentation(config) => &config.data,
        }
    }

    /// The optimisation.
    pub fn train(&self) -> &TrainSection {
        match self {
            ComparedConfig::Classification(config) => &config.train,
            ComparedConfig::Segmentation(config) => &config.train,
        }
    }

    /// The machine and the folder.
    pub fn run(&self) -> &RunSection {
        match self {
            ComparedConfig::Classification(config) => &config.run,
            ComparedConfig::Segmentation(config) => &config.run,
        }
    }

    /// The machine and the folder, to be changed.
    pub(super) fn run_mut(&mut self) -> &mut RunSection {
        match self {
            ComparedConfig::Classification(config) => &mut config.run,
            ComparedConfig::Segmentation(config) => &mut config.run,
        }
    }

    /// The settings, as sections of keys.
    pub fn to_table(&self) -> Table {
        match self {
            ComparedConfig::Classification(config) => config.to_table(),
            ComparedConfig::Segmentation(config) => config.to_table(),
        }
    }

    /// The configuration as a file.
    pub fn to_toml(&self) -> String {
        match self {
            ComparedConfig::Classification(config) => config.to_toml(),
            ComparedConfig::Segmentation(config) => config.to_toml(),
        }
    }

    /// Begins the run in this process.
    pub(super) fn begin(&self, options: Options) -> Result<(), RunError> {
        match self {
            ComparedConfig::Classification(config) => runs::begin(&**config, options, &mut |_| {}).map(drop),
            ComparedConfig::Segmentation(config) => runs::begin(&**config, options, &mut |_| {}).map(drop),
        }
    }

    /// Resumes the run of this folder in this process.
    pub(super) fn resume(&self, folder: &Path, stop: Stop) -> Result<(), RunError> {
        let options = Options { stop, ..Options::default() };
        match self {
            ComparedConfig::Classification(_) => {
                runs::resume::<RunConfig>(folder, &Changes::none(), options, &mut |_| {}).map(drop)
            }
            ComparedConfig::Segmentation(_) => {
                runs::resume::<SegmentationConfig>(folder, &Changes::none(), options, &mut |_| {}).map(drop)
            }
        }
    }
}
