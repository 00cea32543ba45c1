//! The grammar of a setting: its key, type, range, default and meaning; not which settings there are.
//!
//! This module knows nothing of models, data or methods, so that each of them can declare its own settings
//! ([`Setting`]) and the words of its options (`choice!`). [`crate::config`] gathers and reads them.

mod choice;
mod hint;
mod kind;
mod no_value;
mod run_kind;
mod setting;

pub use choice::UnknownWord;
pub use hint::{Hint, Name, literal};
pub use kind::{Kind, Range};
pub use run_kind::RunKind;
pub use setting::{ANY, OnResume, Setting, setting};

pub(crate) use choice::choice;
pub(crate) use kind::{Refusal, bytes_of};
pub(crate) use no_value::{auto, custom, off};
