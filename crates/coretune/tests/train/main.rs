//! Training: gradients of a batch in parts, and the updates of the weights.

mod accumulation;
mod optimizer;
mod sharpness;
