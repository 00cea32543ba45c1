//! What a backbone computes, apart from what computes it.

use coretune_native::{Work, add_one_to_each, recomputed};
use tch::{Kind, Tensor};

use super::dropout::{Dropout, DropoutDraws};
use super::heads::Linear;
use super::layers::{BatchNorm, Convolution, Mode};
use crate::engine::channels_last;

/// The operations that networks are made of, over values of one's own: tensors when a network runs ([`Run`]), names in
/// a graph when it is written down (`crate::export`). Both walk the same layers, so that no second copy can drift.
pub(crate) trait Operations {
    /// What flows between the layers.
    type Value;

    fn convolution(&mut self, x: &Self::Value, layer: &Convolution) -> Self::Value;
    fn batch_norm(&mut self, x: &Self::Value, layer: &BatchNorm) -> Self::Value;
    fn relu(&mut self, x: Self::Value) -> Self::Value;
    fn add(&mut self, x: Self::Value, y: &Self::Value) -> Self::Value;
    /// A residual block, by its own layers.
    fn residual<B: Block>(&mut self, x: &Self::Value, block: &B) -> Self::Value
    where
        Self: Sized,
    {
        block.apply(x, self)
    }
    /// 3x3 maxima of stride 2, one pixel of padding.
    fn max_pool(&mut self, x: &Self::Value) -> Self::Value;
    /// Mean over height and width, `[n, c, h, w]` to `[n, c]`, in f32.
    fn mean(&mut self, x: &Self::Value) -> Self::Value;
    /// Mean over height and width, `[n, c, h, w]` to `[n, c, 1, 1]`.
    fn pool(&mut self, x: &Self::Value) -> Self::Value;
    /// A map of one position `[n, c, 1, 1]` at all positions of `like`, which has as many channels.
    fn spread(&mut self, x: &Self::Value, like: &Self::Value) -> Self::Value;
    /// A map at the height and width of `like`, bilinear (`align_corners=False`).
    fn enlarge(&mut self, x: &Self::Value, like: &Self::Value) -> Self::Value;
    /// Maps of one size after each other in the channels.
    fn concatenate(&mut self, maps: &[Self::Value]) -> Self::Value;
    /// Zeros in training, nothing in evaluation.
    fn dropout(&mut self, x: Self::Value, layer: &Dropout) -> Self::Value;
    /// The map in f32.
    fn to_float(&mut self, x: Self::Value) -> Self::Value;
    /// A linear layer at each position of an f32 map.
    fn pointwise(&mut self, x: &Self::Value, layer: &Linear) -> Self::Value;
}

/// A part of a network that a backward pass can compute again.
pub(crate) trait Block: Sized + Send + 'static {
    /// What the block makes of `x`.
    fn apply<O: Operations>(&self, x: &O::Value, operations: &mut O) -> O::Value;
    /// The same block: other handles of its tensors.
    fn handle(&self) -> Self;
    /// Its weights that are trained.
    fn trained(&self) -> Vec<&Tensor>;
}

/// Computes with tch.
pub(super) struct Run<'a> {
    mode: Mode,
    drops: Option<DropoutDraws<'a>>,
    /// Whether residual blocks are computed again in the backward pass.
    recomputes: bool,
    /// Counters of the batch norms that this pass went through; all are moved at its end, in one call of libtorch.
    counters: Vec<Tensor>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let counters: Vec<&Tensor> = self.counters.iter().collect();
        if !counters.is_empty()
            && let Err(error) = add_one_to_each(&counters)
            && !std::thread::panicking()
        {
            panic!("{error}");
        }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(mode: Mode) -> Self {
        Run { mode, drops: None, recomputes: false, counters: Vec::new() }
    }

    /// With dropout, unless the mode is that of evaluation.
    pub(super) fn with_dropout(mode: Mode, drops: Option<DropoutDraws<'a>>) -> Self {
        let mut run = Run::new(mode);
        run.drops = drops.filter(|_| mode != Mode::Evaluate);
        run
    }

    /// Keeps only the inputs of residual blocks for the backward pass, which computes the blocks again.
    pub(super) fn recomputing(mut self, recomputes: bool) -> Self {
        self.recomputes = recomputes;
        self
    }
}

impl Operations for Run<'_> {
    type Value = Tensor;

    fn convolution(&mut self, x: &Tensor, layer: &Convolution) -> Tensor {
        layer.forward(x)
    }

    fn batch_norm(&mut self, x: &Tensor, layer: &BatchNorm) -> Tensor {
        self.counters.extend(layer.counter(self.mode).map(Tensor::shallow_clone));
        layer.forward(x, self.mode)
    }

    fn residual<B: Block>(&mut self, x: &Tensor, block: &B) -> Tensor {
        let trained = block.trained();
        if !self.recomputes || trained.is_empty() {
            return block.apply(x, self);
        }
        let (handle, mode) = (block.handle(), self.mode);
        // The running averages move in the first pass.
        let again = if mode == Mode::Train { Mode::TrainUntracked } else { mode };
        let work: Work =
            Box::new(move |x, is_again| handle.apply(x, &mut Run::new(if is_again { again } else { mode })));
        recomputed(work, x, &trained).unwrap_or_else(|error| panic!("{error}"))
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

    fn pool(&mut self, x: &Tensor) -> Tensor {
        x.mean_dim([2i64, 3].as_slice(), true, x.kind())
    }

    fn spread(&mut self, x: &Tensor, like: &Tensor) -> Tensor {
        // Concatenation keeps channels-last layout if all its inputs have it, and a view of stride 0 has none.
        channels_last::from_nhwc(&x.expand_as(like).permute([0, 2, 3, 1]).contiguous())
    }

    fn enlarge(&mut self, x: &Tensor, like: &Tensor) -> Tensor {
        x.upsample_bilinear2d(&like.size()[2..], false, None, None)
    }

    fn concatenate(&mut self, maps: &[Tensor]) -> Tensor {
        Tensor::cat(maps, 1)
    }

    fn dropout(&mut self, x: Tensor, layer: &Dropout) -> Tensor {
        match &self.drops {
            Some(drops) => layer.apply(x, drops),
            None => x,
        }
    }

    fn to_float(&mut self, x: Tensor) -> Tensor {
        x.to_kind(Kind::Float)
    }

    fn pointwise(&mut self, x: &Tensor, layer: &Linear) -> Tensor {
        layer.forward_map(x)
    }
}
