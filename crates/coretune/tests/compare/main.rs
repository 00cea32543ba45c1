//! Comparisons as a program sees them; runs are made up where only the order of things matters.

mod pixels;
mod searches;
mod segmentation;
mod statistics;
mod sweeps;
