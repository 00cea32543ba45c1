use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;

use thiserror::Error;

use crate::checkpoints::CheckpointError;
use crate::data::DataError;
use crate::engine::EngineError;
use crate::engine::ranks::RanksError;
use crate::evaluate::EvaluateError;
use crate::figures::UnknownFigure;
use crate::models::ModelError;
use crate::run_folder::RunFolderError;
use crate::saved_models::SavedModelError;
use crate::settings::{Hint, literal};
use crate::transforms::TransformError;

/// Why training cannot start or continue.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum TrainError {
    /// libtorch, or a shape.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What is done to the images.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A checkpoint, read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A file of a model or of a state.
    #[error(transparent)]
    SavedModel(Box<SavedModelError>),
    /// Evaluation.
    #[error(transparent)]
    Evaluate(EvaluateError),
    /// A figure that is not measured was to select the best epoch.
    #[error(transparent)]
    UnknownFigure(#[from] UnknownFigure),
    /// A batch larger than the training split, which would leave no step to make.
    #[error("{}", too_large(*batch, *images, *ranks))]
    BatchTooLarge {
        /// Images in a batch, of all ranks.
        batch: usize,
        /// Images to train on.
        images: usize,
        /// Ranks that share the batch.
        ranks: usize,
    },
    /// A saved state that lies in no step of the epoch it names: its epochs had another number of steps.
    #[error("the saved state is at step {step} in epoch {epoch}, whose steps are {first} to {last}")]
    OtherEpochLength {
        step: u64,
        /// The epoch under way, counted from 1.
        epoch: u64,
        /// Its first step here.
        first: u64,
        last: u64,
    },
    /// Training has diverged: a loss, a weight or the logits of validation are NaN or infinite.
    #[error("{what} at step {step} (epoch {epoch}): {terms}")]
    NonFinite {
        /// What is NaN or infinite, as text.
        what: String,
        /// The last step made, counted from 1.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The terms of the last step's loss, as text.
        terms: String,
        /// The last checkpoint saved before.
        last_good: Option<PathBuf>,
    },
    /// A tensor that should not have changed.
    #[error("{tensor} changed during {during}, but it must not")]
    FrozenMoved { tensor: String, during: &'static str },
    /// Ended because it was asked to.
    #[error("{}", stopped(saved.as_ref()))]
    Interrupted {
        /// What was saved; none before the first step.
        saved: Option<Saved>,
    },
    /// A rank is gone, or this one has failed.
    #[error("{failure}; {}", resumes(saved.as_ref()))]
    RanksLost {
        failure: Box<RanksError>,
        /// The last saved state.
        saved: Option<Saved>,
        /// The error of this rank, if it is the one that failed.
        cause: Option<Box<TrainError>>,
    },
    /// The memory of the device or of the host was used up in a step.
    #[error("{}; {}", used_up(*images, *img_size, failure), resumes(saved.as_ref()))]
    OutOfMemory {
        /// Images of the step.
        images: usize,
        img_size: i64,
        /// A number of images with which a step was made after that.
        fitting: Option<usize>,
        /// Whether a step may be computed in parts.
        divisible: bool,
        /// The last saved state.
        saved: Option<Saved>,
        /// The error of libtorch.
        failure: Box<TrainError>,
    },
    /// A run that ended without an epoch.
    #[error("no epoch was trained")]
    NoEpoch,
}

impl From<SavedModelError> for TrainError {
    fn from(error: SavedModelError) -> Self {
        match error {
            SavedModelError::Engine(error) => TrainError::Engine(error),
            SavedModelError::Model(error) => TrainError::Model(error),
            SavedModelError::Checkpoint(error) => TrainError::Checkpoint(error),
            SavedModelError::RunFolder(error) => TrainError::RunFolder(error),
            error => TrainError::SavedModel(Box::new(error)),
        }
    }
}

impl From<EvaluateError> for TrainError {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Data(error) => TrainError::Data(error),
            EvaluateError::Model(error) => TrainError::Model(error),
            EvaluateError::Interrupted => TrainError::Interrupted { saved: None },
            error => TrainError::Evaluate(error),
        }
    }
}

/// The state that an interrupted run has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The file.
    pub path: PathBuf,
    /// Steps made.
    pub step: u64,
}

fn stopped(saved: Option<&Saved>) -> String {
    match saved {
        Some(Saved { path, step }) => format!("stopped after step {step}; the state is saved in {}", path.display()),
        None => "stopped before the first step".into(),
    }
}

fn resumes(saved: Option<&Saved>) -> String {
    match saved {
        Some(Saved { path, step }) => format!("the run resumes after step {step}, saved in {}", path.display()),
        None => "no state was saved before".into(),
    }
}

