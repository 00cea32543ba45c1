//! The search for backbones in a file: layout by layout, then under any prefix.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::encoder::EncoderInFile;
use super::left_out::left_out;
use super::network::Networks;
use super::recognised::Recognised;
use crate::checkpoints::architecture::{Shapes, architecture_of};
use crate::checkpoints::layouts::{AVERAGED_CONTAINERS, Layout, is_counter};
use crate::checkpoints::names::{Names, SPELLINGS, Spelling, without_wrappers};
use crate::checkpoints::other_networks::other_network;
use crate::checkpoints::unmerged::{Unmerged, name_of_weight, unmerged};
use crate::checkpoints::{Checkpoint, CheckpointError};
use crate::models::Architecture;

/// A checkpoint that is searched for backbones.
pub(super) struct Search<'a> {
    checkpoint: &'a Checkpoint,
    pub(super) names: Names,
    /// Objects that are not tensors: name without wrappers, name in the file, kind.
    pub(super) others: BTreeMap<String, (&'a str, &'a str)>,
    pub(super) networks: Networks,
}

impl<'a> Search<'a> {
    pub(super) fn of(checkpoint: &'a Checkpoint) -> Self {
        let others = checkpoint
            .others()
            .iter()
            .map(|other| (without_wrappers(&other.name), (other.name.as_str(), other.kind.as_str())))
            .collect();
        Search { checkpoint, names: Names::of(checkpoint.tensors().keys()), others, networks: Networks::default() }
    }

    pub(super) fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The encoders of a layout in one container; empty when the layout does not fit.
    pub(super) fn in_container(&self, layout: &Layout, container: &str) -> Result<Vec<EncoderInFile>, CheckpointError> {
        let root = dotted(container);
        let fits = |group: &&[&str]| group.iter().any(|prefix| self.names.has_prefix(&format!("{root}{prefix}")));
        if !layout.requires.iter().all(fits) {
            return Ok(Vec::new());
        }
        let mut found = self.encoders(layout, &root, None)?;
        if !found.is_empty() {
            for averaged in AVERAGED_CONTAINERS.iter().filter(|&&averaged| averaged != container) {
                found.extend(self.encoders(layout, &dotted(averaged), Some("ema"))?);
            }
        }
        Ok(found)
    }

