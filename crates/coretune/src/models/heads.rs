//! The heads on the pooled features: classifier and projection head.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::parameters::{Parameters, Role};
use super::{ModelError, initial};
use crate::engine::{self, channels_last};

/// Numbers of the heads' first parameters in the streams of initial weights, above those of every backbone, so that
/// the heads of one seed are drawn alike whatever the backbone and its number of tensors.
const CLASSIFIER_STREAM: usize = 1_000_000;
const PROJECTION_STREAM: usize = 2_000_000;

/// Added to the variance by batch norm in a projection head.
const NORM_EPSILON: f64 = 1e-5;

/// A linear layer `x W^T + b`; as the classifier `G_y` it has no bias unless it starts from a linear probe.
///
/// The classifier of dense prediction is the same layer at each position of a map: a 1x1 convolution.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`; of a 1x1 convolution `[out, in, 1, 1]`.
    pub weight: Tensor,
    /// `[out]`, if it has one.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// The classifier `[classes, features]`: U(-1 / sqrt(features), 1 / sqrt(features)), without bias.
    ///
    /// # Errors
    /// [`ModelError::EmptyLayer`] without features or classes.
    pub fn classifier(features: i64, classes: i64, seed: u64, device: Device) -> Result<Self, ModelError> {
        Linear::new("classifier", features, classes, false, (seed, CLASSIFIER_STREAM), device)
    }

    /// A layer made of given values: weight `[out, in]`, bias `[out]`. They are copied to `device` as f32.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for a weight that is not a matrix, and for a bias that is not one value for each of its rows.
    pub fn from_values(weight: &Tensor, bias: Option<&Tensor>, device: Device) -> Result<Self, ModelError> {
        let (outputs, _) = engine::shape::matrix("weight", weight)?;
        if let Some(bias) = bias {
            engine::shape::exactly("bias", bias, &[outputs])?;
        }
        let leaf = |values: &Tensor| {
            values.detach().to_kind(Kind::Float).to_device(device).contiguous().copy().set_requires_grad(true)
        };
        Ok(engine::guard("copying a linear layer", || Linear { weight: leaf(weight), bias: bias.map(leaf) })?)
    }

    fn new(
        layer: &'static str,
        inputs: i64,
        outputs: i64,
        bias: bool,
        (seed, index): (u64, usize),
        device: Device,
    ) -> Result<Self, ModelError> {
        if inputs < 1 || outputs < 1 {
            return Err(ModelError::EmptyLayer { layer, inputs, outputs });
        }
        Ok(engine::guard("building a linear layer", || {
            let leaf = |shape: &[i64], index| {
                initial::linear(shape, inputs, (seed, 0), index).to_device(device).set_requires_grad(true)
            };
            Linear { weight: leaf(&[outputs, inputs], index), bias: bias.then(|| leaf(&[outputs], index + 1)) }
        })?)
    }

    /// Replaces the values of a classifier: its weight is drawn as by [`Linear::classifier`], from a stream of its own
    /// for each `drawing`, counted from 1; its bias, if any, becomes 0.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for exceptions of libtorch.
    pub fn draw_anew(&self, seed: u64, drawing: u64) -> Result<(), ModelError> {
        let shape = self.weight.size();
        Ok(engine::guard("drawing a classifier", || {
            no_grad(|| {
                let weight = initial::linear(&shape, self.inputs(), (seed, drawing), CLASSIFIER_STREAM);
                self.weight.shallow_clone().copy_(&weight);
                if let Some(bias) = &self.bias {
                    let _ = bias.shallow_clone().zero_();
                }
            });
        })?)
    }

    /// Width of what the layer reads.
    pub fn inputs(&self) -> i64 {
        self.weight.size()[1]
    }

    /// Width of what the layer gives.
    pub fn outputs(&self) -> i64 {
        self.weight.size()[0]
    }

    /// `[n, in]` to `[n, out]`.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`].
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match self.weight.dim() {
            2 => x.linear(&self.weight, self.bias.as_ref()),
            _ => x.linear(&self.weight.flatten(1, -1), self.bias.as_ref()),
        }
    }

    /// The layer at each position: `[n, in, h, w]` to `[n, out, h, w]` in channels-last layout.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`].
    pub fn forward_map(&self, x: &Tensor) -> Tensor {
        channels_last::from_nhwc(&self.forward(&x.permute([0, 2, 3, 1])))
    }

    /// Takes the values of another layer of the same width: weight and, if it has one, bias, else zeros.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for another width.
    pub fn copy_values(&self, other: &Linear) -> Result<(), ModelError> {
        engine::shape::exactly("weight", &other.weight.flatten(1, -1), &[self.outputs(), self.inputs()])?;
        Ok(engine::guard("copying a linear layer", || {
            no_grad(|| {
                self.weight.shallow_clone().copy_(&other.weight.view_as(&self.weight));
                match (&self.bias, &other.bias) {
                    (Some(bias), Some(values)) => bias.shallow_clone().copy_(values),
                    (Some(bias), None) => drop(bias.shallow_clone().zero_()),
                    (None, _) => {}
                }
            });
        })?)
    }

    /// Adds weight and bias, if any, under `prefix`.
    pub(super) fn list(&self, prefix: &str, list: &mut Parameters) {
        let _ = list.add(format!("{prefix}weight"), self.weight.shallow_clone(), Role::Weight);
        if let Some(bias) = &self.bias {
            let _ = list.add(format!("{prefix}bias"), bias.shallow_clone(), Role::Weight);
        }
    }
}

