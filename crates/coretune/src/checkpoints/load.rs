//! Copies a recognised backbone into a model and proves that all of it arrived.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Serialize, Serializer};
use tch::Tensor;

use super::error::patterns_for;
use super::recognise::outline;
use super::{Checkpoint, CheckpointError, LeftOut, Mismatched, NamePattern, OtherObject, Recognised, recognise};
use crate::engine::guard;
use crate::models::{Architecture, Family, Parameters, Stem};

/// What was loaded, what is missing, and what was left out and why.
///
/// As JSON it has `layout, method, architecture, width, encoder, coverage, loaded, missing, left_out, not_tensors`, and
/// the rest of its fields.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// Name of the file without its folder.
    pub file: String,
    /// Its format, such as `torch zip`.
    pub container: &'static str,
    /// Number of tensors in the file.
    pub tensors: usize,
    /// Name of the layout, such as `moco`.
    pub layout: &'static str,
    /// The method as text, such as `MoCo v1/v2`.
    pub method: &'static str,
    /// Prefix of the backbone's tensors in the file.
    pub prefix: String,
    /// The network's family.
    #[serde(serialize_with = "as_name")]
    pub architecture: Family,
    /// Its first layers.
    pub stem: Stem,
    /// Factor on its channels.
    pub width: f64,
    /// Width of its features.
    pub features: i64,
    /// Number of its weights, running statistics not counted.
    pub parameters: usize,
    /// The encoder taken.
    pub encoder: String,
    /// The encoders that are there too.
    pub other_encoders: Vec<String>,
    /// Fraction of the backbone's tensors that the file holds.
    pub coverage: f64,
    /// Name in the backbone, and name in the file.
    pub loaded: BTreeMap<String, String>,
    /// Names in the backbone that the file does not hold, or holds in another shape.
    pub missing: Vec<String>,
    /// Tensors of the file whose shape is not the backbone's.
    pub mismatched: Vec<Mismatched>,
    /// Heads that the file holds and this library has a place for, by our names.
    pub heads: Vec<String>,
    /// Tensors that are not used.
    pub left_out: Vec<LeftOut>,
    /// Objects that are not tensors.
    pub not_tensors: Vec<OtherObject>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn as_name<S: Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(family.name())
}

impl LoadReport {
    /// Number of tensors that the backbone needs: those loaded and those missing.
    pub fn expected(&self) -> usize {
        self.loaded.len() + self.missing.len()
    }

    /// Patterns that match all that is missing, as `--allow-missing` takes them: `conv1.weight,layer4.1.*`.
    pub fn missing_patterns(&self) -> String {
        patterns_for(&self.missing)
    }
}

/// Opens and recognises a file and reads its whole backbone, to report on it; nothing is refused for being incomplete.
///
/// # Errors
/// Those of [`Checkpoint::open`], [`recognise`] and [`Checkpoint::read`], [`CheckpointError::NotFinite`] and
/// [`CheckpointError::NotFloatingPoint`].
pub fn inspect(path: impl AsRef<Path>, encoder: Option<&str>) -> Result<LoadReport, CheckpointError> {
    let checkpoint = Checkpoint::open(path)?;
    let recognised = recognise(&checkpoint, encoder)?;
    let backbone = outline(&recognised.architecture)?;
    let report = covered(&checkpoint, &recognised, backbone.parameters(), &[NamePattern::anything()])?;
    for (target, source) in &recognised.backbone {
        let value = read_weight(&checkpoint, source, target)?;
        let expected = backbone.parameters().get(target).map(|parameter| parameter.tensor.size());
        check_shape(&checkpoint, source, &value, target, &expected.unwrap_or_default())?;
    }
    Ok(report)
}

/// Refuses a file that lacks tensors of the network which no pattern of `allow_missing` matches, or has others, before
/// memory is taken for the network.
///
/// # Errors
/// [`CheckpointError::Incomplete`], [`CheckpointError::Mismatched`] and [`CheckpointError::DoesNotFit`].
pub fn check_coverage(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    network: &Architecture,
    allow_missing: &[NamePattern],
) -> Result<(), CheckpointError> {
    covered(checkpoint, recognised, outline(network)?.parameters(), allow_missing).map(drop)
}

/// Copies every tensor of the backbone into `parameters` (their memory layout and device stay as they are).
///
/// `num_batches_tracked` may be missing, as in files from before torch 0.4.1: it counts batches and changes no output.
///
/// # Errors
/// [`CheckpointError::Incomplete`] when other names are missing that no pattern of `allow_missing` matches;
/// [`CheckpointError::DoesNotFit`] when the file has more layers than the model; [`CheckpointError::Shape`];
/// [`CheckpointError::Mismatched`], [`CheckpointError::NotFinite`], [`CheckpointError::NotFloatingPoint`]; those of [`Checkpoint::read`]. After an error the parameters are of no use.
pub fn load_backbone(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    parameters: &Parameters,
    allow_missing: &[NamePattern],
) -> Result<LoadReport, CheckpointError> {
    let report = covered(checkpoint, recognised, parameters, allow_missing)?;
    for parameter in parameters.iter() {
        if let Some(source) = recognised.backbone.get(&parameter.name) {
            let value = read_weight(checkpoint, source, &parameter.name)?;
            copy(checkpoint, source, &value, &parameter.name, &parameter.tensor)?;
        }
    }
    Ok(report)
}

