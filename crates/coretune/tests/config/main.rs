//! Tests of `coretune::config`.
#![allow(clippy::float_cmp, reason = "what was typed must come back exactly")]

mod documentation;
mod layers;
mod recipes;
mod refusals;
mod resolution;

use coretune::config::{Setting, Typed};

/// The defaults and the two settings that have none.
fn smallest() -> Typed {
    Typed::defaults()
        .assignment("checkpoint.path=moco.pth")
        .and_then(|typed| typed.assignment("data.dir=flowers"))
        .expect("two paths are accepted")
}

/// The setting of a key that exists.
fn setting(key: &str) -> &'static Setting {
    Setting::find(key).expect("the key exists")
}
