//! Segmentation of a split, image by image.

use std::sync::Arc;

use tch::Tensor;

use crate::data::Split;
use crate::engine::{Stop, World};
use crate::evaluate::EvaluateError;
use crate::evaluate::features::Evaluator;
use crate::evaluate::segmentation::SegmentationMeasure;
use crate::models::{PixelViews, Segmenter};
use crate::runs::RunError;
use crate::transforms::Transform;

/// Evaluates segmentation networks on images of any size, each at its own size.
#[derive(Debug, Clone)]
pub struct SegmentationEvaluator {
    evaluator: Evaluator,
    views: PixelViews,
}

impl SegmentationEvaluator {
    /// An evaluator of each image in these views, with so many threads that read images; `stop` ends it between two
    /// images. The processes of `world` share the images.
    ///
    /// # Errors
    /// [`RunError`] never in practice: an empty list of transforms is valid.
    pub fn new(views: PixelViews, workers: usize, (stop, world): (Stop, World)) -> Result<Self, RunError> {
        let transform = Arc::new(Transform::new(Vec::new())?);
        // Images of a batch have one size.
        Ok(SegmentationEvaluator { evaluator: Evaluator { transform, batch_size: 1, workers, stop, world }, views })
    }

    /// The confusion matrix of `split` and that of each of its images.
    ///
    /// # Errors
    /// [`EvaluateError`] for images that cannot be read, and [`EvaluateError::Interrupted`] when it was asked to stop.
    pub fn measure(&self, network: &Segmenter, split: &Split) -> Result<SegmentationMeasure, EvaluateError> {
        let mut measure = SegmentationMeasure::new(network.classes() as usize);
        let mut forward = |images: &Tensor| Ok(self.views.logits(network, images)?);
        self.evaluator.measure(split, &mut measure, &mut forward)?;
        Ok(measure)
    }
}
