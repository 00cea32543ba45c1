//! The tensors of a file that are not used, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::encoder::EncoderInFile;
use super::recognised::LeftOut;
use crate::checkpoints::layouts::{COMMON_GROUPS, Group, Layout, is_counter};
use crate::checkpoints::names::Names;

/// Counts what is not used, by group.
pub(super) fn left_out(
    names: &Names,
    layout: Option<&Layout>,
    root: &str,
    (chosen, others): (&EncoderInFile, &[EncoderInFile]),
    heads: &BTreeMap<String, String>,
) -> Vec<LeftOut> {
    let groups: Vec<&Group> = layout.map_or(&[][..], |layout| layout.groups).iter().chain(COMMON_GROUPS).collect();
    let used: BTreeSet<&str> = chosen.names.values().map(String::as_str).collect();
    let mismatched = chosen.mismatched.iter().map(|tensor| &tensor.name);
    let named: BTreeSet<&str> = heads.values().chain(mismatched).map(String::as_str).collect();
    let is_used = |name: &str, sources: &[String]| {
        used.contains(name) || sources.iter().any(|source| named.contains(source.as_str()))
    };
    let mut counts: Vec<LeftOut> = Vec::new();
    for (name, sources) in names.iter().filter(|(name, sources)| !is_used(name, sources)) {
        let (group, reason) = group_of(name, root, chosen, others, &groups);
        match counts.iter_mut().find(|count| count.group == group) {
            Some(count) => count.tensors += sources.len(),
            None => counts.push(LeftOut { group, tensors: sources.len(), reason }),
        }
    }
    counts
}

/// The group of a tensor that is not used, and the reason.
fn group_of(
    name: &str,
    root: &str,
    chosen: &EncoderInFile,
    others: &[EncoderInFile],
    groups: &[&Group],
) -> (String, String) {
    if is_counter(name) {
        return ("operation counters".into(), "left by a profiler, not weights".into());
    }
    let inside = |found: &&EncoderInFile| {
        let nested = found.prefix.len() > chosen.prefix.len() || !name.starts_with(&chosen.prefix);
        !found.prefix.is_empty() && nested && name.starts_with(&found.prefix)
    };
    if let Some(other) = others.iter().find(inside) {
        return ("other encoder".into(), format!("used by the encoder `{}`", other.encoder));
    }
    let starts = |prefix: &str| {
        [chosen.prefix.as_str(), root, ""]
            .iter()
            .any(|before| name.strip_prefix(before).is_some_and(|rest| rest.starts_with(prefix)))
    };
    if let Some(group) = groups.iter().find(|group| group.prefixes.iter().any(|prefix| starts(prefix))) {
        return (group.name.into(), group.reason.into());
    }
    if name.starts_with(root) {
        ("other tensors".into(), "not part of the backbone".into())
    } else {
        ("outside the model".into(), "beside the model in the file".into())
    }
}
