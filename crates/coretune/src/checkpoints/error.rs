use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Element, Mismatched};
use crate::engine::EngineError;
use crate::run_folder::RunFolderError;
use crate::settings::{Hint, literal};

/// Why a checkpoint cannot be used; every variant names the file, what was expected and what was found.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum CheckpointError {
    /// The operating system refused the file.
    #[error("cannot {doing} {}", path.display())]
    File {
        path: PathBuf,
        /// What was tried: open, read, write.
        doing: &'static str,
        source: std::io::Error,
    },
    /// The file on the disk differs from what was written.
    #[error("{} differs from what was written to it", path.display())]
    WrittenWrong { path: PathBuf },
    /// The content is not one of the containers that are read.
    #[error("{} is not a checkpoint: {found}", path.display())]
    NotACheckpoint {
        path: PathBuf,
        /// What it looks like, as text.
        found: String,
    },
    /// The content starts like a container and then contradicts itself.
    #[error("{} is damaged or in an unsupported form: {message} (container: {container})", path.display())]
    Damaged {
        path: PathBuf,
        /// The container it starts like.
        container: &'static str,
        /// What its reader says.
        message: String,
    },
    /// Tensors are buried in an object of a class of its own.
    #[error("{} keeps tensors inside an object of type {kind}, which cannot be opened without running its code", path.display())]
    Foreign {
        path: PathBuf,
        /// Python type of the object.
        kind: String,
    },
    /// The file holds no tensor.
    #[error("{} contains no tensors{}", path.display(), or_what(others))]
    NoTensors {
        path: PathBuf,
        /// What it holds instead, first few.
        others: Vec<String>,
    },
    /// A name that should be a tensor is another object.
    #[error("{name} in {} is {kind}, expected a tensor", path.display())]
    NotATensor {
        path: PathBuf,
        /// Name in the file.
        name: String,
        kind: String,
    },
    /// The file has no tensor of the name asked for.
    #[error("{} contains no tensor named {name}", path.display())]
    NoSuchTensor {
        path: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// No backbone was found under any prefix.
    #[error("no backbone was recognised in {}; the names of its tensors start with {}", path.display(), prefixes.join(", "))]
    Unrecognised {
        path: PathBuf,
        /// The prefixes of its tensors, with their counts.
        prefixes: Vec<String>,
    },
    /// The tensors are those of a network of another kind.
    #[error("{} holds {network}, which is not read", path.display())]
    OtherNetwork {
        path: PathBuf,
        /// Such as `a Vision Transformer`.
        network: String,
    },
    /// A tensor is only a part of a weight.
    #[error("{name} in {} is part of {what}", path.display())]
    Unmerged {
        path: PathBuf,
        /// Name in the file.
        name: String,
        what: &'static str,
        /// What makes a weight of it.
        mend: &'static str,
    },
    /// The index of a checkpoint in several files contradicts them or itself.
    #[error("{} is not a usable index of shards: {message}", path.display())]
    Index { path: PathBuf, message: String },
    /// Backbones were found under several prefixes and no layout says which one counts.
    #[error("{} contains {} backbones in no known layout: {}", path.display(), prefixes.len(), prefixes.join(", "))]
    Ambiguous { path: PathBuf, prefixes: Vec<String> },
    /// The file does not have the encoder asked for.
    #[error("{} has no encoder {asked}; it has {}", path.display(), present.join(", "))]
    UnknownEncoder {
        path: PathBuf,
        /// The name or prefix asked for.
        asked: String,
        /// The encoders it has.
        present: Vec<String>,
    },
    /// The tensors form a network that is not supported.
    #[error("the network under '{prefix}' in {} is not supported: {found}", path.display())]
    UnknownArchitecture {
        path: PathBuf,
        /// Prefix of its tensors.
        prefix: String,
        /// What does not fit, as text.
        found: String,
    },
    /// Two tensors of the file claim the same place.
    #[error("{first} and {second} in {} both map to {target}", path.display())]
    Duplicate {
        path: PathBuf,
        /// Name in the model.
        target: String,
        /// One name in the file.
        first: String,
        second: String,
    },
    /// The checkpoint's architecture differs from the model's.
    #[error("the checkpoint does not fit the model: {} has {found}, the model {expected}", path.display())]
    DoesNotFit {
        path: PathBuf,
        /// Model, first tensor that differs, its shape.
        expected: String,
        /// The same of the file.
        found: String,
    },
    /// One tensor has another shape than the model's.
    #[error("{name} in {} has shape {found:?}, expected {expected:?} for {target}", path.display())]
    Shape {
        path: PathBuf,
        /// Name in the file.
        name: String,
        /// Name in the model.
        target: String,
        /// Shape in the model.
        expected: Vec<i64>,
        /// Shape in the file.
        found: Vec<i64>,
    },
    /// Tensors of the backbone have another shape than the network that the others make up.
    #[error("{}", wrong_shapes(path, tensors))]
    Mismatched {
        path: PathBuf,
        /// The tensors, at least one.
        tensors: Vec<Mismatched>,
    },
    /// Tensors of the backbone are missing.
    #[error("{} covers {loaded} of {expected} backbone tensors; missing: {}", path.display(), first_names(missing))]
    Incomplete {
        path: PathBuf,
        loaded: usize,
        /// Tensors of the backbone.
        expected: usize,
        /// Names of the missing ones.
        missing: Vec<String>,
    },
    /// The file has no projection head of the form of G_c.
    #[error(
        "{} has no projection head of linear layers, batch norm and ReLU beside its encoder: found {found}",
        path.display()
    )]
    NoProjector {
        path: PathBuf,
        /// What is in its place.
        found: String,
    },
    /// A weight is not a finite number.
    #[error("{name} in {} holds NaN or infinite values", path.display())]
    NotFinite {
        path: PathBuf,
        /// Name in the file.
        name: String,
    },
    /// The first layer holds zeros only.
    #[error("every value of {name} in {} is zero, as in a file that was made and never filled", path.display())]
    AllZero {
        path: PathBuf,
        /// Name in the file.
        name: String,
    },
    /// The data of a file that coretune wrote was altered.
    #[error("{} has been altered since it was written: its data does not match its checksum", path.display())]
    Altered { path: PathBuf },
    /// Weights have floating point numbers of less than 16 bits.
    #[error("{name} in {} holds {element}, floating point numbers of less than 16 bits, which are not read", path.display())]
    NarrowFloat {
        path: PathBuf,
        /// Name in the file.
        name: String,
        /// As the container calls it: `F8_E4M3`.
        element: String,
    },
    /// A weight is a whole number.
    #[error("{name} in {} holds {element}, expected floating point numbers", path.display())]
    NotFloatingPoint {
        path: PathBuf,
        /// Name in the file.
        name: String,
        element: Element,
    },
    /// A run folder without the model that was asked for.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// libtorch refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl CheckpointError {
    /// What the user can do about it, if anything.
    pub fn hint(&self) -> Option<Hint> {
        let hint: Hint = match self {
            Self::NotACheckpoint { .. } => {
                "torch.save files (.pth, .pt, .pth.tar), .safetensors and .npz are read; was the download complete?".into()
            }
            Self::Damaged { .. } => {
                "compare its size or checksum with the source; if it is complete, save its weights alone: torch.save(torch.load(FILE)['state_dict'], NEW)"
                    .into()
            }
            Self::Foreign { .. } | Self::NotATensor { .. } => {
                "save the weights alone: torch.save(model.state_dict(), path)".into()
            }
            Self::NoTensors { .. } => "give the file with the weights, not the one with the configuration or log".into(),
            Self::Unrecognised { .. } => {
                "if it contains a backbone, name the prefix of its tensors: {checkpoint.encoder=PREFIX}".into()
            }
            Self::OtherNetwork { .. } => {
                "ResNets (also wide ones and ResNeXt) and the MobileNetV2 for 32x32 are read; many sources publish a ResNet-50 too"
                    .into()
            }
            Self::Unmerged { mend, .. } => format!("{mend}; then torch.save(model.state_dict(), NEW)").into(),
            Self::Index { .. } => {
                "put all files that the index names beside it, as they were published; was the download complete?".into()
            }
            Self::Ambiguous { prefixes, .. } => {
                format!("choose one: {}", encoder(prefixes)).into()
            }
            Self::UnknownEncoder { present, .. } => {
                format!("leave out {{checkpoint.encoder}}, or use {}", encoder(present)).into()
            }
            Self::NoProjector { .. } => "leave out {method.projection}: the head then starts from random weights".into(),
            Self::DoesNotFit { .. } | Self::Shape { .. } => {
                "leave out {model.name}, {model.stem} and {model.width}; the checkpoint names its own architecture".into()
            }
            Self::Incomplete { path, .. } | Self::UnknownArchitecture { path, .. } if is_shard(path) => {
                "it is one of several files: give their folder, or the index beside them (.index.json)".into()
            }
            Self::Incomplete { missing, .. } => format!(
                "to start these from random values, name them: {{checkpoint.allow_missing='{}'}}",
                literal(patterns_for(missing))
            )
            .into(),
            Self::Mismatched { tensors, .. } => {
                let targets: Vec<String> = tensors.iter().map(|tensor| tensor.target.clone()).collect();
                format!(
                    "to start {} from random values: {{checkpoint.allow_missing='{}'}}",
                    if targets.len() == 1 { "it" } else { "them" },
                    literal(patterns_for(&targets))
                )
                .into()
            }
            Self::Altered { .. } => "use a copy of it; if nothing should have altered it, the disk may be failing".into(),
            Self::NotFloatingPoint { .. } => {
                "use the weights from before they were quantised; or convert them, tensor.to(torch.float32) times the scale that the file \
                 has for it, and save the result"
                    .into()
            }
            Self::NarrowFloat { .. } => {
                "use the weights as they were published in 16 or 32 bits; or convert them: tensor.to(torch.float32), times its \
                 scale if the file has scales, and save the result"
                    .into()
            }
            Self::RunFolder(error) => return error.hint(),
            Self::AllZero { .. } => "was it written completely? Use the checkpoint of a finished run".into(),
            Self::NotFinite { .. } => "the run that wrote it diverged; use an earlier checkpoint of it".into(),
            Self::File { source, .. } => return crate::files::storage_hint(source.kind()),
            Self::WrittenWrong { .. } => "the disk may be failing: see the system's log (dmesg)".into(),
            Self::Duplicate { path, second, .. } => without_second(path, second).into(),
            Self::UnknownArchitecture { .. } => {
                "ResNets (also wide ones and ResNeXt) and the MobileNetV2 for 32x32 are read, as torchvision builds them; if \
                 the backbone is another one of the file: {checkpoint.encoder=PREFIX}"
                    .into()
            }
            Self::NoSuchTensor { .. } | Self::Engine(_) => return None,
        };
        Some(hint)
    }
}

