//! The files of `write_fixtures.py`, and the values that they hold.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use coretune::models::{Architecture, Backbone, Parameters};
use flate2::read::GzDecoder;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

/// Unpacks a fixture into `folder` and returns its path.
pub(crate) fn unpack(name: &str, folder: &TempDir) -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/checkpoints/fixtures/{name}.gz"));
    let path = folder.path().join(name);
    io::copy(&mut GzDecoder::new(File::open(packed).unwrap()), &mut File::create(&path).unwrap()).unwrap();
    path
}

/// The bytes of a fixture.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    fs::read(unpack(name, &folder)).unwrap()
}

/// Writes bytes to a file of the given folder.
pub(crate) fn file_of(bytes: &[u8], folder: &TempDir) -> PathBuf {
    let path = folder.path().join("checkpoint.pth");
    fs::write(&path, bytes).unwrap();
    path
}

/// A backbone without values.
pub(crate) fn zeroed(architecture: &Architecture) -> Backbone {
    Backbone::zeroed(architecture, Device::Cpu).unwrap()
}

fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The tensor that the script wrote for a name of an encoder.
pub(crate) fn expected(encoder: &str, name: &str, shape: &[i64]) -> Tensor {
    let base = i64::from(fnv1a(&format!("{encoder}/{name}")) % 1000);
    if name.ends_with("num_batches_tracked") {
        return Tensor::from(base);
    }
    let count: i64 = shape.iter().product();
    let steps = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(5).to_kind(Kind::Float) / 4.0;
    (steps + base as f64).view(shape)
}

/// Fails unless every tensor holds what the script wrote for `encoder`, up to a relative `tolerance`.
pub(crate) fn assert_values(parameters: &Parameters, encoder: &str, tolerance: f64) {
    for parameter in parameters.iter() {
        let expected = expected(encoder, &parameter.name, &parameter.tensor.size()).to_kind(Kind::Double);
        let gap = (parameter.tensor.to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
        let largest = expected.abs().max().double_value(&[]).max(1.0);
        assert!(gap <= tolerance * largest, "{} differs by {gap} from encoder {encoder}", parameter.name);
    }
}
