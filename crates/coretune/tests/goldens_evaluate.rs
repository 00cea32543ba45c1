//! The goldens of E3, E4 and E7: outputs of a slow, literal float64 oracle, in float32 and in float64.
//!
//! `CORETUNE_GOLDENS` names a folder with the oracle's files for other numbers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use coretune::evaluate::{calibration, geometry, nearest_neighbours};
use tch::{Kind, Tensor};

/// Relative tolerance per precision of the inputs.
const PRECISIONS: [(Kind, f64); 2] = [(Kind::Float, 1e-4), (Kind::Double, 1e-9)];

/// One file of the oracle: tensors, and the settings in its metadata.
struct Golden {
    tensors: HashMap<String, Tensor>,
    settings: serde_json::Value,
}

impl Golden {
    fn read(case: &str) -> Self {
        let folder = std::env::var_os("CORETUNE_GOLDENS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens"), PathBuf::from);
        let path = folder.join(format!("{case}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let settings = &header.metadata().as_ref().unwrap()["settings"];
        let tensors = Tensor::read_safetensors(&path).unwrap().into_iter().collect();
        Golden { tensors, settings: serde_json::from_str(settings).unwrap() }
    }

    fn tensor(&self, name: &str, kind: Kind) -> Tensor {
        self.tensors[name].to_kind(kind)
    }

    fn labels(&self) -> Vec<i64> {
        Vec::try_from(&self.tensors["labels"]).unwrap()
    }

    fn assert_close(&self, name: &str, ours: &Tensor, tolerance: f64) {
        let golden = &self.tensors[name];
        let length = |tensor: &Tensor| tensor.square().sum(Kind::Double).sqrt().double_value(&[]);
        let distance = length(&(ours.to_kind(Kind::Double) - golden));
        let allowed = tolerance * length(golden).max(1e-6);
        assert!(distance <= allowed, "{name}: off by {distance:e}, allowed {allowed:e}");
    }

    fn assert_close_scalar(&self, name: &str, ours: f64, tolerance: f64) {
        self.assert_close(name, &Tensor::from(ours), tolerance);
    }
}

#[test]
fn golden_feature_geometry() {
    let golden = Golden::read("feature_geometry");
    for (kind, tolerance) in PRECISIONS {
        let ours = geometry::geometry(&golden.tensor("features", kind), &golden.labels(), 4).unwrap();
        golden.assert_close_scalar("within", ours.within, tolerance);
        golden.assert_close_scalar("between", ours.between, tolerance);
        golden.assert_close_scalar("alignment", ours.alignment.unwrap(), tolerance);
        golden.assert_close_scalar("uniformity", ours.uniformity.unwrap(), tolerance);
    }
}

#[test]
fn golden_calibration() {
    let golden = Golden::read("calibration");
    assert_eq!(golden.settings["bins"], calibration::BINS);
    for (kind, tolerance) in PRECISIONS {
        let (logits, labels) = (golden.tensor("logits", kind), golden.labels());
        let error = calibration::expected_calibration_error(&logits, &labels, 1.0).unwrap();
        golden.assert_close_scalar("expected_calibration_error", error, tolerance);
        let loss = calibration::negative_log_likelihood(&logits, &labels, 1.0).unwrap();
        golden.assert_close_scalar("negative_log_likelihood", loss, tolerance);
    }
}

#[test]
fn golden_nearest_neighbours() {
    let golden = Golden::read("nearest_neighbours");
    assert_eq!(golden.settings["k"], nearest_neighbours::NEIGHBOURS);
    assert_eq!(golden.settings["temperature"], nearest_neighbours::TEMPERATURE);
    let predicted: Vec<i64> = Vec::try_from(&golden.tensors["predicted"]).unwrap();
    for (kind, tolerance) in PRECISIONS {
        let (train, test) = (golden.tensor("train", kind), golden.tensor("test", kind));
        let ours = nearest_neighbours::nearest_neighbours(&train, &golden.labels(), &test, 4).unwrap();
        golden.assert_close("votes", &ours.votes, tolerance);
        assert_eq!(ours.predicted, predicted);
    }
}
