//! What was run, on what, and what it cost.

use std::collections::BTreeMap;

use maud::html;

use super::super::records::Records;
use super::section::{Section, table};
use super::words;
use crate::run_folder::{PretrainSummary, SegmentationSummary, Summary};

/// The cost of a run.
pub(super) struct Cost<'a> {
    seconds: f64,
    images_per_second: f64,
    bytes: u64,
    device_bytes: Option<u64>,
    steps: u64,
    epochs: u64,
    /// One more row: name and figure.
    more: [String; 2],
    versions: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Summary> for Cost<'a> {
    fn from(summary: &'a Summary) -> Self {
        Cost {
            seconds: summary.wall_seconds,
            images_per_second: summary.images_per_second,
            bytes: summary.peak_rss_bytes,
            device_bytes: summary.peak_device_bytes,
            steps: summary.steps,
            epochs: summary.epochs,
            more: ["backbone from the checkpoint".into(), words::percent(summary.coverage)],
            versions: &summary.versions,
        }
    }
}

impl<'a> From<&'a SegmentationSummary> for Cost<'a> {
    fn from(summary: &'a SegmentationSummary) -> Self {
        Cost {
            seconds: summary.wall_seconds,
            images_per_second: summary.images_per_second,
            bytes: summary.peak_rss_bytes,
            device_bytes: summary.peak_device_bytes,
            steps: summary.steps,
            epochs: summary.epochs,
            more: ["backbone from the checkpoint".into(), words::percent(summary.coverage)],
            versions: &summary.versions,
        }
    }
}

impl<'a> From<&'a PretrainSummary> for Cost<'a> {
    fn from(summary: &'a PretrainSummary) -> Self {
        Cost {
            seconds: summary.wall_seconds,
            images_per_second: summary.images_per_second,
            bytes: summary.peak_rss_bytes,
            device_bytes: summary.peak_device_bytes,
            steps: summary.steps,
            epochs: summary.epochs,
            more: ["training images".into(), summary.images.to_string()],
            versions: &summary.versions,
        }
    }
}

pub(super) fn cost<'a, S>(records: &'a Records<S>) -> Section
where
    Cost<'a>: From<&'a S>,
{
    let summary = records.summary.as_ref().ok_or("the run has not finished".to_string());
    let body = summary.map(Cost::from).map(|cost| {
        let mut rows = vec![
            vec!["time from start to end".into(), words::duration(cost.seconds)],
            vec!["training images per second".into(), format!("{:.1}", cost.images_per_second)],
            vec!["most memory held".into(), words::bytes(cost.bytes)],
            vec!["steps".into(), cost.steps.to_string()],
            vec!["epochs".into(), cost.epochs.to_string()],
            cost.more.to_vec(),
        ];
        rows.extend(cost.device_bytes.map(|bytes| vec!["most memory on the GPU".into(), words::bytes(bytes)]));
        rows.extend(cost.versions.iter().map(|(name, version)| vec![name.clone(), version.clone()]));
        table("Cost and versions", &[], &rows)
    });
    Section { id: "cost", title: "Cost", body }
}

pub(super) fn configuration<S>(records: &Records<S>) -> Section {
    let body = html! {
        details { summary { "Every setting (config.toml)" } pre tabindex="0" { (records.config) } }
    };
    Section { id: "configuration", title: "Configuration", body: Ok(body) }
}

pub(super) fn provenance<S>(records: &Records<S>) -> Section {
    let provenance = records.provenance.as_ref().ok_or("there is no provenance.json".to_string());
    let body = provenance.map(|provenance| {
        let machine = &provenance.machine;
        let mut rows: Vec<Vec<String>> =
            provenance.data.iter().map(|(split, hash)| vec![format!("data, {split} (BLAKE3)"), hash.clone()]).collect();
        rows.extend([
            vec!["checkpoint (BLAKE3)".into(), provenance.checkpoint.clone().unwrap_or_else(|| "none".into())],
            vec!["seed".into(), provenance.seed.to_string()],
            vec!["processor".into(), machine.cpu.clone()],
            vec!["device".into(), machine.device.clone()],
            vec!["precision".into(), machine.precision.clone()],
            vec!["threads".into(), machine.threads.to_string()],
        ]);
        rows.extend(provenance.versions.iter().map(|(name, version)| vec![name.clone(), version.clone()]));
        table("What the run depends on beyond its configuration", &[], &rows)
    });
    Section { id: "provenance", title: "Provenance", body }
}
