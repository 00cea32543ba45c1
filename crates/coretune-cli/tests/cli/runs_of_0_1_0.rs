//! Unfinished runs that version 0.1.0 (commit bc7c8d7) wrote, resumed to their end. `runs_of_0_1_0/write.py` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{coretune, stderr, stdout};

/// A copy of the fixtures' images and encoder and of one run, in a folder of its own.
struct Copy {
    folder: tempfile::TempDir,
    run: String,
}

impl Copy {
    fn of(run: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/runs_of_0_1_0");
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "encoder.safetensors", run] {
            copy(&fixtures.join(name), &folder.path().join(name));
        }
        let copy = Copy { folder, run: run.into() };
        let config = copy.file("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, text.replace("WORLD", &copy.folder.path().display().to_string())).unwrap();
        copy
    }

    fn root(&self) -> String {
        self.folder.path().join(&self.run).display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(&self.run).join(name)
    }

    /// The lines of `metrics.jsonl` that report a step.
    fn steps(&self) -> usize {
        let text = fs::read_to_string(self.file("metrics.jsonl")).unwrap();
        text.lines().filter(|line| line.contains("\"lr\":")).count()
    }

    /// Resumes the run with `command`; it ends after `steps` steps with a summary.
    fn resume(&self, command: &str, steps: usize) {
        assert!(self.steps() < steps && !self.file("summary.json").exists());
        let output = coretune(&[command, "--resume", "--output", &self.root()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("resumed      "), "{}", stderr(&output));
        assert_eq!(self.steps(), steps);
        let summary: serde_json::Value = serde_json::from_slice(&fs::read(self.file("summary.json")).unwrap()).unwrap();
        assert_eq!((&summary["epochs"], &summary["steps"]), (&4.into(), &steps.into()));
    }

    /// Resumes the fine-tuning and evaluates the result.
    fn resume_fit(&self, steps: usize) {
        self.resume("fit", steps);
        let evaluation = coretune(&["evaluate", &self.root()]);
        assert_eq!(evaluation.status.code(), Some(0), "{}", stderr(&evaluation));
    }

    /// Resumes the pre-training and inspects the encoder.
    fn resume_pretraining(&self, steps: usize, recognised: &str) {
        self.resume("pretrain", steps);
        let inspection = coretune(&["inspect", &self.root()]);
        assert_eq!(inspection.status.code(), Some(0), "{}", stderr(&inspection));
        assert!(stdout(&inspection).contains(recognised), "{}", stdout(&inspection));
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn a_fine_tuning_with_sgd_and_averaged_weights_is_resumed() {
    Copy::of("fit-sgd-ema").resume_fit(20);
}

#[test]
fn a_fine_tuning_with_adamw_is_resumed() {
    Copy::of("fit-adamw").resume_fit(20);
}

#[test]
fn a_fine_tuning_with_exact_accumulation_is_resumed() {
    Copy::of("fit-exact").resume_fit(20);
}

#[test]
fn a_pre_training_with_moco_v2_is_resumed() {
    Copy::of("pretrain-moco-v2").resume_pretraining(24, "MoCo v1/v2");
}

#[test]
fn a_pre_training_with_simclr_is_resumed() {
    Copy::of("pretrain-simclr").resume_pretraining(24, "SimCLR");
}

/// What another program reads of an unfinished run: the best model so far.
#[test]
fn an_unfinished_run_is_inspected_and_evaluated() {
    let copy = Copy::of("fit-sgd-ema");
    for command in ["inspect", "evaluate"] {
        let output = coretune(&[command, &copy.root()]);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", stderr(&output));
    }
}
