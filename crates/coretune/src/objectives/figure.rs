//! Names of the figures in [`ObjectiveLoss::figures`](super::ObjectiveLoss::figures).

macro_rules! figures {
    ($($(#[$doc:meta])+ $name:ident = $word:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $word;)+
        /// All of them.
        pub(crate) const ALL: &[&str] = &[$($name),+];
    };
}

figures! {
    /// M6, or the mean cross-entropy of methods without mixing.
    CLASSIFICATION = "classification";
    /// M6 of the mixed rows alone, before its weight 1/2, where the rows are positions of maps.
    MIXED_CLASSIFICATION = "mixed_classification";
    /// Cross-entropy of the auxiliary head, before its weight.
    AUXILIARY = "auxiliary";
    /// M5 before its weight eta.
    CONTRASTIVE = "contrastive";
    /// The weight of the contrastive loss, where gradients set it.
    ETA = "eta";
    /// B4 before its weight.
    SPECTRAL_SHRINKAGE = "spectral_shrinkage";
    /// The penalties of B2, which act in the update and are not part of the loss.
    PENALTY = "penalty";
    /// The distance of feature maps of B3 before its weight.
    FEATURE_DISTANCE = "feature_distance";
    /// The cross-entropy of B9 over the bank; that over the batch is [`CLASSIFICATION`].
    BANK = "bank";
    /// The triplet loss of B6 before its weight.
    TRIPLET = "triplet";
    /// The contrast of B7 between projections and keys, before its weight.
    INSTANCE = "instance";
    /// The contrast of B7 between rows of the classifier and features, before its weight.
    CATEGORY = "category";
    /// Mean cosine between anchors and their hardest positives, over anchors that have one.
    HARDEST_POSITIVE_COSINE = "hardest_positive_cosine";
    /// Mean cosine between anchors and their hardest negatives; absent from a batch of one class.
    HARDEST_NEGATIVE_COSINE = "hardest_negative_cosine";
    /// Of the positions whose class has another one in the batch: the fraction whose hardest positive comes from another image.
    HARDEST_POSITIVE_ELSEWHERE = "hardest_positive_elsewhere";
    /// Fraction of the anchors whose other view is nearest.
    ACCURACY = "accuracy";
    /// Mean cosine of an image's two views; alignment is 2 - 2 of it.
    POSITIVE_COSINE = "positive_cosine";
    /// Mean standard deviation of the normalised projections over a batch, times the root of their width: 1 where they
    /// are spread evenly over the sphere, 0 where they have collapsed to a point (Chen & He, CVPR 2021, section 4.1).
    SPREAD = "spread";
}
