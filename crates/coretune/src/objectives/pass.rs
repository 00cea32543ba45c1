use std::cell::OnceCell;

use tch::{Tensor, no_grad};

use crate::engine::rows::unit_rows;
use crate::engine::{EngineError, PairTable, World, guard};
use crate::losses::{row_weights, smooth, soft_cross_entropy, weighted_cross_entropy};
use crate::models::{Linear, Mode, ModelError, Network};

/// The heads that an objective may apply to rows of features; a head is any differentiable map of rows.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// G_y: `[rows, D]` to logits `[rows, C]`.
    pub classifier: &'a dyn Fn(&Tensor) -> Tensor,
    /// G_c before normalisation: `[rows, D]` to `[rows, d]`.
    pub projection: &'a dyn Fn(&Tensor) -> Tensor,
}

impl Heads<'_> {
    /// z = G_c(f) / ||G_c(f)||.
    pub(super) fn project(&self, features: &Tensor) -> Tensor {
        unit_rows(&(self.projection)(features))
    }
}

/// The rows that the formula of a fine-tuning method reads.
#[derive(Clone, Copy)]
pub struct FeatureBatch<'a> {
    /// f, `[n, D]`, with graph.
    pub features: &'a Tensor,
    /// y, n classes in `0..classes`; on the host, where the loader left them.
    pub labels: &'a [i64],
    /// C.
    pub classes: i64,
    /// Seed of the run and number of the step: what random draws depend on.
    pub draw: (u64, u64),
    /// Where the rows are positions of maps: the loss of all labelled pixels, which takes the place of the rows' own
    /// cross-entropy.
    pub dense: Option<Dense<'a>>,
    /// w, `[C]`: the weights of the classes in the cross-entropy; `None`: all alike.
    pub class_weights: Option<&'a Tensor>,
    /// Y, `[n, C]`: the labels of images that were mixed with each other, which take the place of `labels` in the
    /// cross-entropy; `None`: no image was.
    pub soft_targets: Option<&'a Tensor>,
    /// The processes that all have these rows.
    pub world: World,
}

/// What rows that were sampled from maps have beside their features and labels.
#[derive(Clone, Copy)]
pub struct Dense<'a> {
    /// The cross-entropy over all labelled pixels of the step: a scalar with graph.
    pub cross_entropy: &'a Tensor,
    /// The image of each row, by its place in the batch; on the host.
    pub images: &'a [i64],
}

impl<'a> FeatureBatch<'a> {
    /// Rows whose cross-entropy is that of the rows themselves, as in classification.
    pub fn new(features: &'a Tensor, labels: &'a [i64], classes: i64, draw: (u64, u64)) -> Self {
        FeatureBatch {
            features,
            labels,
            classes,
            draw,
            dense: None,
            class_weights: None,
            soft_targets: None,
            world: World::Alone,
        }
    }

    /// How the pairs of so many anchors with so many others are computed: each process that has the rows takes its part of
    /// the anchors.
    pub fn table(&self, anchors: i64, others: i64) -> PairTable {
        PairTable::shared(self.world, anchors, others)
    }

    /// M6 of rows with these labels, hard or soft, which are smoothed: the cross-entropy of every method of fine-tuning.
    ///
    /// With class weights a row has the weight sum_k Y_k w_k, of its label before smoothing, and the mean over the rows is
    /// divided by the mean weight.
    ///
    /// # Errors
    /// [`EngineError`] for shapes that do not fit.
    pub fn cross_entropy(&self, logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor, EngineError> {
        let smoothed = smooth(targets, smoothing)?;
        match self.class_weights {
            None => soft_cross_entropy(logits, &smoothed),
            Some(weights) => weighted_cross_entropy(logits, &smoothed, &row_weights(targets, weights)?),
        }
    }
}

/// One batch on its way through the network, as an objective sees it: images, labels, features, feature maps, weights
/// and heads.
pub struct Pass<'a> {
    /// u8 `[views n, h, w, 3]`: the first views of n images, then their second views, if any.
    pub images: &'a Tensor,
    /// y, n classes; on the host, where the loader left them.
    pub labels: &'a [i64],
    /// Seed of the run and number of the step: what random draws depend on.
    pub draw: (u64, u64),
    /// Number of the step, from 0.
    pub step: u64,
    /// The network that is trained; its [`Network::tensors`] are the weights.
    pub network: &'a dyn Network,
    /// The heads of the network.
    pub heads: Heads<'a>,
    class_weights: Option<&'a Tensor>,
    soft_targets: Option<&'a Tensor>,
    world: World,
    world_of_rows: World,
    features: OnceCell<Tensor>,
    dense: Option<Dense<'a>>,
    maps: Option<OnceCell<Vec<Tensor>>>,
    /// How the network computes.
    mode: Mode,
}

impl<'a> Pass<'a> {
    /// A pass in which the features are computed when the objective first asks for them, in the step that `draw` names.
    pub fn new(
        network: &'a dyn Network,
        heads: Heads<'a>,
        images: &'a Tensor,
        labels: &'a [i64],
        draw: (u64, u64),
        world: World,
    ) -> Self {
        Pass {
            images,
            labels,
            draw,
            step: draw.1,
            network,
            heads,
            class_weights: None,
            soft_targets: None,
            world,
            world_of_rows: World::Alone,
            features: OnceCell::new(),
            dense: None,
            maps: None,
            mode: Mode::Train,
        }
    }

