//! The folder of a run: what goes into it, in which form, and how it is kept whole.
//!
//! | file | what | written |
//! |---|---|---|
//! | `config.toml` | the resolved configuration | before the first step |
//! | `provenance.json` | the [`Provenance`]: hashes of the inputs, machine, versions | before the first step |
//! | `changes.jsonl` | a [`ChangeRecord`] per line | when a resumed run takes other settings |
//! | `skipped.txt` | images that were left out, a line each | before the first step |
//! | `pseudo_labels.csv` | a [`PseudoLabelRecord`] per unlabelled image, if any | before the first step |
//! | `metrics.jsonl` | a [`MetricsRecord`] per line | appended to, a line at a time |
//! | `log.txt` | what was said to the user | appended to, a line at a time |
//! | `checkpoints/{last,best}.safetensors` | weights and state | by the trainer |
//! | `predictions.csv` | a [`PredictionRecord`] per image of validation and test, of fine-tuning | at the end |
//! | `pixels.csv` | a [`PixelRecord`] per class of each image that was evaluated last, of segmentation | at the end |
//! | `summary.json` | the [`Summary`] | at the end |
//! | `metrics.csv`, `events.out.tfevents.coretune` | `metrics.jsonl` in other forms | by [`RunFolder::derive`] |
//!
//! A file that is written as a whole is written as `<name>.partial` and renamed, so that it is never half there. The process
//! of a run holds a lock on `.lock`, so that no other run writes into the folder.

mod changes;
mod derived;
mod error;
mod folder;
mod metrics;
mod names;
mod pixels;
mod predictions;
mod provenance;
mod pseudo_labels;
mod summary;
mod tensorboard;

pub use changes::ChangeRecord;
pub(crate) use derived::fields;
pub use error::RunFolderError;
pub use folder::RunFolder;
pub use metrics::{EvaluationRecord, MetricsRecord, Recording, StepRecord};
pub use pixels::PixelRecord;
pub use predictions::PredictionRecord;
pub use provenance::{MachineRecord, Provenance};
pub use pseudo_labels::{PseudoLabelRecord, PseudoLabelSummary};
pub use summary::{PairedDifference, PretrainSummary, RunSummary, SegmentationSummary, Summary};

pub use crate::settings::RunKind;
