//! Rows of a step from positions of maps, and the cross-entropy of all labelled pixels.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::data::Batch;
use crate::engine::{EngineError, guard};
use crate::losses::{dense_cross_entropy, pixel_weight, weighted_dense_cross_entropy};
use crate::mining::{MapLabels, PixelDraws, SampledPixels, sample_pixels};
use crate::models::{DenseOutput, DropoutDraws, Mode, ModelError, Segmenter, upsample};
use crate::objectives::figure;
use crate::train::{DenseRows, RowSource, Rows};

/// Weight of the auxiliary head's cross-entropy, as in torchvision.
pub const AUXILIARY_WEIGHT: f64 = 0.4;

/// The rows of a batch of images with masks: positions of f, sampled by class and image.
pub struct PixelRows<'a> {
    /// The network that is trained.
    pub network: &'a Segmenter,
    /// Images.
    pub batch: &'a Batch,
    /// u8 `[n, h, w]`, the masks of the images.
    pub masks: &'a Tensor,
    /// Labelled pixels of all images of the step.
    pub labelled: usize,
    /// Seed of the run and number of the step.
    pub draw: (u64, u64),
    /// K: the most rows of a class in an image.
    pub per_class: usize,
    /// Label smoothing of the cross-entropy, 0 to below 1.
    pub label_smoothing: f64,
    /// Weight of each class in the cross-entropy of the pixels, if they are weighted, and the weight of all labelled pixels
    /// of the step.
    pub weights: Option<(Tensor, f64)>,
    /// The positions that were sampled, by the first image of the part: once in a step, however often its gradient is
    /// computed.
    pub sampled: RefCell<BTreeMap<usize, SampledPixels>>,
}

/// Weight of each class in the cross-entropy of the pixels.
#[derive(Debug)]
pub struct PixelWeights {
    /// In the order of the classes.
    pub of_classes: Vec<f64>,
    /// The same on the device of the network.
    pub tensor: Tensor,
}

impl PixelWeights {
    /// These weights on this device.
    pub fn new(of_classes: Vec<f64>, device: Device) -> Self {
        let tensor = Tensor::from_slice(&of_classes).to_kind(Kind::Float).to_device(device);
        PixelWeights { of_classes, tensor }
    }

    /// The weight of all labelled pixels of masks.
    pub(super) fn of(&self, masks: &Tensor) -> Result<f64, EngineError> {
        pixel_weight(masks, &self.of_classes)
    }
}

impl RowSource for PixelRows<'_> {
    fn rows(&self, part: Range<usize>, mode: Mode) -> Result<Rows, ModelError> {
        let output = self.forward(&part, mode)?;
        let known = self.sampled.borrow().get(&part.start).map(SampledPixels::shallow_clone);
        let sampled = known.map_or_else(|| self.sample(&part, &output.logits), Ok)?;
        self.sampled.borrow_mut().insert(part.start, sampled.shallow_clone());
        self.rows_at(&part, &output, sampled)
    }

    fn again(&self, part: Range<usize>, earlier: &Rows) -> Result<Rows, ModelError> {
        let output = self.forward(&part, Mode::Train)?;
        let dense = earlier.dense.as_ref().expect("this source made these rows, from positions of maps");
        let sampled = SampledPixels {
            positions: dense.positions.shallow_clone(),
            labels: earlier.labels.clone(),
            images: dense.images.clone(),
        };
        self.rows_at(&part, &output, sampled)
    }
}

impl PixelRows<'_> {
    fn forward(&self, part: &Range<usize>, mode: Mode) -> Result<DenseOutput, ModelError> {
        let images: Vec<u64> = self.batch.indices[part.clone()].iter().map(|&index| index as u64).collect();
        let (seed, step) = self.draw;
        let draws = DropoutDraws { seed, step, images: &images };
        self.network.forward(&of_part(&self.batch.images, part), mode, Some(draws), self.network.auxiliary.is_some())
    }

    /// Which positions become rows: without gradient, by the network's own errors at them.
    fn sample(&self, part: &Range<usize>, logits: &Tensor) -> Result<SampledPixels, ModelError> {
        let size = logits.size();
        let labels = MapLabels::nearest(&of_part(self.masks, part), (size[2], size[3]))?;
        let wrong = guard("finding misclassified positions", || {
            let shape = [labels.images as i64, labels.positions as i64];
            let truth = Tensor::from_slice(&labels.labels).view(shape).to_device(logits.device());
            logits.detach().argmax(1, false).view(shape).not_equal_tensor(&truth)
        })?;
        let draws = PixelDraws::draw(&self.batch.indices[part.clone()], labels.positions, self.draw);
        let sampled = sample_pixels(&wrong, &labels, &draws, self.per_class)?;
        let images = sampled.images.iter().map(|image| image + part.start as i64).collect();
        Ok(SampledPixels { images, ..sampled })
    }

    fn rows_at(&self, part: &Range<usize>, output: &DenseOutput, sampled: SampledPixels) -> Result<Rows, ModelError> {
        let features = guard("taking rows of a map", || {
            let map = &output.embedding;
            let every = map.permute([0, 2, 3, 1]).reshape([-1, map.size()[1]]);
            every.index_select(0, &sampled.positions)
        })?;
        let main = self.cross_entropy(part, &output.logits)?;
        let auxiliary = output.auxiliary.as_ref().map(|logits| self.cross_entropy(part, logits)).transpose()?;
        let figures = auxiliary.iter().map(|loss| (figure::AUXILIARY, loss.detach())).collect();
        let cross_entropy = match auxiliary {
            Some(auxiliary) => main + AUXILIARY_WEIGHT * auxiliary,
            None => main,
        };
        let SampledPixels { positions, labels, images } = sampled;
        Ok(Rows { features, labels, dense: Some(DenseRows { cross_entropy, images, positions, figures }) })
    }

    /// The cross-entropy of a part's pixels at full resolution.
    fn cross_entropy(&self, part: &Range<usize>, logits: &Tensor) -> Result<Tensor, ModelError> {
        let masks = of_part(self.masks, part);
        let size = masks.size();
        let logits = upsample(&logits.to_kind(Kind::Float), [size[1], size[2]])?;
        Ok(match &self.weights {
            None => dense_cross_entropy(&logits, &masks, self.labelled, self.label_smoothing)?,
            Some((weights, of_step)) => {
                weighted_dense_cross_entropy(&logits, &masks, (weights, *of_step), self.label_smoothing)?
            }
        })
    }
}

fn of_part(tensor: &Tensor, part: &Range<usize>) -> Tensor {
    tensor.narrow(0, part.start as i64, part.len() as i64)
}
