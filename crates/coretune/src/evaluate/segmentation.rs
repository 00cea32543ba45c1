//! Segmentation (E2): a confusion matrix of pixels, added up image by image, and the figures that it gives.

use serde::Serialize;
use tch::{Kind, Tensor};

use super::bootstrap::{Interval, interval_of_resampled_images};
use super::{EvaluateError, Measure, figure};
use crate::engine::{EngineError, World, guard, shape};
use crate::figures::{FigureSpec, Figures};

pub use crate::engine::rows::IGNORED;

/// How many pixels of each class were predicted as each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// Row by row: `counts[truth * classes + predicted]`.
    counts: Vec<u64>,
    classes: usize,
}

impl Confusion {
    /// Of no pixel yet.
    ///
    /// # Panics
    /// Without classes.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a confusion matrix has at least one class");
        Confusion { counts: vec![0; classes * classes], classes }
    }

    /// Of a matrix with the truth in rows.
    ///
    /// # Errors
    /// [`EngineError::Value`] if the matrix is not square, or empty.
    pub fn of_counts(rows: &[Vec<u64>]) -> Result<Self, EngineError> {
        let classes = rows.len();
        if classes == 0 || rows.iter().any(|row| row.len() != classes) {
            let (expected, found) = ("as many columns as rows, at least one".into(), format!("{classes} rows"));
            return Err(EngineError::Value { name: "confusion matrix", expected, found });
        }
        Ok(Confusion { counts: rows.concat(), classes })
    }

    /// Of one map of classes and its mask, both `[h, w]` on the host; pixels that the mask ignores are left out.
    ///
    /// # Errors
    /// Shapes that differ, or values that are not classes.
    pub fn of(predicted: &Tensor, mask: &Tensor, classes: usize) -> Result<Self, EvaluateError> {
        shape::exactly("predicted map", predicted, &mask.size())?;
        let counts = guard("counting pixels", || {
            let labelled = mask.ne(IGNORED);
            let truth = mask.masked_select(&labelled).to_kind(Kind::Int64);
            let predicted = predicted.masked_select(&labelled).to_kind(Kind::Int64);
            check_range("mask", &truth, classes)?;
            check_range("predicted map", &predicted, classes)?;
            let places = truth * classes as i64 + predicted;
            let counts = places.bincount(None::<Tensor>, (classes * classes) as i64);
            let mut host = vec![0i64; classes * classes];
            counts.copy_data(&mut host, classes * classes);
            Ok::<_, EngineError>(host.into_iter().map(|count| count as u64).collect())
        })??;
        Ok(Confusion { counts, classes })
    }

    /// Adds the pixels of another matrix of the same classes.
    ///
    /// # Panics
    /// For another number of classes.
    pub fn add(&mut self, other: &Confusion) {
        assert_eq!(self.classes, other.classes, "confusion matrices of different classes");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of this class that were predicted as that one.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// `rows[truth][predicted]`, as files have it.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        self.counts.chunks_exact(self.classes).map(<[u64]>::to_vec).collect()
    }

    /// Hits, true and predicted pixels of each class: all that the figures are made of.
    pub fn of_classes(&self) -> Vec<ClassPixels> {
        let of_class = |class| ClassPixels {
            hit: self.count(class, class),
            truth: (0..self.classes).map(|other| self.count(class, other)).sum(),
            predicted: (0..self.classes).map(|other| self.count(other, class)).sum(),
        };
        (0..self.classes).map(of_class).collect()
    }

    /// The figures of E2; `None` without a labelled pixel.
    pub fn figures(&self) -> Option<PixelFigures> {
        PixelFigures::of(&self.of_classes())
    }
}

/// Pixels of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ClassPixels {
    /// Pixels of the class that were found.
    pub hit: u64,
    /// Pixels of the class.
    pub truth: u64,
    /// Pixels that were predicted as the class.
    pub predicted: u64,
}

impl ClassPixels {
    /// Intersection over union; `None` for a class that is not in the truth.
    pub fn iou(self) -> Option<f64> {
        (self.truth > 0).then(|| self.hit as f64 / (self.truth + self.predicted - self.hit) as f64)
    }

    /// Fraction of the pixels of the class that were found; `None` for a class that is not in the truth.
    pub fn accuracy(self) -> Option<f64> {
        (self.truth > 0).then(|| self.hit as f64 / self.truth as f64)
    }

    fn plus(self, other: ClassPixels) -> Self {
        ClassPixels {
            hit: self.hit + other.hit,
            truth: self.truth + other.truth,
            predicted: self.predicted + other.predicted,
        }
    }
}

/// The figures of E2, fractions. A class that is not in the truth is left out of the means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PixelFigures {
    /// Fraction of the labelled pixels that are right.
    pub pixel_accuracy: f64,
    /// Mean over classes of the fraction of their pixels that are right.
    pub mean_pixel_accuracy: f64,
    /// Mean over classes of intersection over union.
    pub mean_iou: f64,
    /// Mean of intersection over union, each class weighted by its pixels.
    pub frequency_weighted_iou: f64,
}

