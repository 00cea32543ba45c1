//! The writer of our own files.

use std::collections::BTreeMap;
use std::fs;

use coretune::checkpoints::{CheckpointError, safetensors_file};
use coretune::engine::channels_last;
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

fn tensors() -> Vec<(String, Tensor)> {
    let weights = Tensor::arange(2 * 3 * 2 * 2, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
    vec![
        ("weight".into(), channels_last::copy(&weights)),
        ("count".into(), Tensor::from(7i64)),
        ("odd".into(), Tensor::from_slice(&[1u8, 2, 3])),
        ("half".into(), Tensor::from_slice(&[0.5f32, 1.5]).to_kind(Kind::BFloat16)),
        ("double".into(), Tensor::from_slice(&[0.1f64])),
        ("flag".into(), Tensor::from_slice(&[true, false])),
        ("empty".into(), Tensor::zeros([0, 4], (Kind::Float, Device::Cpu))),
    ]
}

fn metadata() -> BTreeMap<String, String> {
    ["z", "a", "m", "b", "y"].into_iter().map(|key| (key.to_string(), format!("value of \"{key}\""))).collect()
}

#[test]
fn what_is_written_is_read_back_with_its_types() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.safetensors");
    safetensors_file::write(&path, &metadata(), &tensors()).unwrap();
    let (found_metadata, found) = safetensors_file::read(&path).unwrap();
    assert_eq!(found_metadata, metadata());
    assert_eq!(found.len(), tensors().len());
    for (name, tensor) in tensors() {
        assert_eq!(found[&name].kind(), tensor.kind(), "{name}");
        assert!(found[&name].equal(&tensor), "{name}");
    }
    assert!(!folder.path().join("state.safetensors.partial").exists());
}

#[test]
fn the_crate_of_the_format_reads_it_and_all_data_is_aligned() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.safetensors");
    safetensors_file::write(&path, &metadata(), &tensors()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (header, parsed) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!((header + 8) % 8, 0);
    assert_eq!(parsed.metadata().as_ref().unwrap().len(), 5);
    for (name, info) in parsed.tensors() {
        assert_eq!(info.data_offsets.0 % (info.dtype.bitsize() / 8), 0, "{name}");
    }
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weight = file.tensor("weight").unwrap();
    let logical: Vec<u8> = (0u8..24).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    assert_eq!(weight.data(), logical);
}

#[test]
fn the_same_input_gives_the_same_bytes_in_any_order() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, tensors: &[(String, Tensor)]| {
        let path = folder.path().join(name);
        safetensors_file::write(&path, &metadata(), tensors).unwrap();
        fs::read(path).unwrap()
    };
    let first = write("a", &tensors());
    let mut reversed = tensors();
    reversed.reverse();
    assert!(first == write("b", &reversed));
    let header = String::from_utf8_lossy(&first[8..120]).into_owned();
    assert!(header.starts_with(r#"{"__metadata__":{"a":"#), "{header}");
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_rest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.safetensors");
    safetensors_file::write(&path, &BTreeMap::new(), &tensors()).unwrap();
    let before = fs::read(&path).unwrap();
    let twice = vec![("a".to_string(), Tensor::from(1f32)), ("a".to_string(), Tensor::from(2f32))];
    let error = safetensors_file::write(&path, &BTreeMap::new(), &twice).unwrap_err();
    assert!(matches!(error, CheckpointError::Duplicate { .. }), "{error}");
    let complex = vec![("a".to_string(), Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu)))];
    assert!(safetensors_file::write(&path, &BTreeMap::new(), &complex).is_err());
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("missing/state.safetensors");
    let error = safetensors_file::write(nowhere, &BTreeMap::new(), &tensors()).unwrap_err();
    assert!(matches!(error, CheckpointError::File { doing: "write", .. }), "{error}");
}
