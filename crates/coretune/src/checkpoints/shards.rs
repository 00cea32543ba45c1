//! Checkpoints in several files: an index of Hugging Face says in which file each tensor is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::CheckpointError;
use super::contents::{Container, Contents, Values};
use super::limits::clipped;
use super::unique_keys::UniqueKeys;
use crate::files::json_fault;

/// Bytes that an index may have.
const LARGEST_INDEX: u64 = 64 << 20;

/// Files that an index may name; each stays open.
const MOST_SHARDS: usize = 512;

/// Files of a folder of Hugging Face that hold a network, in the order in which they are taken.
const FILES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The checkpoint in a folder of Hugging Face, if there is one.
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    FILES.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok())
}

/// Whether a text file of this name and beginning is an index.
pub(super) fn is_index(path: &Path, head: &[u8]) -> bool {
    let named = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"));
    head.trim_ascii_start().starts_with(b"{") && (named || head.windows(12).any(|bytes| bytes == b"\"weight_map\""))
}

#[derive(Deserialize)]
struct Index {
    /// Tensors, and the file of each.
    weight_map: UniqueKeys<String>,
}

/// The shards of an open checkpoint, and which of them has each tensor.
struct Shards {
    values: Vec<Box<dyn Values>>,
    shard: BTreeMap<String, usize>,
}

impl Values for Shards {
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let &shard = self.shard.get(name).ok_or_else(|| format!("tensor {name}: in no shard"))?;
        self.values[shard].read(name)
    }
}

/// The tensors of all shards, and the files; `open` reads one shard.
pub(super) fn open(
    path: &Path,
    open: impl Fn(&Path) -> Result<Contents, CheckpointError>,
) -> Result<(Contents, Vec<PathBuf>), CheckpointError> {
    let refused = |message: String| CheckpointError::Index { path: path.into(), message };
    let index = read(path)?;
    let names: BTreeSet<&String> = index.values().collect();
    if names.len() > MOST_SHARDS {
        return Err(refused(format!("it names {} files, the limit is {MOST_SHARDS}", names.len())));
    }
    let mut contents = Contents {
        container: Container::Sharded,
        tensors: BTreeMap::new(),
        others: Vec::new(),
        metadata: BTreeMap::new(),
        values: Box::new(Shards { values: Vec::new(), shard: BTreeMap::new() }),
    };
    let mut shards = Shards { values: Vec::new(), shard: BTreeMap::new() };
    let mut files: Vec<PathBuf> = Vec::new();
    for name in names {
        let file = beside(path, name).map_err(refused)?;
        let of_shard = open(&file)?;
        for (tensor, info) in of_shard.tensors {
            if let Some(first) = shards.shard.insert(tensor.clone(), files.len()) {
                let first = files[first].file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(refused(format!(
                    "{} and {} both hold {}",
                    clipped(&first),
                    clipped(name),
                    clipped(&tensor)
                )));
            }
            contents.tensors.insert(tensor, info);
        }
        contents.others.extend(of_shard.others);
        shards.values.push(of_shard.values);
        files.push(file);
    }
    for (tensor, name) in &index {
        let is_other = |other: &super::OtherObject| other.name == *tensor;
        let holds = shards.shard.get(tensor).is_some_and(|&shard| files[shard] == path.with_file_name(name));
        if !holds && !contents.others.iter().any(is_other) {
            return Err(refused(format!("{} lacks {}, which the index lists there", clipped(name), clipped(tensor))));
        }
    }
    contents.values = Box::new(shards);
    Ok((contents, files))
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let file_error = |source| CheckpointError::File { path: path.into(), doing: "read", source };
    let refused = |message: String| CheckpointError::Index { path: path.into(), message };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST_INDEX + 1).read_to_end(&mut text)).map_err(file_error)?;
    if text.len() as u64 > LARGEST_INDEX {
        return Err(refused(format!("it is longer than {LARGEST_INDEX} bytes")));
    }
    let index: Index = serde_json::from_slice(&text).map_err(|error| refused(in_words(&error)))?;
    Ok(index.weight_map.0)
}

/// What is wrong with an index, as a sentence about it.
fn in_words(error: &serde_json::Error) -> String {
    let fault = json_fault(error);
    match fault.strip_suffix(&format!(" in line {}", error.line())) {
        Some("an object without `weight_map`") => {
            "it has no `weight_map`, which says in which file each tensor is".into()
        }
        Some(twice) if twice.starts_with("it lists") => twice.into(),
        _ => format!("found {fault}"),
    }
}

/// The file of this name in the folder of the index, or, as text, why it is not taken.
fn beside(index: &Path, name: &str) -> Result<PathBuf, String> {
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !is_inside {
        return Err(format!("it names `{}`, which is outside its folder", clipped(name)));
    }
    let file = index.with_file_name(name);
    if file.exists() { Ok(file) } else { Err(format!("it names {}, which is missing", clipped(name))) }
}
