//! The file that is written, until it has shown what it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ExportError, Request, parity};
use crate::checkpoints::CheckpointError;
use crate::checkpoints::safetensors_file::beside;

/// A file beside its final name; gone at the end unless it became that file.
#[derive(Debug)]
pub(super) struct Candidate {
    path: PathBuf,
}

impl Candidate {
    pub(super) fn beside(output: &Path) -> Self {
        Candidate { path: beside(output, ".unverified") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name; says how many bytes it has.
    pub(super) fn become_file(self, output: &Path) -> Result<u64, ExportError> {
        let renamed = fs::rename(&self.path, output).and_then(|()| Ok(fs::metadata(output)?.len()));
        renamed.map_err(|source| CheckpointError::File { path: output.into(), doing: "write", source }.into())
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // There is none when it became the file, or was never written.
        let _ = fs::remove_file(&self.path);
    }
}

/// Refuses an output that cannot be written, and files that nobody allowed to be replaced.
pub(super) fn check_target(request: &Request) -> Result<(), ExportError> {
    let output = &request.output;
    if output.is_dir() || output.file_name().is_none() {
        return Err(ExportError::Target { path: output.clone(), found: "a folder" });
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(ExportError::NoFolder { path: output.clone() });
    }
    let files = [output.clone(), parity::report_of(output), parity::tensors_of(output)];
    match files.into_iter().find(|file| !request.force && fs::symlink_metadata(file).is_ok()) {
        Some(path) => Err(ExportError::Exists { path }),
        None => Ok(()),
    }
}

/// Refuses to write a model over itself.
pub(super) fn check_is_not(model: &Path, output: &Path) -> Result<(), ExportError> {
    match (fs::canonicalize(model), fs::canonicalize(output)) {
        (Ok(model), Ok(output)) if model == output => {
            Err(ExportError::Target { path: output, found: "the model that is to be exported" })
        }
        _ => Ok(()),
    }
}
