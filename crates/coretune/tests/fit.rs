//! The main job from end to end, on a data set and a checkpoint made on the spot.

#[path = "fit/accumulation.rs"]
mod accumulation;
#[path = "fit/resume.rs"]
mod resume;
#[path = "fit/session.rs"]
mod session;
#[path = "fit/training.rs"]
mod training;
#[path = "fit/world.rs"]
mod world;
