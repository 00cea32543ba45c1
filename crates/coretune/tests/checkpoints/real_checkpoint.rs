//! A real `SimCLR` checkpoint in the legacy format.

use std::path::PathBuf;

use coretune::checkpoints::inspect;
use coretune::models::Family;

/// The folder with material that is not in the repository.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("CORETUNE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    shared.is_dir().then_some(shared)
}

#[test]
fn a_real_simclr_checkpoint_is_covered_in_full() {
    let Some(shared) = shared() else {
        eprintln!("skipped: needs ../shared (data/checkpoints/simclr_mobilenetv2s_stl10.pth)");
        return;
    };
    let report = inspect(shared.join("data/checkpoints/simclr_mobilenetv2s_stl10.pth"), None).unwrap();
    assert_eq!((report.container, report.layout, report.method), ("torch legacy", "simclr-leftthomas", "SimCLR"));
    assert_eq!((report.architecture, report.features, report.tensors), (Family::MobileNetV2Small, 640, 426));
    assert!((report.width - 0.5).abs() < 1e-12);
    assert!(report.missing.is_empty());
    let counted = |group: &str| report.left_out.iter().find(|found| found.group == group).map(|found| found.tensors);
    assert_eq!(counted("operation counters"), Some(74));
    assert_eq!(counted("projection head"), Some(8));
    assert_eq!(counted("classifier"), Some(2));
    assert_eq!(report.loaded.len(), 426 - 74 - 8 - 2);
}
