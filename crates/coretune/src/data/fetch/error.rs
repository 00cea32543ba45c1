use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::settings::{Hint, literal};

/// Why a data set could not be fetched.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields have the names of what they hold")]
pub enum FetchError {
    /// No data set of this name is known.
    #[error("no data set called {name} can be fetched")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The known name that is most like it.
        near: Option<&'static str>,
    },
    /// A data set whose files could not be verified.
    #[error("no SHA-256 of the present files of {name} is known, so they cannot be verified and are not fetched")]
    Unpinned {
        name: &'static str,
        /// Where its authors keep it.
        page: &'static str,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where the cache is.
    #[error("there is no cache folder to put the data into")]
    NoCache,
    /// A file or folder on this machine.
    #[error("{} could not be {action}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// Another process is at it.
    #[error("another process is fetching into {}", folder.display())]
    InUse { folder: PathBuf },
    /// The folder is not empty, and what it holds was not put there by a fetch.
    #[error("{} holds other files: {found}", folder.display())]
    Foreign {
        folder: PathBuf,
        /// The first of them.
        found: String,
    },
    /// What was fetched earlier is not as it was.
    #[error("{} has changed since {name} was fetched into it", folder.display())]
    Changed {
        folder: PathBuf,
        /// Name of the data set.
        name: String,
    },
    /// A file that lies there is not the one that belongs there.
    #[error("{} has the SHA-256 {found}, expected {expected}", path.display())]
    OtherFile {
        path: PathBuf,
        expected: String,
        /// That of the file.
        found: String,
    },
    /// No source gave the files.
    #[error("{name} cannot be fetched from here")]
    NotObtained {
        /// Name of the data set.
        name: String,
        /// Where the files belong.
        folder: PathBuf,
        missing: Vec<Missing>,
        /// What was tried, and what came of it.
        tried: Vec<Tried>,
        /// A Debian package that holds the same.
        package: Option<String>,
    },
    /// An archive is not what was expected, or not safe to unpack.
    #[error("{} cannot be unpacked: {message}", archive.display())]
    Unpack { archive: PathBuf, message: String },
}

/// A file that a data set lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// A source that did not give a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// An address, or a command.
    pub source: String,
    /// What came of it.
    pub outcome: String,
}

impl FetchError {
    /// A way out that the command line can print, where there is one.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            FetchError::Unknown { near: Some(near), .. } => format!("did you mean {near}?").into(),
            FetchError::Unknown { near: None, .. } => "{@data-fetch} {@list} lists those that can be fetched".into(),
            FetchError::Unpinned { page, .. } => format!(
                "fetch and unpack it yourself from {page}, and give its folder of train/ and val/ as {{data.dir}}"
            )
            .into(),
            FetchError::NoCache => "name a folder: {@output=DIR}".into(),
            FetchError::Foreign { .. } => {
                "name a new or an empty folder: {@output=DIR}; a folder that already has labelled images can be \
                 used directly, as {data.dir}"
                    .into()
            }
            FetchError::Changed { .. } => {
                "remove the folder to fetch it again, or use it as it is, as {data.dir}".into()
            }
            FetchError::OtherFile { .. } => "remove or replace the file, then run the command again".into(),
            FetchError::NotObtained { folder, missing, package, .. } => {
                way_out(folder, missing, package.as_deref()).into()
            }
            FetchError::InUse { .. } => "wait until it has finished".into(),
            FetchError::Io { .. } | FetchError::Unpack { .. } => return None,
        })
    }

    /// Whether nothing was tried because something is in the way, rather than an attempt having failed.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, FetchError::Io { .. } | FetchError::NotObtained { .. } | FetchError::Unpack { .. })
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| FetchError::Io { path, action: "read", source }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| FetchError::Io { path, action: "written", source }
    }
}

/// Which file to put where.
fn way_out(folder: &Path, missing: &[Missing], package: Option<&str>) -> String {
    let files: Vec<String> =
        missing.iter().map(|file| format!("{} (SHA-256 {})", literal(&file.name), file.sha256)).collect();
    let mut text = format!("put {} into {} and run the command again", files.join(", "), literal(folder.display()));
    if let Some(package) = package {
        let _ =
            write!(text, "; or install the Debian package {package} (if it is not found, run apt-get update first)");
    }
    text
}
