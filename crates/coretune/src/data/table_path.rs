//! Paths as tables write them.

use std::path::{Component, Path, PathBuf};

use super::folder::names_in;

/// A path without `.` and `..`, as far as it is written: links are not followed.
pub(super) fn without_detours(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The file that `written` would be if upper and lower case did not matter in its last part, as on Windows.
pub(super) fn in_other_case(folder: &Path, written: &str) -> Option<PathBuf> {
    let written = Path::new(written);
    let name = written.file_name()?.to_str()?;
    let place = written.parent().unwrap_or(Path::new(""));
    let files = names_in(&folder.join(place)).ok()?;
    files.iter().find(|file| *file != name && file.eq_ignore_ascii_case(name)).map(|file| place.join(file))
}

/// The file that a table means by `written`, or what `written` is instead of a path of this machine. A backslash separates
/// folders, unless a file has it in its name.
pub(super) fn located(folder: &Path, written: &str) -> Result<PathBuf, &'static str> {
    let as_written = folder.join(written);
    let is_elsewhere = |written: &str| {
        let scheme = written.split_once("://").map_or("", |(scheme, _)| scheme);
        let mut letters = written.chars();
        let drive = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.next() == Some(':')
            && matches!(letters.next(), Some('\\' | '/'));
        if written.starts_with("~/") {
            Some("a path from the home folder, which only a shell knows")
        } else if written.starts_with('/') && end_beside(folder, written).is_some() {
            Some("an absolute path that does not exist")
        } else if !scheme.is_empty() && scheme.chars().all(char::is_alphanumeric) {
            Some("an address")
        } else if drive || written.starts_with("\\\\") {
            Some("a path of Windows with its drive or server")
        } else {
            None
        }
    };
    match is_elsewhere(written) {
        Some(what) if !as_written.exists() => Err(what),
        None if written.contains('\\') && !as_written.exists() => Ok(folder.join(written.replace('\\', "/"))),
        _ => Ok(as_written),
    }
}

/// The end of a foreign path that is a file in the folder or below it.
pub(super) fn end_beside(folder: &Path, written: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = written.split(['/', '\\']).collect();
    let ends = (1..parts.len()).map(|from| parts[from..].iter().filter(|part| !part.is_empty()).collect::<PathBuf>());
    ends.filter(|end| end.components().all(|part| matches!(part, Component::Normal(_))))
        .find(|end| folder.join(end).is_file())
}
