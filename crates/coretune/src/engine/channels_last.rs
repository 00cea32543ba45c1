//! Channels-last memory: a tensor `[n, c, h, w]` whose bytes lie as `[n, h, w, c]`.
//!
//! tch has no argument for the memory format, but a permuted view of a contiguous NHWC tensor is exactly that layout,
//! and convolution, batch norm and ReLU of libtorch keep it. A view of a tensor without graph is a leaf, so a weight
//! made this way can be trained; its gradient comes back in the same layout.

use tch::Tensor;

/// Views a contiguous `[n, h, w, c]` tensor as `[n, c, h, w]` in channels-last layout, without a copy.
pub fn from_nhwc(nhwc: &Tensor) -> Tensor {
    nhwc.permute([0, 3, 1, 2])
}

/// Copies `[n, c, h, w]` in any layout to channels-last layout; the result has no graph.
pub fn copy(nchw: &Tensor) -> Tensor {
    from_nhwc(&nchw.detach().permute([0, 2, 3, 1]).contiguous().copy())
}

/// Whether the bytes of a 4-d tensor lie in channels-last order.
pub fn is(tensor: &Tensor) -> bool {
    tensor.dim() == 4 && tensor.permute([0, 2, 3, 1]).is_contiguous()
}
