//! The formats, and the ends of the names of their files.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// safetensors with torchvision's names.
    Safetensors,
    /// `torch.save` in the layout of the published Core-tuning script.
    Torch,
    /// ONNX with the normalisation inside.
    Onnx,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 3] = [Format::Safetensors, Format::Torch, Format::Onnx];

    /// The word of `--to`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "torch",
            Format::Onnx => "onnx",
        }
    }

    /// The ending that files of this format have.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "pth",
            Format::Onnx => "onnx",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that the ending of a file's name belongs to.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "safetensors" => Some(Format::Safetensors),
            "pth" | "pt" | "tar" | "ckpt" => Some(Format::Torch),
            "onnx" => Some(Format::Onnx),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
