//! Transforms against Pillow and torchvision, and their properties.

mod against_pillow;
mod framing;
mod image_mix;
mod recipes;
