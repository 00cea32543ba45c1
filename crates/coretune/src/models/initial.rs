//! Initial weights, drawn on the host from a stream of their own for each parameter.

use rand::Rng as _;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use crate::random::{Purpose, stream};

/// A convolution's weight `[out, in / groups, k, k]` from N(0, 2 / (out k k)) (Kaiming, fan out), as in torchvision.
pub(super) fn convolution(shape: [i64; 4], seed: u64, index: usize) -> Tensor {
    let fan_out = shape[0] * shape[2] * shape[3];
    let deviation = (2.0 / fan_out as f64).sqrt() as f32;
    let mut numbers = stream(seed, Purpose::Weights, 0, index as u64);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count)
        .map(|_| deviation * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut numbers))
        .collect();
    Tensor::from_slice(&values).view(shape)
}

/// Values of a linear layer's weight or bias from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), as in torch.
///
/// `drawing` is 0 for initial values, and counts the times that they were drawn anew since.
pub(super) fn linear(shape: &[i64], inputs: i64, (seed, drawing): (u64, u64), index: usize) -> Tensor {
    let bound = (1.0 / inputs as f64).sqrt();
    let mut numbers = stream(seed, Purpose::Weights, drawing, index as u64);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| (bound * (2.0 * unit(&mut numbers) - 1.0)) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// A number of [0, 1) with 53 random bits.
fn unit(numbers: &mut crate::random::Stream) -> f64 {
    (numbers.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
