//! From bytes to what the backbone reads.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::engine::{channels_last, transfer};

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
        let (scale, shift) = self.line(width, device);
        let values = transfer::to_device(images_u8_nhwc, device).view([rows, width * 3]).to_kind(Kind::Float);
        channels_last::from_nhwc(&shift.addcmul(&values, &scale).view(size.as_slice()))
    }

    /// 1 / (255 std) and -mean / std of each value of a line of `width` pixels. The last few are kept, so that a step
    /// sends no constants to the device.
    fn line(&self, width: i64, device: Device) -> (Tensor, Tensor) {
        let key = (*self, width, device);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Line { scale, shift, .. }) = kept.iter().find(|line| line.key == key) {
            return (scale.shallow_clone(), shift.shallow_clone());
        }
        let line =
            |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).to_device(device).repeat([width]);
        let channel = |of: fn(f64, f64) -> f64| std::array::from_fn(|c| of(self.mean[c], self.std[c]));
        let (scale, shift) = (line(channel(|_, std| 1.0 / (255.0 * std))), line(channel(|mean, std| -mean / std)));
        if kept.len() == MOST_KEPT {
            kept.remove(0);
        }
        kept.push(Line { key, scale: scale.shallow_clone(), shift: shift.shallow_clone() });
        (scale, shift)
    }
}

/// The constants of one line of an image.
struct Line {
    key: (Normalisation, i64, Device),
    scale: Tensor,
    shift: Tensor,
}

/// Widths whose constants are kept: those of training and evaluation, and a few more.
const MOST_KEPT: usize = 8;

static KEPT: Mutex<Vec<Line>> = Mutex::new(Vec::new());
