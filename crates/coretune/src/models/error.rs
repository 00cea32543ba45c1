use thiserror::Error;

use super::Family;
use crate::engine::EngineError;
use crate::settings::Hint;

/// What can go wrong between asking for a model and having one.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum ModelError {
    /// The factor on the number of channels is outside the range that makes a network.
    #[error("the width factor is {found}, expected a number above 0 and at most {most}")]
    Width {
        found: f64,
        /// The largest factor accepted.
        most: f64,
    },
    /// A network so narrow that libtorch cannot train it.
    #[error(
        "a network of width {width} cannot be trained with {threads} thread{}: a shortcut reads {channels} channels, \
         libtorch needs {least}",
        if *threads == 1 { "" } else { "s" }
    )]
    Narrow {
        /// The factor on the number of channels.
        width: f64,
        /// Threads of the computation.
        threads: usize,
        /// Channels that it leaves.
        channels: i64,
        /// Channels that are needed.
        least: i64,
        /// The factor that leaves so many.
        least_width: f64,
    },
    /// A head would have no rows or no columns.
    #[error("a {layer} of {outputs} outputs and {inputs} inputs cannot be built")]
    EmptyLayer {
        layer: &'static str,
        /// Width of what it reads.
        inputs: i64,
        /// Width of what it gives.
        outputs: i64,
    },
    /// Images do not have the shape that the model reads.
    #[error("images have shape {found:?} and hold {kind}, expected [n, height, width, 3] of uint8")]
    Images {
        found: Vec<i64>,
        /// The element type given.
        kind: String,
    },
    /// Stages up to one that the network does not have were to be frozen.
    #[error("{found} stages cannot be frozen: the network has {stages} ({})", names.join(", "))]
    Stage {
        /// Number of stages asked for.
        found: usize,
        /// Number of stages there are, the stem included.
        stages: usize,
        names: Vec<String>,
    },
    /// A backbone that cannot be dilated was to be the backbone of dense prediction.
    #[error("{family} cannot be dilated: segmentation needs a ResNet")]
    NoDilation { family: Family },
    /// Batch norm would take its statistics from a single value.
    #[error(
        "batch norm in the pooling branch of DeepLab-V3 cannot be trained with one image in a part of the batch: it would \
         take its statistics from one value per channel"
    )]
    OneImage,
    /// A segmentation network gives logits of fewer than two classes.
    #[error("a segmentation head of {found} classes cannot be built, expected at least 2")]
    Classes { found: i64 },
    /// A probability of dropping a value is outside [0, 1).
    #[error("the dropout probability is {found}, expected a number from 0 to below 1")]
    Dropout { found: f64 },
    /// Head and backbone do not fit together.
    #[error("the {layer} reads {found} features, the backbone gives {expected}")]
    FeatureWidth {
        layer: &'static str,
        /// Width of the backbone's features.
        expected: i64,
        /// Width that the head reads.
        found: i64,
    },
    /// A network lacks a head that the method needs.
    #[error("the network has no {layer}")]
    MissingHead { layer: &'static str },
    /// A method reads the linear probe of the checkpoint, and it was not measured.
    #[error("{method} reads the linear probe of the checkpoint, which was not measured")]
    ProbeNotMeasured { method: &'static str },
    /// A batch cannot be computed in parts under the method's loss.
    #[error("{method} cannot compute a batch in parts: its loss reads more than one row of features of each image")]
    Indivisible { method: &'static str },
    /// libtorch failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ModelError {
    /// What the user can do about it, if anything.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            ModelError::Width { .. } => Some("{model.width=1} is the network as published".into()),
            ModelError::Narrow { least_width, threads: 1, .. } => {
                Some(format!("{{model.width={least_width}}} is the narrowest").into())
            }
            ModelError::Narrow { least_width, .. } => Some(
                format!("{{model.width={least_width}}} is the narrowest; {{run.threads=1}} allows half of that").into(),
            ),
            ModelError::Stage { stages, .. } => Some(format!("{{model.frozen_stages}} takes 0 to {stages}").into()),
            ModelError::NoDilation { .. } => Some("{model.name=resnet18} is the smallest".into()),
            ModelError::ProbeNotMeasured { .. } => Some("{run.probe=true} measures it".into()),
            ModelError::OneImage => Some(
                "{model.freeze_batch_norm} uses the running averages; a larger {train.batch_size} has more images"
                    .into(),
            ),
            ModelError::Indivisible { .. } => Some(
                "{train.grad_accum_steps=1} computes it at once; {train.batch_size} is then the whole batch".into(),
            ),
            _ => None,
        }
    }
}
