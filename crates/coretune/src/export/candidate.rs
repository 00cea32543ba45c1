//! The file of an export until it is verified, and whether it may be written.

use std::fs;
use std::path::Path;

use super::{ExportError, Request, parity, preprocessing};
use crate::files::PartialFile;

/// A file beside its final name, removed unless it is verified.
#[derive(Debug)]
pub(super) struct Candidate(PartialFile);

impl Candidate {
    pub(super) fn beside(output: &Path) -> Self {
        Candidate(PartialFile::with_extension(output, "unverified"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Moves the verified file to its final name; gives its size in bytes.
    pub(super) fn become_file(self, output: &Path) -> Result<u64, ExportError> {
        self.0.keep().and_then(|()| Ok(fs::metadata(output)?.len())).map_err(ExportError::write(output))
    }
}

/// Refuses an output that cannot be written, and existing files unless they may be replaced.
pub(super) fn check_target(request: &Request) -> Result<(), ExportError> {
    let output = &request.output;
    if output.is_dir() || output.file_name().is_none() {
        return Err(ExportError::Target { path: output.clone(), found: "a folder" });
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(ExportError::NoFolder { path: output.clone() });
    }
    let files =
        [output.clone(), parity::report_of(output), parity::tensors_of(output), preprocessing::script_of(output)];
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
