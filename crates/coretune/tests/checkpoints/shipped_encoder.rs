//! The encoder of `make demo`, which lies in the repository.

use std::path::{Path, PathBuf};

use coretune::checkpoints::{Checkpoint, inspect, load_backbone, recognise};
use coretune::models::{Architecture, Family, Stem};
use tch::Kind;

use crate::fixture::zeroed;

const MOST_BYTES: u64 = 6_000_000;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/fashion-mnist-moco.safetensors")
}

#[test]
fn the_shipped_encoder_is_recognised_in_full() {
    let report = inspect(shipped(), None).unwrap();
    assert_eq!((report.container, report.layout, report.encoder.as_str()), ("safetensors", "moco", "query"));
    assert_eq!((report.architecture, report.stem), (Family::ResNet18, Stem::Small));
    assert!((report.width - 0.25).abs() < 1e-12, "{}", report.width);
    assert!(report.missing.is_empty() && report.mismatched.is_empty(), "{report:?}");
    assert!((report.coverage - 1.0).abs() < 1e-12);
}

#[test]
fn every_tensor_of_the_shipped_encoder_is_filled() {
    let checkpoint = Checkpoint::open(shipped()).unwrap();
    let recognised = recognise(&checkpoint, None).unwrap();
    let backbone = zeroed(&Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.25 });
    load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
    for parameter in backbone.parameters().iter() {
        let largest = parameter.tensor.abs().max().to_kind(Kind::Float).double_value(&[]);
        assert!(largest.is_finite() && largest > 0.0, "{}: {largest}", parameter.name);
    }
}

#[test]
fn the_shipped_encoder_is_small_enough_for_a_clone() {
    let bytes = std::fs::metadata(shipped()).unwrap().len();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}
