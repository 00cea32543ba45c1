//! What the tests of several targets and crates share: a small world to run in, and files altered at random.
#![allow(clippy::missing_panics_doc, reason = "a test that cannot make its files fails")]

mod mutation;
mod small_world;

pub use mutation::alter;
pub use small_world::SmallWorld;
