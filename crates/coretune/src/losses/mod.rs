//! Loss functions: pure functions of tensors, each with its formula.

mod class_contrast;
mod contrastive;
mod dense_cross_entropy;
mod feature_map_distance;
mod focal_blocks;
mod focal_contrastive;
mod focus;
mod pair_scheme;
mod reference_contrastive;
mod row_blocks;
mod soft_cross_entropy;
mod spectral_shrinkage;
mod triplet;

pub use class_contrast::{class_contrast, class_contrast_by};
pub use contrastive::{InstanceDiscrimination, info_nce, info_nce_by, nt_xent, nt_xent_by};
pub use dense_cross_entropy::{
    IGNORED, dense_cross_entropy, labelled_pixels, pixel_weight, weighted_dense_cross_entropy,
};
pub use feature_map_distance::feature_map_distance;
pub use focal_contrastive::{
    focal_contrastive, own_contrastive, own_contrastive_by, soft_label_contrastive, soft_label_contrastive_by,
    supervised_contrastive, supervised_contrastive_by,
};
pub use focus::Focus;
pub use pair_scheme::{Contrast, EarlierRows, own_pairs, soft_label_pairs};
pub use reference_contrastive::reference_contrastive;
pub use soft_cross_entropy::{one_hot, row_weights, smooth, soft_cross_entropy, weighted_cross_entropy};
pub use spectral_shrinkage::spectral_shrinkage;
pub use triplet::triplet;
