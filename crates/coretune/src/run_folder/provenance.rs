//! `provenance.json`: what a run depends on beyond its configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a run depends on beyond its configuration. With the same of these, the same configuration gives the same bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// BLAKE3 of the images and labels of each split, as it was used: `train`, `validation`, `test`.
    pub data: BTreeMap<String, String>,
    /// BLAKE3 of the checkpoint that training started from; null in pre-training.
    pub checkpoint: Option<String>,
    /// Name of the method, if the program brought one that is in no table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_method: Option<String>,
    /// Seed of every random draw.
    pub seed: u64,
    /// The machine.
    pub machine: MachineRecord,
    /// Of coretune and of what the bits depend on.
    pub versions: BTreeMap<String, String>,
}

/// What of a machine the bits depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    /// Model of the processor, with the vector instructions that libtorch chooses its kernels by.
    pub cpu: String,
    /// Where it was computed: `cpu`, `cuda:0`.
    pub device: String,
    /// Number format of the convolutions: `f32`, `bf16`.
    pub precision: String,
    /// Threads of the computation.
    pub threads: usize,
}
