//! What makes two runs the same run.

use std::path::Path;

use toml::Value;

use super::{CompareError, ComparedConfig};
use crate::config::{DataSection, OnResume, UnlabelledFrom, find_setting};
use crate::data::{DataError, Dataset, Split, unlabelled_images};
use crate::runs::RunError;

/// Hashes of what every run of a comparison reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) checkpoint: String,
    /// Of the splits as they are found, and of a folder of unlabelled images; a run's choice of them follows from its settings.
    data: Vec<Option<String>>,
}

impl Inputs {
    /// Hashes the images and masks that a configuration names.
    pub(super) fn of(section: &DataSection, checkpoint: String) -> Result<Self, CompareError> {
        let hash = || -> Result<Vec<Option<String>>, DataError> {
            let dataset = Dataset::open(&section.dir, &section.options())?;
            let hash = |split: &Option<Split>| split.as_ref().map(Split::content_hash).transpose();
            let splits = [&dataset.train, &dataset.validation, &dataset.test].into_iter().map(hash);
            let Some(UnlabelledFrom::Path(path)) = section.unlabelled_from() else { return splits.collect() };
            let (images, _) = unlabelled_images(path, dataset.bit_depth())?;
            let labels = vec![0; images.len()];
            let unlabelled = Split::new(images, labels, dataset.classes.clone())?.content_hash();
            splits.chain([unlabelled.map(Some)]).collect()
        };
        Ok(Inputs { checkpoint, data: hash().map_err(RunError::from)? })
    }
}

/// The identity of a run: BLAKE3 of its resolved configuration and of its inputs, as hexadecimal digits.
///
/// Settings that change no result are left out, as are paths: the contents of what they name count. So is the number of
/// threads, on which only the last bits of a result depend.
pub(super) fn identity(config: &ComparedConfig, inputs: &Inputs) -> String {
    let mut hasher = blake3::Hasher::new();
    let table = config.to_table();
    let unlabelled = table.get("data").and_then(|data| data.get("unlabelled")).and_then(Value::as_str);
    let uses_unlabelled = unlabelled.is_some_and(|text| text != "off");
    for (section, keys) in table {
        let Value::Table(keys) = keys else { continue };
        for (name, value) in keys {
            let key = format!("{section}.{name}");
            if counts(&key) && (uses_unlabelled || !is_of_unlabelled(&key)) {
                hasher.update(format!("{key} = {value}\n").as_bytes());
            }
        }
    }
    hasher.update(format!("checkpoint {}\ndata {:?}\n", inputs.checkpoint, inputs.data).as_bytes());
    hasher.finalize().to_hex()[..DIGITS].to_string()
}

/// Digits of an identity: 80 bits.
const DIGITS: usize = 20;

/// Settings that may change on a resume and yet belong to the run: how a step is divided.
const DIVIDING: [&str; 2] = ["run.memory_limit", "train.ranks"];

fn counts(key: &str) -> bool {
    DIVIDING.contains(&key)
        || key != "run.threads" && find_setting(key).is_none_or(|setting| setting.on_resume != OnResume::Free)
}

/// Whether a setting matters only with unlabelled images.
fn is_of_unlabelled(key: &str) -> bool {
    key == "data.unlabelled" || key.starts_with("data.pseudo_label") || key.starts_with("data.propagation_")
}

/// The name of the folder of the runs in that of a comparison.
pub(super) const RUNS: &str = "runs";

/// The folder of the runs in that of a comparison.
pub(super) fn runs_folder(output: &Path) -> std::path::PathBuf {
    output.join(RUNS)
}
