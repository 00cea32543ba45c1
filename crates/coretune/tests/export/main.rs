//! Exports: what other programs read, and that it computes what the model computes.

mod formats;
mod networks;
mod refusals;
mod saved_model;
mod segmentation;
mod torch_zip;
