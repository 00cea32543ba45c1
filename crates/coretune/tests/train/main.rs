//! Training: gradients of a batch in parts, the updates of the weights, and what a step sends to the device.

mod accumulation;
mod optimizer;
mod sharpness;
mod transfers;
