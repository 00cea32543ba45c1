//! Locks of files that say which process uses a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

/// Whether a process holds the lock of a file. Asking takes a shared lock for an instant, so that several may ask at once.
pub(crate) fn is_locked(path: &Path) -> bool {
    let lock = File::open(path).map(|file| file.try_lock_shared());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}
