//! Backbone and heads of dense prediction together: from bytes to logits at each pixel.

use tch::{Device, Tensor};

use super::dense_head::{DenseHead, DenseHeadKind, Place, Shape};
use super::dropout::DropoutDraws;
use super::heads::{Linear, ProjectionHead};
use super::layers::Mode;
use super::network::{Network, check_images};
use super::operations::{Operations, Run};
use super::parameters::Parameters;
use super::{Backbone, ModelError, Normalisation};
use crate::engine::{self, World};

/// The stage whose map has the details that DeepLab-V3+ adds: the first after the stem, at stride 4.
const DETAILS: usize = 1;

/// A network of semantic segmentation, with the names of torchvision's `deeplabv3_resnet50` and `fcn_resnet50`:
/// `backbone.`, `classifier.`, `aux_classifier.`.
#[derive(Debug)]
pub struct Segmenter {
    /// `G_e`, dilated.
    pub backbone: Backbone,
    /// From its last map to logits; the last layer is `G_y`.
    pub head: DenseHead,
    /// From the map before the last stage to logits, for training alone.
    pub auxiliary: Option<DenseHead>,
    /// `G_c`, on rows of the embedding; dropped at deployment.
    pub projection: Option<ProjectionHead>,
    /// What is done to pixels first.
    pub normalisation: Normalisation,
}

/// Which heads a [`Segmenter`] gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmenterHeads {
    /// The head on the last map.
    pub kind: DenseHeadKind,
    /// Number of classes, at least 2.
    pub classes: i64,
    /// Whether an FCN head reads the map before the last stage.
    pub auxiliary: bool,
    /// Probability with which the heads set a value to zero in training.
    pub dropout: f64,
}

/// What a [`Segmenter`] makes of images, at the stride of its head.
#[derive(Debug)]
pub struct DenseOutput {
    /// `f`, what the last 1x1 convolution reads: f32 `[n, D, h, w]` in channels-last layout.
    pub embedding: Tensor,
    /// Its output: f32 `[n, classes, h, w]`.
    pub logits: Tensor,
    /// The output of the auxiliary head, if there is one and it was asked for: f32 `[n, classes, h, w]`.
    pub auxiliary: Option<Tensor>,
}

impl Segmenter {
    /// Puts heads drawn by `seed` on a backbone; those of one seed are the same whatever the backbone's weights.
    ///
    /// # Errors
    /// [`ModelError::NoDilation`] for a backbone that is not a ResNet, [`ModelError::Classes`], [`ModelError::Dropout`].
    pub fn new(
        backbone: Backbone,
        heads: &SegmenterHeads,
        normalisation: Normalisation,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let &SegmenterHeads { kind, classes, auxiliary, dropout } = heads;
        let family = backbone.architecture().family;
        let stride = backbone.stride().ok_or(ModelError::NoDilation { family })?;
        let details = backbone.channels_before(DETAILS + 1);
        let head = |kind, inputs, place| {
            let shape = Shape { kind, inputs, details, classes, stride, dropout };
            DenseHead::new(shape, place, seed, backbone.device())
        };
        let main = head(kind, backbone.feature_width(), Place::MAIN)?;
        let auxiliary = auxiliary
            .then(|| head(DenseHeadKind::Fcn, backbone.channels_before(backbone.last_stage()), Place::AUXILIARY))
            .transpose()?;
        Ok(Segmenter { backbone, head: main, auxiliary, projection: None, normalisation })
    }

    /// Adds the projection head `G_c`, which reads rows of the embedding.
    ///
    /// # Errors
    /// [`ModelError::FeatureWidth`] if it reads another width.
    pub fn with_projection(self, projection: ProjectionHead) -> Result<Self, ModelError> {
        let (expected, found) = (self.embedding_width(), projection.inputs());
        if found != expected {
            return Err(ModelError::FeatureWidth { layer: "projection head", expected, found });
        }
        Ok(Segmenter { projection: Some(projection), ..self })
    }

    /// Width D of the embedding.
    pub fn embedding_width(&self) -> i64 {
        self.head.classifier().inputs()
    }

    /// Number of classes.
    pub fn classes(&self) -> i64 {
        self.head.classifier().outputs()
    }

    /// Lets every batch norm, of the backbone and of the heads, use its running averages in training too.
    pub fn freeze_batch_norm(&mut self) {
        self.backbone.freeze_batch_norm();
        self.head.freeze_norms();
        self.auxiliary.iter_mut().for_each(DenseHead::freeze_norms);
    }

    /// Lets every batch norm that is not frozen take its statistics in training from the batches of all processes.
    pub fn synchronise_batch_norm(&mut self, world: World) {
        self.backbone.synchronise_batch_norm(world);
        self.head.synchronise_norms(world);
        self.auxiliary.iter_mut().for_each(|head| head.synchronise_norms(world));
    }

