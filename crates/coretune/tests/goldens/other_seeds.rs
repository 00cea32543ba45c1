//! The same cases with other numbers: the files in `../shared/reference`, and what its oracle writes for other seeds.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the oracle, or a line that says that it is missing.
fn reference() -> Option<PathBuf> {
    let beside = || root().join("../shared");
    let folder = env::var_os("CORETUNE_SHARED").map_or_else(beside, PathBuf::from).join("reference");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: needs ../shared (reference)");
    None
}

/// Runs the tests of all cases that have a file in this folder, in this program once more; every one must pass.
fn check(folder: &Path) {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension() == Some(OsStr::new("safetensors")));
    let names: Vec<String> =
        cases.map(|path| format!("golden_{}", path.file_stem().unwrap().to_string_lossy())).collect();
    assert!(names.len() > 20, "{names:?}");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--test-threads", "2"])
        .args(&names)
        .env("CORETUNE_GOLDENS", folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", folder.display());
    let passed = text.lines().filter(|line| line.starts_with("test golden_") && line.ends_with("ok")).count();
    assert_eq!(passed, names.len(), "{text}");
}

#[test]
fn the_files_of_the_oracle_hold() {
    if let Some(reference) = reference() {
        check(&reference.join("goldens"));
    }
}

/// The Python of `make peers`, or the one that `CORETUNE_PYTHON` names; it must have torch.
fn python() -> Option<PathBuf> {
    let own = root().join(".peers/bin/python");
    let python = env::var_os("CORETUNE_PYTHON").map_or(own, PathBuf::from);
    let has_torch = Command::new(&python).args(["-c", "import torch, safetensors"]).stderr(Stdio::null()).status();
    if has_torch.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("skipped: needs a Python with torch (make peers, or CORETUNE_PYTHON)");
    None
}

#[test]
fn cases_that_the_oracle_writes_for_other_seeds_hold() {
    let Some((reference, python)) = reference().zip(python()) else { return };
    for seed in ["1", "20"] {
        let folder = tempfile::tempdir().unwrap();
        let mut oracle = Command::new(&python);
        oracle.arg(reference.join("oracle.py")).arg("--out").arg(folder.path()).args(["--seed", seed]);
        let output = oracle.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        check(folder.path());
    }
}
