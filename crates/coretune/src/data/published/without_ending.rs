//! Image files by their names without ending, for lists that write them so.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::left_out::{LeftOut, Reason};
use crate::data::walk::Walk;

/// The images below a folder, with their names from that folder on.
pub(super) struct WithoutEnding {
    folder: PathBuf,
    /// Those that no list has named so far.
    left: BTreeSet<String>,
    by_bare_name: HashMap<String, String>,
    left_out: LeftOut,
}

impl WithoutEnding {
    pub(super) fn below(folder: &Path) -> Result<Self, DataError> {
        let mut walk = Walk::new(folder);
        let images = walk.images(folder)?;
        let name = |image: &PathBuf| Some(image.strip_prefix(folder).ok()?.to_str()?.to_string());
        let left: BTreeSet<String> = images.iter().filter_map(name).collect();
        let bare = |name: &String| Some((Path::new(name).with_extension("").to_str()?.to_string(), name.clone()));
        let by_bare_name = left.iter().filter_map(bare).collect();
        Ok(WithoutEnding { folder: folder.to_path_buf(), left, by_bare_name, left_out: walk.left_out })
    }

    /// The name of the file that a list names with or without its ending.
    pub(super) fn take(&mut self, listed: &str) -> String {
        let name = match self.by_bare_name.get(listed) {
            Some(name) if !self.left.contains(listed) => name.clone(),
            _ => listed.to_string(),
        };
        self.left.remove(&name);
        name
    }

    /// What lies in the folder and was not taken; names are shown from `root` on.
    pub(super) fn not_listed(self, root: &Path) -> LeftOut {
        let mut left_out = self.left_out;
        let folder = self.folder.strip_prefix(root).unwrap_or(&self.folder);
        self.left.iter().for_each(|name| left_out.add(Reason::NotListed, folder.join(name).display().to_string()));
        left_out
    }
}
