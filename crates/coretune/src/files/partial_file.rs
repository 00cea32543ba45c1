use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Extension of a file that is being written.
pub(crate) const PARTIAL: &str = "partial";

/// A file that is written beside its place, as `<name>.partial`, and moved there when it is whole: under its own name
/// there is either the old file or the whole new one. It is removed unless it is kept.
#[derive(Debug)]
pub struct PartialFile {
    path: PathBuf,
    place: PathBuf,
    kept: bool,
}

impl PartialFile {
    /// The file `<place>.partial`, which is not made yet.
    pub fn of(place: &Path) -> Self {
        PartialFile::with_extension(place, PARTIAL)
    }

    /// The file `<place>.<extension>`, which is not made yet.
    pub(crate) fn with_extension(place: &Path, extension: &str) -> Self {
        PartialFile { path: beside(place, &format!(".{extension}")), place: place.into(), kept: false }
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file, empty.
    ///
    /// # Errors
    /// What the system reports.
    pub fn create(&self) -> io::Result<File> {
        File::create(&self.path)
    }

    /// Moves the whole file to its place; both survive a loss of power from here on.
    ///
    /// # Errors
    /// What the system reports.
    pub fn keep(mut self) -> io::Result<()> {
        move_into_place(&self.path, &self.place)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: whatever kept the file from becoming whole is the error that matters.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a file by way of `<path>.partial`, so that it is never half there.
///
/// # Errors
/// What the system reports; `path` is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = PartialFile::of(path);
    partial.create()?.write_all(bytes)?;
    partial.keep()
}

/// [`write_whole`] for a file that several processes may write at once: each has a `<path>.<process>.partial` of its own.
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = PartialFile::with_extension(path, &format!("{}.{PARTIAL}", std::process::id()));
    partial.create()?.write_all(bytes)?;
    partial.keep()
}

/// Renames a whole file, once its bytes are on the disk, and waits until its new name is.
pub(crate) fn move_into_place(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The path with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("table.csv");
        write_whole(&place, b"old").unwrap();
        let partial = PartialFile::of(&place);
        partial.create().unwrap().write_all(b"ha").unwrap();
        assert_eq!(partial.path(), folder.path().join("table.csv.partial"));
        assert_eq!(fs::read(&place).unwrap(), b"old");
        drop(partial);
        write_whole(&place, b"new").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("folder");
        fs::create_dir(&place).unwrap();
        assert!(write_whole(&place, b"text").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
