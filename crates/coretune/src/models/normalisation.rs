//! From bytes to what the backbone reads.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::engine::channels_last;

/// Mean and standard deviation of each channel (red, green, blue), of values in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted.
    pub mean: [f64; 3],
    /// Divided by.
    pub std: [f64; 3],
}

impl Normalisation {
    /// ImageNet's, as nearly every published checkpoint wants it.
    pub const IMAGENET: Normalisation = Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// (x / 255 - mean) / std: images u8 `[n, h, w, 3]` to f32 `[n, 3, h, w]` in channels-last layout, on `device`.
    ///
    /// Bytes travel to the device, not floats. Two passes over the floats: the cast, and one fused multiply-add over
    /// whole lines of the image (three channels alone would make a vector of length three).
    ///
    /// # Panics
    /// On an exception of libtorch: call inside [`crate::engine::guard`].
    pub fn apply(&self, images_u8_nhwc: &Tensor, device: Device) -> Tensor {
        let size = images_u8_nhwc.size();
        let (rows, width) = (size[0] * size[1], size[2]);
        let line =
            |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).to_device(device).repeat([width]);
        let channel = |of: fn(f64, f64) -> f64| std::array::from_fn(|c| of(self.mean[c], self.std[c]));
        let scale = line(channel(|_, std| 1.0 / (255.0 * std)));
        let shift = line(channel(|mean, std| -mean / std));
        let values = images_u8_nhwc.to_device(device).view([rows, width * 3]).to_kind(Kind::Float);
        channels_last::from_nhwc(&shift.addcmul(&values, &scale).view(size.as_slice()))
    }
}
