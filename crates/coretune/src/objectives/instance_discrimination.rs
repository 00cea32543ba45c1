//! What the methods of contrastive pre-training share: a setting, and what they log beside their loss.

use tch::Tensor;

use super::{ObjectiveLoss, figure};
use crate::engine::rows::unit_rows;
use crate::losses::InstanceDiscrimination;
use crate::settings::{Kind, OnResume, RunKind, Setting, setting};

pub(super) const DIM: Setting = setting("pretrain.dim", Kind::Whole(1, 65_536), "outputs of the projection head")
    .default("128")
    .on_resume(OnResume::Fixed)
    .read_by(&[RunKind::Pretraining]);

/// The loss with its figures; `projections` are rows of the encoder that gradients train.
///
/// # Panics
/// On an exception of libtorch: call inside [`crate::engine::guard`].
pub(super) fn with_figures(discrimination: InstanceDiscrimination, projections: &Tensor) -> ObjectiveLoss {
    let InstanceDiscrimination { loss, accuracy, positive_cosine } = discrimination;
    let figures = vec![
        (figure::ACCURACY, accuracy),
        (figure::POSITIVE_COSINE, positive_cosine),
        (figure::SPREAD, spread(projections)),
    ];
    ObjectiveLoss { total: loss, figures }
}

/// [`figure::SPREAD`] of rows `[n, d]`, which need not be normalised: a scalar.
///
/// # Panics
/// On an exception of libtorch: call inside [`crate::engine::guard`].
pub fn spread(projections: &Tensor) -> Tensor {
    let width = projections.size()[1] as f64;
    let unit = unit_rows(&projections.detach());
    unit.std_dim([0i64].as_slice(), false, false).mean(None) * width.sqrt()
}
