//! Views of an image whose class probabilities are averaged when it is segmented: windows, sizes, mirror image.

use tch::{Kind, Tensor, no_grad};

use super::network::{Network, check_images};
use super::{Mode, ModelError, Segmenter, TestViews};
use crate::engine::guard;

/// How an image is segmented: the class probabilities of each pixel are averaged over all views.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelViews {
    /// Whether the mirror image is a view too.
    pub mirror: TestViews,
    /// Factors by which height and width are multiplied; at least one.
    pub scales: Vec<f64>,
    /// Windows that cover each scaled image; without them it is taken whole.
    pub window: Option<Window>,
}

/// Square windows that cover an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Height and width, pixels. One window covers the whole of a side that is not longer.
    pub size: i64,
    /// Fraction of a window's side that it shares with the next one, 0 to below 1. The last one of a side ends with it,
    /// so that it may share more.
    pub overlap: f64,
}

impl Default for PixelViews {
    fn default() -> Self {
        PixelViews { mirror: TestViews::Plain, scales: vec![1.0], window: None }
    }
}

impl PixelViews {
    /// The same windows of the image alone: at its own size, not mirrored.
    #[must_use]
    pub fn of_image(&self) -> Self {
        PixelViews { window: self.window, ..PixelViews::default() }
    }

    /// Pixels that the network reads for each pixel of an image, without the overlaps of windows.
    pub fn cost(&self) -> f64 {
        let sides = if self.mirror == TestViews::Flip { 2.0 } else { 1.0 };
        sides * self.scales.iter().map(|scale| scale * scale).sum::<f64>()
    }

    /// f32 `[n, classes, h, w]` of images u8 `[n, h, w, 3]`: the logits if the image is the only view, else the logarithm
    /// of the mean probabilities. Without graph.
    ///
    /// # Errors
    /// As [`Segmenter::pixel_logits`].
    ///
    /// # Panics
    /// Without a scale.
    pub fn logits(&self, network: &Segmenter, images: &Tensor) -> Result<Tensor, ModelError> {
        if *self == PixelViews::default() {
            return no_grad(|| network.pixel_logits(images));
        }
        assert!(!self.scales.is_empty(), "an image is segmented at one size at least");
        check_images(images)?;
        no_grad(|| self.log_probabilities(network, images))
    }

    fn log_probabilities(&self, network: &Segmenter, images: &Tensor) -> Result<Tensor, ModelError> {
        let normalised = guard("normalising images", || network.normalisation().apply(images, network.device()))?;
        let own = [images.size()[1], images.size()[2]];
        let mut views = Vec::new();
        for &scale in &self.scales {
            let size = own.map(|side| ((side as f64 * scale).round() as i64).max(1));
            let scaled = guard("scaling images", || resized(&normalised, size))?;
            let plain = self.probabilities(network, &scaled)?;
            views.push(guard("scaling probabilities", || resized(&plain, own))?);
            if self.mirror == TestViews::Flip {
                let mirrored = self.probabilities(network, &guard("mirroring images", || scaled.flip([3i64]))?)?;
                views.push(guard("scaling probabilities", || resized(&mirrored.flip([3i64]), own))?);
            }
        }
        Ok(guard("averaging views", || {
            let sum = views.into_iter().reduce(|sum, view| sum + view).expect("there is at least one scale");
            let mean = sum / (self.scales.len() as f64 * if self.mirror == TestViews::Flip { 2.0 } else { 1.0 });
            // A probability that underflows to 0 keeps a finite logarithm.
            mean.clamp_min(f64::from(f32::MIN_POSITIVE)).log()
        })?)
    }

    /// Class probabilities of each pixel of normalised images, averaged over the windows that cover it.
    fn probabilities(&self, network: &Segmenter, images: &Tensor) -> Result<Tensor, ModelError> {
        let Some(window) = &self.window else { return of_pixels(network, images) };
        let (height, width) = (images.size()[2], images.size()[3]);
        let rows = window.places(height);
        let columns = window.places(width);
        let places = rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column)));
        let shape = [images.size()[0], network.classes(), height, width];
        let sum = guard("averaging windows", || Tensor::zeros(shape, (Kind::Float, images.device())))?;
        let windows = guard("averaging windows", || sum.narrow(1, 0, 1).zeros_like())?;
        for ((top, high), (left, wide)) in places {
            let inside = |map: &Tensor| map.narrow(2, top, high).narrow(3, left, wide);
            let probabilities = of_pixels(network, &guard("cutting a window", || inside(images))?)?;
            guard("averaging windows", || {
                let _ = inside(&sum).g_add_(&probabilities);
                let _ = inside(&windows).g_add_scalar_(1.0);
            })?;
        }
        Ok(guard("averaging windows", || sum / windows)?)
    }
}

impl Window {
    /// Where windows begin on a side of so many pixels, and how long they are.
    fn places(&self, side: i64) -> Vec<(i64, i64)> {
        let size = self.size.min(side);
        let step = ((size as f64 * (1.0 - self.overlap)).round() as i64).max(1);
        let last = side - size;
        let starts = (0..last).step_by(step as usize).chain([last]);
        starts.map(|start| (start, size)).collect()
    }
}

/// Class probabilities of each pixel of normalised images.
fn of_pixels(network: &Segmenter, images: &Tensor) -> Result<Tensor, ModelError> {
    let logits = network.forward_normalised(images, Mode::Evaluate, None, false)?.logits;
    Ok(guard("computing probabilities", || {
        let logits = logits.upsample_bilinear2d([images.size()[2], images.size()[3]], false, None, None);
        logits.softmax(1, Kind::Float)
    })?)
}

/// Bilinear, antialiased where it gets smaller.
fn resized(maps: &Tensor, size: [i64; 2]) -> Tensor {
    if maps.size()[2..] == size {
        return maps.shallow_clone();
    }
    maps.internal_upsample_bilinear2d_aa(size, false, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_side_and_the_last_one_ends_with_it() {
        let places = |size, overlap, side| Window { size, overlap }.places(side);
        assert_eq!(places(8, 0.5, 8), [(0, 8)]);
        assert_eq!(places(8, 0.5, 5), [(0, 5)]);
        assert_eq!(places(8, 0.5, 9), [(0, 8), (1, 8)]);
        assert_eq!(places(8, 0.25, 20), [(0, 8), (6, 8), (12, 8)]);
        assert_eq!(places(8, 0.0, 16), [(0, 8), (8, 8)]);
        assert_eq!(places(2, 0.9, 4), [(0, 2), (1, 2), (2, 2)]);
    }
}
