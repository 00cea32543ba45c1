use std::path::PathBuf;

use thiserror::Error;

use super::MachineError;
use crate::config::ConfigError;
use crate::run_folder::ChangeRecord;
use crate::settings::{Hint, RunKind, literal};
use crate::train::{TrainError, smaller_batch};

/// Why a run is not begun, resumed or repeated, or does not come to its end.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum RunError {
    /// Reading images or a checkpoint, training, or writing into the folder failed.
    #[error(transparent)]
    Train(TrainError),
    /// The configuration is refused.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// It cannot be computed where the configuration says.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Whatever happened once the work had begun: a file that cannot be read, say, is a failure then, not a refusal.
    #[error(transparent)]
    UnderWay(Box<RunError>),
    /// The training images are of a single class.
    #[error("{} of one class, {class}", if *images == 1 { "the only training image is".into() } else { format!("all {images} training images are") })]
    OneClass { class: String, images: usize },
    /// The number of classes is not the one that the user expects.
    #[error("{path} has {found} classes, expected {expected}")]
    ClassCount { path: PathBuf, expected: i64, found: usize },
    /// The data has no test split to evaluate.
    #[error("{path} has no test split")]
    NoTestSplit { path: PathBuf },
    /// None of the unlabelled images may be used.
    #[error("{} holds no unlabelled image to use: {found}", path.display())]
    NothingUnlabelled {
        path: PathBuf,
        /// How many images are there, and why they are left out.
        found: String,
    },
    /// Label propagation has reached none of the unlabelled images.
    #[error("none of the {images} unlabelled images has a labelled one among its neighbours, or their neighbours")]
    NothingPropagated { images: usize },
    /// A run that is to label images has other validation or test images.
    #[error("{} has other {split} images than this run, which it may have trained on", run.display())]
    OtherSplit { run: PathBuf, split: String },
    /// A run that is to label images knows other classes.
    #[error("{} does not have the {expected} classes of this run", run.display())]
    OtherClassesThan { run: PathBuf, expected: usize },
    /// A checkpoint cannot be read to its end.
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    /// The training images have labels, but no class has an image to set aside for evaluating the features.
    #[error("no class has two of the {images} training images, so that none can be set aside to evaluate the features")]
    NothingToProbe { images: usize },
    /// The classifier should start from a probe that was not measured.
    #[error("the classifier cannot start from the linear probe: it was not measured")]
    NoProbe,
    /// A part of the backbone to be trained that it does not have.
    #[error("{given} is not a part of the backbone, whose stages are {}", names.join(", "))]
    NotTrainable {
        given: String,
        /// Names of the stages.
        names: Vec<String>,
    },
    /// The method reads the linear probe, which is turned off.
    #[error("{method} needs the linear probe, which is not measured")]
    MethodNeedsProbe { method: String },
    /// Images are mixed with each other, and the method reads the class of each.
    #[error("{method} needs the class of each image, and data.mixup or data.cutmix mixes images of several classes")]
    MethodNeedsClasses { method: String },
    /// A method of a program's own, which this program does not bring.
    #[error("the method `custom` is not in the table: only the program that passes it can run it")]
    NoObjective,
    /// A method of the program's own for a kind of run that takes methods from the table only.
    #[error("runs of {kind} take their method from the table")]
    NoOwnMethod { kind: RunKind },
    /// The program brings another method of its own than the run began with.
    #[error("the run began with the method `{began}`, this program brings `{now}`")]
    OtherMethod { began: String, now: String },
    /// Images without masks were to be segmented.
    #[error("{path} has no masks")]
    NoMasks { path: PathBuf },
    /// Labels so thin that no position of the map that the probe reads has one.
    #[error(
        "the {split} masks have no label at a position of the backbone's map, which has one for every {stride} pixels"
    )]
    NoLabelledPosition {
        /// The masks that lack them: `training` or `validation`.
        split: &'static str,
        /// Pixels between two positions.
        stride: i64,
    },
    /// Images with masks were to be classified.
    #[error("{path} has masks, not classes")]
    HasMasks { path: PathBuf },
    /// A method that reads more than rows with labels was to train on pixels.
    #[error("{method} cannot train on pixels: it reads {reads}")]
    NotForPixels { method: &'static str, reads: &'static str },
    /// The system does not have the memory for a batch.
    #[error("{batch} images of {img_size} x {img_size} pixels at a time do not fit into memory")]
    BatchDoesNotFit {
        batch: usize,
        /// The most images that were estimated to fit.
        largest: usize,
        /// Images of a step, if it may be made of several such parts.
        step: Option<usize>,
        img_size: i64,
    },
    /// A batch takes more memory than allowed, and the method cannot compute it in parts.
    #[error(
        "{batch} images of {img_size} x {img_size} pixels take more than run.memory_limit, and {method} needs all images of a \
         step at once"
    )]
    Undivided {
        method: &'static str,
        batch: usize,
        /// The most images that were estimated to fit.
        largest: usize,
        img_size: i64,
    },
    /// The system does not have the memory for a queue of keys.
    #[error(
        "making a queue of {keys} keys of {width} numbers takes {:.1} GB, and {:.1} GB are free",
        *bytes as f64 / 1e9,
        *available as f64 / 1e9
    )]
    QueueDoesNotFit {
        keys: usize,
        width: i64,
        bytes: u64,
        available: u64,
        /// The key of the setting that decides how many keys there are.
        setting: &'static str,
    },
    /// The run has made more epochs than it is to make now.
    #[error("the run has made {made} epochs, more than the {asked} asked for")]
    FewerEpochs { made: u64, asked: u64 },
    /// A finished run is to be resumed with other settings.
    #[error("the run has finished all its {made} epochs: other settings have nothing left to change")]
    AllEpochsMade { made: u64 },
    /// The images or the checkpoint are not those that the run began with.
    #[error("{what} {path} is not what the run began with")]
    InputChanged {
        what: &'static str,
        path: PathBuf,
        /// Hash that the run recorded.
        expected: String,
        /// Hash of what is there.
        found: String,
    },
    /// A run that is to be repeated has not ended.
    #[error("{run} has not finished")]
    Unfinished { run: PathBuf, kind: RunKind },
    /// A run cannot be repeated from its `config.toml`, since it began with other settings.
    #[error("{run} cannot be repeated: its settings were changed while it ran")]
    SettingsChanged { run: PathBuf, config: PathBuf, kind: RunKind, changes: Vec<ChangeRecord> },
    /// The place of a repetition is taken.
    #[error("{copy} is not empty; an earlier repetition may have written it")]
    NotFree { copy: PathBuf, run: PathBuf },
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        RunError::Config(Box::new(error))
    }
}

