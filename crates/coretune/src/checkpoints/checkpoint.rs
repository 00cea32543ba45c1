use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::contents::{Container, Contents, OtherObject, TensorInfo};
use super::{CheckpointError, numpy_archive, safetensors_reader, shards, torch_file};
use crate::engine::guard;
use crate::files::{content_of, regular_file};
use crate::run_folder::RunFolder;

/// An opened checkpoint: names, types and shapes of its tensors; their values are read when asked for.
///
/// Dictionaries are flattened with dots: `state_dict.module.encoder_q.conv1.weight`. Nothing in the file is executed.
pub struct Checkpoint {
    path: PathBuf,
    contents: Contents,
    /// Files that hold the tensors, if they are not in `path`.
    shards: Vec<PathBuf>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("container", &self.contents.container)
            .field("tensors", &self.contents.tensors.len())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens a file of any container, recognised by its content; the name does not matter. Of a run folder, the model of
    /// its best epoch; of a folder of Hugging Face, its network, in one file or in the shards that an index names.
    ///
    /// # Errors
    /// [`CheckpointError::RunFolder`], [`CheckpointError::File`], [`CheckpointError::NotACheckpoint`], [`CheckpointError::Damaged`],
    /// [`CheckpointError::Foreign`], [`CheckpointError::Index`] and [`CheckpointError::NoTensors`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = &file_of(path.as_ref())?;
        let (contents, shards) = match detect(path)? {
            Container::Sharded => shards::open(path, |shard| one_file(shard, detect(shard)?))?,
            container => (one_file(path, container)?, Vec::new()),
        };
        if contents.tensors.is_empty() {
            let others = contents.others.iter().map(ToString::to_string).collect();
            return Err(CheckpointError::NoTensors { path: path.into(), others });
        }
        Ok(Checkpoint { path: path.into(), contents, shards })
    }

    /// Every file that was opened: the checkpoint, or an index and its shards.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.path).chain(&self.shards).map(PathBuf::as_path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    pub fn container(&self) -> Container {
        self.contents.container
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.contents.tensors
    }

    /// Objects that are not tensors.
    pub fn others(&self) -> &[OtherObject] {
        &self.contents.others
    }

    /// The `__metadata__` of a safetensors file; empty otherwise.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.contents.metadata
    }

    /// Reads one tensor to the CPU: floats as f32, whole numbers as they are, row-major.
    ///
    /// # Errors
    /// [`CheckpointError::NoSuchTensor`], [`CheckpointError::NotATensor`] when the name is another object, and
    /// [`CheckpointError::Damaged`] when the bytes are not there or fail their checksum.
    pub fn read(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let tensor = self.read_as_stored(name)?;
        if !tensor.is_floating_point() {
            return Ok(tensor);
        }
        Ok(guard("converting a tensor to f32", || tensor.to_kind(Kind::Float))?)
    }

    /// Reads one tensor to the CPU in the type that the file stores.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn read_as_stored(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let Some(info) = self.contents.tensors.get(name) else { return Err(self.not_there(name)) };
        let bytes = self.contents.values.read(name).map_err(|message| self.damaged(message))?;
        Ok(info.element.tensor(&bytes, &info.shape)?)
    }

    fn not_there(&self, name: &str) -> CheckpointError {
        let path = self.path.clone();
        match self.contents.others.iter().find(|other| other.name == name) {
            Some(other) => CheckpointError::NotATensor { path, name: name.into(), kind: other.kind.clone() },
            None => CheckpointError::NoSuchTensor { path, name: name.into() },
        }
    }

    fn damaged(&self, message: String) -> CheckpointError {
        CheckpointError::Damaged { path: self.path.clone(), container: self.container().name(), message }
    }
}

/// Names and shapes of a checkpoint in one file.
fn one_file(path: &Path, container: Container) -> Result<Contents, CheckpointError> {
    match container {
        Container::Safetensors => safetensors_reader::open(path),
        Container::Npz => numpy_archive::open(path),
        Container::Sharded => {
            Err(CheckpointError::NotACheckpoint { path: path.into(), found: "it is the index of other files".into() })
        }
        torch => torch_file::open(path, torch),
    }
}

/// The file of the encoder if `path` is a run folder, that of the network if it is a folder of Hugging Face, else the path
/// itself.
fn file_of(path: &Path) -> Result<PathBuf, CheckpointError> {
    if RunFolder::holds_run(path) {
        return Ok(RunFolder::open_records(path)?.encoder()?);
    }
    Ok(shards::in_folder(path).unwrap_or_else(|| path.into()))
}

/// Bytes of a file that are read to recognise its container; the tar magic ends at byte 262.
const HEAD: u64 = 512;

/// What a folder is that holds the parts of a checkpoint which several processes wrote, and what makes one file of it.
const DISTRIBUTED: &str = "it is a distributed checkpoint of PyTorch; one file of it makes \
                           `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE`";

/// The container a file's first bytes belong to.
fn detect(path: &Path) -> Result<Container, CheckpointError> {
    let file = |source| CheckpointError::File { path: path.into(), doing: "open", source };
    let opened = regular_file::open(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput if path.join(".metadata").is_file() => {
            CheckpointError::NotACheckpoint { path: path.into(), found: DISTRIBUTED.into() }
        }
        ErrorKind::InvalidInput => CheckpointError::NotACheckpoint { path: path.into(), found: error.to_string() },
        _ => file(error),
    })?;
    let mut head = Vec::new();
    opened.take(HEAD).read_to_end(&mut head).map_err(file)?;

    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return if numpy_archive::is_npz(path)? { Ok(Container::Npz) } else { Ok(Container::TorchZip) };
    }
    if safetensors_reader::starts_like(&head) {
        return Ok(Container::Safetensors);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Ok(Container::TorchTar);
    }
    if opens_with(&head, &LEGACY_MAGIC) || opens_with(&head, LEGACY_MAGIC_TEXT) {
        return Ok(Container::TorchLegacy);
    }
    if is_text(&head) && shards::is_index(path, &head) {
        return Ok(Container::Sharded);
    }
    match head.first() {
        Some(0x80) => Ok(Container::Pickle),
        Some(b'(' | b'}' | b']' | b'c') if !is_text(&head) => Ok(Container::Pickle),
        _ => Err(CheckpointError::NotACheckpoint { path: path.into(), found: looks_like(&head) }),
    }
}

/// The magic number 0x1950a86a20f9469cfc6c that opens a legacy file, little-endian as pickle protocol 2 writes it.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The same in decimal, as protocols 0 and 1 write it.
const LEGACY_MAGIC_TEXT: &[u8] = b"119547037146038801333356";

/// Whether the magic number is where the reader of the format expects it.
fn opens_with(head: &[u8], magic: &[u8]) -> bool {
    head[..head.len().min(64)].windows(magic.len()).any(|bytes| bytes == magic)
}

fn is_text(head: &[u8]) -> bool {
    // The last character may be cut.
    let utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    utf8 && head.iter().all(|&byte| byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t'))
}

fn looks_like(head: &[u8]) -> String {
    if head.is_empty() {
        return "it is empty".into();
    }
    match content_of(head) {
        Some(content) => format!("it is {}", content.name),
        None if is_text(head) => "it is a text file".into(),
        None => "its first bytes match no supported format".into(),
    }
}
