//! The projection head that a checkpoint was trained with: linear layers and batch norm with ReLU between them.

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use super::load::load_heads;
use super::{Checkpoint, CheckpointError, Recognised};
use crate::models::{HeadLayerForm, ModelError, ProjectionHead, is_plain};

/// The layers of a projection head as a file holds them.
#[derive(Debug)]
pub struct Projector {
    /// The form of each layer, in order.
    pub forms: Vec<HeadLayerForm>,
    /// Tensors of the layers, named as in [`ProjectionHead::parameters`].
    tensors: BTreeMap<String, Tensor>,
}

impl Projector {
    /// Width d of the projections.
    pub fn outputs(&self) -> i64 {
        self.forms.last().map_or(0, |form| form.outputs)
    }

    /// Whether it is Linear(D, D) - ReLU - Linear(D, d).
    pub fn is_plain(&self) -> bool {
        is_plain(&self.forms)
    }

    /// The layers in words: `Linear(8, 8) - BatchNorm(8) - ReLU - Linear(8, 4)`.
    pub fn described(&self) -> String {
        described(&self.forms)
    }

    /// The same layers with random weights.
    ///
    /// # Errors
    /// [`ModelError`] for exceptions of libtorch.
    pub fn with_random_weights(self, seed: u64) -> Result<Self, ModelError> {
        let head = ProjectionHead::of_layers(&self.forms, seed, Device::Cpu)?.parameters();
        let tensors = head.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.detach())).collect();
        Ok(Projector { tensors, ..self })
    }

    /// The head on this device.
    ///
    /// # Errors
    /// [`ModelError`] for exceptions of libtorch.
    pub fn head(&self, device: Device) -> Result<ProjectionHead, ModelError> {
        let head = ProjectionHead::of_layers(&self.forms, 0, device)?;
        crate::engine::guard("copying a projection head", || {
            tch::no_grad(|| {
                for parameter in head.parameters().iter() {
                    parameter.tensor.shallow_clone().copy_(&self.tensors[&parameter.name]);
                }
            });
        })?;
        Ok(head)
    }
}

/// What a head is called after the encoder's prefix (`fc` in MoCo v2, in SimCLR and in what `coretune pretrain` writes) ...
const INSIDE: &[&str] = &["fc.", "projection_head.", "projector.", "projection."];
/// ... and beside the encoder (solo-learn, Barlow Twins, VICReg, SwAV, lightly).
const BESIDE: &[&str] =
    &["projector.", "projection_head.", "projection_head.layers.", "projector.layers.", "projection.", "head."];

/// Reads the projection head of a checkpoint whose backbone was recognised.
///
/// # Errors
/// [`CheckpointError::NoProjector`] when the file has none of this form; those of [`Checkpoint::read`].
pub fn load_projector(checkpoint: &Checkpoint, recognised: &Recognised) -> Result<Projector, CheckpointError> {
    let refused = |found: String| CheckpointError::NoProjector { path: checkpoint.path().into(), found };
    let mut first_found = None;
    for heads in candidates(checkpoint, recognised) {
        let tensors = load_heads(checkpoint, &Recognised { heads: heads.clone(), ..recognised.clone() })?;
        match forms(&tensors, recognised.features) {
            Some(forms) => return Ok(Projector { forms, tensors }),
            None => first_found = first_found.or_else(|| Some(shapes(&tensors, &heads))),
        }
    }
    Err(refused(first_found.unwrap_or_else(|| "no such layers".into())))
}

/// Places in the file where a head may be: names as in [`ProjectionHead::parameters`], and names in the file.
fn candidates(checkpoint: &Checkpoint, recognised: &Recognised) -> Vec<BTreeMap<String, String>> {
    let named = recognised
        .heads
        .iter()
        .filter_map(|(target, source)| Some((target.strip_prefix("projection.")?.to_string(), source.clone())));
    let prefix = &recognised.prefix;
    let parent =
        prefix.trim_end_matches('.').rsplit_once('.').map_or(String::new(), |(parent, _)| format!("{parent}."));
    let inside = INSIDE.iter().map(|name| format!("{prefix}{name}"));
    let beside = BESIDE.iter().map(|name| format!("{parent}{name}"));
    let below = |start: String| -> BTreeMap<String, String> {
        let names = checkpoint.tensors().keys().filter(|name| !name.ends_with("num_batches_tracked"));
        names.filter_map(|name| Some((name.strip_prefix(&start)?.to_string(), name.clone()))).collect()
    };
    let numbered = |heads: &BTreeMap<String, String>| {
        heads.keys().any(|name| name.split_once('.').is_some_and(|(place, _)| place.parse::<usize>().is_ok()))
    };
    let lists = std::iter::once(named.collect()).chain(inside.chain(beside).map(below));
    lists.filter(numbered).collect()
}

