//! `[pretrain]`: the method of pre-training.

use serde::{Deserialize, Serialize};

use crate::config::automatic;
use crate::objectives::{Method, PretrainingDefaults};
use crate::settings::OnResume::{Fixed, Free};
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, off, setting};

/// The method of pre-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainSection {
    /// Which.
    pub method: String,
    /// tau; `None`: the method's.
    #[serde(with = "auto")]
    pub temperature: Option<f64>,
    /// Outputs of the projection head.
    pub dim: i64,
    /// Keys in the queue; `None`: by the number of images.
    #[serde(with = "auto")]
    pub queue_size: Option<usize>,
    /// Momentum of the key encoder; `None`: by the number of steps.
    #[serde(with = "auto")]
    pub momentum: Option<f64>,
    /// Groups of a batch that batch norm sees one at a time; `None`: by the batch.
    #[serde(with = "auto")]
    pub bn_groups: Option<usize>,
    /// Smallest fraction of an image's area that a view shows; `None`: the method's.
    #[serde(with = "auto")]
    pub least_area: Option<f64>,
    /// Strength of the colour jitter, `SimCLR`'s s; `None`: the method's.
    #[serde(with = "auto")]
    pub jitter: Option<f64>,
    /// Probability that a view is grey.
    pub grayscale: f64,
    /// Probability that a view is blurred; `None`: by the size of the input.
    #[serde(with = "auto")]
    pub blur: Option<f64>,
    /// Epochs between evaluations of the features.
    #[serde(with = "off")]
    pub probe_epochs: Option<u64>,
    /// Most images of a split that such an evaluation uses.
    pub probe_images: usize,
}

const PRETRAINING: &[RunKind] = &[RunKind::Pretraining];

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("pretrain.method", Kind::Choice(methods), "method of pre-training")
        .default("moco-v2")
        .on_resume(Fixed)
        .read_by(PRETRAINING),
    setting("pretrain.temperature", Kind::Number(Range::Above(0.0)), "temperature of the contrastive loss")
        .auto(|_| by_method(|usual| usual.temperature))
        .read_by(PRETRAINING),
    setting(
        "pretrain.least_area",
        Kind::Number(Range::AboveUpTo(0.0, 1.0)),
        "smallest fraction of an image's area that a view shows",
    )
    .auto(|_| by_method(|usual| usual.least_area))
    .read_by(PRETRAINING),
    setting("pretrain.jitter", Kind::Number(Range::Between(0.0, 1.0)), "strength of the colour jitter")
        .auto(|_| by_method(|usual| usual.jitter))
        .read_by(PRETRAINING),
    setting("pretrain.grayscale", Kind::Number(Range::Between(0.0, 1.0)), "probability of a grey view")
        .default("0.2")
        .read_by(PRETRAINING),
    setting("pretrain.blur", Kind::Number(Range::Between(0.0, 1.0)), "probability of a blurred view")
        .auto(automatic::blur_text)
        .read_by(PRETRAINING),
    setting("pretrain.probe_epochs", Kind::Whole(1, ANY), "epochs between evaluations of the features")
        .off()
        .default("5")
        .on_resume(Free)
        .read_by(PRETRAINING),
    setting("pretrain.probe_images", Kind::Whole(2, ANY), "images of each split used for these evaluations, at most")
        .default("10000")
        .on_resume(Free)
        .read_by(PRETRAINING),
];

/// A default that differs from method to method, as text: `moco-v2 0.2, simclr 0.5`.
fn by_method(of: fn(&PretrainingDefaults) -> f64) -> String {
    let text = |method: &Method| Some(format!("{} {}", method.word, of(method.pretraining.as_ref()?)));
    Method::of(RunKind::Pretraining).filter_map(text).collect::<Vec<_>>().join(", ")
}

fn methods() -> Vec<&'static str> {
    Method::of(RunKind::Pretraining).map(|method| method.word).collect()
}

impl PretrainSection {
    /// The method.
    ///
    /// # Panics
    /// Never for a section that was checked against the table of settings.
    pub fn method(&self) -> &'static Method {
        Method::named(RunKind::Pretraining, &self.method).expect("the table of settings has checked the name")
    }
}
