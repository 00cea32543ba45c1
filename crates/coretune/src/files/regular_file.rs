//! Opens the files that users name.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens a regular file for reading. Pipes and devices are refused: reading one may never end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    let found = if path.is_dir() { "it is a folder" } else { "it is not a regular file" };
    Err(io::Error::new(ErrorKind::InvalidInput, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"text").unwrap();
        assert!(open(&file).is_ok());
        assert_eq!(open(folder.path()).unwrap_err().to_string(), "it is a folder");
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        #[cfg(target_os = "linux")]
        {
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            assert_eq!(open(&pipe).unwrap_err().to_string(), "it is not a regular file");
        }
    }
}