    fn encoders(
        &self,
        layout: &Layout,
        root: &str,
        label: Option<&str>,
    ) -> Result<Vec<EncoderInFile>, CheckpointError> {
        let mut found = Vec::new();
        for encoder in layout.encoders {
            for prefix in encoder.prefixes {
                let name = match label {
                    Some(label) if layout.encoders.len() == 1 => label.to_string(),
                    Some(label) => format!("{label}-{}", encoder.name),
                    None => encoder.name.to_string(),
                };
                if let Some(backbone) = self.under(&format!("{root}{prefix}"), layout.spellings, name)? {
                    found.push(backbone);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The backbone whose names start with `prefix`, in the first spelling that fits.
    fn under(
        &self,
        prefix: &str,
        spellings: &[Spelling],
        encoder: String,
    ) -> Result<Option<EncoderInFile>, CheckpointError> {
        let fits = |spelling: &&Spelling| spelling.fits(|name| self.names.has(&format!("{prefix}{name}")));
        let Some(spelling) = spellings.iter().find(fits) else { return Ok(None) };
        let mut names: BTreeMap<String, String> = self
            .names
            .under(prefix)
            .filter(|name| !is_counter(name))
            .filter_map(|name| Some((spelling.target(name)?, format!("{prefix}{name}"))))
            .collect();
        self.refuse_unmerged(&names)?;
        let architecture = self.architecture(&names, spelling, prefix)?;
        let mismatched = self.check(&architecture, &names, spelling, prefix)?;
        names.retain(|target, _| mismatched.iter().all(|tensor| tensor.target != *target));
        Ok(Some(EncoderInFile { encoder, prefix: prefix.into(), architecture, names, mismatched }))
    }

    /// Refuses tensors of a backbone that are only parts of weights.
    fn refuse_unmerged(&self, names: &BTreeMap<String, String>) -> Result<(), CheckpointError> {
        match names.iter().find_map(|(target, name)| Some((name, unmerged(target)?))) {
            Some((name, part)) => Err(self.unmerged(self.source(name), part)),
            None => Ok(()),
        }
    }

    fn unmerged(&self, name: &str, Unmerged { what, mend }: Unmerged) -> CheckpointError {
        CheckpointError::Unmerged { path: self.path().into(), name: name.into(), what, mend }
    }

    /// Why there is no backbone: another network, or one whose weights are in parts; else where the names start.
    pub(super) fn unrecognised(&self) -> CheckpointError {
        let path = self.path().into();
        let names: Vec<&str> = self.names.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(network) = other_network(&names, |name| self.shape(name).to_vec()) {
            return CheckpointError::OtherNetwork { path, network };
        }
        let of_backbone = |name: &str| {
            let weight = name_of_weight(name);
            let prefix = |anchor: &str| weight.strip_suffix(anchor).is_some_and(ends_a_component);
            SPELLINGS
                .iter()
                .flat_map(|spelling| spelling.anchors.iter().copied().flatten())
                .any(|anchor| prefix(anchor))
        };
        let is_flat = |name: &str| name.ends_with("flat_param");
        let part = self.checkpoint.tensors().keys().find_map(|name| {
            let part = unmerged(name)?;
            (of_backbone(name) || is_flat(name)).then(|| self.unmerged(name, part))
        });
        part.unwrap_or_else(|| CheckpointError::Unrecognised { path, prefixes: self.first_components() })
    }

    /// The network that the shapes imply.
    fn architecture(
        &self,
        names: &BTreeMap<String, String>,
        spelling: &Spelling,
        prefix: &str,
    ) -> Result<Architecture, CheckpointError> {
        let shapes: Shapes = names.iter().map(|(target, name)| (target.clone(), self.shape(name).to_vec())).collect();
        architecture_of(&shapes).map_err(|found| CheckpointError::UnknownArchitecture {
            path: self.path().into(),
            prefix: prefix.into(),
            found: format!("{found} ({} names)", spelling.name),
        })
    }

    /// Backbones under any prefix, each named by it.
    pub(super) fn anywhere(&self) -> Result<Vec<EncoderInFile>, CheckpointError> {
        let mut prefixes = BTreeSet::new();
        // What an optimizer remembers of a backbone is named like it, and is none.
        for (name, _) in self.names.iter().filter(|(name, _)| !name.starts_with("optimizer")) {
            let anchors = SPELLINGS.iter().flat_map(|spelling| spelling.anchors.iter().copied().flatten());
            prefixes.extend(
                anchors.filter_map(|anchor| name.strip_suffix(anchor)).filter(|prefix| ends_a_component(prefix)),
            );
        }
        let mut found = Vec::new();
        for prefix in prefixes {
            found.extend(self.under(prefix, SPELLINGS, prefix.trim_end_matches('.').to_string())?);
        }
        Ok(found)
    }

    /// What the file is, with the encoder that was asked for or else the usual one.
    pub(super) fn recognised(
        &self,
        layout: Option<(&'static Layout, &str)>,
        mut found: Vec<EncoderInFile>,
        asked: Option<&str>,
    ) -> Result<Recognised, CheckpointError> {
        let chosen = self.chosen(layout.is_some(), &mut found, asked)?;
        let chosen = found.swap_remove(chosen);
        let root = layout.map_or_else(String::new, |(_, container)| dotted(container));
        let layout = layout.map(|(layout, _)| layout);
        let heads = layout.map_or_else(BTreeMap::new, |layout| self.heads(layout, &root));
        Ok(Recognised {
            layout: layout.map_or("unknown", |layout| layout.name),
            method: layout.map_or("unknown source", |layout| layout.method),
            prefix: self.prefix_in_file(&chosen),
            architecture: chosen.architecture,
            features: self.networks.get(&chosen.architecture)?.features,
            backbone: self.in_file(&chosen.names),
            left_out: left_out(&self.names, layout, &root, (&chosen, &found), &heads),
            heads,
            mismatched: chosen.mismatched,
            encoder: chosen.encoder,
            other_encoders: found.into_iter().map(|found| found.encoder).collect(),
        })
    }

    /// Index of the encoder to take.
    fn chosen(
        &self,
        known: bool,
        found: &mut Vec<EncoderInFile>,
        asked: Option<&str>,
    ) -> Result<usize, CheckpointError> {
        match asked {
            Some(asked) => self.asked_for(asked, found),
            None if !known && found.len() > 1 => {
                let prefixes = found.iter().map(|found| found.encoder.clone()).collect();
                Err(CheckpointError::Ambiguous { path: self.path().into(), prefixes })
            }
            None => Ok(0),
        }
    }

    /// The same with the names as the file has them.
    fn in_file(&self, names: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        names.iter().map(|(target, name)| (target.clone(), self.source(name).to_string())).collect()
    }

    /// Index of the encoder of this name, or the backbone under this prefix.
    fn asked_for(&self, asked: &str, found: &mut Vec<EncoderInFile>) -> Result<usize, CheckpointError> {
        if let Some(index) = found.iter().position(|found| found.encoder == asked) {
            return Ok(index);
        }
        let prefix = dotted(without_wrappers(asked).trim_end_matches('.'));
        if let Some(index) = found.iter().position(|found| found.prefix == prefix) {
            return Ok(index);
        }
        match self.under(&prefix, SPELLINGS, asked.to_string())? {
            Some(backbone) => {
                found.push(backbone);
                Ok(found.len() - 1)
            }
            None => Err(CheckpointError::UnknownEncoder {
                path: self.path().into(),
                asked: asked.into(),
                present: found.iter().map(|found| found.encoder.clone()).collect(),
            }),
        }
    }

    fn heads(&self, layout: &Layout, root: &str) -> BTreeMap<String, String> {
        self.names
            .under(root)
            .filter_map(|name| {
                let target = layout.heads.iter().find_map(|rename| rename.apply(name))?;
                Some((target, self.source(&format!("{root}{name}")).to_string()))
            })
            .collect()
    }

    /// The prefix as the file spells it: that of the first tensor whose name ends as without wrappers.
    fn prefix_in_file(&self, chosen: &EncoderInFile) -> String {
        chosen
            .names
            .values()
            .find_map(|name| {
                let relative = name.strip_prefix(&chosen.prefix)?;
                self.source(name).strip_suffix(relative).map(str::to_string)
            })
            .unwrap_or_else(|| chosen.prefix.clone())
    }

    /// The first components of all names, with counts, most frequent first.
    fn first_components(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.checkpoint.tensors().keys() {
            let end = name.match_indices('.').nth(1).map_or(name.len(), |(dot, _)| dot);
            *counts.entry(&name[..end]).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts.into_iter().take(8).map(|(prefix, count)| format!("{prefix} ({count})")).collect()
    }

    /// The name in the file behind a name without wrappers.
    pub(super) fn source(&self, name: &str) -> &str {
        self.names.sources(name).first().map_or("", String::as_str)
    }

    pub(super) fn shape(&self, name: &str) -> &[i64] {
        self.checkpoint.tensors().get(self.source(name)).map_or(&[], |info| info.shape.as_slice())
    }
}

fn dotted(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!("{prefix}.") }
}

fn ends_a_component(prefix: &str) -> bool {
    prefix.is_empty() || prefix.ends_with('.')
}
