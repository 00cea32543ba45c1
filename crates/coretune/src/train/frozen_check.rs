//! Checks after the first epoch that frozen tensors did not change and that trainable ones did.

use tch::Tensor;

use super::{Event, Observer, TrainError};
use crate::engine::{EngineError, guard};
use crate::models::{Backbone, Parameters, Role};

/// The parts of a model that a run does not train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frozen {
    /// The number of first stages whose weights and running statistics stay.
    pub stages: usize,
    /// The running statistics of every batch norm.
    pub batch_norm: bool,
}

impl Frozen {
    pub(crate) fn holds(self, name: &str, role: Role, backbone: &Backbone) -> bool {
        let Some(name) = name.strip_prefix("backbone.") else { return false };
        let in_frozen_stage = backbone.stage_of(name).is_some_and(|stage| stage < self.stages);
        in_frozen_stage || (self.batch_norm && role == Role::Buffer)
    }
}

/// Whether a tensor of this name and role is frozen.
pub(super) type IsFrozen<'a> = dyn Fn(&str, Role) -> bool + 'a;

/// The tensors of a model at some moment.
pub(super) struct Snapshot(Vec<Tensor>);

impl Snapshot {
    pub(super) fn of(parameters: &Parameters) -> Result<Self, EngineError> {
        Ok(Snapshot(guard("copying the weights", || parameters.iter().map(|p| p.tensor.detach().copy()).collect())?))
    }

    /// Each tensor of the model: its name, its role and whether it has changed since.
    fn moved(&self, parameters: &Parameters) -> Result<Vec<(String, Role, bool)>, EngineError> {
        let pairs = parameters.iter().zip(&self.0);
        guard("comparing weights", || {
            pairs.map(|(now, then)| (now.name.clone(), now.role, !now.tensor.detach().equal(then))).collect()
        })
    }

    /// After an epoch: refuses a frozen tensor that changed.
    pub(super) fn check_frozen(&self, parameters: &Parameters, frozen: &IsFrozen<'_>) -> Result<(), TrainError> {
        let moved = self.moved(parameters)?.into_iter().find(|(name, role, moved)| *moved && frozen(name, *role));
        match moved {
            Some((tensor, ..)) => Err(TrainError::FrozenMoved { tensor, during: "the first epoch" }),
            None => Ok(()),
        }
    }

    /// After an epoch in which steps were made: reports the tensors that did not change, except those that may stay.
    pub(super) fn report_unchanged(
        &self,
        parameters: &Parameters,
        may_stay: &IsFrozen<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<(), TrainError> {
        let moved = self.moved(parameters)?.into_iter();
        let idle: Vec<String> =
            moved.filter(|(name, role, moved)| !moved && !may_stay(name, *role)).map(|(name, ..)| name).collect();
        if let Some(first) = idle.first() {
            let count = idle.len();
            let text = format!("{count} trainable tensors did not change in the first epoch, the first is {first}");
            observer(&Event::Note(text));
        }
        Ok(())
    }

    /// After a validation: refuses any change, even if the averaged weights were evaluated.
    pub(super) fn check_validation(&self, parameters: &Parameters) -> Result<(), TrainError> {
        match self.moved(parameters)?.into_iter().find(|(.., moved)| *moved) {
            Some((tensor, ..)) => Err(TrainError::FrozenMoved { tensor, during: "validation" }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, no_grad};

    use super::*;
    use crate::models::{Architecture, Family, Linear, Model, Normalisation, Stem};

    fn model() -> Model {
        let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
        let backbone = Backbone::new(&architecture, 1, Device::Cpu).unwrap();
        let classifier = Linear::classifier(backbone.feature_width(), 3, 1, Device::Cpu).unwrap();
        Model::new(backbone, classifier, None, Normalisation::IMAGENET).unwrap()
    }

    fn nudge(model: &Model, which: impl Fn(&str, Role) -> bool) {
        for parameter in model.parameters().iter().filter(|p| which(&p.name, p.role)) {
            no_grad(|| drop(parameter.tensor.shallow_clone().g_add_scalar_(1)));
        }
    }

    #[test]
    fn a_frozen_tensor_that_changes_is_an_error_and_an_unchanged_trainable_one_is_reported() {
        let frozen = Frozen { stages: 1, batch_norm: true };
        let check = |which: &dyn Fn(&str, Role) -> bool| {
            let model = model();
            let before = Snapshot::of(&model.parameters()).unwrap();
            nudge(&model, which);
            let mut notes = Vec::new();
            let mut note = |event: &Event| notes.push(format!("{event:?}"));
            let is_frozen = |name: &str, role| frozen.holds(name, role, &model.backbone);
            let parameters = model.parameters();
            let result = before
                .check_frozen(&parameters, &is_frozen)
                .and_then(|()| before.report_unchanged(&parameters, &is_frozen, &mut note));
            (result.map_err(|error| error.to_string()), notes)
        };
        let trained = |name: &str, role: Role| {
            role == Role::Weight && !name.starts_with("backbone.conv1") && !name.starts_with("backbone.bn1")
        };
        assert_eq!(check(&trained), (Ok(()), vec![]));
        let (result, _) = check(&|name, role| trained(name, role) || name == "backbone.conv1.weight");
        assert!(result.unwrap_err().contains("backbone.conv1.weight"));
        let (result, _) = check(&|name, role| trained(name, role) || name.ends_with("layer3.0.bn1.running_mean"));
        assert!(result.unwrap_err().contains("layer3.0.bn1.running_mean"));
        let (result, notes) = check(&|name, role| trained(name, role) && name != "classifier.weight");
        assert!(result.is_ok() && notes.len() == 1 && notes[0].contains("classifier.weight"), "{notes:?}");
    }

    #[test]
    fn validation_leaves_every_tensor_as_it_was() {
        let model = model();
        let before = Snapshot::of(&model.parameters()).unwrap();
        before.check_validation(&model.parameters()).unwrap();
        nudge(&model, |name, _| name == "classifier.weight");
        assert!(before.check_validation(&model.parameters()).unwrap_err().to_string().contains("validation"));
    }
}
