//! Everything about a segmentation run that needs the network and the images: figures, examples, features of pixels.

use image::{GrayImage, Rgb, RgbImage};
use tch::{Device, Kind};

use super::measurements::in_words;
use super::{Source, embedding, gallery, thumbnail};
use crate::config::SegmentationConfig;
use crate::data::{class_color, overlay, stack_images};
use crate::engine::guard;
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::geometry::{Geometry, geometry};
use crate::evaluate::segmentation::{ClassPixels, PixelFigures, mean_iou_interval};
use crate::models::{PixelViews, Segmenter};
use crate::runs::{Job, Options, RunError};
use crate::segment::{PixelFeatures, SegmentationOutputs, pixel_features, segmentation_outputs};
use crate::train::Observer;
use crate::transforms::IGNORED;

/// Examples with the lowest mean IoU, around the median, and with the highest.
const EXAMPLES: [usize; 3] = [3, 2, 2];

/// Positions of each class in an image whose features are shown.
const EACH: usize = 2;

/// Most images whose features are read.
const IMAGES: usize = 120;

/// Colour of wrong pixels.
const WRONG: Rgb<u8> = Rgb([213, 40, 20]);

/// Figures, examples and features of a run on its evaluation split.
pub(super) struct SegmentationMeasurements {
    pub(super) evaluated: SegmentationOutputs,
    pub(super) figures: PixelFigures,
    /// Of the mean IoU.
    pub(super) interval: Interval,
    /// Worst first.
    pub(super) examples: Vec<Example>,
    /// Of the fine-tuned network.
    pub(super) after: MeasuredPixels,
    /// Of the checkpoint that it started from; the error says why they cannot be measured.
    pub(super) frozen: Result<MeasuredPixels, String>,
}

/// Features of pixels and their geometry (E3).
pub(super) struct MeasuredPixels {
    pub(super) features: PixelFeatures,
    pub(super) geometry: Geometry,
}

/// An image with its truth, its prediction and its errors.
pub(super) struct Example {
    /// Its file.
    pub(super) path: String,
    /// `lowest`, `median` or `highest`.
    pub(super) rank: &'static str,
    pub(super) mean_iou: f64,
    /// Image, truth, prediction, errors as `data:` URIs; the error says why they cannot be shown.
    pub(super) pictures: Result<[String; 4], String>,
}

impl SegmentationMeasurements {
    /// The figures of a run.
    ///
    /// # Errors
    /// Why it cannot be evaluated, as text.
    pub(super) fn of(source: &Source<SegmentationConfig>, observer: &mut Observer<'_>) -> Result<Self, String> {
        let text = |error: RunError| in_words(&error);
        let evaluated = segmentation_outputs(&source.folder, &source.config, None, observer).map_err(text)?;
        let images = evaluated.measured.images();
        let figures = evaluated.measured.confusion().figures().ok_or("no pixel of the split is labelled")?;
        let seed = source.config.train.seed;
        let interval = mean_iou_interval(images, seed).map_err(|error| in_words(&error))?;
        let chosen = gallery::chosen(images.len(), IMAGES, seed);
        let measured = |network: &Segmenter| -> Result<MeasuredPixels, RunError> {
            let features = pixel_features(network, &evaluated.images, &chosen, (EACH, seed))?;
            let geometry = geometry(&features.rows, &features.labels, evaluated.classes.len() as i64)?;
            Ok(MeasuredPixels { features, geometry })
        };
        let after = measured(&evaluated.network).map_err(text)?;
        let mut frozen = || -> Result<MeasuredPixels, RunError> {
            let preparation = source.config.prepare(Options::default(), observer)?;
            measured(&preparation.frozen_network()?)
        };
        let frozen = frozen().map_err(text);
        let examples = examples(&evaluated, &source.config.views());
        Ok(SegmentationMeasurements { evaluated, figures, interval, examples, after, frozen })
    }

    /// Positions whose features are drawn: all, or as many as an embedding takes, chosen by the seed.
    pub(super) fn drawn(&self, seed: u64) -> Vec<usize> {
        gallery::chosen(self.after.features.labels.len(), embedding::IMAGES, seed)
    }
}

