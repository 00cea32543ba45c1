//! The main job from end to end, on a data set and a checkpoint made on the spot.

mod average;
mod other_figures;
mod projection;
mod resize_mode;
mod resume;
mod session;
mod trainable;
mod unlabelled;
