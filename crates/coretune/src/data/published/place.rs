use std::path::{Path, PathBuf};

/// The root, or the folder in it to which the archive unpacks, in which `is_it`.
pub(super) fn place(root: &Path, folders: &[&str], is_it: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let inside = folders.iter().map(|folder| root.join(folder));
    [root.to_path_buf()].into_iter().chain(inside).find(|folder| is_it(folder))
}
