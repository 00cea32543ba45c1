//! Transforms against Pillow and torchvision, and their properties.

mod transforms {
    mod against_pillow;
    mod recipes;
}
