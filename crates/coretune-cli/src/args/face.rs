//! How a setting appears on the command line: its flag, which commands take it, whether `--help` shows it.
//!
//! All of that follows from the setting, unless [`FACES`] says otherwise; so a new setting needs no line here.

use std::iter;

use coretune::config::{RunKind, Setting};

/// The commands that take settings as flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `coretune probe`.
    Probe,
    /// `coretune fit`.
    Fit,
    /// `coretune compare`.
    Compare,
    /// `coretune sweep`.
    Sweep,
    /// `coretune pretrain`.
    Pretrain,
    /// `coretune evaluate`.
    Evaluate,
    /// `coretune predict`.
    Predict,
    /// `coretune data check`.
    DataCheck,
    /// `coretune data show`.
    DataShow,
    /// `coretune data pack`.
    DataPack,
}

impl Takes {
    /// The kind of run whose defaults and meanings the command shows.
    pub(crate) fn kind(self) -> RunKind {
        if self == Takes::Pretrain { RunKind::Pretraining } else { RunKind::FineTuning }
    }

    /// The kinds of runs whose settings the command takes, if it trains.
    fn kinds(self) -> &'static [RunKind] {
        if self == Takes::Pretrain { &[RunKind::Pretraining] } else { RunKind::LABELLED }
    }
}

/// What of the appearance of a setting does not follow from its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    /// The long flag without its dashes, unless it is the name of the setting with dashes. A switch whose flag starts
    /// with `no-` is turned off by it.
    flag: Option<&'static str>,
    /// The short flag.
    pub(crate) short: Option<char>,
    /// The value if the flag is given without one.
    pub(crate) alone: Option<&'static str>,
    /// Whether `--help` shows it (`--help-all` shows all).
    pub(crate) common: bool,
    /// Commands that take it beside those of the runs that read it.
    also: &'static [Takes],
}

/// A setting that is not listed.
const PLAIN: Face = Face { flag: None, short: None, alone: None, common: false, also: &[] };
const COMMON: Face = Face { common: true, ..PLAIN };
/// Taken by the commands that make a network.
const PROBE: Face = Face { also: &[Takes::Probe], ..PLAIN };
/// Taken by the commands that draw labelled images.
const DRAWS: Face = Face { also: &[Takes::Probe, Takes::Evaluate], ..PLAIN };
/// Taken by the commands that open labelled images.
const OPENS: Face =
    Face { also: &[Takes::Probe, Takes::Evaluate, Takes::DataCheck, Takes::DataShow, Takes::DataPack], ..PLAIN };
/// Taken by the commands that show images.
const SHOWS: Face = Face { also: &[Takes::DataShow], ..PLAIN };
/// Taken by the commands that make an input of images.
const INPUT: Face = Face { also: &[Takes::Probe, Takes::DataCheck, Takes::DataShow], ..PLAIN };
/// Taken by the commands that resample images.
const RESAMPLES: Face = Face { also: &[Takes::Probe, Takes::DataShow], ..PLAIN };
/// Taken by the commands that check images.
const CHECKS: Face = Face { also: &[Takes::Probe, Takes::DataCheck], ..PLAIN };
/// Taken by the commands that evaluate pixels.
const SEGMENTS: Face = Face { also: &[Takes::Evaluate, Takes::Predict], ..PLAIN };
/// Taken by the commands that compute.
const COMPUTES: Face = Face { also: &[Takes::Probe, Takes::Evaluate, Takes::Predict], ..PLAIN };

impl Face {
    const fn flag(self, flag: &'static str) -> Self {
        Face { flag: Some(flag), ..self }
    }

    const fn short(self, letter: char) -> Self {
        Face { short: Some(letter), ..self }
    }

    const fn alone(self, value: &'static str) -> Self {
        Face { alone: Some(value), ..self }
    }

    const fn common(self) -> Self {
        Face { common: true, ..self }
    }
}

