//! Fine-tuning with an own method: cross-entropy, and a pull towards the initial weights (the built-in `l2-sp` does this in
//! the optimizer).
//!
//! `cargo run --release --example custom_objective CHECKPOINT DATA RUN [KEY=VALUE...]`

use std::collections::BTreeMap;
use std::error::Error;

use coretune::config::Layers;
use coretune::models::{ModelError, Role};
use coretune::objectives::{CrossEntropy, Needs, Objective, ObjectiveLoss, Pass, Start};
use coretune::runs::{self, Options};
use tch::{Kind, Tensor};

/// Cross-entropy + strength x the squared distance of the backbone's weights from where they started.
struct StartingPointPull {
    strength: f64,
    start: BTreeMap<String, Tensor>,
}

impl Objective for StartingPointPull {
    fn name(&self) -> &'static str {
        "starting-point-pull"
    }

    fn needs(&self) -> Needs {
        Needs { copies: 1, ..Needs::CLASSIFIER }
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), ModelError> {
        let weights = start.network.backbone().parameters();
        let weights = weights.iter().filter(|parameter| parameter.role == Role::Weight);
        self.start = weights.map(|weight| (weight.name.clone(), weight.tensor.detach().copy())).collect();
        Ok(())
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let cross_entropy = CrossEntropy { label_smoothing: 0.0 }.loss_of(&pass.batch()?, &pass.heads)?;
        let weights = pass.network.backbone().parameters();
        let distance: Tensor = weights
            .iter()
            .filter_map(|weight| Some((&weight.tensor - self.start.get(&weight.name)?).square().sum(Kind::Float)))
            .sum();
        let mut figures = cross_entropy.figures;
        figures.push(("distance", distance.detach()));
        Ok(ObjectiveLoss { total: cross_entropy.total + self.strength * distance, figures })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    fine_tune(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// What `main` does, with the arguments of the command line.
pub(crate) fn fine_tune(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [checkpoint, data, run, more @ ..] = arguments else { return Err("CHECKPOINT DATA RUN [KEY=VALUE...]".into()) };
    let named = [("checkpoint.path", checkpoint), ("data.dir", data), ("run.output", run)];
    let settings = named.iter().map(|(key, value)| format!("{key}={value}")).chain(more.iter().cloned());
    let layers = settings.into_iter().try_fold(Layers::defaults(), |layers, setting| layers.assignment(&setting))?;
    let objective = StartingPointPull { strength: 0.01, start: BTreeMap::new() };
    let options = Options { objective: Some(Box::new(objective)), ..Options::default() };
    let finished = runs::begin(&layers.validate()?, options, &mut |_| {})?;
    println!("test accuracy: {:?}", finished.summary.test);
    Ok(())
}
