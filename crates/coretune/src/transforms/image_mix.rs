//! Mixup and CutMix: images of a batch mixed with each other, as torchvision does.

use rand::RngExt;
use rand_distr::{Beta, Distribution};
use tch::{Kind, Tensor};

use super::TransformError;
use super::limits::check_beta;
use crate::engine::{EngineError, guard, shape};
use crate::random::Stream;

/// Which mixing a run has: alpha of each, 0 where it is off. With both, each batch has one of them, with equal probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixImages {
    /// alpha of mixup (Zhang et al., ICLR 2018, arXiv:1710.09412).
    pub mixup: f64,
    /// alpha of CutMix (Yun et al., ICCV 2019, arXiv:1905.04899).
    pub cutmix: f64,
    /// How many rows before an image its partner is; the batch is a ring.
    pub shift: i64,
}

/// What is done to the images of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImageMix {
    /// lam x image + (1 - lam) x partner.
    Blend {
        /// lam.
        lam: f64,
    },
    /// A rectangle of the image is that of the partner.
    Cut {
        /// First column, first row, and the first column and row beyond it.
        corners: [i64; 4],
    },
}

impl MixImages {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`TransformError::Setting`].
    pub fn check(&self) -> Result<(), TransformError> {
        check_beta("mixup", self.mixup)?;
        check_beta("cutmix", self.cutmix)
    }

    /// What is done to a batch of images of this width and height; none if both are off.
    pub fn draw(&self, size: (i64, i64), stream: &mut Stream) -> Option<ImageMix> {
        let blends = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return None,
            (true, true) => stream.random_bool(0.5),
            (mixup, _) => mixup,
        };
        let alpha = if blends { self.mixup } else { self.cutmix };
        let lam = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(stream));
        if blends {
            return Some(ImageMix::Blend { lam });
        }
        let centre = (stream.random_range(0..size.0), stream.random_range(0..size.1));
        Some(ImageMix::cut(lam, centre, size))
    }
}

impl ImageMix {
    /// The rectangle around `centre` whose area is 1 - lam of the image's, cut off at the edges.
    pub fn cut(lam: f64, centre: (i64, i64), size: (i64, i64)) -> Self {
        let half = |side: i64| (0.5 * (1.0 - lam).sqrt() * side as f64) as i64;
        let (wide, high) = (half(size.0), half(size.1));
        let corners = [
            (centre.0 - wide).max(0),
            (centre.1 - high).max(0),
            (centre.0 + wide).min(size.0),
            (centre.1 + high).min(size.1),
        ];
        ImageMix::Cut { corners }
    }

    /// The fraction of an image of this width and height that is its own: the weight of its own label.
    pub fn own_fraction(&self, size: (i64, i64)) -> f64 {
        match *self {
            ImageMix::Blend { lam } => lam,
            ImageMix::Cut { corners: [left, top, right, bottom] } => {
                1.0 - ((right - left) * (bottom - top)) as f64 / (size.0 * size.1) as f64
            }
        }
    }

    /// Images u8 `[n, h, w, 3]`, each mixed with its partner.
    ///
    /// # Errors
    /// [`EngineError::Shape`] for another shape.
    pub fn images(&self, images: &Tensor, partners: &Tensor) -> Result<Tensor, EngineError> {
        let [_, height, width, 3] = images.size()[..] else {
            let expected = "[n, h, w, 3]".into();
            return Err(EngineError::Shape { tensor: "images", expected, found: images.size() });
        };
        shape::exactly("partners", partners, &images.size())?;
        guard("mixing images", || match *self {
            ImageMix::Blend { lam } => {
                let mixed = images.to_kind(Kind::Float) * lam + partners.to_kind(Kind::Float) * (1.0 - lam);
                mixed.round().to_kind(Kind::Uint8)
            }
            ImageMix::Cut { corners: [left, top, right, bottom] } => {
                let mixed = images.copy();
                let (right, bottom) = (right.min(width), bottom.min(height));
                let inside = |tensor: &Tensor| tensor.narrow(1, top, bottom - top).narrow(2, left, right - left);
                inside(&mixed).copy_(&inside(partners));
                mixed
            }
        })
    }

    /// The labels `[n, C]` of images of this width and height that were mixed so.
    ///
    /// # Errors
    /// [`EngineError::Shape`] for another shape.
    pub fn targets(&self, targets: &Tensor, shift: i64, size: (i64, i64)) -> Result<Tensor, EngineError> {
        shape::matrix("targets", targets)?;
        let own = self.own_fraction(size);
        guard("mixing labels", || targets * own + targets.roll([shift], [0i64]) * (1.0 - own))
    }
}
