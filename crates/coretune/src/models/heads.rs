//! The heads on the pooled features: classifier and projection head.

use tch::{Device, Kind, Tensor, no_grad};

use super::parameters::{Parameters, Role};
use super::{ModelError, initial};
use crate::engine::{self, channels_last};

/// Numbers of the heads' first parameters in the streams of initial weights, above those of every backbone, so that
/// the heads of one seed are drawn alike whatever the backbone and its number of tensors.
const CLASSIFIER_STREAM: usize = 1_000_000;
const PROJECTION_STREAM: usize = 2_000_000;

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
    pub fn classifier(features: i64, classes: i64, seed: u64, device: Device) -> Result<Self, ModelError> {
        Linear::new("classifier", features, classes, false, (seed, CLASSIFIER_STREAM), device)
    }

    /// A layer made of given values: weight `[out, in]`, bias `[out]`. They are copied to `device` as f32.
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

    fn freeze(&self) {
        for tensor in std::iter::once(&self.weight).chain(&self.bias) {
            let _ = tensor.set_requires_grad(false);
        }
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

/// The projection head `G_c`: Linear(D, D) - ReLU - Linear(D, 256), both with bias. Its output is not normalised.
#[derive(Debug)]
pub struct ProjectionHead {
    hidden: Linear,
    output: Linear,
}

impl ProjectionHead {
    /// Width of the projections z.
    pub const WIDTH: i64 = 256;

    /// Random weights and biases from U(-1 / sqrt(D), 1 / sqrt(D)); `outputs` is [`ProjectionHead::WIDTH`] unless the
    /// user says otherwise (`--contrast_dim`).
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
        let layer =
            |inputs, outputs, index| Linear::new("projection head", inputs, outputs, true, (seed, index), device);
        Ok(ProjectionHead {
            hidden: layer(features, hidden, PROJECTION_STREAM)?,
            output: layer(hidden, outputs, PROJECTION_STREAM + 2)?,
        })
    }

    /// A head of given layers, (weight, bias) each. They are copied to `device` as f32.
    ///
    /// # Errors
    /// [`ModelError::Engine`] for shapes that are not those of a layer.
    pub fn from_layers(
        hidden: (&Tensor, &Tensor),
        output: (&Tensor, &Tensor),
        device: Device,
    ) -> Result<Self, ModelError> {
        let layer = |(weight, bias): (&Tensor, &Tensor)| Linear::from_values(weight, Some(bias), device);
        Ok(ProjectionHead { hidden: layer(hidden)?, output: layer(output)? })
    }

    /// A copy of the head, whose tensors get no gradient.
    pub(super) fn frozen_copy(&self) -> Result<Self, ModelError> {
        let copy = |layer: &Linear| -> Result<Linear, ModelError> {
            let copy = Linear::from_values(&layer.weight, layer.bias.as_ref(), layer.weight.device())?;
            copy.freeze();
            Ok(copy)
        };
        Ok(ProjectionHead { hidden: copy(&self.hidden)?, output: copy(&self.output)? })
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.output.weight.device()
    }

    /// Width D of what the head reads.
    pub fn inputs(&self) -> i64 {
        self.hidden.inputs()
    }

    /// Width of the projections.
    pub fn outputs(&self) -> i64 {
        self.output.outputs()
    }

    /// Features `[n, D]` to projections `[n, outputs]`, not normalised.
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`engine::guard`].
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.output.forward(&self.hidden.forward(features).relu_())
    }

    /// Its four tensors: `0.weight`, `0.bias`, `2.weight`, `2.bias`.
    pub fn parameters(&self) -> Parameters {
        let mut list = Parameters::default();
        self.list("", &mut list);
        list
    }

    pub(super) fn list(&self, prefix: &str, list: &mut Parameters) {
        self.hidden.list(&format!("{prefix}0."), list);
        self.output.list(&format!("{prefix}2."), list);
    }
}
