//! The projection head that a checkpoint was trained with, if it has the form of G_c: Linear(D, D) - ReLU - Linear(D, d).

use tch::Tensor;

use super::load::load_heads;
use super::{Checkpoint, CheckpointError, Recognised};

/// Weights and biases of the two layers, as the file holds them.
#[derive(Debug)]
pub struct Projector {
    /// `[D, D]` and `[D]`.
    pub hidden: (Tensor, Tensor),
    /// `[d, D]` and `[d]`.
    pub output: (Tensor, Tensor),
}

impl Projector {
    /// Width d of the projections.
    pub fn outputs(&self) -> i64 {
        self.output.1.size()[0]
    }
}

/// Where the layers of the form are named after the encoder's prefix: `fc.0` and `fc.2` in MoCo v2, in SimCLR and in what
/// `coretune pretrain` writes.
const LAYERS: [(&str, &str); 2] = [("projection.0", "fc.0"), ("projection.2", "fc.2")];

/// Reads the projection head of a checkpoint whose backbone was recognised.
///
/// # Errors
/// [`CheckpointError::NoProjector`] when the file has none of this form; those of [`Checkpoint::read`].
pub fn load_projector(checkpoint: &Checkpoint, recognised: &Recognised) -> Result<Projector, CheckpointError> {
    let mut recognised = recognised.clone();
    for (ours, theirs) in LAYERS {
        for part in ["weight", "bias"] {
            let name = format!("{}{theirs}.{part}", recognised.prefix);
            if checkpoint.tensors().contains_key(&name) {
                recognised.heads.entry(format!("{ours}.{part}")).or_insert(name);
            }
        }
    }
    recognised.heads.retain(|target, _| target.starts_with("projection."));
    let mut tensors = load_heads(checkpoint, &recognised)?;
    let refused = |found: String| CheckpointError::NoProjector { path: checkpoint.path().into(), found };
    let found = if tensors.is_empty() { "no such layers".to_string() } else { shapes(&tensors) };
    let mut take = |name: &str| tensors.remove(name).ok_or_else(|| refused(found.clone()));
    let projector = Projector {
        hidden: (take("projection.0.weight")?, take("projection.0.bias")?),
        output: (take("projection.2.weight")?, take("projection.2.bias")?),
    };
    let width = recognised.features;
    let fits = |(weight, bias): &(Tensor, Tensor), outputs: Option<i64>| {
        let rows = bias.size().first().copied().unwrap_or(0);
        rows >= 1 && bias.dim() == 1 && weight.size() == [rows, width] && outputs.is_none_or(|outputs| outputs == rows)
    };
    if fits(&projector.hidden, Some(width)) && fits(&projector.output, None) {
        Ok(projector)
    } else {
        Err(refused(found))
    }
}

/// `projection.0.weight [64, 64], ...`
fn shapes(tensors: &std::collections::BTreeMap<String, Tensor>) -> String {
    let shape = |(name, tensor): (&String, &Tensor)| format!("{name} {:?}", tensor.size());
    tensors.iter().map(shape).collect::<Vec<_>>().join(", ")
}
