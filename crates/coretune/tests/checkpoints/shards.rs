//! Checkpoints in several files under an index of Hugging Face.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use coretune::checkpoints::{Checkpoint, CheckpointError, inspect, load_backbone, recognise, safetensors_file};
use coretune::models::{Architecture, Family, Stem};
use coretune::random::{Purpose, stream};
use coretune_testing::alter;
use serde_json::json;
use tch::Tensor;
use tempfile::TempDir;

use crate::fixture::{assert_values, expected, unpack, zeroed};

const NARROW: Architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 1.0 / 16.0 };
const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

type Map = BTreeMap<String, String>;

fn tensors() -> Vec<(String, Tensor)> {
    let backbone = zeroed(&NARROW);
    backbone.parameters().iter().map(|p| (p.name.clone(), expected("backbone", &p.name, &p.tensor.size()))).collect()
}

fn write_shard(folder: &Path, name: &str, tensors: &[(String, Tensor)]) {
    safetensors_file::write(folder.join(name), &BTreeMap::new(), tensors).unwrap();
}

fn write_index(folder: &Path, map: &Map) {
    let text = json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    fs::write(folder.join(INDEX), text).unwrap();
}

/// A network in two shards, with its index.
fn sharded() -> (TempDir, Map) {
    let folder = TempDir::new().unwrap();
    let all = tensors();
    let (first, second) = all.split_at(all.len() / 2);
    let mut map = Map::new();
    for (name, part) in SHARDS.iter().zip([first, second]) {
        write_shard(folder.path(), name, part);
        map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), (*name).to_string())));
    }
    write_index(folder.path(), &map);
    (folder, map)
}

/// What an index is refused with.
fn message(folder: &TempDir) -> String {
    match Checkpoint::open(folder.path()) {
        Err(error @ CheckpointError::Index { .. }) => {
            assert!(error.hint().unwrap().to_string().contains("all files that the index names"));
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn shards_are_read_as_one_checkpoint_by_their_folder_and_by_their_index() {
    let (folder, _) = sharded();
    for path in [folder.path().to_path_buf(), folder.path().join(INDEX)] {
        let checkpoint = Checkpoint::open(path).unwrap();
        let recognised = recognise(&checkpoint, None).unwrap();
        let backbone = zeroed(&recognised.architecture);
        let report = load_backbone(&checkpoint, &recognised, backbone.parameters(), &[]).unwrap();
        assert_eq!((report.container, report.file.as_str(), report.coverage), ("shards", INDEX, 1.0));
        assert_values(backbone.parameters(), "backbone", 0.0);
        let files: Vec<_> = checkpoint.files().map(|file| file.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(files, [INDEX, SHARDS[0], SHARDS[1]]);
    }
}

#[test]
fn a_shard_may_be_named_from_the_folder_on() {
    let (folder, map) = sharded();
    let map: Map = map.into_iter().map(|(tensor, file)| (tensor, format!("./{file}"))).collect();
    write_index(folder.path(), &map);
    assert!(Checkpoint::open(folder.path()).is_ok());
}

#[test]
fn a_folder_of_hugging_face_with_one_file_is_read() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    write_shard(folder.path(), "model.safetensors", &tensors());
    let report = inspect(folder.path(), None).unwrap();
    assert_eq!((report.container, report.file.as_str(), report.coverage), ("safetensors", "model.safetensors", 1.0));
}

#[test]
fn shards_of_torch_are_read_too() {
    let folder = TempDir::new().unwrap();
    let shard = unpack("hugging_face_base.bin", &folder);
    let names: Vec<String> = Checkpoint::open(&shard).unwrap().tensors().keys().cloned().collect();
    let map: Map = names.iter().map(|name| (name.clone(), "hugging_face_base.bin".into())).collect();
    fs::write(folder.path().join("pytorch_model.bin.index.json"), json!({"weight_map": map}).to_string()).unwrap();
    let report = inspect(folder.path(), None).unwrap();
    assert_eq!((report.layout, report.container, report.coverage), ("hugging-face", "shards", 1.0));
}

#[test]
fn an_index_altered_at_random_opens_or_is_refused() {
    let (folder, _) = sharded();
    let whole = fs::read(folder.path().join(INDEX)).unwrap();
    for case in 0..200 {
        let mut random = stream(20_261_128, Purpose::Subset, 0, case);
        let mut altered = whole.clone();
        for _ in 0..=case % 3 {
            alter(&mut altered, &whole, &mut random);
        }
        fs::write(folder.path().join(INDEX), &altered).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(folder.path()) {
            let _ = recognise(&checkpoint, None);
        }
    }
}

#[test]
fn a_shard_behind_a_link_is_read_as_in_the_cache_of_hugging_face() {
    let (folder, _) = sharded();
    let blobs = TempDir::new().unwrap();
    let (shard, blob) = (folder.path().join(SHARDS[1]), blobs.path().join("0123"));
    fs::rename(&shard, &blob).unwrap();
    symlink(&blob, &shard).unwrap();
    assert!((inspect(folder.path(), None).unwrap().coverage - 1.0).abs() < 1e-12);
}

#[test]
fn an_index_that_contradicts_its_shards_is_refused() {
    let (folder, map) = sharded();
    fs::remove_file(folder.path().join(SHARDS[1])).unwrap();
    assert!(message(&folder).ends_with("it names model-00002-of-00002.safetensors, which is missing"));

    for outside in ["../secret.safetensors", "/etc/passwd", "a/../../b.safetensors", ""] {
        let (folder, mut map) = sharded();
        map.insert("conv1.weight".into(), outside.into());
        write_index(folder.path(), &map);
        assert!(message(&folder).contains("which is outside its folder"), "{outside}");
    }

    let (folder, _) = sharded();
    let mut more = map.clone();
    more.insert("fc.weight".into(), SHARDS[0].into());
    write_index(folder.path(), &more);
    assert!(
        message(&folder).ends_with("model-00001-of-00002.safetensors lacks fc.weight, which the index lists there")
    );

    let mut swapped = map.clone();
    let other = SHARDS.iter().find(|shard| **shard != map["conv1.weight"]).unwrap();
    swapped.insert("conv1.weight".into(), (*other).into());
    write_index(folder.path(), &swapped);
    assert!(message(&folder).contains("lacks conv1.weight"), "in the other shard");
}

#[test]
fn a_tensor_that_is_listed_twice_is_refused() {
    // By two shards.
    let (folder, map) = sharded();
    let all = tensors();
    write_shard(folder.path(), SHARDS[1], &all);
    assert!(
        message(&folder).contains("model-00001-of-00002.safetensors and model-00002-of-00002.safetensors both hold")
    );

    // By the index.
    let (folder, _) = sharded();
    let text = json!({"weight_map": map}).to_string();
    let twice = text.replace("{\"weight_map\":{", "{\"weight_map\":{\"conv1.weight\":\"x\",");
    fs::write(folder.path().join(INDEX), twice).unwrap();
    assert!(message(&folder).contains("it lists conv1.weight twice"));

    // By the header of a shard.
    let (folder, _) = sharded();
    let path = folder.path().join(SHARDS[0]);
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let entry = "\"bn1.bias\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},";
    let header = header.trim_end().replacen('{', &format!("{{{entry}"), 1);
    let rest = &bytes[8 + length..];
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), rest].concat()).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("it lists bn1.bias twice"), "{error}");
}