    /// Embedding and logits of images u8 `[n, h, w, 3]`, at the stride of the head; with `auxiliary` those of the
    /// auxiliary head too, if the network has one.
    ///
    /// In training, `dropout` says what the zeros of dropout are drawn for; without it nothing is dropped.
    ///
    /// # Errors
    /// [`ModelError::Images`] for another shape; [`ModelError::OneImage`] for one image in training unless batch norm is
    /// frozen; [`ModelError::Engine`] for exceptions of libtorch.
    pub fn forward(
        &self,
        images: &Tensor,
        mode: Mode,
        dropout: Option<DropoutDraws>,
        auxiliary: bool,
    ) -> Result<DenseOutput, ModelError> {
        check_images(images)?;
        let normalised = engine::guard("normalising images", || self.normalisation.apply(images, self.device()))?;
        self.forward_normalised(&normalised, mode, dropout, auxiliary)
    }

    /// [`Segmenter::forward`] of normalised images f32 `[n, 3, h, w]` in channels-last layout.
    ///
    /// # Errors
    /// As [`Segmenter::forward`].
    pub fn forward_normalised(
        &self,
        images: &Tensor,
        mode: Mode,
        dropout: Option<DropoutDraws>,
        auxiliary: bool,
    ) -> Result<DenseOutput, ModelError> {
        let count = images.size()[0];
        self.check_mode(count, mode)?;
        if let Some(draws) = &dropout {
            check_draws(count, draws)?;
        }
        Ok(engine::guard("computing logits of pixels", || {
            let mut run = Run::with_dropout(mode, dropout).recomputing(self.backbone.recomputes());
            self.trace(images.to_kind(self.backbone.precision().kind()), auxiliary, &mut run)
        })?)
    }

    /// Logits f32 `[n, classes, h, w]` of each pixel of images u8 `[n, h, w, 3]`, in evaluation mode.
    ///
    /// # Errors
    /// [`ModelError::Images`] for another shape, [`ModelError::Engine`] for exceptions of libtorch.
    pub fn pixel_logits(&self, images: &Tensor) -> Result<Tensor, ModelError> {
        let output = self.forward(images, Mode::Evaluate, None, false)?;
        let size = images.size();
        upsample(&output.logits, [size[1], size[2]])
    }

    fn check_mode(&self, images: i64, mode: Mode) -> Result<(), ModelError> {
        if images == 1 && mode != Mode::Evaluate && self.head.normalises_pooled_map() {
            return Err(ModelError::OneImage);
        }
        Ok(())
    }

    /// The way from normalised images to logits at the stride of the head.
    fn trace(&self, images: Tensor, auxiliary: bool, run: &mut Run) -> DenseOutput {
        let auxiliary_head = self.auxiliary.as_ref().filter(|_| auxiliary);
        let (mut details, mut auxiliary) = (None, None);
        let map = self.backbone.trace_map(images, run, |stage, map, run| {
            if stage == DETAILS {
                details = self.head.reduce_details(map, run);
            }
            if let Some(head) = auxiliary_head.filter(|_| stage + 1 == self.backbone.last_stage()) {
                let embedding = head.embed(map.shallow_clone(), None, run);
                auxiliary = Some(head.classify(&embedding, run));
            }
        });
        let embedding = self.head.embed(map, details, run);
        let logits = self.head.classify(&embedding, run);
        DenseOutput { embedding, logits, auxiliary }
    }

    /// The way from normalised images to logits at the stride of the head, taken with other operations than those of tch.
    pub(crate) fn trace_logits<O: Operations>(&self, images: O::Value, operations: &mut O) -> O::Value {
        let mut details = None;
        let map = self.backbone.trace_map(images, operations, |stage, map, operations| {
            if stage == DETAILS {
                details = self.head.reduce_details(map, operations);
            }
        });
        let embedding = self.head.embed(map, details, operations);
        self.head.classify(&embedding, operations)
    }
}

/// Logits `[n, classes, h', w']` at the stride of a head, to those of pixels `[n, classes, h, w]`: bilinear, with the
/// corners of the corner pixels aligned, not their centres (`align_corners=False`).
///
/// # Errors
/// [`ModelError::Engine`] for exceptions of libtorch.
pub fn upsample(logits: &Tensor, size: [i64; 2]) -> Result<Tensor, ModelError> {
    Ok(engine::guard("upsampling logits", || logits.upsample_bilinear2d(size, false, None, None))?)
}

fn check_draws(images: i64, draws: &DropoutDraws) -> Result<(), ModelError> {
    if draws.images.len() as i64 == images {
        return Ok(());
    }
    let found = format!("{} numbers for {images} images", draws.images.len());
    let error = engine::EngineError::Value { name: "images of dropout", expected: "a number per image".into(), found };
    Err(error.into())
}

impl Network for Segmenter {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    fn classifier(&self) -> Option<&Linear> {
        Some(self.head.classifier())
    }

    fn projection(&self) -> Option<&ProjectionHead> {
        self.projection.as_ref()
    }

    fn tensors(&self, prefix: &str) -> Parameters {
        let mut list = Parameters::default();
        list.extend_under(&format!("{prefix}backbone."), self.backbone.parameters());
        list.extend_under(prefix, self.head.parameters());
        if let Some(auxiliary) = &self.auxiliary {
            list.extend_under(prefix, auxiliary.parameters());
        }
        if let Some(projection) = &self.projection {
            projection.list(&format!("{prefix}projection."), &mut list);
        }
        list
    }

    fn device(&self) -> Device {
        self.head.classifier().weight.device()
    }
}
