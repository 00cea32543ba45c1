//! What a program needs to know beside the weights, as texts by name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::source::Source;
use super::{Format, preprocessing};
use crate::train::TrainError;
use crate::transforms::ResizeMode;

/// Texts as they are, everything else as JSON.
///
/// # Errors
/// Those of [`preprocessing::recipe`].
pub(super) fn of(source: &Source, format: Format) -> Result<BTreeMap<String, String>, TrainError> {
    let description = &source.description;
    let architecture = &description.architecture;
    let mut entries = BTreeMap::from([
        // Says to readers of safetensors that these are torch's tensors.
        ("format", text(&"pt")),
        ("architecture", text(&architecture.family.name())),
        ("stem", text(&architecture.stem)),
        ("width", text(&architecture.width)),
        ("classes", text(&description.classes)),
        ("mean", text(&description.mean)),
        ("std", text(&description.std)),
        ("img_size", text(&description.img_size)),
        ("crop_pct", text(&description.crop_pct)),
        ("interpolation", text(&description.interpolation)),
        ("resize_mode", text(&description.resize_mode)),
        ("preprocess", preprocessing::recipe(description, format)?),
        ("coretune_version", text(&env!("CARGO_PKG_VERSION"))),
    ]);
    if let Some(range) = description.bit_depth_range {
        entries.insert("bit_depth_range", text(&range));
    }
    if description.resize_mode == ResizeMode::Letterbox {
        entries.insert("fill", text(&description.framing().fill));
    }
    if let Some(temperature) = source.temperature {
        entries.insert("temperature", text(&temperature));
    }
    Ok(entries.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

pub(super) fn text(value: &impl Serialize) -> String {
    match serde_json::json!(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
