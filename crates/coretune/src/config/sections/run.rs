//! `[run]`: the machine and the folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::error::refuse_if;
use crate::config::{Cache, ConfigError, ProbeRows, ProbeViews, TrainSection, automatic};
use crate::data::Split;
use crate::engine::{Amp, available_memory_bytes, may_be_gpu, threads};
use crate::settings::OnResume::Free;
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, bytes_of, off, setting};

/// The machine and the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSection {
    /// Whether kNN and linear probe of the frozen checkpoint are measured first.
    pub probe: bool,
    /// What they read.
    pub probe_rows: ProbeRows,
    /// Which views of an image they see.
    pub probe_views: ProbeViews,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Precision.
    pub amp: Amp,
    /// Threads of the computation.
    #[serde(with = "auto")]
    pub threads: Option<usize>,
    /// Threads that read images.
    #[serde(with = "auto")]
    pub workers: Option<usize>,
    /// Whether training images are kept in memory once they are decoded.
    #[serde(default)]
    pub cache: Cache,
    /// Memory that the step may take; a batch that needs more is computed in parts.
    #[serde(with = "off", default)]
    pub memory_limit: Option<String>,
    /// Whether the backward pass computes residual blocks again instead of keeping their activations.
    #[serde(default)]
    pub activation_checkpointing: bool,
    /// Steps between saved states within an epoch.
    #[serde(with = "off")]
    pub save_steps: Option<usize>,
    /// Minutes between saved states within an epoch.
    #[serde(with = "off")]
    pub save_minutes: Option<f64>,
    /// Seconds that a rank may be silent.
    pub rank_timeout: f64,
    /// Run folder.
    #[serde(with = "auto")]
    pub output: Option<PathBuf>,
    /// Subfolder of the output.
    #[serde(with = "off")]
    pub experiment: Option<String>,
}

impl RunSection {
    /// The output, as given or automatic.
    pub(in crate::config) fn output_or(&self, data: &Path, method: &str, seed: u64) -> PathBuf {
        self.output.clone().unwrap_or_else(|| automatic::output(data, method, seed))
    }

    /// Threads that read images, as given or automatic.
    pub fn reading_threads(&self) -> usize {
        let automatic = || automatic::reading_threads(self.is_on_gpu(), self.threads.unwrap_or_else(threads::get));
        self.workers.unwrap_or_else(automatic)
    }

    /// Bytes that training may take, if limited.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        self.memory_limit.as_deref().and_then(bytes_of)
    }

    /// Refuses settings that are each in range and do not go together.
    pub(in crate::config) fn check(&self, train: &TrainSection) -> Result<(), ConfigError> {
        refuse_if(self.activation_checkpointing && train.sync_bn, || ConfigError::Conflict {
            first: "run.activation_checkpointing".into(),
            second: "train.sync_bn".into(),
            expected: "batch norm over the batch of a rank".into(),
            found: "batch norm over all ranks".into(),
            hint: "leave out {run.activation_checkpointing} or {train.sync_bn}".into(),
        })
    }

    /// Whether the computation is on a GPU, or may be.
    pub fn is_on_gpu(&self) -> bool {
        self.device.parse().is_ok_and(may_be_gpu)
    }

    /// Bytes of the memory that is free now which images may take.
    fn cache_bytes(&self) -> u64 {
        match self.cache {
            Cache::Auto => available_memory_bytes() / 4,
            Cache::Ram => available_memory_bytes() / 2,
            Cache::Off => 0,
        }
    }

    /// The setting of the cache for runs side by side, in so many processes: off if images of so many bytes cannot be kept by each.
    pub(crate) fn cache_of_each(&self, image_bytes: u64, processes: usize) -> Cache {
        if image_bytes.saturating_mul(processes as u64) <= self.cache_bytes() { self.cache } else { Cache::Off }
    }

    /// The training images, kept in memory as the setting says, in each of so many processes of this machine.
    pub(crate) fn cached(&self, images: &Split, processes: usize) -> Split {
        let budget = self.cache_bytes() / processes.max(1) as u64;
        match self.cache {
            Cache::Auto if images.decoded_bytes() <= budget => images.cached(budget),
            Cache::Ram => images.cached(budget),
            Cache::Auto | Cache::Off => images.clone(),
        }
    }
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("run.probe", Kind::Switch, "kNN and linear probe of the checkpoint").default("true").on_resume(Free),
    setting("run.probe_rows", Kind::Choice(ProbeRows::names), "what kNN and linear probe read")
        .default(ProbeRows::Features.name())
        .on_resume(Free)
        .read_by(&[RunKind::FineTuning]),
    setting("run.probe_views", Kind::Choice(ProbeViews::names), "views of an image that kNN and linear probe see")
        .default(ProbeViews::Mirrored.name())
        .read_by(&[RunKind::FineTuning]),
    setting("run.device", Kind::Device, "where to compute")
        .default("auto")
        .becomes(|_| "the first CUDA device that works, else cpu".into())
        .read_by(RunKind::ALL),
    setting("run.amp", Kind::Choice(Amp::names), "use of bf16")
        .default(Amp::Auto.name())
        .becomes(|_| "bf16 where the hardware has it, else off".into())
        .read_by(RunKind::ALL),
    setting("run.threads", Kind::Whole(1, 1024), "threads of the computation")
        .auto(|_| "all cores".into())
        .read_by(RunKind::ALL),
    setting("run.workers", Kind::Whole(1, 4096), "threads that read images")
        .auto(automatic::reading_threads_text)
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.cache", Kind::Choice(Cache::names), "training images kept decoded in memory")
        .default(Cache::Auto.name())
        .becomes(|_| "ram if they take at most a quarter of the available memory, else off".into())
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.memory_limit", Kind::Memory, "memory that training may take; larger batches are computed in parts")
        .off()
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting(
        "run.activation_checkpointing",
        Kind::Switch,
        "less memory: the backward pass computes residual blocks again; same result",
    )
    .default("false")
    .on_resume(Free)
    .read_by(RunKind::ALL),
    setting("run.save_steps", Kind::Whole(1, ANY), "steps between saved states within an epoch")
        .off()
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.save_minutes", Kind::Number(Range::Above(0.0)), "minutes between saved states within an epoch")
        .off()
        .default("10.0")
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.rank_timeout", Kind::Number(Range::Above(0.0)), "seconds after which a silent rank ends the others")
        .default("120.0")
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.output", Kind::Path("DIR"), "run folder")
        .auto(automatic::output_text)
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.experiment", Kind::Text("NAME"), "subfolder of the output")
        .off()
        .on_resume(Free)
        .read_by(RunKind::ALL),
];
