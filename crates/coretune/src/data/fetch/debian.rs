//! The same files from a package of Debian: reachable where nothing but package archives is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Tried;
use super::{DebianPackage, FetchError};

/// The folder of the package, where it is installed.
pub(super) fn installed(package: &DebianPackage<'_>) -> Option<PathBuf> {
    Some(PathBuf::from(package.folder)).filter(|folder| folder.is_dir())
}

/// Loads the package with `apt-get download` and unpacks it into `scratch`: the folder of its files. Nothing is
/// installed, and no rights are needed.
///
/// # Errors
/// What was tried, where the package cannot be had.
pub(super) fn downloaded(package: &DebianPackage<'_>, scratch: &Path) -> Result<Result<PathBuf, Tried>, FetchError> {
    fs::create_dir_all(scratch).map_err(FetchError::write(scratch))?;
    let limits = ["Acquire::Retries=1", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"];
    let mut load = Command::new("apt-get");
    load.arg("download").args(limits.iter().flat_map(|limit| ["-o", limit])).arg(package.name).current_dir(scratch);
    if let Err(outcome) = ran(&mut load) {
        return Ok(Err(Tried { source: format!("apt-get download {}", package.name), outcome }));
    }
    let Some(archive) = package_in(scratch)? else {
        let outcome = "it downloaded no package".to_string();
        return Ok(Err(Tried { source: format!("apt-get download {}", package.name), outcome }));
    };
    let root = scratch.join("root");
    if let Err(outcome) = ran(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&root)) {
        return Ok(Err(Tried { source: format!("dpkg-deb -x {}", archive.display()), outcome }));
    }
    Ok(Ok(root.join(package.folder.trim_start_matches('/'))))
}

/// The only `.deb` in a folder.
fn package_in(folder: &Path) -> Result<Option<PathBuf>, FetchError> {
    for entry in fs::read_dir(folder).map_err(FetchError::read(folder))? {
        let path = entry.map_err(FetchError::read(folder))?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Runs a command to its end; of one that fails, its last words.
fn ran(command: &mut Command) -> Result<(), String> {
    let output = command.env("LC_ALL", "C").output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such command".to_string(),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(last.map_or_else(|| output.status.to_string(), ToString::to_string))
}
