use super::{CrossEntropy, Method, Needs, Objective, ObjectiveLoss, Pass, Requirement};
use crate::models::ModelError;
use crate::settings::RunKind;

pub(super) const METHOD: Method = Method {
    word: "linear-probe",
    summary: "no training: the linear probe on the frozen checkpoint",
    kind: RunKind::FineTuning,
    settings: &[],
    defaults: &[HEAD_INIT],
    requires: &[Requirement { key: HEAD_INIT.0, value: HEAD_INIT.1, because: "the probe is the classifier" }],
    pretraining: None,
    build: |values| Box::new(LinearProbe { label_smoothing: values.label_smoothing }),
};

const HEAD_INIT: (&str, &str) = ("method.head_init", "linear-probe");

/// B10 as a method: the frozen checkpoint with its linear probe as classifier. The run makes no steps; it evaluates and
/// saves the network as it starts.
#[derive(Debug, Clone, Copy)]
pub struct LinearProbe {
    /// Label smoothing of [`Objective::loss`].
    pub label_smoothing: f64,
}

impl Objective for LinearProbe {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { steps: false, soft_targets: true, ..Needs::CLASSIFIER }
    }

    /// The cross-entropy, which no step of a run minimises.
    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        CrossEntropy { label_smoothing: self.label_smoothing }.loss(pass)
    }
}
