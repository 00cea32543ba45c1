use serde::Deserialize;
use tch::{Kind, Tensor};

use super::{CrossEntropy, Method, Needs, Objective, ObjectiveLoss, Pass, Pull, PullActs, Start, figure};
use crate::engine::{EngineError, guard};
use crate::models::{ModelError, Network, Parameters, Role};
use crate::settings::{Kind as Takes, Range, RunKind, Setting, setting};

pub(super) const METHOD: Method = Method {
    word: "l2-sp",
    summary: "cross-entropy, and a weight decay of the backbone towards the weights that it starts from",
    kind: RunKind::FineTuning,
    settings: &[WEIGHT, HEAD_DECAY],
    defaults: &[NO_WEIGHT_DECAY],
    requires: &[],
    pretraining: None,
    build: |values| {
        let Settings { l2_sp_weight: weight, head_decay } = values.read();
        Box::new(L2Sp::new(weight, head_decay, values.label_smoothing))
    },
};

/// The optimizer's weight decay, which a decay of the method's own replaces.
pub(super) const NO_WEIGHT_DECAY: (&str, &str) = ("train.weight_decay", "0");

const WEIGHT: Setting =
    setting("method.l2_sp_weight", Takes::Number(Range::From(0.0)), "pull of l2-sp on the backbone towards its start")
        .default("0.01");

pub(super) const HEAD_DECAY: Setting =
    setting("method.head_decay", Takes::Number(Range::From(0.0)), "weight decay of the classifier in l2-sp and delta")
        .default("0.01");

#[derive(Deserialize)]
struct Settings {
    l2_sp_weight: f64,
    head_decay: f64,
}

/// The penalty is logged once in so many steps: it reads every weight.
const PENALTY_EVERY: u64 = 10;

/// B2: cross-entropy + alpha / 2 x ||w - w0||^2 over the weights w of the backbone, which start at w0, + beta / 2 x
/// ||classifier||^2. Both penalties act in the update, as weight decay does, and are not part of the loss.
#[derive(Debug)]
pub struct L2Sp {
    alpha: f64,
    beta: f64,
    label_smoothing: f64,
    /// Of the backbone, by its names; made by [`Objective::begin`].
    pulls: Vec<(String, Pull)>,
}

impl L2Sp {
    /// The method before its first step: alpha pulls the backbone, beta the classifier.
    pub fn new(alpha: f64, beta: f64, label_smoothing: f64) -> Self {
        L2Sp { alpha, beta, label_smoothing, pulls: Vec::new() }
    }

    /// The value of both penalties, without graph.
    fn penalty(&self) -> Result<Tensor, EngineError> {
        guard("computing penalties", || {
            let terms: Vec<Tensor> = self.pulls.iter().map(|(_, pull)| pull.penalty()).collect();
            Tensor::stack(&terms, 0).sum(Kind::Float)
        })
    }
}

/// The pulls of a classifier's weight, and bias if any, to zero.
pub(super) fn pulls_of_classifier(network: &dyn Network, strength: f64) -> Vec<(String, Pull)> {
    let Some(classifier) = network.classifier() else { return Vec::new() };
    let named = [("classifier.weight", Some(&classifier.weight)), ("classifier.bias", classifier.bias.as_ref())];
    let pull =
        |weight: &Tensor| Pull { weight: weight.shallow_clone(), towards: None, strength, acts: PullActs::Always };
    named.into_iter().filter_map(|(name, weight)| Some((name.to_string(), pull(weight?)))).collect()
}

impl Objective for L2Sp {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { copies: 1, soft_targets: true, ..Needs::CLASSIFIER }
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let weights = start.network.backbone().parameters().iter().filter(|parameter| parameter.role == Role::Weight);
        let backbone = guard("copying the weights", || {
            let pull = |weight: &Tensor| Pull {
                weight: weight.shallow_clone(),
                towards: Some(weight.detach().copy()),
                strength: self.alpha,
                acts: PullActs::Always,
            };
            weights.map(|weight| (weight.name.clone(), pull(&weight.tensor))).collect::<Vec<_>>()
        })?;
        self.pulls = backbone;
        self.pulls.extend(pulls_of_classifier(start.network, self.beta));
        Ok(())
    }

    fn pulls(&self) -> Vec<Pull> {
        self.pulls.iter().map(|(_, pull)| pull.shallow_clone()).collect()
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let mut loss = CrossEntropy { label_smoothing: self.label_smoothing }.loss(pass)?;
        if (pass.step + 1).is_multiple_of(PENALTY_EVERY) {
            loss.figures.push((figure::PENALTY, self.penalty()?));
        }
        Ok(loss)
    }

    fn state(&self) -> Parameters {
        let mut list = Parameters::default();
        for (name, pull) in &self.pulls {
            if let Some(start) = &pull.towards {
                let _ = list.add(format!("start.{name}"), start.shallow_clone(), Role::Buffer);
            }
        }
        list
    }
}
