//! Weights that follow from their names, by the same integer arithmetic in Rust and in the Python scripts beside.

use safetensors::SafeTensors;
use tch::{Kind, Tensor, no_grad};

use coretune::models::Parameters;

/// Fills every tensor of floats with numbers that follow from its name after `prefix`.
pub(crate) fn fill(parameters: &Parameters, prefix: &str) {
    no_grad(|| {
        for parameter in parameters.iter().filter(|p| p.tensor.kind() == Kind::Float) {
            let name = format!("{prefix}{}", parameter.name);
            parameter.tensor.shallow_clone().copy_(&filled(&name, &parameter.tensor.size()));
        }
    });
}

/// The tensor of this name, as in the script's `filled`.
pub(crate) fn filled(name: &str, shape: &[i64]) -> Tensor {
    let fan_in = shape[1..].iter().product::<i64>() as f64;
    let (low, high) = match shape.len() {
        4 => (-(3.0 / fan_in).sqrt(), (3.0 / fan_in).sqrt()),
        2 => (-(1.0 / fan_in).sqrt(), (1.0 / fan_in).sqrt()),
        _ if name.ends_with(".running_var") || name.ends_with(".weight") => (0.5, 1.5),
        _ => (-0.2, 0.2),
    };
    spread(name, shape, low, high)
}

/// SplitMix64, started from the FNV-1a hash of `name`, scaled to [low, high).
pub(crate) fn spread(name: &str, shape: &[i64], low: f64, high: f64) -> Tensor {
    let start = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let values: Vec<f32> = (1..=shape.iter().product::<i64>() as u64)
        .map(|i| {
            let z = start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 11) as f64 / 2f64.powi(53);
            (low + (high - low) * unit) as f32
        })
        .collect();
    Tensor::from_slice(&values).view(shape)
}

/// A tensor of a file of expected values.
pub(crate) fn expected(file: &[u8], name: &str) -> Tensor {
    let file = SafeTensors::deserialize(file).unwrap();
    let view = file.tensor(name).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    let values: Vec<f32> = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Tensor::from_slice(&values).view(shape.as_slice())
}

/// Fails unless the largest difference is at most 1e-4 of the largest value expected.
pub(crate) fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let difference = largest(&(found - expected)) / largest(expected);
    println!("{what}: largest difference {difference:.2e} of the largest value");
    assert!(difference <= 1e-4, "{what}: {difference:.2e}");
}
