//! A golden file: inputs, outputs, gradients and settings of one case.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

/// One golden file, read as float32 or float64.
pub(crate) struct Golden {
    case: String,
    kind: Kind,
    tensors: Vec<(String, Tensor)>,
    settings: serde_json::Value,
}

impl Golden {
    /// Opens the case; floating point tensors are handed out as `kind`.
    pub(crate) fn open(case: &str, kind: Kind) -> Self {
        Golden::open_in(&folder(), case, kind)
    }

    /// The same, of a case in any folder.
    pub(crate) fn open_in(folder: &Path, case: &str, kind: Kind) -> Self {
        let path = folder.join(format!("{case}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let metadata = header.metadata().as_ref().expect("metadata");
        let settings = serde_json::from_str(&metadata["settings"]).expect("settings in JSON");
        let tensors = Tensor::read_safetensors(&path).expect("a golden file");
        Golden { case: case.into(), kind, tensors, settings }
    }

    fn stored(&self, name: &str) -> &Tensor {
        let found = self.tensors.iter().find(|(other, _)| other == name);
        &found.unwrap_or_else(|| panic!("{} has no tensor {name}", self.case)).1
    }

    /// A floating point tensor.
    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        self.stored(name).to_kind(self.kind)
    }

    /// A floating point tensor that gradients are asked of.
    pub(crate) fn leaf(&self, name: &str) -> Tensor {
        self.tensor(name).set_requires_grad(true)
    }

    /// An integer tensor.
    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        Vec::try_from(self.stored(name)).expect("integers")
    }

    /// A single integer.
    pub(crate) fn integer(&self, name: &str) -> i64 {
        self.stored(name).int64_value(&[])
    }

    /// A float tensor as numbers.
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.stored(name)).expect("numbers")
    }

    /// A scalar setting from the metadata.
    pub(crate) fn setting(&self, name: &str) -> f64 {
        self.settings[name].as_f64().unwrap_or_else(|| panic!("{} has no setting {name}", self.case))
    }

    /// ||ours - golden|| <= t max(||golden||, 1e-6), t = 1e-9 in float64 and 1e-4 in float32.
    pub(crate) fn assert_close(&self, name: &str, ours: &Tensor) {
        let golden = self.stored(name);
        assert_eq!(ours.size(), golden.size(), "{} {name}: shape", self.case);
        assert_eq!(ours.kind(), self.kind, "{} {name}: element type", self.case);
        let norm = |tensor: &Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
        let distance = norm(&(ours.detach().to_kind(Kind::Double) - golden));
        let tolerance = if self.kind == Kind::Double { 1e-9 } else { 1e-4 };
        let bound = tolerance * norm(golden).max(1e-6);
        assert!(distance <= bound, "{} {name} in {:?}: off by {distance:e}, allowed {bound:e}", self.case, self.kind);
    }

    /// Indices must be equal exactly.
    pub(crate) fn assert_indices(&self, name: &str, ours: &Tensor) {
        let ours: Vec<i64> = Vec::try_from(ours).expect("indices");
        assert_eq!(ours, self.integers(name), "{} {name} in {:?}", self.case, self.kind);
    }
}

fn folder() -> PathBuf {
    std::env::var_os("CORETUNE_GOLDENS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens"), PathBuf::from)
}
