//! Names of the figures in [`ObjectiveLoss::figures`](super::ObjectiveLoss::figures).

/// M6, or the mean cross-entropy of methods without mixing.
pub const CLASSIFICATION: &str = "classification";
/// M6 of the mixed rows alone, before its weight 1/2, where the rows are positions of maps.
pub const MIXED_CLASSIFICATION: &str = "mixed_classification";
/// Cross-entropy of the auxiliary head, before its weight.
pub const AUXILIARY: &str = "auxiliary";
/// M5 before its weight eta.
pub const CONTRASTIVE: &str = "contrastive";
/// The weight of the contrastive loss, where gradients set it.
pub const ETA: &str = "eta";
/// B4 before its weight.
pub const SPECTRAL_SHRINKAGE: &str = "spectral_shrinkage";
/// The penalties of B2, which act in the update and are not part of the loss.
pub const PENALTY: &str = "penalty";
/// The distance of feature maps of B3 before its weight.
pub const FEATURE_DISTANCE: &str = "feature_distance";
/// The cross-entropy of B9 over the bank; that over the batch is [`CLASSIFICATION`].
pub const BANK: &str = "bank";
/// The triplet loss of B6 before its weight.
pub const TRIPLET: &str = "triplet";
/// The contrast of B7 between projections and keys, before its weight.
pub const INSTANCE: &str = "instance";
/// The contrast of B7 between rows of the classifier and features, before its weight.
pub const CATEGORY: &str = "category";
/// Mean cosine between anchors and their hardest positives, over anchors that have one.
pub const HARDEST_POSITIVE_COSINE: &str = "hardest_positive_cosine";
/// Mean cosine between anchors and their hardest negatives; absent from a batch of one class.
pub const HARDEST_NEGATIVE_COSINE: &str = "hardest_negative_cosine";
/// Of the positions whose class has another one in the batch: the fraction whose hardest positive comes from another image.
pub const HARDEST_POSITIVE_ELSEWHERE: &str = "hardest_positive_elsewhere";
/// Fraction of the anchors whose other view is nearest.
pub const ACCURACY: &str = "accuracy";
/// Mean cosine of an image's two views; alignment is 2 - 2 of it.
pub const POSITIVE_COSINE: &str = "positive_cosine";
/// Mean standard deviation of the normalised projections over a batch, times the root of their width: 1 where they
/// are spread evenly over the sphere, 0 where they have collapsed to a point (Chen & He, CVPR 2021, section 4.1).
pub const SPREAD: &str = "spread";
