use std::path::{Path, PathBuf};

use super::error::ExportError;
use super::format::Format;

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The format.
    pub format: Format,
    /// The file.
    pub output: PathBuf,
    /// Whether the projection head goes into a safetensors file; a torch file has it whenever the model does.
    pub with_projection: bool,
    /// Whether existing files may be replaced.
    pub force: bool,
}

impl Format {
    /// The format asked for, or else the one that the file's name says.
    ///
    /// # Errors
    /// [`ExportError::NoFormat`] when neither does; [`ExportError::OtherFormat`] when they contradict each other.
    pub fn choose(asked: Option<Format>, output: &Path) -> Result<Self, ExportError> {
        match (asked, Format::of_file(output)) {
            (Some(asked), Some(named)) if asked != named => {
                Err(ExportError::OtherFormat { path: output.into(), named, asked })
            }
            (Some(format), _) | (None, Some(format)) => Ok(format),
            (None, None) => Err(ExportError::NoFormat { path: output.into() }),
        }
    }
}
