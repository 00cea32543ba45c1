//! Whether the tensors found under a prefix are those of the network that their shapes imply.

use std::collections::BTreeMap;

use super::network::Network;
use super::recognised::Mismatched;
use super::search::Search;
use crate::checkpoints::CheckpointError;
use crate::checkpoints::names::Spelling;
use crate::models::Architecture;

impl Search<'_> {
    /// The tensors of another shape than the network's. Fails unless every tensor found is one of the network's, most
    /// are of its shape, and no other object has the name of one.
    pub(super) fn check(
        &self,
        architecture: &Architecture,
        names: &BTreeMap<String, String>,
        spelling: &Spelling,
        prefix: &str,
    ) -> Result<Vec<Mismatched>, CheckpointError> {
        let network = self.networks.get(architecture)?;
        let mut mismatched = Vec::new();
        for (target, name) in names {
            self.refuse_duplicate(target, name)?;
            let Some(expected) = network.shapes.get(target) else {
                return Err(self.not_part_of(architecture, name, prefix));
            };
            let found = self.shape(name);
            if expected != found {
                let (name, expected, found) = (self.source(name).into(), expected.clone(), found.to_vec());
                mismatched.push(Mismatched { name, target: target.clone(), expected, found });
            }
        }
        if 2 * mismatched.len() > names.len() {
            return Err(CheckpointError::Mismatched { path: self.path().into(), tensors: mismatched });
        }
        self.refuse_stand_in(&network, names, spelling, prefix)?;
        Ok(mismatched)
    }

    /// Two tensors of the file that claim one place.
    fn refuse_duplicate(&self, target: &str, name: &str) -> Result<(), CheckpointError> {
        let [first, second, ..] = self.names.sources(name) else { return Ok(()) };
        let (target, first, second) = (target.into(), first.clone(), second.clone());
        Err(CheckpointError::Duplicate { path: self.path().into(), target, first, second })
    }

    /// A tensor that has the name of one of a backbone, and no place in this one.
    fn not_part_of(&self, architecture: &Architecture, name: &str, prefix: &str) -> CheckpointError {
        let (source, shape) = (self.source(name), self.shape(name));
        CheckpointError::UnknownArchitecture {
            path: self.path().into(),
            prefix: prefix.into(),
            found: format!("{source} {shape:?} is not part of a {}", architecture.family),
        }
    }

    /// Refuses a file in which another object has the name of a tensor.
    fn refuse_stand_in(
        &self,
        network: &Network,
        names: &BTreeMap<String, String>,
        spelling: &Spelling,
        prefix: &str,
    ) -> Result<(), CheckpointError> {
        let stands_in = |name: &str| {
            let target = name.strip_prefix(prefix).and_then(|name| spelling.target(name));
            target.is_some_and(|target| network.shapes.contains_key(&target) && !names.contains_key(&target))
        };
        match self.others.iter().find(|(name, _)| stands_in(name)) {
            Some((_, &(name, kind))) => {
                Err(CheckpointError::NotATensor { path: self.path().into(), name: name.into(), kind: kind.into() })
            }
            None => Ok(()),
        }
    }
}