/// What is an error of training is one of the run.
impl<E: Into<TrainError>> From<E> for RunError {
    fn from(error: E) -> Self {
        RunError::Train(error.into())
    }
}

impl RunError {
    /// Whether the run ended because it was asked to stop.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Train(error) => matches!(error, TrainError::Interrupted { .. }),
            Self::UnderWay(error) => error.is_interrupted(),
            _ => false,
        }
    }

    /// Whether what was asked for cannot be done at all, as against something that failed on the way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Train(error) => error.is_refusal(),
            Self::UnderWay(_) => false,
            _ => true,
        }
    }

    /// The particulars, each a word and a text.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Config(error) => error.details(),
            Self::UnderWay(error) => error.details(),
            Self::SettingsChanged { changes, .. } => {
                let line = |ChangeRecord { step, key, was, now }: &ChangeRecord| {
                    format!("{key} = {was} up to step {step}, then {now}")
                };
                changes.iter().map(|change| ("changed", line(change))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        let hint: Hint = match self {
            Self::Train(error) => return error.hint(),
            Self::Config(error) => return error.hint(),
            Self::Machine(error) => return error.hint(),
            Self::UnderWay(error) => return error.hint(),
            Self::Read { .. } => return None,
            Self::OneClass { .. } => "a classifier needs two classes or more, each in its own folder".into(),
            Self::NoMasks { .. } => {
                "name a folder with a mask for each image, or train on classes: {@task=classification}".into()
            }
            Self::NoLabelledPosition { .. } => {
                "draw the labels wider, give a smaller {segmentation.output_stride}, or leave out the linear probe: \
                 {run.probe=false}"
                    .into()
            }
            Self::HasMasks { .. } => "leave out the task, or give {@task=segmentation}".into(),
            Self::NotForPixels { .. } => {
                "methods for pixels: {method.name=core-tuning}, {method.name=scl}, {method.name=cross-entropy}, \
                 {method.name=l2-sp}"
                    .into()
            }
            Self::ClassCount { .. } => {
                "leave out {model.num_classes} (in a file: model.num_classes = \"auto\"): the data \
                                        says how many there are"
                    .into()
            }
            Self::NoTestSplit { .. } => "{@split=val} evaluates on the validation images".into(),
            Self::NothingUnlabelled { .. } => {
                "name a folder with further images, or a smaller labelled budget with {data.unlabelled=rest}".into()
            }
            Self::OtherSplit { .. } => {
                "labels come from runs with the same data, {data.per_class}, {data.val_per_class} and {train.seed}"
                    .into()
            }
            Self::OtherClassesThan { .. } => "labels come from runs on the same data".into(),
            Self::NothingPropagated { .. } => {
                "give more {data.propagation_neighbours}, or leave out {data.unlabelled}".into()
            }
            Self::NothingToProbe { .. } => {
                "{pretrain.probe_epochs=off} trains without evaluating the features; or add a test split".into()
            }
            Self::NoProbe => "leave out {run.probe=false}, or give {method.head_init=random}".into(),
            Self::NotTrainable { names, .. } => {
                format!("{{model.trainable}} takes all, norms, head, last:1 to last:{}, or names", names.len()).into()
            }
            Self::MethodNeedsProbe { .. } => "leave out {run.probe=false}".into(),
            Self::MethodNeedsClasses { .. } => {
                "leave out {data.mixup} and {data.cutmix}, or use a method whose loss has no pairs, such as \
                 {method.name=cross-entropy}"
                    .into()
            }
            Self::NoObjective => "begin and resume such a run with a program that passes its own objective".into(),
            Self::OtherMethod { began, .. } => {
                format!("resume it with the program that passes `{}`, or start a new run", literal(began)).into()
            }
            Self::NoOwnMethod { .. } => "add the method to the table, or use a method of the table".into(),
            Self::BatchDoesNotFit { largest, step, img_size, .. } => smaller_batch(*largest, *step, *img_size),
            Self::Undivided { largest, img_size, .. } => smaller_batch(*largest, None, *img_size),
            Self::QueueDoesNotFit { setting: "pretrain.queue_size", .. } => {
                "give a smaller {pretrain.queue_size} or {pretrain.dim}".into()
            }
            Self::QueueDoesNotFit { setting, .. } => format!("give a smaller {{{setting}}}").into(),
            Self::FewerEpochs { made, .. } => format!("give {{train.epochs={made}}} or more").into(),
            Self::AllEpochsMade { .. } => {
                "{train.epochs=N} {@allow-change=train.epochs} extends the run; {run.output=DIR} starts another one"
                    .into()
            }
            Self::InputChanged { .. } => {
                "give the original as {data.dir} or {checkpoint.path}, or start a new run".into()
            }
            Self::Unfinished { kind, run } => {
                let run = literal(run.display());
                format!("{} {{@resume}} {{run.output={run}}} finishes it first", kind.action()).into()
            }
            Self::SettingsChanged { kind, config, .. } => {
                let (action, config) = (kind.action(), literal(config.display()));
                format!(
                    "{{@allow-change}} changed them; a new run with its last settings: \
                     {action} {{@config={config}}} {{run.output=DIR}}"
                )
                .into()
            }
            Self::NotFree { run, .. } => {
                format!("remove it, or name another: {{@reproduce}} {} {{run.output=DIR}}", literal(run.display()))
                    .into()
            }
        };
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_does_not_fit_is_offered_in_parts_that_do() {
        let of_step = |step, batch, largest| {
            RunError::BatchDoesNotFit { batch, largest, step: Some(step), img_size: 224 }.hint().unwrap().to_string()
        };
        let hint = |batch, largest| of_step(batch, batch, largest);
        assert!(hint(256, 100).contains("about 100 would; train.batch_size = 64 train.grad_accum_steps = 4"));
        assert!(hint(64, 33).contains("train.batch_size = 32 train.grad_accum_steps = 2"));
        assert!(hint(96, 2).contains("train.batch_size = 2 train.grad_accum_steps = 48"));
        assert!(of_step(256, 64, 20).contains("train.batch_size = 16 train.grad_accum_steps = 16"));
        assert!(!hint(97, 50).contains("grad_accum"), "97 is a prime");
        assert!(hint(64, 1).contains("smaller data.img_size than 224") && !hint(64, 0).contains("grad_accum"));
        let whole = RunError::BatchDoesNotFit { batch: 256, largest: 100, step: None, img_size: 224 }
            .hint()
            .unwrap()
            .to_string();
        assert!(whole.contains("train.batch_size = 100") && !whole.contains("accum"), "{whole}");
        let undivided = RunError::Undivided { method: "moco-v2", batch: 256, largest: 100, img_size: 32 };
        assert!(undivided.to_string().contains("moco-v2 needs all images of a step at once"), "{undivided}");
        assert!(undivided.hint().unwrap().to_string().contains("train.batch_size = 100"), "{undivided}");
    }
}
