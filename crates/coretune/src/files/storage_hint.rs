use std::io::ErrorKind;

use crate::settings::Hint;

/// What the user can do when the system refuses to write a file.
pub(crate) fn storage_hint(kind: ErrorKind) -> Option<Hint> {
    let hint = match kind {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            "name a folder that can be written: {@output=DIR}"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "the disk is full: free some space; what was saved before is intact, and {@resume} continues from it"
        }
        _ => return None,
    };
    Some(hint.into())
}
