//! Tests of `coretune::config`.
#![allow(clippy::float_cmp, reason = "a value must come back exactly as it was given")]

mod automatic;
mod layers;
mod recipes;
mod refusals;
mod resolution;
mod tables;

use coretune::config::{Layers, Setting, find_setting};

/// The defaults and the two settings that have none.
fn smallest() -> Layers {
    Layers::defaults()
        .assignment("checkpoint.path=moco.pth")
        .and_then(|layers| layers.assignment("data.dir=flowers"))
        .expect("two paths are accepted")
}

/// The setting of a key that exists.
fn setting(key: &str) -> &'static Setting {
    find_setting(key).expect("the key exists")
}
