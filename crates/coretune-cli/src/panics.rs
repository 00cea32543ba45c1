//! Panics: none reaches a user as such.
//!
//! The library turns every exception of libtorch, which tch makes a panic, into an error; the hook must not print
//! those. What panics beyond that is a mistake in this program, told in one line.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

use crate::failure::Failure;

static LAST: Mutex<String> = Mutex::new(String::new());

/// Runs `work`; a panic that leaves it becomes a failure that asks to be reported.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panic::set_hook(Box::new(remember));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(mistake()))
}

fn remember(info: &PanicHookInfo<'_>) {
    let line = info.to_string().lines().collect::<Vec<_>>().join(" ");
    if let Ok(mut last) = LAST.lock() {
        *last = line;
    }
}

fn mistake() -> Failure {
    let what = LAST.lock().map(|last| last.clone()).unwrap_or_default();
    Failure::failed(format!("a bug in coretune {}, please report it: {what}", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn a_panic_becomes_one_line_that_asks_to_be_reported() {
        let failure = caught::<()>(|| panic!("lost\ncount")).unwrap_err();
        assert_eq!(failure.status, Status::Failed);
        assert!(failure.sentence.contains("please report it") && failure.sentence.contains("lost count"));
        assert_eq!(failure.sentence.lines().count(), 1);
    }
}
