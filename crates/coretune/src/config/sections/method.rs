//! `[method]`: the objective of fine-tuning.

use serde::{Deserialize, Serialize};

use crate::config::{HeadInit, Method};
use crate::objectives::PairScheme;
use crate::settings::{Kind, Range, Setting, setting};

/// The objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSection {
    /// Which.
    pub name: Method,
    /// Pair scheme (M5).
    pub pairs: PairScheme,
    /// Weight of the contrastive loss (eta, M7).
    pub eta: f64,
    /// Shape of Beta(alpha, alpha), from which mixing coefficients are drawn (M2, M3).
    pub alpha: f64,
    /// Temperature (tau, M4).
    pub temperature: f64,
    /// Exponent of the focal weight (g, M5).
    pub focal: f64,
    /// Whether the focal weight carries no gradient.
    pub detach_focal: bool,
    /// Outputs of the projection head.
    pub contrast_dim: i64,
    /// How the classifier starts.
    pub head_init: HeadInit,
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("method.name", Kind::Choice(Method::names), "objective").flag_is("method").default("core-tuning").common(),
    setting("method.pairs", Kind::Choice(pair_schemes), "pair scheme of core-tuning").default("own").common(),
    setting("method.eta", Kind::Number(Range::From(0.0)), "weight of the contrastive loss")
        .default("1.0")
        .aliases(&["eta-weight"])
        .common(),
    setting("method.alpha", Kind::Number(Range::Above(0.0)), "mixing is drawn from Beta(alpha, alpha)")
        .default("1.0")
        .aliases(&["mixup-alpha"])
        .common(),
    setting("method.temperature", Kind::Number(Range::AboveUpTo(0.0, 10.0)), "temperature of the contrastive loss")
        .default("0.07"),
    setting("method.focal", Kind::Number(Range::ZeroOrBetween(1.0, 10.0)), "exponent of the focal weight; 0: none")
        .default("1.0"),
    setting("method.detach_focal", Kind::Switch, "no gradient through the focal weight").default("false"),
    setting("method.contrast_dim", Kind::Whole(1, 65_536), "outputs of the projection head").default("256"),
    setting("method.head_init", Kind::Choice(HeadInit::names), "start of the classifier").default("random").common(),
];

fn pair_schemes() -> Vec<&'static str> {
    vec!["own", "soft", "reference"]
}
