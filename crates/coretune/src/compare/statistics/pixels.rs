//! The difference of two segmentation methods, paired by seed and image: a draw sums the pixels of the images drawn.

use super::Difference;
use super::paired::bootstrap;
use crate::evaluate::bootstrap::draw_images;
use crate::evaluate::segmentation::{ClassPixels, PixelFigures};
use crate::random::Stream;

/// The pixels of each class, image by image.
type Images = [Vec<ClassPixels>];

/// Compares a figure of a method with that of a baseline: `method[s][i]` holds the pixels of each class with seed s in
/// image i.
///
/// A draw takes images with replacement and computes the figure from the sum of their pixels, as E2 does. If the images of
/// all seeds are the same (`same_images`), a draw takes the same ones for every seed. Seeds are drawn as in
/// [`paired_difference`](super::paired_difference).
///
/// # Panics
/// When the lists do not pair: other numbers of seeds, images or classes, or none at all.
pub fn paired_pixel_difference(
    method: &[&Images],
    baseline: &[&Images],
    figure: fn(&PixelFigures) -> f64,
    same_images: bool,
    seed: u64,
) -> Difference {
    assert!(!method.is_empty() && method.len() == baseline.len(), "a method and a baseline have the same seeds");
    let images: Vec<usize> = method.iter().map(|of_seed| of_seed.len()).collect();
    assert!(method.iter().zip(baseline).all(|(a, b)| !a.is_empty() && a.len() == b.len()), "they have the same images");
    let difference = |seed: usize, times: &[u64]| {
        let of = |images: &Images| PixelFigures::of_images(images, times).map_or(0.0, |figures| figure(&figures));
        of(method[seed]) - of(baseline[seed])
    };
    let of_seeds: Vec<f64> = (0..method.len()).map(|seed| difference(seed, &vec![1; images[seed]])).collect();
    bootstrap(of_seeds, seed, |stream| {
        let once = same_images.then(|| drawn_images(images[0], stream));
        let mut of_seed = |seed: usize| match &once {
            Some(times) => difference(seed, times),
            None => difference(seed, &drawn_images(images[seed], stream)),
        };
        (0..method.len()).map(&mut of_seed).collect()
    })
}

/// How many times each of so many images is drawn, with replacement.
fn drawn_images(images: usize, stream: &mut Stream) -> Vec<u64> {
    let mut times = vec![0; images];
    draw_images(&mut times, stream);
    times
}
