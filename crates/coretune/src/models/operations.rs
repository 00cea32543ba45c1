//! What a backbone computes, apart from what computes it.

use tch::{Kind, Tensor};

use super::layers::{BatchNorm, Convolution, Mode};

/// The operations that backbones are made of, over values of one's own: tensors when a network runs ([`Run`]), names in
/// a graph when it is written down (`crate::export`). Both walk the same layers, so that no second copy can drift.
pub(crate) trait Operations {
    /// What flows between the layers.
    type Value;

    fn convolution(&mut self, x: &Self::Value, layer: &Convolution) -> Self::Value;
    fn batch_norm(&mut self, x: &Self::Value, layer: &BatchNorm) -> Self::Value;
    fn relu(&mut self, x: Self::Value) -> Self::Value;
    fn add(&mut self, x: Self::Value, y: &Self::Value) -> Self::Value;
    /// 3x3 maxima of stride 2, one pixel of padding.
    fn max_pool(&mut self, x: &Self::Value) -> Self::Value;
    /// Mean over height and width, `[n, c, h, w]` to `[n, c]`, in f32.
    fn mean(&mut self, x: &Self::Value) -> Self::Value;
}

/// Computes with tch.
pub(super) struct Run {
    pub(super) mode: Mode,
}

impl Operations for Run {
    type Value = Tensor;

    fn convolution(&mut self, x: &Tensor, layer: &Convolution) -> Tensor {
        layer.forward(x)
    }

    fn batch_norm(&mut self, x: &Tensor, layer: &BatchNorm) -> Tensor {
        layer.forward(x, self.mode)
    }

    // ReLU and sum work in place: what they get is the output of a batch norm, whose gradient needs its input alone.
    fn relu(&mut self, mut x: Tensor) -> Tensor {
        x.relu_()
    }

    fn add(&mut self, mut x: Tensor, y: &Tensor) -> Tensor {
        x.g_add_(y)
    }

    fn max_pool(&mut self, x: &Tensor) -> Tensor {
        x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
    }

    fn mean(&mut self, x: &Tensor) -> Tensor {
        x.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
    }
}
