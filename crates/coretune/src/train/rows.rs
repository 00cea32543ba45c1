//! What the formulas of methods read: rows of features with labels, from whole images or from positions of maps.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::data::Batch;
use crate::engine::{EngineError, World};
use crate::models::{Mode, ModelError, Network};
use crate::objectives::{ObjectiveLoss, figure};

/// Rows of a batch, or of a part of it.
#[derive(Debug)]
pub struct Rows {
    /// f, `[rows, D]`.
    pub features: Tensor,
    /// The class of each row, on the host.
    pub labels: Vec<i64>,
    /// Where the rows are positions of maps: what all labelled pixels give.
    pub dense: Option<DenseRows>,
}

/// What rows that are positions of maps have beside features and labels.
#[derive(Debug)]
pub struct DenseRows {
    /// The cross-entropy of the part's labelled pixels: their sum divided by the labelled pixels of the whole step.
    pub cross_entropy: Tensor,
    /// The image of each row, by its place in the batch.
    pub images: Vec<i64>,
    /// The position of each row, int64 `[rows]` on the device: image of the part x positions + position.
    pub positions: Tensor,
    /// Parts of the cross-entropy, by name: scalars without graph that add up over the parts of a step.
    pub figures: Vec<(&'static str, Tensor)>,
}

/// Where the rows of a step come from.
pub trait RowSource {
    /// The rows of these images of the batch, with graph where gradients are recorded.
    ///
    /// # Errors
    /// [`ModelError`] for shapes that do not fit and for exceptions of libtorch.
    fn rows(&self, part: Range<usize>, mode: Mode) -> Result<Rows, ModelError>;

    /// The same rows once more, at the positions of `earlier`, in training mode.
    ///
    /// # Errors
    /// As [`RowSource::rows`].
    fn again(&self, part: Range<usize>, earlier: &Rows) -> Result<Rows, ModelError>;
}

/// Each image is a row: its pooled features, with its class.
pub struct ImageRows<'a> {
    /// The network that is trained.
    pub network: &'a dyn Network,
    /// Images and labels.
    pub batch: &'a Batch,
}

impl RowSource for ImageRows<'_> {
    fn rows(&self, part: Range<usize>, mode: Mode) -> Result<Rows, ModelError> {
        let images = if part.len() == self.batch.indices.len() {
            // All views of all images.
            self.batch.images.shallow_clone()
        } else {
            self.batch.images.narrow(0, part.start as i64, part.len() as i64)
        };
        let features = self.network.features(&images, mode)?;
        Ok(Rows { features, labels: self.batch.labels[part].to_vec(), dense: None })
    }

    fn again(&self, part: Range<usize>, _: &Rows) -> Result<Rows, ModelError> {
        self.rows(part, Mode::Train)
    }
}

/// Steps in passes over parts; an exception of libtorch panics, so call them inside [`crate::engine::guard`].
impl Rows {
    /// The rows of all parts of a step.
    pub(super) fn join<'a>(parts: impl Iterator<Item = &'a Rows> + Clone) -> Self {
        let features: Vec<&Tensor> = parts.clone().map(|rows| &rows.features).collect();
        let dense: Vec<&DenseRows> = parts.clone().filter_map(|rows| rows.dense.as_ref()).collect();
        Rows {
            features: Tensor::cat(&features, 0),
            labels: parts.flat_map(|rows| rows.labels.iter().copied()).collect(),
            dense: (!dense.is_empty()).then(|| DenseRows::join(&dense)),
        }
    }

    /// The rows of all processes, whose images have so many views.
    pub(super) fn gathered(self, world: World, views: usize) -> Result<Self, EngineError> {
        if world.is_alone() {
            return Ok(self);
        }
        let (features, labels) = (world.gather(&self.features, views)?, world.gather_labels(&self.labels)?);
        Ok(Rows { features, labels, ..self })
    }

    /// Makes leaves of the graph of the rows, and of the cross-entropy of pixels where there are any.
    pub(super) fn make_leaves(&mut self) -> Vec<Tensor> {
        self.features = self.features.detach().set_requires_grad(true);
        let mut leaves = vec![self.features.shallow_clone()];
        if let Some(dense) = &mut self.dense {
            dense.cross_entropy = dense.cross_entropy.detach().set_requires_grad(true);
            leaves.push(dense.cross_entropy.shallow_clone());
        }
        leaves
    }

    /// A scalar whose gradient is that of the loss through these rows, `count` of the step's from `first`: `of_leaves` is
    /// the gradient with respect to [`Rows::make_leaves`].
    pub(super) fn replayed(&self, of_leaves: &[Tensor], first: i64, count: i64) -> Tensor {
        let rows = of_leaves.first().filter(|gradient| gradient.defined());
        let of_rows = rows.map(|gradient| (&self.features * gradient.narrow(0, first, count)).sum(Kind::Float));
        let dense = self.dense.as_ref().zip(of_leaves.get(1)).filter(|(_, gradient)| gradient.defined());
        let of_pixels = dense.map(|(dense, gradient)| &dense.cross_entropy * gradient);
        match (of_rows, of_pixels) {
            (Some(rows), Some(pixels)) => rows + pixels,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.features.detach().sum(Kind::Float),
        }
    }
}

impl DenseRows {
    fn join(parts: &[&DenseRows]) -> Self {
        let sum = |scalars: Vec<&Tensor>| Tensor::stack(&scalars, 0).sum(scalars[0].kind());
        let of_name = |name: &'static str| {
            let values = parts.iter().flat_map(|part| &part.figures).filter(|(other, _)| *other == name);
            (name, sum(values.map(|(_, value)| value).collect()))
        };
        DenseRows {
            cross_entropy: sum(parts.iter().map(|part| &part.cross_entropy).collect()),
            images: parts.iter().flat_map(|part| part.images.iter().copied()).collect(),
            // Each part numbers its own images.
            positions: Tensor::cat(&parts.iter().map(|part| &part.positions).collect::<Vec<_>>(), 0),
            figures: parts[0].figures.iter().map(|(name, _)| of_name(name)).collect(),
        }
    }

    /// The loss of a step without a labelled position.
    pub(super) fn alone(&self) -> ObjectiveLoss {
        let figures = vec![(figure::CLASSIFICATION, self.cross_entropy.detach())];
        ObjectiveLoss { total: self.cross_entropy.shallow_clone(), figures }
    }
}
