//! What was run, on what, and what it cost.

use maud::html;

use super::super::Run;
use super::section::{Section, table};
use super::words;

pub(super) fn cost(run: &Run) -> Section {
    let summary = run.records.summary.as_ref().ok_or("the run has not been run to its end".to_string());
    let body = summary.map(|summary| {
        let mut rows = vec![
            vec!["time from start to end".into(), words::duration(summary.wall_seconds)],
            vec!["training images per second".into(), format!("{:.1}", summary.images_per_second)],
            vec!["most memory held".into(), words::bytes(summary.peak_rss_bytes)],
            vec!["steps".into(), summary.steps.to_string()],
            vec!["epochs".into(), summary.epochs.to_string()],
            vec!["backbone from the checkpoint".into(), words::percent(summary.coverage)],
        ];
        rows.extend(summary.versions.iter().map(|(name, version)| vec![name.clone(), version.clone()]));
        table("Cost and versions", &[], &rows)
    });
    Section { id: "cost", title: "Cost", body }
}

pub(super) fn configuration(run: &Run) -> Section {
    let body = html! {
        details { summary { "Every setting (config.toml)" } pre tabindex="0" { (run.records.config) } }
    };
    Section { id: "configuration", title: "Configuration", body: Ok(body) }
}

pub(super) fn provenance(run: &Run) -> Section {
    let provenance = run.records.provenance.as_ref().ok_or("the run has recorded no provenance.json".to_string());
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