/// The projection head `G_c`: Linear(D, D) - ReLU - Linear(D, 256), both with bias, or the layers of a checkpoint's own head
/// ([`ProjectionHead::of_layers`]). Its output is not normalised.
#[derive(Debug)]
pub struct ProjectionHead {
    layers: Vec<(usize, HeadLayer)>,
}

/// A layer of a projection head with tensors.
#[derive(Debug)]
enum HeadLayer {
    Linear(Linear),
    Norm(HeadNorm),
}

/// Batch norm of rows by its running averages, in training too.
#[derive(Debug)]
struct HeadNorm {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    mean: Tensor,
    variance: Tensor,
}

/// The form of a layer of a projection head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLayerForm {
    /// Its place in the sequence of layers, which its tensors are named by. A place without tensors is a ReLU.
    pub place: usize,
    /// Numbers that it reads.
    pub inputs: i64,
    /// Numbers that it gives; of batch norm the same.
    pub outputs: i64,
    /// Whether it is a batch norm; else a linear layer.
    pub norm: bool,
    /// Whether it has a bias; of batch norm: weight and bias.
    pub bias: bool,
}

impl HeadLayerForm {
    /// The tensors of the layer by the last part of their names, with their shapes.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<i64>)> {
        let row = || vec![self.outputs];
        let matrix = (!self.norm).then(|| ("weight", vec![self.outputs, self.inputs]));
        let scale = (self.norm && self.bias).then(|| ("weight", row()));
        let bias = self.bias.then(|| ("bias", row()));
        let averages = [("running_mean", row()), ("running_var", row())];
        let averages = averages.into_iter().filter(|_| self.norm);
        matrix.into_iter().chain(scale).chain(bias).chain(averages).collect()
    }

    fn random(&self, seed: u64, device: Device) -> Result<HeadLayer, ModelError> {
        let &HeadLayerForm { place, inputs, outputs, norm, bias } = self;
        if !norm {
            let stream = (seed, PROJECTION_STREAM.wrapping_add(place));
            return Ok(HeadLayer::Linear(Linear::new("projection head", inputs, outputs, bias, stream, device)?));
        }
        Ok(engine::guard("building a batch norm", || {
            let ones = || Tensor::ones([outputs], (Kind::Float, device));
            let zeros = || Tensor::zeros([outputs], (Kind::Float, device));
            HeadLayer::Norm(HeadNorm {
                weight: bias.then(|| ones().set_requires_grad(true)),
                bias: bias.then(|| zeros().set_requires_grad(true)),
                mean: zeros(),
                variance: ones(),
            })
        })?)
    }
}

impl HeadLayer {
    fn forward(&self, rows: &Tensor) -> Tensor {
        match self {
            HeadLayer::Linear(linear) => linear.forward(rows),
            HeadLayer::Norm(norm) => norm.forward(rows),
        }
    }
}

impl HeadNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        x.batch_norm(weight, bias, Some(&self.mean), Some(&self.variance), false, 0.0, NORM_EPSILON, true)
    }

    fn list(&self, prefix: &str, list: &mut Parameters) {
        let trained = [("weight", &self.weight), ("bias", &self.bias)];
        for (name, tensor) in trained.into_iter().filter_map(|(name, tensor)| Some((name, tensor.as_ref()?))) {
            let _ = list.add(format!("{prefix}{name}"), tensor.shallow_clone(), Role::Weight);
        }
        for (name, tensor) in [("running_mean", &self.mean), ("running_var", &self.variance)] {
            let _ = list.add(format!("{prefix}{name}"), tensor.shallow_clone(), Role::Buffer);
        }
    }
}

impl ProjectionHead {
    /// Width of the projections z.
    pub const WIDTH: i64 = 256;

    /// Random weights and biases from U(-1 / sqrt(D), 1 / sqrt(D)); `outputs` is [`ProjectionHead::WIDTH`] unless the
    /// user says otherwise (`--contrast_dim`).
    ///
    /// # Errors
    /// [`ModelError::EmptyLayer`] without features or outputs.
    pub fn new(features: i64, outputs: i64, seed: u64, device: Device) -> Result<Self, ModelError> {
        ProjectionHead::with_hidden(features, features, outputs, seed, device)
    }

