//! What was unpacked into a folder, written down so that a later look can tell that it is still so.

use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::FetchError;

/// The name of the record in the folder.
pub(super) const FILE: &str = ".fetched.json";

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Name of the data set.
    pub(super) name: String,
    /// SHA-256 of the archive that was unpacked.
    pub(super) archive_sha256: String,
    /// Files.
    files: u64,
    /// Their bytes.
    bytes: u64,
    /// Digest over names, lengths and contents of all files.
    blake3: String,
}

impl Record {
    /// The record of what lies under these names in `folder`.
    pub(super) fn of(name: &str, archive_sha256: &str, folder: &Path, entries: &[&str]) -> Result<Self, FetchError> {
        let mut walk = Walk { hasher: blake3::Hasher::new(), files: 0, bytes: 0 };
        let mut entries = entries.to_vec();
        entries.sort_unstable();
        for entry in entries {
            walk.add(&folder.join(entry), entry)?;
        }
        Ok(Record {
            name: name.into(),
            archive_sha256: archive_sha256.into(),
            files: walk.files,
            bytes: walk.bytes,
            blake3: walk.hasher.finalize().to_hex().to_string(),
        })
    }

    /// The record in a folder; none where there is none, or one that cannot be understood.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), FetchError> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| FetchError::write(&path)(error.into()))?;
        fs::write(&path, text).map_err(FetchError::write(&path))
    }
}

struct Walk {
    hasher: blake3::Hasher,
    files: u64,
    bytes: u64,
}

impl Walk {
    /// Adds a file, or all files of a folder in the order of their names; one that is gone adds its name only.
    fn add(&mut self, path: &Path, name: &str) -> Result<(), FetchError> {
        if path.is_dir() {
            let entries: Result<Vec<_>, _> =
                fs::read_dir(path).and_then(Iterator::collect).map_err(FetchError::read(path));
            let mut entries = entries?;
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            return entries.into_iter().try_for_each(|entry| {
                self.add(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()))
            });
        }
        self.hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        let Ok(file) = File::open(path) else { return Ok(()) };
        let length = file.metadata().map_err(FetchError::read(path))?.len();
        self.hasher.update(&length.to_le_bytes());
        self.hasher.update_reader(file).map_err(FetchError::read(path))?;
        self.files += 1;
        self.bytes += length;
        Ok(())
    }
}
