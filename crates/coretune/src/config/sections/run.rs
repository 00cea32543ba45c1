//! `[run]`: the machine and the folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::Amp;
use crate::settings::{ANY, Command, Kind, Range, Setting, auto, off, setting};

/// The machine and the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSection {
    /// Whether kNN and linear probe of the frozen checkpoint are measured first.
    pub probe: bool,
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
    /// The output as given, or `runs/DATA-METHOD-SEED`.
    pub(in crate::config) fn output_or(&self, data: &Path, method: &str, seed: u64) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let data = data.file_stem().map_or("data".into(), |name| name.to_string_lossy());
            Path::new("runs").join(format!("{data}-{method}-{seed}"))
        })
    }

    /// Threads that read images: as given, or one for every two cores, 4 at most.
    pub fn reading_threads(&self) -> usize {
        const MOST: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workers.unwrap_or((cores / 2).clamp(1, MOST))
    }
}

/// The settings of the section, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    setting("run.probe", Kind::Switch, "kNN and linear probe of the checkpoint")
        .flag_is("no-probe")
        .default("true")
        .common(),
    setting("run.device", Kind::Device, "where to compute").default("auto").commands(Command::COMPUTING).common(),
    setting("run.amp", Kind::Choice(precisions), "use of bf16")
        .default("auto")
        .alone("bf16")
        .commands(Command::COMPUTING)
        .common(),
    setting("run.threads", Kind::Whole(1, 1024), "threads of the computation; auto: all cores")
        .auto()
        .commands(Command::COMPUTING),
    setting("run.workers", Kind::Whole(1, 4096), "threads that read images; auto: half the cores, 4 at most")
        .auto()
        .short('j')
        .commands(Command::COMPUTING),
    setting("run.save_steps", Kind::Whole(1, ANY), "steps between saved states within an epoch")
        .off()
        .commands(Command::TRAINING),
    setting("run.save_minutes", Kind::Number(Range::Above(0.0)), "minutes between saved states within an epoch")
        .word("off")
        .default("10.0")
        .commands(Command::TRAINING),
    setting("run.output", Kind::Path("DIR"), "run folder; auto: runs/DATA-METHOD-SEED")
        .auto()
        .common()
        .commands(Command::TRAINING),
    setting("run.experiment", Kind::Text("NAME"), "subfolder of the output").off().commands(Command::TRAINING),
];

fn precisions() -> Vec<&'static str> {
    vec!["auto", "off", "bf16"]
}