#[test]
fn what_only_looks_like_an_index_is_refused() {
    let folder = TempDir::new().unwrap();
    let write = |text: &str| fs::write(folder.path().join(INDEX), text).unwrap();
    write("{\"metadata\": {}}");
    assert!(message(&folder).contains("weight_map"));
    write("{\"weight_map\": {\"a\": 1}}");
    assert!(message(&folder).contains("the number `1` in the place of a text"), "{}", message(&folder));
    write("{\"weight_map\": {\"a\": \"model.safetensors.index.json\"}}");
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("it is the index of other files"), "{error}");
    let map: Map = (0..600).map(|number| (format!("t{number}"), format!("{number}.safetensors"))).collect();
    write_index(folder.path(), &map);
    assert!(message(&folder).ends_with("it names 600 files, the limit is 512"));
    let config = folder.path().join("config.json");
    fs::write(&config, "{\"model_type\": \"resnet\"}").unwrap();
    let error = Checkpoint::open(config).unwrap_err();
    assert!(error.to_string().ends_with("it is JSON, such as a configuration or an error message"), "{error}");
}

#[test]
fn one_shard_alone_is_called_one_of_several() {
    let (folder, _) = sharded();
    for shard in SHARDS {
        let error = inspect(folder.path().join(shard), None).and_then(|report| {
            let checkpoint = Checkpoint::open(folder.path().join(shard))?;
            let recognised = recognise(&checkpoint, None)?;
            assert!(!report.missing.is_empty());
            load_backbone(&checkpoint, &recognised, zeroed(&recognised.architecture).parameters(), &[])
        });
        let error = error.unwrap_err();
        if let CheckpointError::Incomplete { .. } = error {
            assert!(error.hint().unwrap().to_string().contains("one of several files: give their folder"), "{error}");
        }
    }
}
