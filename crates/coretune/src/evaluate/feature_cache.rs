//! Features of a split on disk, under a key made of everything they depend on.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use super::EvaluateError;
use crate::engine::{EngineError, guard, shape};
use crate::files::{self, user_cache};

/// Bytes that a cache keeps by default: 2 GB.
pub const DEFAULT_LIMIT: u64 = 2_000_000_000;

/// After this time a file that is being written counts as abandoned by its writer.
const ABANDONED: Duration = Duration::from_hours(24);

/// Features of a split with their labels.
#[derive(Debug)]
pub struct Features {
    /// `[n, D]`, float32, on the host.
    pub features: Tensor,
    /// n classes.
    pub labels: Vec<i64>,
}

/// Everything that the features of a split depend on.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Content hash of the images and labels of the split.
    pub data: &'a str,
    /// Content hash of the checkpoint file, or what random weights were drawn from.
    pub checkpoint: &'a str,
    /// Which of the encoders in the checkpoint.
    pub encoder: &'a str,
    /// Architecture, size, resampling, mean and std: what happens between decoding and features.
    pub transform: &'a str,
    /// Precision of the forward pass.
    pub precision: &'a str,
    /// Version of libtorch.
    pub libtorch: &'a str,
}

impl Origin<'_> {
    /// The name under which the features are kept: a hash of all fields, 64 hexadecimal digits.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for field in [self.data, self.checkpoint, self.encoder, self.transform, self.precision, self.libtorch] {
            // Lengths keep ("ab", "c") apart from ("a", "bc").
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// A folder of features, one safetensors file per [`Origin::key`], bounded in size.
///
/// A file that is damaged or was put there by something else counts as absent and is written over. When the files
/// together exceed the limit, the ones whose last use lies furthest back are removed.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
    limit: u64,
}

impl FeatureCache {
    /// A cache in `folder`, which is made when it is first written, of up to `limit` bytes.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        FeatureCache { folder: folder.into(), limit }
    }

    /// The user's cache: `$XDG_CACHE_HOME/coretune/features`, else `~/.cache/coretune/features`, of [`DEFAULT_LIMIT`].
    ///
    /// None if neither `XDG_CACHE_HOME` nor `HOME` names an absolute folder.
    pub fn of_user() -> Option<Self> {
        Some(FeatureCache::new(user_cache::folder("features")?, DEFAULT_LIMIT))
    }

    /// Where the files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The features kept under `key`; none if there is no sound file.
    pub fn load(&self, key: &str) -> Option<Features> {
        let path = self.path(key);
        let features = decode(&fs::read(&path).ok()?, key)?;
        mark_as_used(&path);
        Some(features)
    }

    /// Keeps `features` under `key`, then removes the least recently used files above the limit.
    ///
    /// # Errors
    /// [`EvaluateError::Cache`] when the file cannot be written; a run does not need it.
    pub fn store(&self, key: &str, features: &Features) -> Result<(), EvaluateError> {
        let bytes = encode(key, features)?;
        let path = self.path(key);
        fs::create_dir_all(&self.folder)
            .and_then(|()| files::write_shared(&path, &bytes))
            .map_err(|source| EvaluateError::Cache { path, source })?;
        self.shrink(key).map_err(|source| EvaluateError::Cache { path: self.folder.clone(), source })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.safetensors"))
    }

    /// Removes files from the least recently used one on until the rest fits, but never that of `newest`.
    fn shrink(&self, newest: &str) -> io::Result<()> {
        let newest = self.path(newest);
        let mut files = self.files()?;
        // The clock that stamps a written file is coarse: one that was read just before can seem newer.
        files.sort_by_key(|file| (file.path != newest, Reverse(file.used), file.path.clone()));
        let mut total = 0;
        for file in files {
            total += file.bytes;
            if (total > self.limit && file.path != newest) || file.abandoned() {
                // Another process may have removed it in between, which is fine.
                drop(fs::remove_file(&file.path));
            }
        }
        Ok(())
    }

    /// The files of this cache; whatever else lies in the folder is left alone.
    fn files(&self) -> io::Result<Vec<CacheFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_key = |stem: &str| stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
            let ours = name
                .split_once('.')
                .is_some_and(|(stem, end)| is_key(stem) && (end == "safetensors" || end.ends_with(".partial")));
            if let (true, Ok(metadata)) = (ours, fs::metadata(&path)) {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(CacheFile { path, used, bytes: metadata.len() });
            }
        }
        Ok(files)
    }
}

struct CacheFile {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
}

impl CacheFile {
    fn abandoned(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "partial")
            && self.used.elapsed().is_ok_and(|age| age > ABANDONED)
    }
}

/// The time of the last change doubles as that of the last use; if it cannot be set, files are only removed a little early.
fn mark_as_used(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        drop(file.set_modified(SystemTime::now()));
    }
}

fn encode(key: &str, features: &Features) -> Result<Vec<u8>, EvaluateError> {
    let (rows, columns) = shape::matrix("features", &features.features)?;
    shape::labels(&features.labels, rows, i64::MAX)?;
    let values = guard("reading features", || {
        let mut values = vec![0f32; (rows * columns) as usize];
        features.features.to_kind(Kind::Float).contiguous().copy_data(&mut values, (rows * columns) as usize);
        values
    })?;
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let labels: Vec<u8> = features.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let digest = digest(&values, &labels);
    let metadata = HashMap::from([("key".to_string(), key.to_string()), ("blake3".to_string(), digest)]);
    let (rows, columns) = (rows as usize, columns as usize);
    TensorView::new(Dtype::F32, vec![rows, columns], &values)
        .and_then(|values| Ok([("features", values), ("labels", TensorView::new(Dtype::I64, vec![rows], &labels)?)]))
        .and_then(|tensors| safetensors::serialize(tensors, Some(metadata)))
        .map_err(|error| {
            EngineError::Value { name: "features", expected: "a matrix".into(), found: error.to_string() }.into()
        })
}

/// The features in a cache file; none unless it is whole and was written for `key`.
fn decode(bytes: &[u8], key: &str) -> Option<Features> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata = header.metadata().as_ref()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let (matrix, labels) = (tensors.tensor("features").ok()?, tensors.tensor("labels").ok()?);
    let &[rows, columns] = matrix.shape() else { return None };
    let sound = metadata.get("key").is_some_and(|found| found == key)
        && metadata.get("blake3").is_some_and(|found| *found == digest(matrix.data(), labels.data()))
        && (matrix.dtype(), labels.dtype()) == (Dtype::F32, Dtype::I64)
        && labels.shape() == [rows];
    if !sound {
        return None;
    }
    let labels = labels.data().chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let size = [rows as i64, columns as i64];
    let features = Tensor::f_from_data_size(matrix.data(), &size, Kind::Float).ok()?;
    Some(Features { features, labels: labels.collect() })
}

fn digest(features: &[u8], labels: &[u8]) -> String {
    blake3::Hasher::new().update(features).update(labels).finalize().to_hex().to_string()
}
