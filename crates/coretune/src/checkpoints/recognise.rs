//! Finds the backbone in a checkpoint: which source wrote it, which encoders it has, which network it is.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use super::architecture::{Shapes, architecture_of};
use super::layouts::{AVERAGED_CONTAINERS, COMMON_GROUPS, COUNTERS, Group, LAYOUTS, Layout};
use super::names::{Names, SPELLINGS, Spelling, without_wrappers};
use super::{Checkpoint, CheckpointError};
use crate::engine::EngineError;
use crate::models::{Architecture, Backbone, ModelError};

/// What a checkpoint is.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// Name of the layout, such as `moco`; `unknown` when only the backbone itself was recognised.
    pub layout: &'static str,
    /// The method in words, such as `MoCo v1/v2`.
    pub method: &'static str,
    /// The encoder taken.
    pub encoder: String,
    /// The encoders that are there too, for `--encoder`.
    pub other_encoders: Vec<String>,
    /// Prefix of the encoder's tensors in the file, wrappers included: `state_dict.module.encoder_q.`.
    pub prefix: String,
    /// The network.
    pub architecture: Architecture,
    /// Width of its features.
    pub features: i64,
    /// Name in our backbone, and name in the file.
    pub backbone: BTreeMap<String, String>,
    /// The same for the heads that have a place here (`classifier.weight`, `projection.0.weight`, ...).
    pub heads: BTreeMap<String, String>,
    /// Tensors of the backbone whose shape is not the network's; they are in no other list here.
    pub mismatched: Vec<Mismatched>,
    /// What is not used, and why.
    pub left_out: Vec<LeftOut>,
}

/// A tensor whose shape is not that of its place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatched {
    /// Name in the file.
    pub name: String,
    /// Name in the backbone.
    pub target: String,
    /// Shape in the backbone.
    pub expected: Vec<i64>,
    /// Shape in the file.
    pub found: Vec<i64>,
}

/// A group of tensors that are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What they are, such as `projection head`.
    pub group: String,
    /// How many.
    pub tensors: usize,
    /// Why.
    pub reason: String,
}

/// A backbone found under a prefix.
struct Found {
    encoder: String,
    /// Without wrappers.
    prefix: String,
    architecture: Architecture,
    /// Our name and the name without wrappers.
    names: BTreeMap<String, String>,
    /// Those of another shape than the network's, which are not in `names`.
    mismatched: Vec<Mismatched>,
}

/// Recognises a checkpoint from names and shapes.
///
/// `encoder` is a name such as `query` or `teacher`, or a prefix of tensor names; without it, or with `auto`, the
/// layout's usual one is taken.
///
/// # Errors
/// [`CheckpointError::Unrecognised`], [`CheckpointError::Ambiguous`], [`CheckpointError::UnknownEncoder`],
/// [`CheckpointError::UnknownArchitecture`], [`CheckpointError::NotATensor`], [`CheckpointError::Duplicate`] and
/// [`CheckpointError::Mismatched`] when most tensors have another shape than the network's.
pub fn recognise(checkpoint: &Checkpoint, encoder: Option<&str>) -> Result<Recognised, CheckpointError> {
    let encoder = encoder.filter(|&encoder| encoder != "auto");
    let search = Search::of(checkpoint);
    // A network that is none of ours under the first fitting prefix says more than "nothing recognised" at the end.
    let mut near_miss = None;
    for layout in LAYOUTS {
        for container in layout.containers {
            match search.in_container(layout, container) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return search.finish(Some((layout, container)), found, encoder),
                Err(error) => near_miss = near_miss.or(Some(error)),
            }
        }
    }
    if near_miss.is_none() || encoder.is_some() {
        let found = search.anywhere()?;
        if !found.is_empty() {
            return search.finish(None, found, encoder);
        }
    }
    Err(near_miss.unwrap_or_else(|| CheckpointError::Unrecognised {
        path: checkpoint.path().into(),
        prefixes: search.first_components(),
    }))
}

struct Search<'a> {
    checkpoint: &'a Checkpoint,
    names: Names,
    /// Objects that are not tensors: name without wrappers, name in the file, kind.
    others: BTreeMap<String, (&'a str, &'a str)>,
    /// The networks met so far: a file mostly holds one network several times.
    networks: RefCell<Vec<(Architecture, Rc<Network>)>>,
}

impl<'a> Search<'a> {
    fn of(checkpoint: &'a Checkpoint) -> Self {
        let others = checkpoint
            .others()
            .iter()
            .map(|other| (without_wrappers(&other.name), (other.name.as_str(), other.kind.as_str())))
            .collect();
        Search { checkpoint, names: Names::of(checkpoint.tensors().keys()), others, networks: RefCell::default() }
    }

    fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The encoders of a layout in one container; empty when the layout does not fit.
    fn in_container(&self, layout: &Layout, container: &str) -> Result<Vec<Found>, CheckpointError> {
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

    fn encoders(&self, layout: &Layout, root: &str, label: Option<&str>) -> Result<Vec<Found>, CheckpointError> {
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
    fn under(&self, prefix: &str, spellings: &[Spelling], encoder: String) -> Result<Option<Found>, CheckpointError> {
        let fits = |spelling: &&Spelling| spelling.fits(|name| self.names.has(&format!("{prefix}{name}")));
        let Some(spelling) = spellings.iter().find(fits) else { return Ok(None) };
        let mut names: BTreeMap<String, String> = self
            .names
            .under(prefix)
            .filter(|name| !is_counter(name))
            .filter_map(|name| Some((spelling.target(name)?, format!("{prefix}{name}"))))
            .collect();
        let shapes: Shapes = names.iter().map(|(target, name)| (target.clone(), self.shape(name).to_vec())).collect();
        let unknown = |found: String| CheckpointError::UnknownArchitecture {
            path: self.path().into(),
            prefix: prefix.into(),
            found: format!("{found} ({} names)", spelling.name),
        };
        let architecture = architecture_of(&shapes).map_err(unknown)?;
        let mismatched = self.check(&architecture, &names, spelling, prefix)?;
        names.retain(|target, _| mismatched.iter().all(|tensor| tensor.target != *target));
        Ok(Some(Found { encoder, prefix: prefix.into(), architecture, names, mismatched }))
    }

    /// The tensors of another shape than the network's. Fails unless every tensor found is one of the network's, most
    /// are of its shape, and no other object stands in for one.
    fn check(
        &self,
        architecture: &Architecture,
        names: &BTreeMap<String, String>,
        spelling: &Spelling,
        prefix: &str,
    ) -> Result<Vec<Mismatched>, CheckpointError> {
        let mut mismatched = Vec::new();
        let network = self.network(architecture)?;
        let expected = &network.shapes;
        for (target, name) in names {
            if let [first, second, ..] = self.names.sources(name) {
                let (first, second) = (first.clone(), second.clone());
                return Err(CheckpointError::Duplicate {
                    path: self.path().into(),
                    target: target.clone(),
                    first,
                    second,
                });
            }
            let source = self.source(name);
            let found = self.shape(name).to_vec();
            match expected.get(target) {
                None => {
                    return Err(CheckpointError::UnknownArchitecture {
                        path: self.path().into(),
                        prefix: prefix.into(),
                        found: format!("{source} {found:?} is not part of a {}", architecture.family),
                    });
                }
                Some(shape) if *shape != found => mismatched.push(Mismatched {
                    name: source.into(),
                    target: target.clone(),
                    expected: shape.clone(),
                    found,
                }),
                Some(_) => {}
            }
        }
        if 2 * mismatched.len() > names.len() {
            return Err(CheckpointError::Mismatched { path: self.path().into(), tensors: mismatched });
        }
        let stand_in = self.others.iter().find(|(name, _)| {
            name.strip_prefix(prefix)
                .and_then(|name| spelling.target(name))
                .is_some_and(|target| expected.contains_key(&target) && !names.contains_key(&target))
        });
        match stand_in {
            Some((_, &(name, kind))) => {
                Err(CheckpointError::NotATensor { path: self.path().into(), name: name.into(), kind: kind.into() })
            }
            None => Ok(mismatched),
        }
    }

    fn network(&self, architecture: &Architecture) -> Result<Rc<Network>, CheckpointError> {
        if let Some((_, network)) = self.networks.borrow().iter().find(|(known, _)| known == architecture) {
            return Ok(Rc::clone(network));
        }
        let network = Rc::new(Network::of(architecture)?);
        self.networks.borrow_mut().push((*architecture, Rc::clone(&network)));
        Ok(network)
    }

    /// Backbones under any prefix, each named by it.
    fn anywhere(&self) -> Result<Vec<Found>, CheckpointError> {
        let mut prefixes = BTreeSet::new();
        for (name, _) in self.names.iter() {
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

    fn finish(
        &self,
        layout: Option<(&'static Layout, &str)>,
        mut found: Vec<Found>,
        asked: Option<&str>,
    ) -> Result<Recognised, CheckpointError> {
        let chosen = match asked {
            Some(asked) => self.asked_for(asked, &mut found)?,
            None if layout.is_none() && found.len() > 1 => {
                let prefixes = found.iter().map(|found| found.encoder.clone()).collect();
                return Err(CheckpointError::Ambiguous { path: self.path().into(), prefixes });
            }
            None => 0,
        };
        let chosen = found.swap_remove(chosen);
        let root = layout.map_or_else(String::new, |(_, container)| dotted(container));
        let heads = layout.map_or_else(BTreeMap::new, |(layout, _)| self.heads(layout, &root));
        let left_out = self.left_out(layout.map(|(layout, _)| layout), &root, &chosen, &found, &heads);
        let backbone: BTreeMap<String, String> =
            chosen.names.iter().map(|(target, name)| (target.clone(), self.source(name).to_string())).collect();
        Ok(Recognised {
            layout: layout.map_or("unknown", |(layout, _)| layout.name),
            method: layout.map_or("unknown source", |(layout, _)| layout.method),
            prefix: self.prefix_in_file(&chosen),
            encoder: chosen.encoder,
            other_encoders: found.into_iter().map(|found| found.encoder).collect(),
            features: self.network(&chosen.architecture)?.features,
            architecture: chosen.architecture,
            backbone,
            heads,
            mismatched: chosen.mismatched,
            left_out,
        })
    }

    /// Index of the encoder of this name, or the backbone under this prefix.
    fn asked_for(&self, asked: &str, found: &mut Vec<Found>) -> Result<usize, CheckpointError> {
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

    /// Counts what is in neither backbone nor heads, by group.
    fn left_out(
        &self,
        layout: Option<&Layout>,
        root: &str,
        chosen: &Found,
        others: &[Found],
        heads: &BTreeMap<String, String>,
    ) -> Vec<LeftOut> {
        let used: BTreeSet<&str> = chosen.names.values().map(String::as_str).collect();
        let mismatched = chosen.mismatched.iter().map(|tensor| &tensor.name);
        let named: BTreeSet<&str> = heads.values().chain(mismatched).map(String::as_str).collect();
        let groups: Vec<&Group> = layout.map_or(&[][..], |layout| layout.groups).iter().chain(COMMON_GROUPS).collect();
        let mut counts: Vec<LeftOut> = Vec::new();
        for (name, sources) in self.names.iter() {
            if used.contains(name.as_str()) || sources.iter().any(|source| named.contains(source.as_str())) {
                continue;
            }
            let (group, reason) = group_of(name, root, chosen, others, &groups);
            match counts.iter_mut().find(|count| count.group == group) {
                Some(count) => count.tensors += sources.len(),
                None => counts.push(LeftOut { group, tensors: sources.len(), reason }),
            }
        }
        counts
    }

    /// The prefix as the file spells it: that of the first tensor whose name ends as without wrappers.
    fn prefix_in_file(&self, chosen: &Found) -> String {
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
    fn source(&self, name: &str) -> &str {
        self.names.sources(name).first().map_or("", String::as_str)
    }

    fn shape(&self, name: &str) -> &[i64] {
        self.checkpoint.tensors().get(self.source(name)).map_or(&[], |info| info.shape.as_slice())
    }
}

/// The group of a tensor that is not used, and why it is not.
fn group_of(name: &str, root: &str, chosen: &Found, others: &[Found], groups: &[&Group]) -> (String, String) {
    if is_counter(name) {
        return ("operation counters".into(), "left by a profiler, not weights".into());
    }
    let inside = |found: &&Found| {
        let nested = found.prefix.len() > chosen.prefix.len() || !name.starts_with(&chosen.prefix);
        !found.prefix.is_empty() && nested && name.starts_with(&found.prefix)
    };
    if let Some(other) = others.iter().find(inside) {
        return ("other encoder".into(), format!("take it with --encoder {}", other.encoder));
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
        ("outside the model".into(), "stands beside the model in the file".into())
    }
}

fn dotted(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!("{prefix}.") }
}

fn ends_a_component(prefix: &str) -> bool {
    prefix.is_empty() || prefix.ends_with('.')
}

fn is_counter(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| COUNTERS.contains(&last))
}

/// What a checkpoint of a network must hold.
struct Network {
    shapes: Shapes,
    features: i64,
}

impl Network {
    fn of(architecture: &Architecture) -> Result<Network, EngineError> {
        let backbone = outline(architecture)?;
        let shapes = backbone.parameters().iter().map(|entry| (entry.name.clone(), entry.tensor.size())).collect();
        Ok(Network { shapes, features: backbone.feature_width() })
    }
}

/// The network's names and shapes; a file can imply a network far larger than itself.
pub(super) fn outline(architecture: &Architecture) -> Result<Backbone, EngineError> {
    Backbone::outline(architecture).map_err(|error| match error {
        ModelError::Engine(error) => error,
        other => EngineError::Value {
            name: "architecture of the checkpoint",
            expected: "a network that can be built".into(),
            found: other.to_string(),
        },
    })
}

impl Recognised {
    /// Fails unless every tensor of the backbone has its place in `model`; the error names the first that has not.
    pub fn check_fits(&self, checkpoint: &Checkpoint, model: &Architecture) -> Result<(), CheckpointError> {
        let (expected, found) = (Network::of(model)?.shapes, Network::of(&self.architecture)?.shapes);
        let differs = |name: &&String| expected.get(*name) != found.get(*name);
        // A tensor that both have in another shape says more than one that only the file has.
        let shared = self.backbone.keys().filter(|name| expected.contains_key(*name)).find(differs);
        let Some(name) = shared.or_else(|| self.backbone.keys().find(differs)) else { return Ok(()) };
        let describe = |architecture: &Architecture, shapes: &Shapes| match shapes.get(name) {
            Some(shape) => format!("{}: {name} {shape:?}", architecture.family),
            None => format!("{}: no {name}", architecture.family),
        };
        Err(CheckpointError::DoesNotFit {
            path: checkpoint.path().into(),
            expected: describe(model, &expected),
            found: describe(&self.architecture, &found),
        })
    }
}
