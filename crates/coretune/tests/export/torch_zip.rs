//! The writer of torch's zip files.

use std::fs::{self, File};

use coretune::checkpoints::Checkpoint;
use coretune::export::torch_zip_writer::{Object, write};
use tch::{Kind, Tensor};
use tempfile::TempDir;

use crate::saved_model::equal;

fn dict(entries: Vec<(&str, Object)>) -> Object {
    Object::Dict(entries.into_iter().map(|(name, object)| (name.to_string(), object)).collect())
}

/// A tree with every kind of object, and tensors that are awkward in shape, layout and type.
fn tree() -> (Vec<(&'static str, Tensor)>, Object) {
    let range = Tensor::arange(24, (Kind::Float, tch::Device::Cpu));
    let tensors = vec![
        ("scalar", Tensor::from(-3i64)),
        ("empty", range.narrow(0, 0, 0)),
        ("transposed", range.view([4, 6]).tr()),
        ("half", range.to_kind(Kind::Half)),
        ("bfloat16", range.to_kind(Kind::BFloat16)),
        ("double", &range.to_kind(Kind::Double) / 7.0),
        ("byte", range.view([2, 3, 4]).to_kind(Kind::Uint8)),
        ("int", range.to_kind(Kind::Int)),
        ("bool", range.gt(3.0)),
    ];
    let state = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.shallow_clone())).collect();
    let root = dict(vec![
        ("epoch", Object::Int(-1)),
        ("large", Object::Int(1 << 40)),
        ("best", Object::Float(0.5)),
        ("arch", Object::Text("naïve".into())),
        ("state_dict", Object::state_dict(state)),
        ("nested", dict(vec![("deeper", dict(vec![("x", Object::Tensor(Tensor::from(1.5f32)))]))])),
    ]);
    (tensors, root)
}

#[test]
fn every_object_comes_back_through_our_reader() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pth");
    let (tensors, root) = tree();
    write(&path, &root).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.container().name(), "torch zip");
    for (name, tensor) in &tensors {
        let found = checkpoint.read_as_stored(&format!("state_dict.{name}")).unwrap();
        assert!(equal(&found, tensor) && found.kind() == tensor.kind(), "{name}");
    }
    assert!(checkpoint.tensors().contains_key("nested.deeper.x"));
    let others: Vec<String> = checkpoint.others().iter().map(ToString::to_string).collect();
    assert_eq!(others, ["arch (str)", "best (float)", "epoch (int)", "large (int)"]);
}

#[test]
fn storages_are_stored_uncompressed_at_multiples_of_64_bytes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.pth");
    write(&path, &tree().1).unwrap();
    let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
        let name = entry.name().unwrap().into_owned();
        assert!(!name.contains("/data/") || entry.data_start().unwrap() % 64 == 0, "{name}");
        names.push(name);
    }
    assert_eq!(names[..3], ["archive/data.pkl", "archive/byteorder", "archive/data/0"]);
    assert_eq!(names.last().unwrap(), "archive/version");
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_leaves_nothing_beside() {
    let folder = TempDir::new().unwrap();
    let [a, b] = ["a.pth", "b.pth"].map(|name| folder.path().join(name));
    write(&a, &tree().1).unwrap();
    write(&b, &tree().1).unwrap();
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_type_that_torch_has_no_storage_for_is_refused_and_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let quantised = Tensor::from_slice(&[1.0f32]).quantize_per_tensor(0.1, 0, Kind::QInt8);
    let root = dict(vec![("x", Object::Tensor(quantised))]);
    assert!(write(folder.path().join("a.pth"), &root).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