impl PixelFigures {
    /// The figures when image i is there `times[i]` times; `None` without a labelled pixel.
    pub fn of_images(images: &[Vec<ClassPixels>], times: &[u64]) -> Option<Self> {
        let mut sums = vec![ClassPixels::default(); images.first().map_or(0, Vec::len)];
        for (classes, &times) in images.iter().zip(times).filter(|(_, times)| **times > 0) {
            for (sum, &ClassPixels { hit, truth, predicted }) in sums.iter_mut().zip(classes) {
                let more = ClassPixels { hit: times * hit, truth: times * truth, predicted: times * predicted };
                *sum = sum.plus(more);
            }
        }
        PixelFigures::of(&sums)
    }

    fn of(classes: &[ClassPixels]) -> Option<Self> {
        let all: u64 = classes.iter().map(|class| class.truth).sum();
        let hit: u64 = classes.iter().map(|class| class.hit).sum();
        let mean = |figure: fn(ClassPixels) -> Option<f64>| {
            let present: Vec<f64> = classes.iter().filter_map(|&class| figure(class)).collect();
            present.iter().sum::<f64>() / present.len() as f64
        };
        let weighted = |class: &ClassPixels| Some(class.truth as f64 / all as f64 * class.iou()?);
        (all > 0).then(|| PixelFigures {
            pixel_accuracy: hit as f64 / all as f64,
            mean_pixel_accuracy: mean(ClassPixels::accuracy),
            mean_iou: mean(ClassPixels::iou),
            frequency_weighted_iou: classes.iter().filter_map(weighted).sum(),
        })
    }
}

/// E2 of a split, image by image: [`figure::OF_SEGMENTATION`].
///
/// Outputs are logits `[n, C, h, w]`, targets masks `[n, h, w]` with [`IGNORED`] where a pixel takes no part. Of equal
/// logits the lower class wins.
#[derive(Debug, Clone)]
pub struct SegmentationMeasure {
    total: Confusion,
    images: Vec<Vec<ClassPixels>>,
    loss: f64,
}

impl SegmentationMeasure {
    /// Of no image yet.
    ///
    /// # Panics
    /// Without classes.
    pub fn new(classes: usize) -> Self {
        SegmentationMeasure { total: Confusion::new(classes), images: Vec::new(), loss: 0.0 }
    }

    /// The pixels of all images.
    pub fn confusion(&self) -> &Confusion {
        &self.total
    }

    /// The pixels of each image by class, in the order of the images: what intervals are drawn from.
    pub fn images(&self) -> &[Vec<ClassPixels>] {
        &self.images
    }

    /// The pixels and the summed cross-entropy of one image.
    fn of_image(&self, logits: &Tensor, mask: &Tensor) -> Result<(Confusion, f64), EvaluateError> {
        let predicted = guard("choosing classes", || logits.argmax(0, false))?;
        let confusion = Confusion::of(&predicted, mask, self.total.classes())?;
        Ok((confusion, guard("the cross-entropy of pixels", || loss_of(logits, mask))?))
    }

    fn take(&mut self, confusion: &Confusion, loss: f64) {
        self.loss += loss;
        self.images.push(confusion.of_classes());
        self.total.add(confusion);
    }

    fn check(&self, logits: &Tensor, masks: &Tensor) -> Result<(), EvaluateError> {
        let (found, mask) = (logits.size(), masks.size());
        match (found.as_slice(), mask.as_slice()) {
            (&[n, classes, h, w], &[masks, mask_h, mask_w])
                if classes == self.total.classes() as i64 && (n, h, w) == (masks, mask_h, mask_w) => {}
            _ => {
                let expected = format!("[n, {}, h, w] for masks [n, h, w] of {mask:?}", self.total.classes());
                return Err(EngineError::Value { name: "logits", expected, found: format!("{found:?}") }.into());
            }
        }
        let finite = guard("checking that values are finite", || {
            // A sum of finite f32 values in f64 is finite.
            if logits.sum(Kind::Double).double_value(&[]).is_finite() {
                return None;
            }
            let finite = logits.flatten(1, -1).isfinite().all_dim(1, false);
            (finite.all().int64_value(&[]) == 0).then(|| finite.to_kind(Kind::Int64).argmin(0, false).int64_value(&[]))
        })?;
        finite.map_or(Ok(()), |row| Err(EvaluateError::NotFinite { tensor: "logits", row }))
    }
}

