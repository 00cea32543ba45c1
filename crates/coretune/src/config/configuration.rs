//! What the configurations of all kinds of run have in common.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::error::ConfigError;
use super::layers::Layers;
use super::sections::{DataSection, RunSection, TrainSection, find_setting};
use crate::settings::RunKind;

/// How a run keeps the gradient of its steps when other ranks share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regrouping {
    /// A rank computes more batches, or fewer, each by itself as before.
    Accumulation,
    /// A rank computes larger batches, or smaller ones: nothing is computed of a batch alone.
    BatchSize,
    /// Not at all: batch norm takes its statistics from the batch of a rank, which the method cannot compute in parts.
    Never,
}

impl Regrouping {
    /// Of a method that can be computed in parts or not, with batch norm that depends on the batches of ranks or does not.
    pub(super) fn of(train: &TrainSection, is_divisible: bool, is_frozen: bool) -> Self {
        match (train.sync_bn && !is_frozen, is_divisible) {
            (true, _) => Regrouping::BatchSize,
            (false, true) => Regrouping::Accumulation,
            (false, false) if is_frozen => Regrouping::BatchSize,
            (false, false) => Regrouping::Never,
        }
    }
}

/// The configuration of one kind of run: its own sections, and those that every kind has.
pub trait Configuration: Clone + Serialize + DeserializeOwned {
    /// The kind of run.
    const KIND: RunKind;

    /// The configuration that the layers give, when every setting is given and all go together.
    ///
    /// # Errors
    /// The first setting that is missing, belongs to another kind of run, or excludes another one.
    fn of(layers: &Layers) -> Result<Self, ConfigError>;

    /// Name of the method.
    fn method_name(&self) -> &str;

    /// The checkpoint that training starts from, if any.
    fn checkpoint_path(&self) -> Option<&Path>;

    /// The images.
    fn data(&self) -> &DataSection;

    /// The optimisation.
    fn train(&self) -> &TrainSection;

    /// The optimisation, to be changed.
    fn train_mut(&mut self) -> &mut TrainSection;

    /// The machine and the folder.
    fn run(&self) -> &RunSection;

    /// The machine and the folder, to be changed.
    fn run_mut(&mut self) -> &mut RunSection;

    /// How a step keeps its images, and its gradient, on another number of ranks.
    fn regrouping(&self) -> Regrouping;

    /// The output, as given or automatic.
    fn output(&self) -> PathBuf {
        self.run().output_or(&self.data().dir, self.method_name(), self.train().seed)
    }

    /// The folder of the run: the output, or the experiment in it.
    fn folder(&self) -> PathBuf {
        match &self.run().experiment {
            Some(experiment) => self.output().join(experiment),
            None => self.output(),
        }
    }

    /// The settings that such a run reads, as sections of keys.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    fn to_table(&self) -> Table {
        let mut table = Table::try_from(self).expect("strings, numbers and lists have a spelling in TOML");
        for (section, keys) in &mut table {
            if let Value::Table(keys) = keys {
                keys.retain(|name, _| is_read(&format!("{section}.{name}"), Self::KIND));
            }
        }
        table
    }

    /// The configuration as a file that [`Layers::file`] reads back to the same value.
    ///
    /// # Panics
    /// Never: every value has a spelling in TOML.
    fn to_toml(&self) -> String {
        let body = toml::to_string(&self.to_table()).expect("strings, numbers and lists have a spelling in TOML");
        format!(
            "# Every setting of the run. Given as the configuration of another run, this file repeats it.\n\n{body}"
        )
    }
}

fn is_read(key: &str, kind: RunKind) -> bool {
    find_setting(key).is_some_and(|setting| setting.is_read_by(kind))
}
