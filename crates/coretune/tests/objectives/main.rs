//! The methods: their losses against formulas, what they need, and the state that they own. `tests/goldens` has their
//! values and gradients.

mod bi_tuning;
mod class_weights;
mod coin;
mod core_tuning_run;
mod delta;
mod detached_focus;
mod dr_tune;
mod every_method;
mod l2_sp;
mod learning;
mod mix_and_match;
mod mixed_images;
mod needs;
mod permutation;
mod pretraining;
mod regularised;
mod rifle;

use coretune::config::{Layers, RunConfig};
use coretune::engine::World;
use coretune::models::{
    Architecture, Backbone, Family, Linear, Model, ModelError, Normalisation, ProjectionHead, Stem,
};
use coretune::objectives::{Heads, Objective, ObjectiveLoss, Pass, Start};
use tch::{Device, Tensor};

/// A batch whose images a method sees in all the views that it needs, here alike.
fn in_views(objective: &dyn Objective, images: &Tensor) -> Tensor {
    Tensor::cat(&vec![images; objective.needs().views], 0)
}

/// A narrow ResNet-18 with both heads.
fn model(classes: i64) -> Model {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    let width = backbone.feature_width();
    let classifier = Linear::classifier(width, classes, 3, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(width, 32, 3, Device::Cpu).unwrap();
    Model::new(backbone, classifier, Some(projection), Normalisation::IMAGENET).unwrap()
}

/// A configuration of fine-tuning; nothing of it is opened.
fn config(settings: &[&str]) -> RunConfig {
    let all = ["checkpoint.path=none", "data.dir=none"].iter().chain(settings);
    all.fold(Layers::defaults(), |layers, text| layers.assignment(text).unwrap()).validate().unwrap()
}

/// The loss of a method's first batch of images, with its graph.
fn loss(
    objective: &mut dyn Objective,
    model: &Model,
    images: &Tensor,
    labels: &[i64],
) -> Result<ObjectiveLoss, ModelError> {
    objective.begin(&Start { network: model, seed: 3, steps: 10, probe: None })?;
    loss_at(objective, model, images, labels, 0)
}

/// The loss of a batch of images in this step of a method that has begun, with its graph.
fn loss_at(
    objective: &mut dyn Objective,
    model: &Model,
    images: &Tensor,
    labels: &[i64],
    step: u64,
) -> Result<ObjectiveLoss, ModelError> {
    objective.before_step(model, (3, step))?;
    let projection = model.projection.as_ref().unwrap();
    let heads =
        Heads { classifier: &|rows| model.classifier.forward(rows), projection: &|rows| projection.forward(rows) };
    let pass = Pass::new(model, heads, images, labels, (3, step), World::Alone);
    objective.loss(&if objective.needs().stage_maps { pass.keeping_maps() } else { pass })
}
