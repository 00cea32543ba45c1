use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{MetricsRecord, RunFolderError, Summary, derived, metrics, tensorboard};

const CHECKPOINTS: &str = "checkpoints";
const CONFIG: &str = "config.toml";
const LOG: &str = "log.txt";
const METRICS: &str = "metrics.jsonl";
const METRICS_ARE: &str = "list of metrics";
const SUMMARY: &str = "summary.json";
const SUMMARY_IS: &str = "summary of a run";
const TABLE: &str = "metrics.csv";
/// `TensorBoard` looks for `tfevents` in the name.
const EVENTS: &str = "events.out.tfevents.coretune";

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run, with the folders above it.
    ///
    /// # Errors
    /// [`RunFolderError::NotEmpty`] when something lies in it, [`RunFolderError::NoRun`] when a file has its name,
    /// [`RunFolderError::Io`] when it cannot be made or written.
    pub fn create(root: &Path) -> Result<Self, RunFolderError> {
        let io = |source| RunFolderError::Io { path: root.into(), action: "created", source };
        if root.exists() && !root.is_dir() {
            return Err(RunFolderError::NoRun { path: root.into(), found: "a file has that name" });
        }
        if root.is_dir() && fs::read_dir(root).map_err(io)?.next().is_some() {
            return Err(RunFolderError::NotEmpty { path: root.into() });
        }
        fs::create_dir_all(root.join(CHECKPOINTS)).map_err(io)?;
        Ok(RunFolder { root: root.into() })
    }

    /// Opens the folder of a run that was created before.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] when it is not there or nothing has made it a run folder.
    pub fn open(root: &Path) -> Result<Self, RunFolderError> {
        let no_run = |found| Err(RunFolderError::NoRun { path: root.into(), found });
        match (root.is_dir(), root.join(CHECKPOINTS).is_dir()) {
            (true, true) => Ok(RunFolder { root: root.into() }),
            (true, false) => no_run("it has no checkpoints"),
            (false, _) if root.exists() => no_run("it is a file"),
            (false, _) => no_run("no such folder"),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state after the last saved step.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINTS).join("last.safetensors")
    }

    /// The model of the best epoch.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINTS).join("best.safetensors")
    }

    /// Where the resolved configuration lies.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// Saves the resolved configuration.
    pub fn write_config(&self, text: &str) -> Result<(), RunFolderError> {
        self.write(CONFIG, text.as_bytes())
    }

    /// Appends a line to `log.txt`.
    pub fn say(&self, line: &str) -> Result<(), RunFolderError> {
        self.append(LOG, line)
    }

    /// Appends a record to `metrics.jsonl`; when this returns, the system has the whole line.
    pub fn log(&self, record: &MetricsRecord) -> Result<(), RunFolderError> {
        let line =
            serde_json::to_string(record).map_err(|error| self.content(METRICS, METRICS_ARE, error.to_string()))?;
        self.append(METRICS, &line)
    }

    /// The records of `metrics.jsonl`. A last line without its end, cut off with the process that wrote it, is left out.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when a whole line is no record.
    pub fn metrics(&self) -> Result<Vec<MetricsRecord>, RunFolderError> {
        let text = self.read(METRICS)?.unwrap_or_default();
        metrics::parse(&text).map_err(|found| self.content(METRICS, METRICS_ARE, found))
    }

    /// Cuts `metrics.jsonl` back to the records of up to `step` steps, so that a resumed run repeats none.
    ///
    /// The lines that stay keep their bytes.
    pub fn truncate_after(&self, step: u64) -> Result<(), RunFolderError> {
        let kept = self.metrics()?.iter().take_while(|record| record.step() <= step).count();
        let text = self.read(METRICS)?.unwrap_or_default();
        let lines: String = text.split_inclusive('\n').take(kept).collect();
        self.write(METRICS, lines.as_bytes())
    }

    /// Saves the summary: from then on the run is finished.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RunFolderError> {
        let text = serde_json::to_string_pretty(summary)
            .map_err(|error| self.content(SUMMARY, SUMMARY_IS, error.to_string()))?;
        self.write(SUMMARY, format!("{text}\n").as_bytes())
    }

    /// The summary; none when the run has not finished.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when the file is no summary.
    pub fn read_summary(&self) -> Result<Option<Summary>, RunFolderError> {
        let Some(text) = self.read(SUMMARY)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.content(SUMMARY, SUMMARY_IS, error.to_string()))
    }

    /// Writes `metrics.csv` and the `TensorBoard` events from `metrics.jsonl`; the same metrics give the same bytes.
    pub fn derive(&self) -> Result<(), RunFolderError> {
        let records = self.metrics()?;
        self.write(TABLE, &derived::table(&records))?;
        self.write(EVENTS, &tensorboard::events(&records))
    }

    fn content(&self, name: &str, expected: &'static str, found: String) -> RunFolderError {
        RunFolderError::Content { path: self.root.join(name), expected, found }
    }

    /// The text of a file; none when there is no such file.
    fn read(&self, name: &str) -> Result<Option<String>, RunFolderError> {
        let path = self.root.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RunFolderError::Io { path, action: "read", source }),
        }
    }

    fn append(&self, name: &str, line: &str) -> Result<(), RunFolderError> {
        let path = self.root.join(name);
        // One write per line, straight to the system: a killed process loses nothing that it has logged.
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|source| RunFolderError::Io { path, action: "written", source })
    }

    /// Writes a file beside and renames it, once its bytes are on the disk.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunFolderError> {
        let path = self.root.join(name);
        let partial = self.root.join(format!("{name}.partial"));
        File::create(&partial)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| RunFolderError::Io { path, action: "written", source })
    }
}
