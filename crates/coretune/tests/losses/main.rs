//! The losses against naive loops. `tests/goldens` holds more of them, with gradients.

mod dense_cross_entropy;
mod focal_contrastive;
mod row_blocks;
mod soft_cross_entropy;