    /// A head for rows of maps: Linear(D, `hidden`) - ReLU - Linear(`hidden`, `outputs`), drawn as by
    /// [`ProjectionHead::new`].
    ///
    /// # Errors
    /// [`ModelError::EmptyLayer`].
    pub fn with_hidden(
        features: i64,
        hidden: i64,
        outputs: i64,
        seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        let layer = |place, inputs, outputs| HeadLayerForm { place, inputs, outputs, norm: false, bias: true };
        ProjectionHead::of_layers(&[layer(0, features, hidden), layer(2, hidden, outputs)], seed, device)
    }

    /// A head of layers of these forms, at ascending places, linear layers drawn as by [`ProjectionHead::new`] and batch norm
    /// as the identity; every place between them without tensors is a ReLU.
    ///
    /// # Errors
    /// [`ModelError::EmptyLayer`] for a layer without outputs, or no layer at all.
    pub fn of_layers(forms: &[HeadLayerForm], seed: u64, device: Device) -> Result<Self, ModelError> {
        if forms.is_empty() {
            return Err(ModelError::EmptyLayer { layer: "projection head", inputs: 0, outputs: 0 });
        }
        let layers = forms.iter().map(|form| Ok((form.place, form.random(seed, device)?)));
        Ok(ProjectionHead { layers: layers.collect::<Result<_, ModelError>>()? })
    }

    /// The forms of its layers.
    pub fn forms(&self) -> Vec<HeadLayerForm> {
        let form = |(place, layer): &(usize, HeadLayer)| match layer {
            HeadLayer::Linear(linear) => HeadLayerForm {
                place: *place,
                inputs: linear.inputs(),
                outputs: linear.outputs(),
                norm: false,
                bias: linear.bias.is_some(),
            },
            HeadLayer::Norm(norm) => {
                let width = norm.mean.size()[0];
                HeadLayerForm { place: *place, inputs: width, outputs: width, norm: true, bias: norm.weight.is_some() }
            }
        };
        self.layers.iter().map(form).collect()
    }

    /// Whether it is Linear(D, D) - ReLU - Linear(D, d), as [`ProjectionHead::new`] makes it.
    pub fn is_plain(&self) -> bool {
        is_plain(&self.forms())
    }

    /// A copy of the head, whose tensors get no gradient.
    pub(super) fn frozen_copy(&self) -> Result<Self, ModelError> {
        let copy = ProjectionHead::of_layers(&self.forms(), 0, self.device())?;
        Ok(engine::guard("copying a projection head", || {
            let parameters = copy.parameters();
            parameters.copy_from(&self.parameters());
            for parameter in parameters.iter() {
                let _ = parameter.tensor.set_requires_grad(false);
            }
            copy
        })?)
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        match &self.layers[0].1 {
            HeadLayer::Linear(linear) => linear.weight.device(),
            HeadLayer::Norm(norm) => norm.mean.device(),
        }
    }

    /// Width D of what the head reads.
    pub fn inputs(&self) -> i64 {
        self.forms().first().map_or(0, |form| form.inputs)
    }

    /// Width of the projections.
    pub fn outputs(&self) -> i64 {
        self.forms().last().map_or(0, |form| form.outputs)
    }

    /// Features `[n, D]` to projections `[n, outputs]`, not normalised.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`].
    pub fn forward(&self, features: &Tensor) -> Tensor {
        let mut rows = features.shallow_clone();
        let mut next = 0;
        for (place, layer) in &self.layers {
            if *place > next {
                rows = rows.relu_();
            }
            rows = layer.forward(&rows);
            next = place.saturating_add(1);
        }
        rows
    }

    /// The first layers up to the first ReLU, and that: `[n, D]` to `[n, width]` (SimCLRv2, arXiv:2006.10029, fine-tunes
    /// from there).
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`].
    pub fn first_layer(&self, features: &Tensor) -> Tensor {
        let before_relu = self.layers.iter().enumerate().take_while(|(index, (place, _))| index == place);
        before_relu.fold(features.shallow_clone(), |rows, (_, (_, layer))| layer.forward(&rows)).relu()
    }

    /// Its tensors, by place: `0.weight`, `0.bias`, `2.weight`, `2.bias` of the plain head.
    pub fn parameters(&self) -> Parameters {
        let mut list = Parameters::default();
        self.list("", &mut list);
        list
    }

    pub(super) fn list(&self, prefix: &str, list: &mut Parameters) {
        for (place, layer) in &self.layers {
            let prefix = format!("{prefix}{place}.");
            match layer {
                HeadLayer::Linear(linear) => linear.list(&prefix, list),
                HeadLayer::Norm(norm) => norm.list(&prefix, list),
            }
        }
    }
}

/// Whether layers of these forms are Linear(D, D) - ReLU - Linear(D, d).
pub fn is_plain(forms: &[HeadLayerForm]) -> bool {
    let [hidden, output] = forms else { return false };
    let linear = |form: &HeadLayerForm, place| !form.norm && form.bias && form.place == place;
    linear(hidden, 0) && linear(output, 2) && hidden.inputs == hidden.outputs && hidden.outputs == output.inputs
}
