//! `[run]`: the machine and the folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{ProbeRows, ProbeViews, automatic};
use crate::engine::Amp;
use crate::settings::OnResume::Free;
use crate::settings::{ANY, Kind, Range, RunKind, Setting, auto, off, setting};

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
    /// Steps between saved states within an epoch.
    #[serde(with = "off")]
    pub save_steps: Option<usize>,
    /// Minutes between saved states within an epoch.
    #[serde(with = "off")]
    pub save_minutes: Option<f64>,
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
        self.workers.unwrap_or_else(automatic::reading_threads)
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
    setting("run.save_steps", Kind::Whole(1, ANY), "steps between saved states within an epoch")
        .off()
        .on_resume(Free)
        .read_by(RunKind::ALL),
    setting("run.save_minutes", Kind::Number(Range::Above(0.0)), "minutes between saved states within an epoch")
        .off()
        .default("10.0")
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