    /// The same pass with weights `[C]` of the classes in the cross-entropy.
    #[must_use]
    pub fn weighted(mut self, class_weights: Option<&'a Tensor>) -> Self {
        self.class_weights = class_weights;
        self
    }

    /// The same pass with the labels `[n, C]` of images that were mixed with each other.
    #[must_use]
    pub fn mixed(mut self, soft_targets: Option<&'a Tensor>) -> Self {
        self.soft_targets = soft_targets;
        self
    }

    /// The same pass for a method that reads [`Pass::stage_maps`]: the maps of the one pass through the network are
    /// kept.
    #[must_use]
    pub fn keeping_maps(mut self) -> Self {
        self.maps = Some(OnceCell::new());
        self
    }

    /// The same pass in a step in which the network rests: batch norm keeps its running averages.
    #[must_use]
    pub fn at_rest(mut self) -> Self {
        self.mode = Mode::TrainUntracked;
        self
    }

    /// The same pass as part of this step: the parts of a batch draw numbers of their own.
    #[must_use]
    pub fn in_step(mut self, step: u64) -> Self {
        self.step = step;
        self
    }

    /// The same pass with features `[n, D]` that were computed before, as in exact accumulation.
    /// Every process of the pass has all of them.
    #[must_use]
    pub fn with_features(mut self, features: &Tensor) -> Self {
        self.world_of_rows = self.world;
        self.features = OnceCell::from(features.shallow_clone());
        self
    }

    /// The same pass, where the features are rows that were sampled from maps.
    #[must_use]
    pub fn with_dense(mut self, dense: Dense<'a>) -> Self {
        self.dense = Some(dense);
        self
    }

    /// f, the pooled features `[views n, D]` of all images, with graph; computed once.
    ///
    /// # Errors
    /// [`ModelError`] for images of another shape and for exceptions of libtorch.
    pub fn features(&self) -> Result<&Tensor, ModelError> {
        if let Some(features) = self.features.get() {
            return Ok(features);
        }
        let features = if self.maps.is_none() {
            self.network.features(self.images, self.mode)?
        } else {
            let maps = self.stage_maps()?;
            guard("pooling the last feature map", || self.network.backbone().pool(&maps[maps.len() - 1]))?
        };
        Ok(self.features.get_or_init(|| features))
    }

    /// f without graph. If the features were not computed before, batch norm takes its statistics from the batch, and its
    /// running averages stay as they are.
    ///
    /// # Errors
    /// As [`Pass::features`].
    pub fn features_without_graph(&self) -> Result<Tensor, ModelError> {
        match self.features.get() {
            Some(features) => Ok(features.detach()),
            None => no_grad(|| self.network.features(self.images, Mode::TrainUntracked)),
        }
    }

    /// The processes that share the batch; the images of this pass are this one's.
    pub fn world(&self) -> World {
        self.world
    }

    /// Whether the features are those of all processes that share the batch, whose images are not here.
    pub fn shares_rows(&self) -> bool {
        !self.world_of_rows.is_alone()
    }

    /// [`FeatureBatch::table`] of the rows of this pass.
    pub fn table(&self, anchors: i64, others: i64) -> PairTable {
        PairTable::shared(self.world_of_rows, anchors, others)
    }

    /// The feature maps `[views n, channels, h', w']` after each stage, the stem's first, with graph; the spatial mean
    /// of the last one is [`Pass::features`]. Computed once.
    ///
    /// # Errors
    /// As [`Pass::features`].
    ///
    /// # Panics
    /// When the method's [`super::Needs`] do not name them.
    pub fn stage_maps(&self) -> Result<&[Tensor], ModelError> {
        let cell = self.maps.as_ref().expect("a method that reads feature maps names them in its needs");
        if let Some(maps) = cell.get() {
            return Ok(maps);
        }
        let maps = self.network.stage_maps(self.images, self.mode)?;
        Ok(cell.get_or_init(|| maps))
    }

    /// G_c(f), the projections `[views n, d]` of all images, not normalised, with graph.
    ///
    /// # Errors
    /// As [`Pass::features`].
    pub fn projections(&self) -> Result<Tensor, ModelError> {
        let features = self.features()?;
        Ok(guard("computing projections", || (self.heads.projection)(features))?)
    }

    /// What the formula of a fine-tuning method reads.
    ///
    /// # Errors
    /// As [`Pass::features`].
    pub fn batch(&self) -> Result<FeatureBatch<'_>, ModelError> {
        Ok(self.batch_of(self.features()?))
    }

    /// The same with other features `[n, D]` of the images, such as those of their first views alone.
    pub fn batch_of<'b>(&'b self, features: &'b Tensor) -> FeatureBatch<'b> {
        let classes = self.network.classifier().map_or(0, Linear::outputs);
        let Pass { labels, draw, dense, class_weights, soft_targets, .. } = *self;
        let world = self.world_of_rows;
        FeatureBatch { features, labels, classes, draw, dense, class_weights, soft_targets, world }
    }
}
