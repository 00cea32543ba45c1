//! What the reader of a container hands over: names, types and shapes, and a way to the values.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Element;

/// The file formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// `torch.save` since 1.6: a zip with a pickle of metadata and an entry per storage.
    TorchZip,
    /// `torch.save` of 0.1.10 to 1.5: a stream of pickles, then the storages.
    TorchLegacy,
    /// `torch.save` before 0.1.10.
    TorchTar,
    /// A pickle alone; it cannot hold torch tensors.
    Pickle,
    /// safetensors.
    Safetensors,
    /// `numpy.savez`.
    Npz,
    /// Several files under an index of Hugging Face.
    Sharded,
}

impl Container {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Container::TorchZip => "torch zip",
            Container::TorchLegacy => "torch legacy",
            Container::TorchTar => "torch tar",
            Container::Pickle => "pickle",
            Container::Safetensors => "safetensors",
            Container::Npz => "npz",
            Container::Sharded => "shards",
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An object in a file that is not a tensor: named, never built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherObject {
    /// Path through the file's dictionaries, joined by dots.
    pub name: String,
    /// Its Python type, such as `int` or `argparse.Namespace`.
    pub kind: String,
}

impl fmt::Display for OtherObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { f.write_str(&self.kind) } else { write!(f, "{} ({})", self.name, self.kind) }
    }
}

/// Element type and shape of a tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type in the file.
    pub element: Element,
    /// Extents, outermost first.
    pub shape: Vec<i64>,
}

/// What a container's reader hands over.
pub(super) struct Contents {
    pub(super) container: Container,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    pub(super) others: Vec<OtherObject>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) values: Box<dyn Values>,
}

/// The values of the tensors of an open file, read when asked for.
pub(super) trait Values: Send + Sync {
    /// The elements of a tensor, row-major.
    ///
    /// # Errors
    /// What is wrong with the file, as text that names the tensor.
    fn read(&self, name: &str) -> Result<Vec<u8>, String>;
}
