//! What the formulas of methods read: rows of features with labels, from whole images or from positions of maps.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::data::Batch;
use crate::engine::{EngineError, World, guard};
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
        let (images, of_view) = (&self.batch.images, self.batch.indices.len());
        let images = if part.len() == of_view {
            images.shallow_clone()
        } else {
            let views = images.size()[0] / of_view as i64;
            guard("taking a part of a batch", || of_images(images, (part.start as i64, part.len() as i64), views))?
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
    /// The rows of all parts of a step, whose images have so many views: the first views of all images, then their second
    /// views.
    pub(super) fn join<'a>(parts: impl Iterator<Item = &'a Rows> + Clone, views: usize) -> Self {
        let of_view = |features: &Tensor, view: i64| {
            let count = features.size()[0] / views as i64;
            features.narrow(0, view * count, count)
        };
        let features: Vec<Tensor> = match views {
            1 => parts.clone().map(|rows| rows.features.shallow_clone()).collect(),
            _ => (0..views as i64)
                .flat_map(|view| parts.clone().map(move |rows| of_view(&rows.features, view)))
                .collect(),
        };
        let dense: Vec<&DenseRows> = parts.clone().filter_map(|rows| rows.dense.as_ref()).collect();
        Rows {
            features: Tensor::cat(&features, 0),
            labels: parts.flat_map(|rows| rows.labels.iter().copied()).collect(),
            dense: (!dense.is_empty()).then(|| DenseRows::join(&dense)),
        }
    }

    /// The rows of all processes, each of which has so many images in so many views; and which of them are this one's: int64
    /// on their device, none if it is alone.
    pub(super) fn gathered(
        self,
        world: World,
        images: usize,
        views: usize,
    ) -> Result<(Self, Option<Tensor>), EngineError> {
        if world.is_alone() {
            return Ok((self, None));
        }
        if self.dense.is_some() {
            return self.gathered_of_maps(world, images);
        }
        let (features, labels) = (world.gather(&self.features, views)?, world.gather_labels(&self.labels)?);
        let own = guard("numbering rows", || {
            let all = Tensor::arange(features.size()[0], (Kind::Int64, features.device()));
            world.own_rows(&all, views)
        })?;
        Ok((Rows { features, labels, dense: None }, Some(own)))
    }

    /// The same for positions of maps: every process has as many rows as were sampled of its images.
    fn gathered_of_maps(self, world: World, images: usize) -> Result<(Self, Option<Tensor>), EngineError> {
        let own_count = self.labels.len() as i64;
        let before: i64 = world.gather_number(own_count)?[..world.rank()].iter().sum();
        let device = self.features.device();
        let own = guard("numbering rows", || Tensor::arange_start(before, before + own_count, (Kind::Int64, device)))?;
        let features = match &world.gather_uneven(Some(&self.features))?[..] {
            [] => self.features.detach(),
            of_ranks => {
                guard("joining rows", || Tensor::cat(of_ranks, 0).to_device(device).to_kind(self.features.kind()))?
            }
        };
        let dense = self.dense.map(|dense| dense.gathered(world, images)).transpose()?;
        Ok((Rows { features, labels: world.gather_uneven_numbers(&self.labels)?, dense }, Some(own)))
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

    /// A scalar whose gradient is that of the loss through these rows, `count` of the process's from `first` in each of so
    /// many views: `of_leaves` is the gradient with respect to [`Rows::make_leaves`], with the process's own rows alone.
    pub(super) fn replayed(&self, of_leaves: &[Tensor], (first, count): (i64, i64), views: usize) -> Tensor {
        let rows = of_leaves.first().filter(|gradient| gradient.defined());
        let of_rows = rows.map(|gradient| {
            let of_part = of_images(gradient, (first, count), views as i64);
            (&self.features * of_part).sum(Kind::Float)
        });
        let dense = self.dense.as_ref().zip(of_leaves.get(1)).filter(|(_, gradient)| gradient.defined());
        let of_pixels = dense.map(|(dense, gradient)| &dense.cross_entropy * gradient);
        match (of_rows, of_pixels) {
            (Some(rows), Some(pixels)) => rows + pixels,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.features.detach().sum(Kind::Float),
        }
    }
}

/// The rows `[views n, ..]` of `count` of n images from `first`, in each view.
fn of_images(rows: &Tensor, (first, count): (i64, i64), views: i64) -> Tensor {
    if views == 1 {
        return rows.narrow(0, first, count);
    }
    let of_view = rows.size()[0] / views;
    let parts: Vec<Tensor> = (0..views).map(|view| rows.narrow(0, view * of_view + first, count)).collect();
    Tensor::cat(&parts, 0)
}

impl DenseRows {
    /// Those of all processes, each of which has so many images. The positions stay this process's own.
    fn gathered(self, world: World, images: usize) -> Result<Self, EngineError> {
        let DenseRows { cross_entropy, images: of_rows, positions, figures } = self;
        let first = (world.rank() * images) as i64;
        let of_rows: Vec<i64> = of_rows.iter().map(|image| image + first).collect();
        let scalars = std::iter::once(&cross_entropy).chain(figures.iter().map(|(_, value)| value));
        let mut sums = guard("adding parts of the cross-entropy", || {
            scalars.map(|value| value.detach().copy()).collect::<Vec<_>>()
        })?;
        world.sum(&mut sums)?;
        let mut sums = sums.into_iter();
        let cross_entropy = sums.next().unwrap_or(cross_entropy);
        let figures = figures.iter().map(|(name, _)| *name).zip(sums).collect();
        Ok(DenseRows { cross_entropy, images: world.gather_uneven_numbers(&of_rows)?, positions, figures })
    }

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