/// Images with the lowest, median and highest mean IoU, each once.
fn examples(evaluated: &SegmentationOutputs, views: &PixelViews) -> Vec<Example> {
    let mean_iou = |classes: &Vec<ClassPixels>| {
        PixelFigures::of_images(std::slice::from_ref(classes), &[1]).map(|figures| figures.mean_iou)
    };
    let images = evaluated.measured.images().iter().enumerate();
    let mut ranked: Vec<(usize, f64)> = images.filter_map(|(index, image)| Some((index, mean_iou(image)?))).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let example = |(place, rank): (usize, &'static str)| {
        let (index, mean_iou) = ranked[place];
        let path = evaluated.images.images()[index].to_string();
        Example { path, rank, mean_iou, pictures: pictures(evaluated, views, index) }
    };
    places(ranked.len()).into_iter().map(example).collect()
}

/// Places in a list of so many images in ascending order, each with its rank.
fn places(images: usize) -> Vec<(usize, &'static str)> {
    let [lowest, median, highest] = EXAMPLES;
    let middle = (images / 2).saturating_sub(median / 2);
    let all = (0..lowest).map(|place| (place, "lowest"));
    let all = all.chain((middle..middle + median).map(|place| (place, "median")));
    let all = all.chain((images.saturating_sub(highest)..images).map(|place| (place, "highest")));
    let mut places: Vec<(usize, &'static str)> = Vec::new();
    for (place, rank) in all.filter(|(place, _)| *place < images) {
        if places.iter().all(|(known, _)| *known != place) {
            places.push((place, rank));
        }
    }
    places
}

/// Image, truth, prediction and errors of an image of the split.
fn pictures(evaluated: &SegmentationOutputs, views: &PixelViews, index: usize) -> Result<[String; 4], String> {
    let read = || -> Result<(RgbImage, GrayImage, GrayImage), RunError> {
        let (image, mask) = evaluated.images.load_pair(index)?;
        let pixels = stack_images(&[&image])?;
        let logits = views.logits(&evaluated.network, &pixels)?;
        let classes = guard("choosing classes", || {
            let classes = logits.argmax(1, false).to_kind(Kind::Uint8).to_device(Device::Cpu).contiguous();
            let mut bytes = vec![0; classes.numel()];
            classes.copy_data_u8(&mut bytes, classes.numel());
            bytes
        })?;
        let (width, height) = image.dimensions();
        let predicted = GrayImage::from_raw(width, height, classes).expect("one class for each pixel");
        Ok((image, mask.unwrap_or_else(|| GrayImage::from_pixel(width, height, [IGNORED].into())), predicted))
    };
    let (image, truth, predicted) = read().map_err(|error| in_words(&error))?;
    let colors: Vec<[u8; 3]> = (0..255).map(class_color).collect();
    let errors = errors(image.clone(), &truth, &predicted);
    let all = [image.clone(), overlay(image.clone(), &truth, &colors), overlay(image, &predicted, &colors), errors];
    let [image, truth, predicted, errors] =
        all.map(|picture| thumbnail::picture_uri(picture).map_err(|e| e.to_string()));
    Ok([image?, truth?, predicted?, errors?])
}

/// The image in dark grey, wrong pixels red, ignored ones hatched.
fn errors(mut image: RgbImage, truth: &GrayImage, predicted: &GrayImage) -> RgbImage {
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let [red, green, blue] = pixel.0.map(u32::from);
        let grey = ((red + green + blue) / 6) as u8;
        let label = truth.get_pixel(x, y).0[0];
        *pixel = match label {
            IGNORED if (x + y) % 8 < 3 => Rgb([128; 3]),
            IGNORED => Rgb([grey; 3]),
            label if label != predicted.get_pixel(x, y).0[0] => WRONG,
            _ => Rgb([grey; 3]),
        };
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_shown_once_however_few_there_are() {
        let shown = |images| places(images).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(shown(0), [0usize; 0]);
        assert_eq!(shown(1), [0]);
        assert_eq!(shown(4), [0, 1, 2, 3]);
        assert_eq!(shown(100), [0, 1, 2, 49, 50, 98, 99]);
    }

    #[test]
    fn wrong_pixels_are_red_and_ignored_ones_are_not() {
        let image = RgbImage::from_pixel(3, 1, Rgb([90; 3]));
        let truth = GrayImage::from_raw(3, 1, vec![0, 1, IGNORED]).unwrap();
        let predicted = GrayImage::from_raw(3, 1, vec![0, 0, 0]).unwrap();
        let errors = errors(image, &truth, &predicted);
        assert_eq!(errors.get_pixel(0, 0), &Rgb([45; 3]));
        assert_eq!(errors.get_pixel(1, 0), &WRONG);
        assert_ne!(errors.get_pixel(2, 0), &WRONG);
    }
}
