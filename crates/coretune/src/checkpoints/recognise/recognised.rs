use std::collections::BTreeMap;

use serde::Serialize;

use crate::models::Architecture;

/// What a checkpoint is.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// Name of the layout, such as `moco`; `unknown` when only the backbone itself was recognised.
    pub layout: &'static str,
    /// The method as text, such as `MoCo v1/v2`.
    pub method: &'static str,
    /// The encoder taken.
    pub encoder: String,
    /// The other encoders in the file, for `--encoder`.
    pub other_encoders: Vec<String>,
    /// Prefix of the encoder's tensors in the file, wrappers included: `state_dict.module.encoder_q.`.
    pub prefix: String,
    /// The network.
    pub architecture: Architecture,
    /// Width of its features.
    pub features: i64,
    /// Name in our backbone, and name in the file.
    pub backbone: BTreeMap<String, String>,
    /// The same for the heads that have a place here (`classifier.weight`, `projection.0.weight`, ...).
    pub heads: BTreeMap<String, String>,
    /// Tensors of the backbone whose shape is not the network's; the other lists leave them out.
    pub mismatched: Vec<Mismatched>,
    /// What is not used, and why.
    pub left_out: Vec<LeftOut>,
}

/// A tensor whose shape is not that of its place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatched {
    /// Name in the file.
    pub name: String,
    /// Name in the backbone.
    pub target: String,
    /// Shape in the backbone.
    pub expected: Vec<i64>,
    /// Shape in the file.
    pub found: Vec<i64>,
}

/// A group of tensors that are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What they are, such as `projection head`.
    pub group: String,
    /// How many.
    pub tensors: usize,
    /// Why.
    pub reason: String,
}