fn too_large(batch: usize, images: usize, ranks: usize) -> String {
    match ranks {
        1 => format!("a batch of {batch} does not fit into {images} training images"),
        _ => format!("a step on {ranks} ranks takes {batch} images, more than the {images} to train on"),
    }
}

fn used_up(images: usize, img_size: i64, failure: &TrainError) -> String {
    format!("memory is used up by a step of {images} images of {img_size} x {img_size} pixels ({failure})")
}

/// A batch that would fit if at most `largest` images do: as equal parts of a `step`, if it may be made of parts.
pub(crate) fn smaller_batch(largest: usize, step: Option<usize>, img_size: i64) -> Hint {
    match step {
        // Batch norm takes the statistics of two images or more.
        _ if largest < 2 => {
            format!("not even two of them would: give a smaller {{data.img_size}} than {img_size}, or a smaller {{model.name}}")
        }
        None => format!(
            "{{train.batch_size={largest}}} would; so would a smaller {{data.img_size}} than {img_size} or a smaller \
             {{model.name}}"
        ),
        Some(step) => match (2..=largest.min(step)).rev().find(|part| step % part == 0) {
            None => format!("about {largest} would"),
            Some(part) => format!(
                "about {largest} would; {{train.batch_size={part}}} {{train.grad_accum_steps={}}} makes the same step in parts",
                step / part
            ),
        },
    }
    .into()
}

impl TrainError {
    /// Whether the memory of the device or of the host was used up.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Engine(error) | Self::Model(ModelError::Engine(error)) => error.is_out_of_memory(),
            _ => false,
        }
    }

    /// What happened with its causes, in one line, for the other ranks.
    pub(super) fn in_short(&self) -> String {
        if let Self::OutOfMemory { images, img_size, failure, .. } = self {
            return used_up(*images, *img_size, failure);
        }
        let (mut text, mut source) = (self.to_string(), self.source());
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        text.replace('\n', " ")
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Engine(error)
            | Self::Model(ModelError::Engine(error))
            | Self::Evaluate(EvaluateError::Engine(error)) => error.hint(),
            Self::Transform(_) | Self::NoEpoch => None,
            Self::UnknownFigure(_) => Some("{train.select} names what makes an epoch the best".into()),
            Self::Model(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Checkpoint(error) => error.hint(),
            Self::RunFolder(error) => error.hint(),
            Self::SavedModel(error) => error.hint(),
            Self::Evaluate(error) => error.hint(),
            Self::BatchTooLarge { images, ranks: 1, .. } => {
                Some(format!("{{train.batch_size}}, times {{train.grad_accum_steps}} if given, may be {images} at most").into())
            }
            Self::BatchTooLarge { batch, images, ranks } => Some(format!(
                "each rank computes {}; the number of ranks times {{train.batch_size}}, times {{train.grad_accum_steps}} if given, \
                 may be {images} at most",
                batch / ranks
            ).into()),
            Self::OtherEpochLength { .. } => {
                Some("images, batch and sampler must be those that the run began with".into())
            }
            Self::NonFinite { last_good, .. } => {
                let saved = last_good.as_ref().map(|path| format!("; the last good checkpoint is {}", literal(path.display())));
                Some(format!("lower {{train.lr}}; {{train.clip_grad=1}} may help too{}", saved.unwrap_or_default()).into())
            }
            Self::FrozenMoved { .. } => Some("this is a bug in coretune: please report it with config.toml".into()),
            Self::RanksLost { cause, .. } => cause.as_ref().and_then(|cause| cause.hint()).or_else(|| {
                Some("the same command with {@resume} continues, on as many ranks or on fewer".into())
            }),
            Self::OutOfMemory { fitting, images, divisible, img_size, .. } => {
                fitting.map(|fitting| smaller_batch(fitting, divisible.then_some(*images), *img_size))
            }
            Self::Interrupted { .. } => Some("the same command with {@resume} continues from there".into()),
        }
    }

    /// Whether what was asked for cannot be done at all, as against something that failed on the way.
    pub fn is_refusal(&self) -> bool {
        if let Self::Engine(EngineError::Ranks(error)) = self {
            return error.is_refusal();
        }
        !matches!(
            self,
            Self::Engine(EngineError::Torch { .. })
                | Self::Model(ModelError::Engine(EngineError::Torch { .. }))
                | Self::Evaluate(EvaluateError::Engine(EngineError::Torch { .. }))
                | Self::NonFinite { .. }
                | Self::FrozenMoved { .. }
                | Self::Interrupted { .. }
                | Self::RanksLost { .. }
                | Self::OutOfMemory { .. }
        )
    }
}
