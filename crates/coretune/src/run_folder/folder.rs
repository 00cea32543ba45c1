use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{MetricsRecord, RunFolderError, Summary};

/// A run folder.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Makes a new one.
    pub fn create(root: &Path) -> Result<Self, RunFolderError> {
        let io = |source| RunFolderError::Io { path: root.into(), action: "created", source };
        fs::create_dir_all(root.join("checkpoints")).map_err(io)?;
        Ok(RunFolder { root: root.into() })
    }

    /// Opens one.
    pub fn open(root: &Path) -> Result<Self, RunFolderError> {
        Ok(RunFolder { root: root.into() })
    }

    /// The last state.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.root.join("checkpoints/last.safetensors")
    }

    /// The best model.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.root.join("checkpoints/best.safetensors")
    }

    /// Appends to metrics.jsonl.
    pub fn log(&self, record: &MetricsRecord) -> Result<(), RunFolderError> {
        let path = self.root.join("metrics.jsonl");
        let line = serde_json::to_string(record).expect("numbers and names") + "\n";
        let io = |source| RunFolderError::Io { path: path.clone(), action: "written", source };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)
    }

    /// Writes a file of the folder.
    pub fn write_config(&self, text: &str) -> Result<(), RunFolderError> {
        self.write("config.toml", text)
    }

    /// Writes the summary.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RunFolderError> {
        self.write("summary.json", &serde_json::to_string_pretty(summary).expect("numbers and names"))
    }

    /// Reads the summary.
    pub fn read_summary(&self) -> Result<Option<Summary>, RunFolderError> {
        let path = self.root.join("summary.json");
        Ok(fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Derived files.
    pub fn derive(&self) -> Result<(), RunFolderError> {
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), RunFolderError> {
        let path = self.root.join(name);
        let io = |source| RunFolderError::Io { path: path.clone(), action: "written", source };
        fs::write(&path, text).map_err(io)
    }
}