/// How one of two tensors that claim a place is taken out of the file.
fn without_second(path: &Path, second: &str) -> String {
    let name = literal(second);
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        return format!(
            "keep the one that the model was trained with, for example without the second: from safetensors.torch import \
             load_file, save_file; state = load_file(FILE); del state['{name}']; save_file(state, NEW)"
        );
    }
    format!(
        "keep the one that the model was trained with, for example without the second: state = torch.load(FILE); state = \
         state.get('state_dict', state); del state['{name}']; torch.save(state, NEW)"
    )
}

/// The setting that takes the first of these encoders.
fn encoder(names: &[String]) -> String {
    format!("{{checkpoint.encoder={}}}", literal(names.first().map_or("PREFIX", String::as_str)))
}

/// Whether a file is called like one of several: `model-00001-of-00002.safetensors`.
fn is_shard(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let number = |text: &str| text.len() >= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once("-of-")
        .is_some_and(|(first, count)| number(count) && first.rsplit_once('-').is_some_and(|(_, index)| number(index)))
}

/// How many missing names an error spells out.
const NAMES_SHOWN: usize = 5;

fn first_names(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn or_what(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; it contains {}", first_names(others)) }
}

fn wrong_shapes(path: &Path, tensors: &[Mismatched]) -> String {
    let Some(first) = tensors.first() else { return format!("{} does not fit", path.display()) };
    let Mismatched { name, target, expected, found } = first;
    let more = match tensors.len() {
        1 => String::new(),
        count => format!(", and {} more do not fit", count - 1),
    };
    format!("{name} in {} has shape {found:?}, expected {expected:?} for {target}{more}", path.display())
}

/// Patterns that match all of `names` and little else, with commas between: of the names with one first component the
/// name itself, or what they share: `conv1.weight,layer4.1.*`.
pub(super) fn patterns_for(names: &[String]) -> String {
    let mut patterns: Vec<String> = Vec::new();
    let head = |name: &str| name.split('.').next().unwrap_or_default().to_string();
    for names in names.chunk_by(|a, b| head(a) == head(b)) {
        let pattern = match names {
            [only] => only.clone(),
            names => format!("{}.*", shared_components(names)),
        };
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns.join(",")
}

/// The first components that all names have in common: `layer4.1` of `layer4.1.conv1.weight` and `layer4.1.bn1.bias`.
fn shared_components(names: &[String]) -> String {
    let components = |name: &String| name.split('.').map(str::to_string).collect::<Vec<_>>();
    let mut shared = names.first().map(components).unwrap_or_default();
    // The last component is never shared by all of several names.
    shared.pop();
    for name in names {
        let own = components(name);
        let equal = shared.iter().zip(&own).take_while(|(a, b)| a == b).count();
        shared.truncate(equal);
    }
    shared.join(".")
}

#[cfg(test)]
mod tests {
    use super::super::NamePattern;
    use super::*;

    #[test]
    fn patterns_name_all_that_is_missing_and_little_else() {
        let names = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(patterns_for(&names(&["conv1.weight"])), "conv1.weight");
        let missing = names(&["conv1.weight", "bn1.weight", "bn1.bias", "layer4.1.conv1.weight", "layer4.1.bn1.bias"]);
        let patterns = patterns_for(&missing);
        assert_eq!(patterns, "conv1.weight,bn1.*,layer4.1.*");
        let patterns: Vec<NamePattern> = patterns.split(',').map(NamePattern::from).collect();
        assert!(missing.iter().all(|name| patterns.iter().any(|pattern| pattern.matches(name))));
        assert_eq!(patterns_for(&names(&["layer4.0.conv1.weight", "layer4.1.conv1.weight"])), "layer4.*");
    }
}
