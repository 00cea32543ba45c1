//! The grammar of a setting: its key, type, range, default and meaning; not which settings there are.
//!
//! This module knows nothing of models, data or methods, so that each of them can declare its own settings
//! ([`Setting`]) and the words of its options ([`choice!`]). [`crate::config`] gathers and reads them.

mod choice;
mod kind;
mod no_value;
mod setting;

pub use kind::{Kind, Range};
pub use setting::{ANY, Command, Setting, setting};

pub(crate) use choice::choice;
pub(crate) use kind::Refusal;
pub(crate) use no_value::{auto, custom, off};
