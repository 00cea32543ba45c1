//! Exports: what other programs read, and that it computes what the model computes.

#[path = "export/formats.rs"]
mod formats;
#[path = "export/networks.rs"]
mod networks;
#[path = "export/refusals.rs"]
mod refusals;
#[path = "export/torch_zip.rs"]
mod torch_zip;
#[path = "export/world.rs"]
mod world;