/// The report, when what is missing may be.
fn covered(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    parameters: &Parameters,
    allow_missing: &[NamePattern],
) -> Result<LoadReport, CheckpointError> {
    refuse_unused(checkpoint, recognised, parameters)?;
    let missing = missing(recognised, parameters);
    let report = report(checkpoint, recognised, parameters, missing);
    let allowed = |name: &String| allow_missing.iter().any(|pattern| pattern.matches(name));
    if report.mismatched.iter().any(|tensor| !allowed(&tensor.target)) {
        return Err(CheckpointError::Mismatched { path: checkpoint.path().into(), tensors: report.mismatched });
    }
    if !report.missing.iter().all(allowed) {
        return Err(CheckpointError::Incomplete {
            path: checkpoint.path().into(),
            loaded: report.loaded.len(),
            expected: report.expected(),
            missing: report.missing,
        });
    }
    Ok(report)
}

/// The heads that the file holds and this library has a place for, by our names: `classifier.weight`,
/// `classifier.bias`, `projection.0.weight`, ...
///
/// # Errors
/// [`CheckpointError::NotFinite`], [`CheckpointError::NotFloatingPoint`] and those of [`Checkpoint::read`].
pub fn load_heads(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
) -> Result<BTreeMap<String, Tensor>, CheckpointError> {
    recognised
        .heads
        .iter()
        .map(|(target, source)| Ok((target.clone(), read_weight(checkpoint, source, target)?)))
        .collect()
}

/// Fails when the file has a tensor for which the model has no place.
fn refuse_unused(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    parameters: &Parameters,
) -> Result<(), CheckpointError> {
    match recognised.backbone.keys().find(|&target| parameters.get(target).is_none()) {
        None => Ok(()),
        Some(target) => Err(CheckpointError::DoesNotFit {
            path: checkpoint.path().into(),
            expected: format!("no {target}"),
            found: format!("{}: {target}", recognised.architecture.family),
        }),
    }
}

fn missing(recognised: &Recognised, parameters: &Parameters) -> Vec<String> {
    parameters
        .iter()
        .map(|parameter| &parameter.name)
        .filter(|name| !recognised.backbone.contains_key(*name) && !is_count(name))
        .cloned()
        .collect()
}

fn report(
    checkpoint: &Checkpoint,
    recognised: &Recognised,
    parameters: &Parameters,
    missing: Vec<String>,
) -> LoadReport {
    let loaded = recognised.backbone.clone();
    let architecture = recognised.architecture;
    let mut report = LoadReport {
        file: checkpoint.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        container: checkpoint.container().name(),
        tensors: checkpoint.tensors().len(),
        layout: recognised.layout,
        method: recognised.method,
        prefix: recognised.prefix.clone(),
        architecture: architecture.family,
        stem: architecture.stem,
        width: architecture.width,
        features: recognised.features,
        parameters: parameters.weight_count(),
        encoder: recognised.encoder.clone(),
        other_encoders: recognised.other_encoders.clone(),
        coverage: 0.0,
        loaded,
        missing,
        mismatched: recognised.mismatched.clone(),
        heads: recognised.heads.keys().cloned().collect(),
        left_out: recognised.left_out.clone(),
        not_tensors: checkpoint.others().to_vec(),
    };
    report.coverage = report.loaded.len() as f64 / report.expected().max(1) as f64;
    report
}

/// Batch norm's count of batches: a whole number, and no weight.
pub(super) fn is_count(target: &str) -> bool {
    target.ends_with(".num_batches_tracked")
}

/// The layer without which a network computes nothing, by our name.
const FIRST_LAYER: &str = "conv1.weight";

/// The values of `name`, which stand for `target`: floating point numbers, finite, and of the first layer not all zero.
pub(super) fn read_weight(checkpoint: &Checkpoint, name: &str, target: &str) -> Result<Tensor, CheckpointError> {
    let element = checkpoint.tensors().get(name).map(|info| info.element);
    if let Some(element) = element.filter(|element| !element.is_float() && !is_count(target)) {
        return Err(CheckpointError::NotFloatingPoint { path: checkpoint.path().into(), name: name.into(), element });
    }
    let value = checkpoint.read(name)?;
    let finite = guard("checking a tensor for NaN", || value.isfinite().all().int64_value(&[]) != 0)?;
    if !finite {
        return Err(CheckpointError::NotFinite { path: checkpoint.path().into(), name: name.into() });
    }
    // Zeros are values like others elsewhere: of biases, of the last norm of a residual block.
    let is_blank = || guard("checking a tensor for zeros", || value.count_nonzero(None::<i64>).int64_value(&[]) == 0);
    if target == FIRST_LAYER && is_blank()? {
        return Err(CheckpointError::AllZero { path: checkpoint.path().into(), name: name.into() });
    }
    Ok(value)
}

pub(super) fn copy(
    checkpoint: &Checkpoint,
    source: &str,
    value: &Tensor,
    target: &str,
    destination: &Tensor,
) -> Result<(), CheckpointError> {
    check_shape(checkpoint, source, value, target, &destination.size())?;
    Ok(guard("copying a tensor of a checkpoint", || tch::no_grad(|| destination.shallow_clone().copy_(value)))?)
}

fn check_shape(
    checkpoint: &Checkpoint,
    source: &str,
    value: &Tensor,
    target: &str,
    expected: &[i64],
) -> Result<(), CheckpointError> {
    if value.size() == expected {
        return Ok(());
    }
    Err(CheckpointError::Shape {
        path: checkpoint.path().into(),
        name: source.into(),
        target: target.into(),
        expected: expected.to_vec(),
        found: value.size(),
    })
}