/// Settings whose flag does not follow from the key.
const FACES: &[(&str, Face)] = &[
    ("checkpoint.path", COMMON.flag("pretrained-path")),
    ("checkpoint.encoder", PROBE.common()),
    ("checkpoint.allow_missing", PROBE),
    ("checkpoint.random_weights", PROBE),
    ("model.name", PROBE.flag("model").common()),
    ("model.stem", PROBE),
    ("model.width", PROBE),
    ("data.dir", DRAWS.flag("data-dir").common()),
    ("data.train_split", OPENS),
    ("data.val_split", OPENS),
    ("data.test_split", OPENS),
    ("data.layout", OPENS),
    ("data.split_number", OPENS),
    ("segmentation.crop", SHOWS),
    ("segmentation.least_scale", SHOWS),
    ("segmentation.most_scale", SHOWS),
    ("segmentation.rotation", SHOWS),
    ("segmentation.window", SEGMENTS),
    ("segmentation.window_overlap", SEGMENTS),
    ("segmentation.scales", SEGMENTS),
    ("segmentation.jitter", SHOWS),
    ("data.ignore_index", OPENS),
    ("data.first_class", OPENS),
    ("data.image_column", OPENS),
    ("data.label_column", OPENS),
    ("data.split_column", OPENS),
    ("data.check", CHECKS.flag("data-check")),
    ("data.skip_broken", DRAWS),
    ("data.label_fraction", DRAWS.common()),
    ("data.per_class", DRAWS.common()),
    ("data.val_per_class", DRAWS.common()),
    ("data.unlabelled", PROBE),
    ("data.pseudo_labels_from", PROBE),
    ("data.pseudo_label_fraction", PROBE),
    ("data.propagation_neighbours", PROBE),
    ("data.propagation_alpha", PROBE),
    ("data.propagation_power", PROBE),
    ("data.img_size", INPUT.common()),
    ("data.mean", PROBE),
    ("data.std", PROBE),
    ("data.bit_depth_range", INPUT),
    ("data.interpolation", RESAMPLES),
    ("data.resize_mode", RESAMPLES),
    ("data.crop_pct", PROBE),
    ("data.augment", SHOWS.common()),
    ("data.tta", COMPUTES),
    ("method.name", COMMON.flag("method")),
    ("method.eta", COMMON),
    ("method.head_init", COMMON),
    ("pretrain.method", COMMON),
    ("pretrain.temperature", COMMON),
    ("pretrain.queue_size", COMMON),
    ("pretrain.momentum", COMMON.flag("encoder-momentum")),
    ("pretrain.probe_epochs", COMMON),
    ("train.epochs", COMMON),
    ("train.batch_size", COMPUTES.short('b').common()),
    ("train.opt", COMMON),
    ("train.lr", COMMON),
    ("train.nesterov", PLAIN.flag("no-nesterov")),
    ("train.weight_decay", COMMON),
    ("train.sched", COMMON),
    ("train.model_ema", PLAIN.alone("0.999")),
    ("train.seed", DRAWS.common()),
    ("run.probe", COMMON.flag("no-probe")),
    ("run.probe_rows", PROBE),
    ("run.probe_views", PROBE),
    ("run.device", COMPUTES.common()),
    ("run.amp", COMPUTES.alone("bf16").common()),
    ("run.threads", COMPUTES),
    ("run.workers", COMPUTES.short('j')),
    ("run.output", COMMON),
];

/// How this setting appears.
pub(crate) fn face(setting: &Setting) -> Face {
    FACES.iter().find(|(key, _)| *key == setting.key).map_or(PLAIN, |(_, face)| *face)
}

/// The long flag of a setting, without its dashes.
pub(crate) fn flag(setting: &Setting) -> String {
    face(setting).flag.map_or_else(|| setting.name().replace('_', "-"), Into::into)
}

/// The names that the flag also answers to: those of other programs, and each name with underscores for dashes.
pub(crate) fn aliases(setting: &Setting) -> Vec<String> {
    let flag = flag(setting);
    let others = setting.also_called.iter().flat_map(|name| [name.replace('_', "-"), (*name).into()]);
    let mut names: Vec<String> = Vec::new();
    for name in others.chain(iter::once(flag.replace('-', "_"))) {
        if name != flag && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Settings that `coretune compare` gives to its runs itself, or takes in another form.
const GIVEN_BY_COMPARE: [&str; 5] = ["method.name", "data.per_class", "run.probe", "run.output", "run.experiment"];

/// Settings that `coretune sweep` gives to its runs itself.
const GIVEN_BY_SWEEP: [&str; 3] = ["run.probe", "run.output", "run.experiment"];

/// Whether the command takes the setting as a flag.
pub(crate) fn takes(command: Takes, setting: &Setting) -> bool {
    let reads = |kind: &RunKind| setting.is_read_by(*kind);
    match command {
        Takes::Fit | Takes::Pretrain => command.kinds().iter().any(reads),
        Takes::Compare => command.kinds().iter().any(reads) && !GIVEN_BY_COMPARE.contains(&setting.key),
        Takes::Sweep => command.kinds().iter().any(reads) && !GIVEN_BY_SWEEP.contains(&setting.key),
        _ => face(setting).also.contains(&command),
    }
}

/// What a switch becomes when its flag is given: `--no-probe` turns the probe off.
pub(crate) fn switched_to(setting: &Setting) -> bool {
    !flag(setting).starts_with("no-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use coretune::config::{Kind, find_setting, settings};

    use super::*;

    #[test]
    fn no_two_settings_of_a_command_share_a_flag() {
        let commands = [
            Takes::Probe,
            Takes::Fit,
            Takes::Compare,
            Takes::Sweep,
            Takes::Pretrain,
            Takes::Evaluate,
            Takes::Predict,
            Takes::DataCheck,
            Takes::DataShow,
            Takes::DataPack,
        ];
        for command in commands {
            let mut names = BTreeSet::new();
            for setting in settings().iter().filter(|setting| takes(command, setting)) {
                for flag in aliases(setting).into_iter().chain([flag(setting)]) {
                    assert!(names.insert(flag.clone()), "{command:?} --{flag}");
                }
            }
        }
    }

    #[test]
    fn every_face_belongs_to_a_setting() {
        for (key, _) in FACES {
            assert!(find_setting(key).is_some(), "{key}");
        }
    }

    #[test]
    fn the_names_of_the_published_script_are_aliases() {
        let aliases: Vec<String> = settings().iter().copied().flat_map(aliases).collect();
        for name in ["eta_weight", "mixup_alpha", "contrast_dim"] {
            assert!(aliases.iter().any(|alias| alias == name), "{name}");
        }
    }

    #[test]
    fn a_switch_that_is_on_is_turned_off_by_its_flag() {
        for setting in settings() {
            if matches!(setting.kind, Kind::Switch) {
                assert_eq!(switched_to(setting), setting.default == Some("false"), "{}", setting.key);
            }
        }
    }
}
