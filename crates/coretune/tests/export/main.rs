//! Exports: what other programs read, and that it computes what the model computes.

mod formats;
mod networks;
mod refusals;
mod torch_zip;
mod world;
