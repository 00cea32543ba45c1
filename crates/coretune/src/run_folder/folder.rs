use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{NO_CONFIG, RunFolderError};
use super::names::{
    CHANGES, CHECKPOINTS, CONFIG, EVENTS, LOCK, LOG, METRICS, PIXELS, PREDICTIONS, PROVENANCE, PSEUDO_LABELS, SKIPPED,
    SUMMARY, TABLE, holds_run,
};
use super::{
    ChangeRecord, MetricsRecord, PixelRecord, PredictionRecord, Provenance, PseudoLabelRecord, Recording, RunSummary,
    derived, metrics, predictions, tensorboard,
};
use crate::files::{self, PARTIAL};
use crate::settings::RunKind;

const CHANGES_ARE: &str = "list of changed settings";
const METRICS_ARE: &str = "list of metrics";
const PIXELS_ARE: &str = "list of pixels by class";
const PREDICTIONS_ARE: &str = "list of predictions";
const PROVENANCE_IS: &str = "provenance of a run";
/// What an average of runs was made of.
const AVERAGE: &str = "average.json";
const SUMMARY_IS: &str = "summary of a run";

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// The rank of this process; only rank 0 writes.
    rank: usize,
    /// Held while this process writes into the folder; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl RunFolder {
    /// Makes the folder of a new run, with the folders above it.
    ///
    /// # Errors
    /// Those of [`RunFolder::check_new`], [`RunFolderError::InUse`] when another process is faster,
    /// [`RunFolderError::Io`] when it cannot be made or written.
    pub fn create(root: &Path) -> Result<Self, RunFolderError> {
        RunFolder::check_new(root)?;
        let io = |source| RunFolderError::Io { path: root.into(), action: "created", source };
        fs::create_dir_all(root.join(CHECKPOINTS)).map_err(io)?;
        Ok(RunFolder { root: root.into(), rank: 0, _lock: Some(lock(root)?) })
    }

    /// The folder of a run that rank 0 has made or resumes, as another rank sees it: it reads, and writes nothing.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] when it is not visible here.
    pub fn follow(root: &Path, rank: usize) -> Result<Self, RunFolderError> {
        if RunFolder::holds_run(root) {
            return Ok(RunFolder { root: root.into(), rank, _lock: None });
        }
        Err(RunFolderError::NoRun { path: root.into(), found: "this rank does not see the folder that rank 0 writes" })
    }

    /// Whether a new run may be begun in this folder, which is not made yet: to be asked before long work.
    ///
    /// # Errors
    /// [`RunFolderError::NotEmpty`] when something lies in it, [`RunFolderError::IsFile`] when a file has its name.
    pub fn check_new(root: &Path) -> Result<(), RunFolderError> {
        let io = |source| RunFolderError::Io { path: root.into(), action: "read", source };
        match (root.exists(), root.is_dir()) {
            (true, false) => Err(RunFolderError::IsFile { path: root.into() }),
            (_, true) if !is_as_good_as_empty(root).map_err(io)? => Err(RunFolderError::NotEmpty { path: root.into() }),
            _ => Ok(()),
        }
    }

    /// Opens the folder of a run to resume it; half-written files of a process that was killed are removed.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] when no run was begun in it, [`RunFolderError::InUse`] when a process is still writing
    /// into it.
    pub fn resume(root: &Path) -> Result<Self, RunFolderError> {
        let io = |source| RunFolderError::Io { path: root.into(), action: "written", source };
        if !RunFolder::holds_run(root) {
            let found = if root.is_dir() { NO_CONFIG } else { "no such folder" };
            return Err(RunFolderError::NoRun { path: root.into(), found });
        }
        let lock = lock(root)?;
        let checkpoints = root.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(io)?;
        for folder in [root, &checkpoints] {
            remove_partial_files(folder).map_err(io)?;
        }
        Ok(RunFolder { root: root.into(), rank: 0, _lock: Some(lock) })
    }

    /// Whether a run was begun in this folder.
    pub fn holds_run(root: &Path) -> bool {
        holds_run(root)
    }

    /// Whether a process is writing into this folder.
    pub fn is_in_use(root: &Path) -> bool {
        files::is_locked(&root.join(LOCK))
    }

    /// Whether a new run can be made here: nothing is there, or nothing that counts.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the folder cannot be read.
    pub fn is_free(root: &Path) -> Result<bool, RunFolderError> {
        let io = |source| RunFolderError::Io { path: root.into(), action: "read", source };
        Ok(!root.exists() || (root.is_dir() && is_as_good_as_empty(root).map_err(io)?))
    }

    /// Opens the folder of a run that was created before.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] when it is not there or nothing has made it a run folder.
    pub fn open(root: &Path) -> Result<Self, RunFolderError> {
        let no_run = |found| Err(RunFolderError::NoRun { path: root.into(), found });
        match (root.is_dir(), root.join(CHECKPOINTS).is_dir()) {
            (true, true) => Ok(RunFolder { root: root.into(), rank: 0, _lock: None }),
            (true, false) => no_run("it has no checkpoints"),
            (false, _) if root.exists() => no_run("it is a file"),
            (false, _) => no_run("no such folder"),
        }
    }

    /// Opens the folder of a run to read what it has recorded, whatever is left of its checkpoints.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] when no run was begun in it.
    pub fn open_records(root: &Path) -> Result<Self, RunFolderError> {
        let no_run = |found| Err(RunFolderError::NoRun { path: root.into(), found });
        match (root.is_dir(), RunFolder::holds_run(root)) {
            (true, true) => Ok(RunFolder { root: root.into(), rank: 0, _lock: None }),
            (true, false) => no_run("it has no config.toml"),
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

    /// The model of the best epoch, where one has been kept.
    ///
    /// # Errors
    /// [`RunFolderError::NoModel`] when no epoch has been trained to its end.
    pub fn best_model(&self) -> Result<PathBuf, RunFolderError> {
        self.best_of(RunKind::FineTuning)
    }

    /// The segmentation network of the best epoch, where one has been kept.
    ///
    /// # Errors
    /// [`RunFolderError::NoModel`] when no epoch has been trained to its end.
    pub fn best_segmenter(&self) -> Result<PathBuf, RunFolderError> {
        self.best_of(RunKind::Segmentation)
    }

    fn best_of(&self, kind: RunKind) -> Result<PathBuf, RunFolderError> {
        self.expect(kind)?;
        self.existing(self.best_checkpoint(), "best.safetensors", kind)
    }

    /// What kind of run this is, as its configuration says.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when it cannot be read.
    pub fn kind(&self) -> Result<RunKind, RunFolderError> {
        let text = self.read(CONFIG)?;
        let config = text.ok_or_else(|| RunFolderError::NoRun { path: self.root.clone(), found: NO_CONFIG })?;
        // A file that cannot be parsed is refused by whoever reads its settings, with the line.
        let has = |section: &str| config.lines().any(|line| line.trim() == section);
        Ok(match (has("[pretrain]"), has("[segmentation]")) {
            (true, _) => RunKind::Pretraining,
            (false, true) => RunKind::Segmentation,
            (false, false) => RunKind::FineTuning,
        })
    }

    /// Refuses a run of another kind.
    ///
    /// # Errors
    /// [`RunFolderError::OtherKind`].
    pub fn expect(&self, kind: RunKind) -> Result<(), RunFolderError> {
        match self.kind()? {
            found if found == kind => Ok(()),
            found => Err(RunFolderError::OtherKind { path: self.root.clone(), found, expected: kind }),
        }
    }

    /// The file whose encoder others start from: the best model, or the last saved encoder of pre-training.
    ///
    /// # Errors
    /// [`RunFolderError::NoModel`] when there is none yet.
    pub fn encoder(&self) -> Result<PathBuf, RunFolderError> {
        match self.kind()? {
            RunKind::FineTuning => self.best_model(),
            RunKind::Segmentation => self.best_segmenter(),
            kind @ RunKind::Pretraining => self.existing(self.last_checkpoint(), "last.safetensors", kind),
        }
    }

    fn existing(&self, checkpoint: PathBuf, file: &'static str, kind: RunKind) -> Result<PathBuf, RunFolderError> {
        let missing = || RunFolderError::NoModel { path: self.root.clone(), file, kind };
        if checkpoint.is_file() { Ok(checkpoint) } else { Err(missing()) }
    }

    /// Where the resolved configuration lies.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// The resolved configuration, as it was written.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when it cannot be read.
    pub fn read_config(&self) -> Result<String, RunFolderError> {
        Ok(self.read(CONFIG)?.unwrap_or_default())
    }

    /// Saves the resolved configuration.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_config(&self, text: &str) -> Result<(), RunFolderError> {
        self.write(CONFIG, text.as_bytes())
    }

    /// Saves what the run depends on beyond its configuration.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_provenance(&self, provenance: &Provenance) -> Result<(), RunFolderError> {
        self.write_json(PROVENANCE, PROVENANCE_IS, provenance)
    }

    /// What the run depends on beyond its configuration; none when it was not recorded.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when the file is not a provenance record.
    pub fn read_provenance(&self) -> Result<Option<Provenance>, RunFolderError> {
        self.read_json(PROVENANCE, PROVENANCE_IS)
    }

    /// Appends settings that are others from here on, before `config.toml` says so.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn record_changes(&self, changes: &[ChangeRecord]) -> Result<(), RunFolderError> {
        for change in changes {
            let line = serde_json::to_string(change);
            let line = line.map_err(|error| self.content(CHANGES, CHANGES_ARE, error.to_string()))?;
            self.append(CHANGES, &line)?;
        }
        Ok(())
    }

    /// The settings that were changed on the way; none in a run whose `config.toml` holds from its first step.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when a line is no such record.
    pub fn changes(&self) -> Result<Vec<ChangeRecord>, RunFolderError> {
        let text = self.read(CHANGES)?.unwrap_or_default();
        let records: Result<_, _> = text.lines().map(serde_json::from_str).collect();
        records.map_err(|error| self.content(CHANGES, CHANGES_ARE, error.to_string()))
    }

    /// Lists the images that were left out, with the reason for each; gives the file.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_skipped(&self, images: &[String]) -> Result<PathBuf, RunFolderError> {
        let lines = images.join("\n") + "\n";
        self.write(SKIPPED, lines.as_bytes())?;
        Ok(self.root.join(SKIPPED))
    }

    /// Where the lines shown to the user are kept: `log.txt`; of other ranks than 0 `log.rank-N.txt`.
    pub fn log_file(&self) -> PathBuf {
        if self.rank == 0 { self.root.join(LOG) } else { self.root.join(format!("log.rank-{}.txt", self.rank)) }
    }

    /// Appends a record to `metrics.jsonl`; when this returns, the system has the whole line.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
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

    /// Where `metrics.jsonl` lies.
    pub fn metrics_file(&self) -> PathBuf {
        self.root.join(METRICS)
    }

    /// What is missing of the metrics of a run that has made `steps` steps and come to the end of `epochs` epochs, in words.
    ///
    /// # Errors
    /// As [`RunFolder::metrics`].
    pub fn gap_in_metrics(
        &self,
        steps: u64,
        epochs: u64,
        recording: Recording,
    ) -> Result<Option<String>, RunFolderError> {
        Ok(metrics::gap(&self.metrics()?, steps, epochs, recording))
    }

    /// Waits until the disk has every line of `metrics.jsonl`, so that no saved state is ahead of its metrics.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the disk does not take them.
    pub fn sync_metrics(&self) -> Result<(), RunFolderError> {
        if self.rank > 0 {
            return Ok(());
        }
        let path = self.root.join(METRICS);
        match File::open(&path).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(RunFolderError::Io { path, action: "written", source: error })
            }
            _ => Ok(()),
        }
    }

    /// Cuts `metrics.jsonl` back to what a run has recorded that made `steps` steps and validated `epochs` epochs, so
    /// that a resumed run repeats none. The lines that stay keep their bytes; gives the last record among them.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] for a line that is not a record, [`RunFolderError::Io`] when the file cannot be read
    /// or written.
    pub fn truncate_metrics(&self, steps: u64, epochs: u64) -> Result<Option<MetricsRecord>, RunFolderError> {
        let mut records = self.metrics()?;
        let kept = records.iter().take_while(|record| record.lies_within(steps, epochs)).count();
        if let Some(text) = self.read(METRICS)? {
            let lines: String = text.split_inclusive('\n').take(kept).collect();
            self.write(METRICS, lines.as_bytes())?;
        }
        records.truncate(kept);
        Ok(records.pop())
    }

    /// Saves the label of each unlabelled image.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_pseudo_labels(&self, records: &[PseudoLabelRecord]) -> Result<(), RunFolderError> {
        self.write(PSEUDO_LABELS, &predictions::to_csv(records))
    }

    /// Saves what the model says of every image that it was chosen with or tested on.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_predictions(&self, records: &[PredictionRecord]) -> Result<(), RunFolderError> {
        self.write(PREDICTIONS, &predictions::to_csv(records))
    }

    /// The predictions of a finished run; none when it has not recorded them.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when a line is not a prediction.
    pub fn predictions(&self) -> Result<Option<Vec<PredictionRecord>>, RunFolderError> {
        let Some(text) = self.read(PREDICTIONS)? else { return Ok(None) };
        predictions::from_csv(&text).map(Some).map_err(|found| self.content(PREDICTIONS, PREDICTIONS_ARE, found))
    }

    /// Saves the pixels of each class of the images that were evaluated.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_pixels(&self, records: &[PixelRecord]) -> Result<(), RunFolderError> {
        self.write(PIXELS, &predictions::to_csv(records))
    }

    /// The pixels of each class of the images that were evaluated; none when the run has not recorded them.
    ///
    /// # Errors
    /// [`RunFolderError::Content`] when a line is not such a record.
    pub fn pixels(&self) -> Result<Option<Vec<PixelRecord>>, RunFolderError> {
        let Some(text) = self.read(PIXELS)? else { return Ok(None) };
        predictions::from_csv(&text).map(Some).map_err(|found| self.content(PIXELS, PIXELS_ARE, found))
    }

    /// Saves the summary: from then on the run is finished.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_summary(&self, summary: &impl RunSummary) -> Result<(), RunFolderError> {
        self.write_json(SUMMARY, SUMMARY_IS, summary)
    }

    /// The summary of a run of this kind; none before it has ended.
    ///
    /// # Errors
    /// [`RunFolderError::OtherKind`] for a run of another kind, [`RunFolderError::Content`] when the file does not hold
    /// such a summary.
    pub fn read_summary<S: RunSummary>(&self) -> Result<Option<S>, RunFolderError> {
        self.expect(S::KIND)?;
        self.read_json(SUMMARY, SUMMARY_IS)
    }

    /// Removes the summary: a finished run is made longer.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when it cannot be removed.
    pub fn remove_summary(&self) -> Result<(), RunFolderError> {
        let path = self.root.join(SUMMARY);
        if self.rank > 0 {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(RunFolderError::Io { path, action: "removed", source })
            }
            _ => Ok(()),
        }
    }

    /// Saves what an average was made of, in `average.json`.
    ///
    /// # Errors
    /// [`RunFolderError::Io`] when the file cannot be written.
    pub fn write_average(&self, record: &serde_json::Value) -> Result<(), RunFolderError> {
        self.write_json(AVERAGE, "the record of an average", record)
    }

    /// Writes `metrics.csv` and the `TensorBoard` events from `metrics.jsonl`; the same metrics give the same bytes.
    ///
    /// # Errors
    /// As [`RunFolder::truncate_metrics`].
    pub fn derive(&self) -> Result<(), RunFolderError> {
        let records = self.metrics()?;
        self.write(TABLE, &derived::table(&records))?;
        self.write(EVENTS, &tensorboard::events(&records))
    }

    fn content(&self, name: &str, expected: &'static str, found: String) -> RunFolderError {
        RunFolderError::Content { path: self.root.join(name), expected, found }
    }

    fn write_json(&self, name: &str, expected: &'static str, value: &impl Serialize) -> Result<(), RunFolderError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| self.content(name, expected, error.to_string()))?;
        self.write(name, format!("{text}\n").as_bytes())
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str, expected: &'static str) -> Result<Option<T>, RunFolderError> {
        let Some(text) = self.read(name)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.content(name, expected, error.to_string()))
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
        if self.rank > 0 {
            return Ok(());
        }
        // One write per line, straight to the system: a killed process loses nothing that it has logged.
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|source| RunFolderError::Io { path, action: "written", source })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunFolderError> {
        let path = self.root.join(name);
        if self.rank > 0 {
            return Ok(());
        }
        files::write_whole(&path, bytes).map_err(|source| RunFolderError::Io { path, action: "written", source })
    }
}

/// Whether nothing lies in the folder but what a run makes before its `config.toml`, in case it was killed there.
fn is_as_good_as_empty(root: &Path) -> std::io::Result<bool> {
    let first_files = [LOCK.to_string(), format!("{CONFIG}.{PARTIAL}")];
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_first_file = entry.file_name().to_str().is_some_and(|name| first_files.iter().any(|file| file == name));
        let is_checkpoints = entry.file_name() == CHECKPOINTS && entry.file_type()?.is_dir();
        let is_empty = is_checkpoints && fs::read_dir(entry.path())?.next().is_none();
        if !(is_first_file || is_empty) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How often the folder is asked for before it counts as in use, and the pause between.
const ATTEMPTS: usize = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// Takes the folder for this process.
fn lock(root: &Path) -> Result<File, RunFolderError> {
    let path = root.join(LOCK);
    let io = |source| RunFolderError::Io { path: path.clone(), action: "written", source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    // A process that asks whether the folder is in use holds it for an instant.
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_ATTEMPTS),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
    Err(RunFolderError::InUse { path: root.into() })
}

fn remove_partial_files(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == PARTIAL) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
