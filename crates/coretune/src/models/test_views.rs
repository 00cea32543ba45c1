//! Views of an image whose features are averaged when it is evaluated.

use tch::Tensor;

use super::ModelError;
use crate::engine::guard;
use crate::settings::choice;

choice! {
    /// Test-time augmentation: the views of an image whose features are averaged. Since the classifier is linear, its logits
    /// are then the mean of those of the views.
    TestViews {
        /// The image.
        Plain = "none",
        /// The image and its mirror image.
        Flip = "flip",
    }
}

impl TestViews {
    /// The mean over the views of what `features` gives for images `[n, h, w, 3]`.
    ///
    /// # Errors
    /// Those of `features`, and [`ModelError::Engine`] for exceptions of libtorch.
    pub fn features<E: From<ModelError>>(
        self,
        images: &Tensor,
        features: impl Fn(&Tensor) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let plain = features(images)?;
        match self {
            TestViews::Plain => Ok(plain),
            TestViews::Flip => {
                let mirrored = guard("mirroring images", || images.flip([2i64])).map_err(ModelError::from)?;
                let mirrored = features(&mirrored)?;
                Ok(guard("averaging views", || (plain + mirrored) / 2.0).map_err(ModelError::from)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_features_of_an_image_and_of_its_mirror_image_are_averaged() {
        let images = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 1, 4, 3]);
        let left = |images: &Tensor| -> Result<Tensor, ModelError> { Ok(images.select(2, 0).view([1, 3])) };
        let of = |views: TestViews| Vec::<f32>::try_from(views.features(&images, left).unwrap().view(-1)).unwrap();
        assert_eq!(of(TestViews::Plain), [0.0, 1.0, 2.0]);
        assert_eq!(of(TestViews::Flip), [4.5, 5.5, 6.5]);
    }
}