impl Measure for SegmentationMeasure {
    fn specs(&self) -> &'static [FigureSpec] {
        &figure::OF_SEGMENTATION
    }

    fn add(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), EvaluateError> {
        self.add_round(World::Alone, Some((outputs, targets)))
    }

    /// Processes exchange what they have counted, not maps: images may differ in size.
    fn add_round(&mut self, world: World, own: Option<(&Tensor, &Tensor)>) -> Result<(), EvaluateError> {
        // Of each image its counts and the bits of its loss.
        let mut numbers = Vec::new();
        if let Some((outputs, targets)) = own {
            self.check(outputs, targets)?;
            for image in 0..outputs.size()[0] {
                let (confusion, loss) = self.of_image(&outputs.get(image), &targets.get(image))?;
                numbers.extend(confusion.counts.iter().map(|count| count.cast_signed()));
                numbers.push(loss.to_bits().cast_signed());
            }
        }
        let classes = self.total.classes();
        for image in world.gather_uneven_numbers(&numbers)?.chunks_exact(classes * classes + 1) {
            let (loss, counts) = image.split_last().expect("every image has a loss");
            let counts = counts.iter().map(|count| count.cast_unsigned()).collect();
            self.take(&Confusion { counts, classes }, f64::from_bits(loss.cast_unsigned()));
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let figures = self.total.figures();
        let pixels: u64 = self.total.counts.iter().sum();
        Figures::new()
            .with(figure::MEAN_IOU.name, figures.map(|figures| figures.mean_iou))
            .with(figure::PIXEL_ACCURACY.name, figures.map(|figures| figures.pixel_accuracy))
            .with(figure::MEAN_PIXEL_ACCURACY.name, figures.map(|figures| figures.mean_pixel_accuracy))
            .with(figure::FREQUENCY_WEIGHTED_IOU.name, figures.map(|figures| figures.frequency_weighted_iou))
            .with(figure::LOSS.name, (pixels > 0).then(|| self.loss / pixels as f64))
    }
}

/// The 95 % interval of the mean IoU over the images: [`SegmentationMeasure::images`], drawn from `seed`.
///
/// # Errors
/// [`EvaluateError::Empty`] without a labelled pixel.
pub fn mean_iou_interval(images: &[Vec<ClassPixels>], seed: u64) -> Result<Interval, EvaluateError> {
    check_labelled(images)?;
    Ok(interval_of_resampled_images(images.len(), seed, |times| resampled_mean_iou(images, times)))
}

/// Mean IoU of the first model minus that of the second on the same images, with its 95 % interval over the images.
///
/// # Errors
/// [`EvaluateError::DifferentImages`] when the lists differ in length; [`EvaluateError::Empty`] without a labelled pixel.
pub fn paired_mean_iou(
    first: &[Vec<ClassPixels>],
    second: &[Vec<ClassPixels>],
    seed: u64,
) -> Result<(f64, Interval), EvaluateError> {
    if first.len() != second.len() {
        return Err(EvaluateError::DifferentImages { first: first.len(), second: second.len() });
    }
    check_labelled(first)?;
    check_labelled(second)?;
    let difference = |times: &[u64]| resampled_mean_iou(first, times) - resampled_mean_iou(second, times);
    let once = vec![1; first.len()];
    Ok((difference(&once), interval_of_resampled_images(first.len(), seed, difference)))
}

fn check_labelled(images: &[Vec<ClassPixels>]) -> Result<(), EvaluateError> {
    if images.iter().flatten().any(|class| class.truth > 0) {
        return Ok(());
    }
    Err(EvaluateError::Empty { tensor: "labelled pixels", found: vec![images.len() as i64] })
}

/// The mean IoU when image i is there `times[i]` times; 0 if no labelled pixel is.
fn resampled_mean_iou(images: &[Vec<ClassPixels>], times: &[u64]) -> f64 {
    PixelFigures::of_images(images, times).map_or(0.0, |figures| figures.mean_iou)
}

/// The summed cross-entropy of the labelled pixels of one image; nats.
fn loss_of(logits: &Tensor, mask: &Tensor) -> f64 {
    // Class by class: the softmax over few classes of each pixel by itself takes several times as long.
    let logits = logits.unsqueeze(0).to_kind(Kind::Float).contiguous();
    let truth = mask.unsqueeze(0).to_kind(Kind::Int64);
    let loss = logits.cross_entropy_loss(&truth, None::<Tensor>, tch::Reduction::None, IGNORED, 0.0);
    loss.sum(Kind::Double).double_value(&[])
}

/// Refuses values that are no class.
fn check_range(name: &'static str, values: &Tensor, classes: usize) -> Result<(), EngineError> {
    if values.numel() == 0 {
        return Ok(());
    }
    let (least, most) = (values.min().int64_value(&[]), values.max().int64_value(&[]));
    if least >= 0 && most < classes as i64 {
        return Ok(());
    }
    let expected = format!("classes 0 to {}, or {IGNORED} for pixels that take no part", classes - 1);
    Err(EngineError::Value { name, expected, found: format!("values from {least} to {most}") })
}
