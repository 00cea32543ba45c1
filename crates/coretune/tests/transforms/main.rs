//! Transforms against Pillow and torchvision, and their properties.

mod against_pillow;
mod framing;
mod recipes;
