//! The table of settings: key, flag, type, range, default and meaning of each, written once.
//!
//! The command line, the documentation ([`super::defaults_table`]) and the checks all read this table.

use super::error::{ConfigError, Origin};
use super::kind::{Kind, Range, one_of};
use super::typed::unknown;
use super::{Accumulation, DataCheck, HeadInit, Method, Optimizer, PretrainMethod, Sampler, Schedule, Select};
use crate::models::Family;
use crate::transforms::Augmentation;

/// The commands that take settings as flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `coretune probe`.
    Probe,
    /// `coretune fit`.
    Fit,
    /// `coretune pretrain`.
    Pretrain,
    /// `coretune evaluate`.
    Evaluate,
    /// `coretune predict`.
    Predict,
    /// `coretune data check`.
    DataCheck,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.key`, as in a file.
    pub key: &'static str,
    /// The long flag without its dashes. A switch whose flag starts with `no-` is turned off by it.
    pub flag: &'static str,
    /// The short flag.
    pub short: Option<char>,
    /// Names that the flag has elsewhere.
    pub aliases: &'static [&'static str],
    /// Type and range.
    pub kind: Kind,
    /// The word that may stand in place of a value: `auto` or `off`.
    pub word: Option<&'static str>,
    /// The default as typed; without one the setting must be given.
    pub default: Option<&'static str>,
    /// The default in pre-training, where that is another.
    pub pretraining: Option<&'static str>,
    /// The value when the flag stands alone.
    pub alone: Option<&'static str>,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// The same in pre-training, where that is something else.
    pub meaning_in_pretraining: Option<&'static str>,
    /// The commands that take it as a flag.
    pub commands: &'static [Command],
    /// Whether `--help` shows it (`--help-all` shows all).
    pub common: bool,
}

/// Those that train.
const TRAINING: &[Command] = &[Command::Fit, Command::Pretrain];
const PRETRAIN: &[Command] = &[Command::Pretrain];
const FIT: &[Command] = &[Command::Fit];
const PROBE_FIT: &[Command] = &[Command::Probe, Command::Fit];
/// Those that make a network.
const MODELLING: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain];
/// Those that read labels.
const ALL: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate];
/// Those that need labels.
const LABELLED: &[Command] = &[Command::Probe, Command::Fit, Command::Evaluate];
/// Those that open labelled images.
const OPENING: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate, Command::DataCheck];
/// Those that compute.
const COMPUTING: &[Command] = &[Command::Probe, Command::Fit, Command::Pretrain, Command::Evaluate, Command::Predict];

const fn setting(key: &'static str, flag: &'static str, kind: Kind, meaning: &'static str) -> Setting {
    Setting {
        key,
        flag,
        short: None,
        aliases: &[],
        kind,
        word: None,
        default: None,
        pretraining: None,
        alone: None,
        meaning,
        meaning_in_pretraining: None,
        commands: FIT,
        common: false,
    }
}

impl Setting {
    const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }
    /// `auto` stands for no value, and is the default.
    const fn auto(mut self) -> Self {
        self.word = Some("auto");
        self.default("auto")
    }
    /// `off` stands for no value, and is the default.
    const fn off(mut self) -> Self {
        self.word = Some("off");
        self.default("off")
    }
    /// This word stands for no value, which is not the default.
    const fn word(mut self, word: &'static str) -> Self {
        self.word = Some(word);
        self
    }
    const fn pretraining(mut self, text: &'static str) -> Self {
        self.pretraining = Some(text);
        self
    }
    const fn means_in_pretraining(mut self, meaning: &'static str) -> Self {
        self.meaning_in_pretraining = Some(meaning);
        self
    }
    const fn alone(mut self, text: &'static str) -> Self {
        self.alone = Some(text);
        self
    }
    const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
    const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }
    const fn commands(mut self, commands: &'static [Command]) -> Self {
        self.commands = commands;
        self
    }
    const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    /// The default as typed for `command`; without one the setting must be given.
    pub fn default_for(&self, command: Command) -> Option<&'static str> {
        let own = if command == Command::Pretrain { self.pretraining } else { None };
        own.or(self.default)
    }

    /// What it does for `command`, in a line.
    pub fn meaning_for(&self, command: Command) -> &'static str {
        let own = if command == Command::Pretrain { self.meaning_in_pretraining } else { None };
        own.unwrap_or(self.meaning)
    }

    /// Whether `command` takes it.
    pub fn is_taken_by(&self, command: Command) -> bool {
        self.commands.contains(&command)
    }

    /// The part of the key before the dot.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(section, _)| section)
    }

    /// The part of the key after the dot.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(_, name)| name)
    }

    /// The setting of this key.
    pub fn find(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// As [`Setting::find`], for a key that was given as the value of `flag`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], with the nearest known ones.
    pub fn named_by(flag: &str, key: &str) -> Result<&'static Setting, ConfigError> {
        Setting::find(key).ok_or_else(|| unknown(Origin::Flag(flag.into()), key))
    }

    /// The names that the flag also answers to: those listed, and each with underscores for dashes.
    pub fn all_aliases(&self) -> Vec<String> {
        let mut names: Vec<String> = self.aliases.iter().map(ToString::to_string).collect();
        let spelled = std::iter::once(self.flag).chain(self.aliases.iter().copied()).map(|name| name.replace('-', "_"));
        for name in spelled {
            if name != self.flag && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The words that stand for values, where the setting takes only such.
    pub(super) fn words(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Choice(names) => names().into_iter().chain(self.word).collect(),
            Kind::Device => vec!["auto", "cpu", "cuda"],
            _ => Vec::new(),
        }
    }

    /// What is accepted, in words, with the word that stands for no value.
    pub fn expected(&self) -> String {
        match (self.kind, self.word) {
            (Kind::Choice(names), Some(word)) => one_of(&[&names()[..], &[word]].concat()),
            (_, Some(word)) => format!("{}, or {word}", self.kind.expected()),
            (_, None) => self.kind.expected(),
        }
    }
}

fn families() -> Vec<&'static str> {
    Family::ALL.map(Family::name).to_vec()
}

fn interpolations() -> Vec<&'static str> {
    vec!["bilinear", "bicubic"]
}

fn augmentations() -> Vec<&'static str> {
    Augmentation::ALL.map(Augmentation::name).to_vec()
}

fn pair_schemes() -> Vec<&'static str> {
    vec!["own", "soft", "reference"]
}

fn precisions() -> Vec<&'static str> {
    vec!["auto", "off", "bf16"]
}

fn stems() -> Vec<&'static str> {
    vec!["imagenet", "small"]
}

const ANY: i64 = i64::MAX;

/// Every setting, by section, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting("checkpoint.path", "pretrained-path", Kind::Path("CKPT"), "checkpoint to start from").common(),
    setting("checkpoint.encoder", "encoder", Kind::Text("NAME"), "which encoder, if the file holds several")
        .auto()
        .commands(PROBE_FIT)
        .common(),
    setting(
        "checkpoint.allow_missing",
        "allow-missing",
        Kind::Texts("PATTERN"),
        "backbone tensors that may be missing",
    )
    .default("[]")
    .commands(PROBE_FIT),
    setting("model.name", "model", Kind::Choice(families), "backbone; auto: as the checkpoint says")
        .auto()
        .pretraining("resnet18")
        .means_in_pretraining("backbone")
        .commands(MODELLING)
        .common(),
    setting("model.stem", "stem", Kind::Choice(stems), "first layers; small: for images of up to 64 pixels")
        .auto()
        .commands(MODELLING),
    setting("model.width", "width", Kind::Number(Range::AboveUpTo(0.0, 16.0)), "factor on the number of channels")
        .auto()
        .commands(MODELLING),
    setting("model.num_classes", "num-classes", Kind::Whole(2, ANY), "classes of the classifier; auto: the data says")
        .auto(),
    setting("model.frozen_stages", "frozen-stages", Kind::Whole(0, 99), "first stages kept as they are (1: the stem)")
        .default("0"),
    setting("model.freeze_batch_norm", "freeze-batch-norm", Kind::Switch, "keep batch norm as pre-trained")
        .default("false"),
    setting("data.dir", "data-dir", Kind::Path("DIR"), "labelled images")
        .commands(ALL)
        .common()
        .means_in_pretraining("images, with classes or without"),
    setting("data.train_split", "train-split", Kind::Text("NAME"), "name of the training split; auto: train")
        .auto()
        .commands(OPENING),
    setting(
        "data.val_split",
        "val-split",
        Kind::Text("NAME"),
        "name of the validation split; auto: found, or cut from train",
    )
    .auto()
    .commands(OPENING),
    setting("data.test_split", "test-split", Kind::Text("NAME"), "name of the test split; auto: test, if there is one")
        .auto()
        .commands(OPENING),
    setting("data.check", "data-check", Kind::Choice(DataCheck::names), "look at every image first")
        .default("full")
        .commands(&[Command::Probe, Command::Fit, Command::Pretrain, Command::DataCheck]),
    setting("data.skip_broken", "skip-broken", Kind::Switch, "leave out images that cannot be read")
        .default("false")
        .commands(ALL),
    setting(
        "data.label_fraction",
        "label-fraction",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "share of the training labels to use",
    )
    .default("1.0")
    .commands(ALL)
    .common()
    .means_in_pretraining("share of the training images to use"),
    setting("data.per_class", "per-class", Kind::Whole(1, ANY), "training labels to use of each class")
        .off()
        .commands(ALL)
        .common()
        .means_in_pretraining("images to use of each class"),
    setting(
        "data.val_per_class",
        "val-per-class",
        Kind::Whole(1, ANY),
        "validation images of each class, beyond those",
    )
    .off()
    .commands(LABELLED)
    .common(),
    setting("data.img_size", "img-size", Kind::Whole(8, 4096), "height and width of the input, pixels")
        .auto()
        .commands(&[Command::Probe, Command::Fit, Command::Pretrain, Command::DataCheck])
        .common(),
    setting("data.mean", "mean", Kind::Colour(Range::Between(0.0, 1.0)), "mean of red, green, blue")
        .auto()
        .commands(MODELLING),
    setting("data.std", "std", Kind::Colour(Range::AboveUpTo(0.0, 1.0)), "standard deviation of red, green, blue")
        .auto()
        .commands(MODELLING),
    setting("data.interpolation", "interpolation", Kind::Choice(interpolations), "resampling of images")
        .default("bilinear")
        .commands(MODELLING),
    setting(
        "data.crop_pct",
        "crop-pct",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "share of the resized side that evaluation keeps",
    )
    .auto()
    .commands(MODELLING),
    setting("data.augment", "augment", Kind::Choice(augmentations), "random transforms in training").auto().common(),
    setting("data.sampler", "sampler", Kind::Choice(Sampler::names), "balanced: P classes x K images a batch")
        .default("shuffle"),
    setting("data.classes_per_batch", "classes-per-batch", Kind::Whole(2, ANY), "P of the balanced sampler").auto(),
    setting("data.images_per_class", "images-per-class", Kind::Whole(1, ANY), "K of the balanced sampler").auto(),
    setting("method.name", "method", Kind::Choice(Method::names), "objective").default("core-tuning").common(),
    setting("method.pairs", "pairs", Kind::Choice(pair_schemes), "pair scheme of core-tuning").default("own").common(),
    setting("method.eta", "eta", Kind::Number(Range::From(0.0)), "weight of the contrastive loss")
        .default("1.0")
        .aliases(&["eta-weight"])
        .common(),
    setting("method.alpha", "alpha", Kind::Number(Range::Above(0.0)), "mixing is drawn from Beta(alpha, alpha)")
        .default("1.0")
        .aliases(&["mixup-alpha"])
        .common(),
    setting(
        "method.temperature",
        "temperature",
        Kind::Number(Range::AboveUpTo(0.0, 10.0)),
        "temperature of the contrastive loss",
    )
    .default("0.07"),
    setting(
        "method.focal",
        "focal",
        Kind::Number(Range::ZeroOrBetween(1.0, 10.0)),
        "exponent of the focal weight; 0: none",
    )
    .default("1.0"),
    setting("method.detach_focal", "detach-focal", Kind::Switch, "no gradient through the focal weight")
        .default("false"),
    setting("method.contrast_dim", "contrast-dim", Kind::Whole(1, 65_536), "outputs of the projection head")
        .default("256"),
    setting("method.head_init", "head-init", Kind::Choice(HeadInit::names), "start of the classifier")
        .default("random")
        .common(),
    setting("pretrain.method", "method", Kind::Choice(PretrainMethod::names), "method of pre-training")
        .default("moco-v2")
        .commands(PRETRAIN)
        .common(),
    setting("pretrain.temperature", "temperature", Kind::Number(Range::Above(0.0)), "auto: moco-v2 0.2, simclr 0.5")
        .auto()
        .commands(PRETRAIN)
        .common(),
    setting("pretrain.dim", "dim", Kind::Whole(1, 65_536), "outputs of the projection head")
        .default("128")
        .commands(PRETRAIN),
    setting(
        "pretrain.queue_size",
        "queue-size",
        Kind::Whole(1, 16_777_216),
        "keys in the queue; auto: an eighth of the images, 65536 at most",
    )
    .auto()
    .commands(PRETRAIN)
    .common(),
    setting(
        "pretrain.momentum",
        "encoder-momentum",
        Kind::Number(Range::Between(0.0, 1.0)),
        "momentum of the key encoder; auto: 0.99, in long runs 0.999",
    )
    .auto()
    .commands(PRETRAIN)
    .common(),
    setting(
        "pretrain.bn_groups",
        "bn-groups",
        Kind::Whole(1, ANY),
        "groups of a batch for batch norm, keys shuffled between them; auto: 2 or more, of up to 32 images",
    )
    .auto()
    .commands(PRETRAIN),
    setting(
        "pretrain.least_area",
        "least-area",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "smallest share of an image that a view shows; auto: moco-v2 0.2, simclr 0.08",
    )
    .auto()
    .commands(PRETRAIN),
    setting(
        "pretrain.jitter",
        "jitter",
        Kind::Number(Range::Between(0.0, 1.0)),
        "strength of the colour jitter; auto: moco-v2 0.5, simclr 1",
    )
    .auto()
    .commands(PRETRAIN),
    setting("pretrain.grayscale", "grayscale", Kind::Number(Range::Between(0.0, 1.0)), "probability of a grey view")
        .default("0.2")
        .commands(PRETRAIN),
    setting(
        "pretrain.blur",
        "blur",
        Kind::Number(Range::Between(0.0, 1.0)),
        "probability of a blurred view; auto: 0.5, up to 64 pixels 0",
    )
    .auto()
    .commands(PRETRAIN),
    setting("pretrain.probe_epochs", "probe-epochs", Kind::Whole(1, ANY), "epochs between looks at the features")
        .word("off")
        .default("5")
        .commands(PRETRAIN)
        .common(),
    setting(
        "pretrain.probe_images",
        "probe-images",
        Kind::Whole(2, ANY),
        "most images of a split that such a look takes",
    )
    .default("10000")
    .commands(PRETRAIN),
    setting("train.epochs", "epochs", Kind::Whole(1, ANY), "passes over the training images")
        .default("25")
        .common()
        .commands(TRAINING)
        .pretraining("200"),
    setting("train.batch_size", "batch-size", Kind::Whole(2, ANY), "images in memory at a time: those of a step")
        .default("64")
        .short('b')
        .commands(COMPUTING)
        .common()
        .pretraining("256"),
    setting(
        "train.grad_accum_steps",
        "grad-accum-steps",
        Kind::Whole(1, ANY),
        "batches that make a step: its batch is so many times larger",
    )
    .default("1")
    .aliases(&["accumulate-step", "gradient-accumulation-steps"]),
    setting(
        "train.accumulation",
        "accumulation",
        Kind::Choice(Accumulation::names),
        "what contrast sees of them: all together, or one at a time",
    )
    .default("exact"),
    setting("train.opt", "opt", Kind::Choice(Optimizer::names), "optimizer").default("sgd").common().commands(TRAINING),
    setting("train.lr", "lr", Kind::Number(Range::Above(0.0)), "learning rate, not scaled by the batch")
        .default("0.03")
        .aliases(&["learning-rate"])
        .common()
        .commands(TRAINING)
        .pretraining("0.06"),
    setting("train.momentum", "momentum", Kind::Number(Range::FromBelow(0.0, 1.0)), "momentum of sgd and lars")
        .default("0.9")
        .commands(TRAINING),
    setting("train.nesterov", "no-nesterov", Kind::Switch, "Nesterov momentum in sgd")
        .default("true")
        .commands(TRAINING)
        .pretraining("false"),
    setting(
        "train.weight_decay",
        "weight-decay",
        Kind::Number(Range::From(0.0)),
        "weight decay; with lars not on biases and norms",
    )
    .default("1e-4")
    .common()
    .commands(TRAINING)
    .pretraining("5e-4"),
    setting("train.sched", "sched", Kind::Choice(Schedule::names), "schedule of lr")
        .default("cosine")
        .common()
        .commands(TRAINING),
    setting(
        "train.warmup_epochs",
        "warmup-epochs",
        Kind::Number(Range::From(0.0)),
        "epochs of linear warm-up; auto: 5 % of the epochs",
    )
    .auto()
    .commands(TRAINING),
    setting("train.min_lr", "min-lr", Kind::Number(Range::From(0.0)), "where the cosine ends")
        .default("0.0")
        .commands(TRAINING),
    setting("train.step_epochs", "step-epochs", Kind::Number(Range::Above(0.0)), "epochs between steps of sched step")
        .default("10.0")
        .aliases(&["decay-epochs", "lr-step-size"])
        .commands(TRAINING),
    setting(
        "train.step_gamma",
        "step-gamma",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "factor of each step of sched step",
    )
    .default("0.1")
    .aliases(&["decay-rate", "lr-gamma"])
    .commands(TRAINING),
    setting(
        "train.layer_decay",
        "layer-decay",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "factor on lr per layer below the head",
    )
    .default("1.0"),
    setting(
        "train.head_lr_factor",
        "head-lr-factor",
        Kind::Number(Range::Above(0.0)),
        "factor on lr of classifier and projection head",
    )
    .default("1.0"),
    setting("train.clip_grad", "clip-grad", Kind::Number(Range::Above(0.0)), "largest norm of the gradient")
        .off()
        .commands(TRAINING),
    setting(
        "train.label_smoothing",
        "label-smoothing",
        Kind::Number(Range::FromBelow(0.0, 1.0)),
        "share of the label spread over all classes",
    )
    .default("0.0"),
    setting(
        "train.model_ema",
        "model-ema",
        Kind::Number(Range::FromBelow(0.0, 1.0)),
        "average the weights with this decay",
    )
    .off()
    .alone("0.999"),
    setting(
        "train.early_stopping",
        "early-stopping",
        Kind::Whole(1, ANY),
        "epochs without a better validation before stopping",
    )
    .off(),
    setting("train.select", "select", Kind::Choice(Select::names), "what makes an epoch the best").default("val_top1"),
    setting("train.seed", "seed", Kind::Whole(0, ANY), "seed of every random draw").default("0").commands(ALL).common(),
    setting("train.log_every", "log-every", Kind::Whole(1, ANY), "steps between lines of metrics.jsonl")
        .default("10")
        .commands(TRAINING),
    setting("run.probe", "no-probe", Kind::Switch, "kNN and linear probe of the checkpoint").default("true").common(),
    setting("run.device", "device", Kind::Device, "where to compute").default("auto").commands(COMPUTING).common(),
    setting("run.amp", "amp", Kind::Choice(precisions), "use of bf16")
        .default("auto")
        .alone("bf16")
        .commands(COMPUTING)
        .common(),
    setting("run.threads", "threads", Kind::Whole(1, 1024), "threads of the computation; auto: all cores")
        .auto()
        .commands(COMPUTING),
    setting(
        "run.workers",
        "workers",
        Kind::Whole(1, 4096),
        "threads that read images; auto: half the cores, 4 at most",
    )
    .auto()
    .short('j')
    .commands(COMPUTING),
    setting("run.save_steps", "save-steps", Kind::Whole(1, ANY), "steps between saved states within an epoch")
        .off()
        .commands(TRAINING),
    setting(
        "run.save_minutes",
        "save-minutes",
        Kind::Number(Range::Above(0.0)),
        "minutes between saved states within an epoch",
    )
    .word("off")
    .default("10.0")
    .commands(TRAINING),
    setting("run.output", "output", Kind::Path("DIR"), "run folder; auto: runs/DATA-METHOD-SEED")
        .auto()
        .common()
        .commands(TRAINING),
    setting("run.experiment", "experiment", Kind::Text("NAME"), "subfolder of the output").off().commands(TRAINING),
];