/// The forms of the layers that these tensors make up, if they are a chain of such layers.
fn forms(tensors: &BTreeMap<String, Tensor>, features: i64) -> Option<Vec<HeadLayerForm>> {
    let mut parts: BTreeMap<usize, BTreeMap<&str, Vec<i64>>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let (place, part) = name.split_once('.')?;
        parts.entry(place.parse().ok()?).or_default().insert(part, tensor.size());
    }
    let mut forms: Vec<HeadLayerForm> = Vec::new();
    for (place, parts) in parts {
        let before = forms.last().map_or(features, |form| form.outputs);
        let form = form(place, &parts, before)?;
        let expected: BTreeMap<&str, Vec<i64>> = form.tensors().into_iter().collect();
        // Two places without tensors are more than a ReLU.
        let near = place <= forms.last().map_or(0, |form| form.place + 2);
        if !near || expected != parts {
            return None;
        }
        forms.push(form);
    }
    let linear = forms.iter().filter(|form| !form.norm).count();
    (linear >= 2 && forms.first().is_some_and(|form| !form.norm)).then_some(forms)
}

/// The form of a layer with tensors of these shapes that reads so many numbers.
fn form(place: usize, parts: &BTreeMap<&str, Vec<i64>>, inputs: i64) -> Option<HeadLayerForm> {
    let bias = parts.contains_key("bias");
    match (parts.get("running_mean").map(Vec::as_slice), parts.get("weight").map(Vec::as_slice)) {
        (Some(&[outputs]), _) if outputs == inputs => Some(HeadLayerForm { place, inputs, outputs, norm: true, bias }),
        (None, Some(&[outputs, width])) if width == inputs && outputs >= 1 => {
            Some(HeadLayerForm { place, inputs, outputs, norm: false, bias })
        }
        _ => None,
    }
}

/// `Linear(8, 8) - BatchNorm(8) - ReLU - Linear(8, 4)`.
fn described(forms: &[HeadLayerForm]) -> String {
    let mut words = Vec::new();
    let mut next = 0;
    for form in forms {
        if form.place > next {
            words.push("ReLU".to_string());
        }
        let HeadLayerForm { inputs, outputs, .. } = form;
        words.push(if form.norm { format!("BatchNorm({outputs})") } else { format!("Linear({inputs}, {outputs})") });
        next = form.place + 1;
    }
    words.join(" - ")
}

/// `fc.0.weight [64, 64], ...`, by their names in the file.
fn shapes(tensors: &BTreeMap<String, Tensor>, heads: &BTreeMap<String, String>) -> String {
    const SHOWN: usize = 8;
    let shape = |(name, tensor): (&String, &Tensor)| format!("{} {:?}", heads.get(name).unwrap_or(name), tensor.size());
    let list: Vec<String> = tensors.iter().take(SHOWN).map(shape).collect();
    let more = tensors.len().saturating_sub(SHOWN);
    if more == 0 { list.join(", ") } else { format!("{}, and {more} more", list.join(", ")) }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn tensors(shapes: &[(&str, &[i64])]) -> BTreeMap<String, Tensor> {
        let made =
            shapes.iter().map(|(name, shape)| (name.to_string(), Tensor::zeros(*shape, (Kind::Float, Device::Cpu))));
        made.collect()
    }

    #[test]
    fn layers_are_recognised_by_their_places_and_shapes() {
        let plain = tensors(&[("0.weight", &[8, 8]), ("0.bias", &[8]), ("2.weight", &[4, 8]), ("2.bias", &[4])]);
        let forms_of = |tensors: &BTreeMap<String, Tensor>| forms(tensors, 8);
        let found = forms_of(&plain).unwrap();
        assert!(is_plain(&found));
        assert_eq!(described(&found), "Linear(8, 8) - ReLU - Linear(8, 4)");

        let with_norm = tensors(&[
            ("0.weight", &[16, 8]),
            ("1.weight", &[16]),
            ("1.bias", &[16]),
            ("1.running_mean", &[16]),
            ("1.running_var", &[16]),
            ("3.weight", &[4, 16]),
            ("4.running_mean", &[4]),
            ("4.running_var", &[4]),
        ]);
        let found = forms_of(&with_norm).unwrap();
        assert!(!is_plain(&found));
        assert_eq!(described(&found), "Linear(8, 16) - BatchNorm(16) - ReLU - Linear(16, 4) - BatchNorm(4)");
    }

    #[test]
    fn what_is_not_a_chain_of_such_layers_is_refused() {
        let refused = |shapes: &[(&str, &[i64])]| assert!(forms(&tensors(shapes), 8).is_none(), "{shapes:?}");
        // One layer; another width; two places without tensors; layer norm; weight norm.
        refused(&[("0.weight", &[8, 8])]);
        refused(&[("0.weight", &[8, 9]), ("2.weight", &[4, 8])]);
        refused(&[("0.weight", &[8, 8]), ("3.weight", &[4, 8])]);
        refused(&[("0.weight", &[8, 8]), ("1.weight", &[8]), ("1.bias", &[8]), ("3.weight", &[4, 8])]);
        refused(&[("0.weight", &[8, 8]), ("2.weight_g", &[4, 1]), ("2.weight_v", &[4, 8])]);
    }
}
