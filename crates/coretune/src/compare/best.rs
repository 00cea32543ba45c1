//! `best` in the folder of a comparison: a link to the run that it recommends.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::identity::{RUNS, runs_folder};
use super::{CompareError, Comparison};

/// The name of the link.
const BEST: &str = "best";

impl Comparison {
    /// The folder of the recommended run in the folder of the comparison: the link `best` if it leads there, else the folder
    /// itself.
    pub fn best_folder(&self, output: &Path) -> Option<PathBuf> {
        let run = runs_folder(output).join(self.best_run.as_ref()?);
        let link = output.join(BEST);
        Some(if fs::read_link(&link).is_ok_and(|target| output.join(target) == run) { link } else { run })
    }
}

/// Makes the link to the recommended run, and removes that of an earlier table. Where links do not work there is none.
pub(super) fn link_best(comparison: &Comparison, output: &Path) -> Result<(), CompareError> {
    let link = output.join(BEST);
    let is_link = match fs::symlink_metadata(&link) {
        Ok(found) if found.is_symlink() => true,
        // A file of the user's has the name.
        Ok(_) => return Ok(()),
        Err(_) => false,
    };
    let target = comparison.best_run.as_ref().map(|run| Path::new(RUNS).join(run));
    if is_link && target.is_some() && fs::read_link(&link).ok() == target {
        return Ok(());
    }
    let io = |source: io::Error| CompareError::Io { path: link.clone(), action: "written", source };
    if is_link {
        fs::remove_file(&link).map_err(io)?;
    }
    match target.map(|target| symlink(target, &link)) {
        Some(Err(error)) if !matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
            Err(io(error))
        }
        _ => Ok(()),
    }
}
