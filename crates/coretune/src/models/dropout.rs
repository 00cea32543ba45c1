//! Dropout whose zeros depend on the seed, the step and the image alone.

use rand::Rng as _;
use tch::Tensor;

use crate::engine::channels_last;
use crate::random::{Purpose, stream};

/// What the zeros of a pass are drawn for: both passes of an exact accumulation, and a resumed run, draw the same.
#[derive(Debug, Clone, Copy)]
pub struct DropoutDraws<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step.
    pub step: u64,
    /// Number of each image of the pass, such as its position in the split.
    pub images: &'a [u64],
}

/// Sets values of a map to zero with a probability, and scales the others by 1 / (1 - probability).
#[derive(Debug)]
pub(crate) struct Dropout {
    probability: f64,
    purpose: Purpose,
}

impl Dropout {
    pub(super) fn new(probability: f64, purpose: Purpose) -> Self {
        Dropout { probability, purpose }
    }

    /// The map `[n, c, h, w]` of the images of `draws`, in channels-last layout.
    pub(super) fn apply(&self, map: Tensor, draws: &DropoutDraws) -> Tensor {
        if self.probability == 0.0 {
            return map;
        }
        let size = map.size();
        let kept = self.kept(&[size[0], size[2], size[3], size[1]], draws).to_device(map.device());
        let factors = channels_last::from_nhwc(&kept).to_kind(map.kind()) * (1.0 / (1.0 - self.probability));
        map * factors
    }

    /// 1 where a value of `[n, h, w, c]` is kept, else 0.
    fn kept(&self, shape: &[i64], draws: &DropoutDraws) -> Tensor {
        let values = shape[1..].iter().product::<i64>() as usize;
        let least = (self.probability * 2f64.powi(32)) as u32;
        let mut kept = Vec::with_capacity(values * draws.images.len());
        for &image in draws.images {
            let mut numbers = stream(draws.seed, self.purpose, draws.step, image);
            kept.extend((0..values).map(|_| u8::from(numbers.next_u32() >= least)));
        }
        Tensor::from_slice(&kept).view(shape)
    }
}
