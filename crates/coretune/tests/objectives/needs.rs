//! What a method may need: feature maps, heads, a batch in one piece; and the table of methods.

use std::collections::BTreeSet;

use coretune::config::Layers;
use coretune::data::Batch;
use coretune::engine::World;
use coretune::models::{
    Architecture, Backbone, Encoder, Family, Linear, Mode, Model, ModelError, Network, Normalisation, ProjectionHead,
    Stem,
};
use coretune::objectives::{
    CrossEntropy, Heads, METHODS, Method, Needs, Objective, ObjectiveLoss, Pass, Sharing, SimClr,
};
use coretune::settings::RunKind;
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, gradients};
use tch::{Device, Kind, Tensor};

fn model() -> Model {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    let classifier = Linear::classifier(backbone.feature_width(), 4, 3, Device::Cpu).unwrap();
    Model::new(backbone, classifier, None, Normalisation::IMAGENET).unwrap()
}

fn batch() -> Batch {
    tch::manual_seed(1);
    let images = Tensor::randint(256, [8, 16, 16, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() }
}

/// Cross-entropy of the pooled features, and the mean square of the last two stages' maps.
struct OnMaps;

impl Objective for OnMaps {
    fn name(&self) -> &'static str {
        "on-maps"
    }

    fn needs(&self) -> Needs {
        Needs { stage_maps: true, divisible: false, ..Needs::CLASSIFIER }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        let mut loss = CrossEntropy { label_smoothing: 0.0 }.loss(pass)?;
        let maps = pass.stage_maps()?;
        for map in &maps[maps.len() - 2..] {
            loss.total += 0.01 * map.square().mean(Kind::Float);
        }
        Ok(loss)
    }
}

fn batches_tracked(model: &Model) -> i64 {
    model.parameters().get("backbone.bn1.num_batches_tracked").unwrap().tensor.int64_value(&[])
}

#[test]
fn a_method_reads_features_and_maps_of_one_pass_through_the_network() {
    let (model, batch) = (model(), batch());
    let heads = Heads { classifier: &|rows| model.classifier.forward(rows), projection: &Tensor::shallow_clone };
    let pass = Pass::new(&model, heads, &batch.images, &batch.labels, (0, 0), World::Alone).keeping_maps();
    let features = pass.features().unwrap();
    let maps = pass.stage_maps().unwrap();
    assert_eq!(maps.len(), model.backbone.stage_names().len());
    assert!(features.equal(&model.backbone.pool(&maps[maps.len() - 1])));
    assert_eq!(batches_tracked(&model), 1, "one pass through the network, not two");
    let other = self::model();
    assert!(features.equal(&other.features(&batch.images, Mode::Train).unwrap()), "the bits of a pass without maps");
}

#[test]
fn maps_carry_gradient_and_a_method_that_reads_them_refuses_a_batch_in_parts() {
    let (model, batch, mut objective) = (model(), batch(), OnMaps);
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 0.0, None);
    let weights = optimizer.weights();
    let mut input = StepInput::new(&model, &mut objective, &batch, (0, 0));
    let (of_all, _) = gradients(&mut input, &weights).unwrap();
    let plain_model = self::model();
    let plain_optimizer = Optimizer::new(&plain_model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 0.0, None);
    let mut cross_entropy = CrossEntropy { label_smoothing: 0.0 };
    let mut plain = StepInput::new(&plain_model, &mut cross_entropy, &batch, (0, 0));
    let (without, _) = gradients(&mut plain, &plain_optimizer.weights()).unwrap();
    assert!(!of_all[0].equal(&without[0]), "the maps' term reaches the stem");

    let input = StepInput::new(&model, &mut objective, &batch, (0, 0));
    let error = gradients(&mut input.accumulated(Accumulation::Exact { part: 4 }), &weights).unwrap_err();
    assert!(error.to_string().starts_with("on-maps cannot compute a batch in parts"), "{error}");
}

#[test]
fn a_method_that_reads_maps_is_neither_divided_nor_shared_by_rows_whatever_else_it_says() {
    let needs = Needs { stage_maps: true, ..Needs::CLASSIFIER };
    assert!(needs.divisible && !needs.can_be_divided());
    assert_eq!((needs.sharing, needs.shared_as()), (Sharing::Rows, Sharing::None));
    assert_eq!(Needs { sharing: Sharing::Images, ..needs }.shared_as(), Sharing::Images);
    assert!(Needs::CLASSIFIER.can_be_divided() && Needs::CLASSIFIER.shared_as() == Sharing::Rows);
}

#[test]
fn a_network_without_a_head_that_the_method_needs_is_refused() {
    let model = model();
    let error = SimClr { temperature: 0.5 }.needs().check(&model).unwrap_err();
    assert_eq!(error.to_string(), "the network has no projection head");
    let backbone = model.backbone.frozen_copy().unwrap();
    let head = ProjectionHead::new(backbone.feature_width(), 8, 0, Device::Cpu).unwrap();
    let encoder = Encoder::new(backbone, head, Normalisation::IMAGENET).unwrap();
    assert_eq!(Needs::CLASSIFIER.check(&encoder).unwrap_err().to_string(), "the network has no classifier");
    SimClr { temperature: 0.5 }.needs().check(&encoder).unwrap();
}

/// A struct of settings that misses one, or has another type, would panic here.
#[test]
fn every_method_of_the_table_is_built_from_its_defaults_and_has_a_name_of_its_own() {
    for method in Method::of(RunKind::FineTuning) {
        let paths = ["checkpoint.path=x", "data.dir=x"].map(String::from);
        let settings = paths.into_iter().chain([format!("method.name={}", method.word)]);
        let layers = settings.fold(Layers::defaults(), |layers, text| layers.assignment(&text).unwrap());
        let config = layers.validate().unwrap();
        assert_eq!(config.method.build(0.0).unwrap().name(), method.word);
    }
    let words: BTreeSet<&str> = METHODS.iter().map(|method| method.word).collect();
    assert_eq!(words.len(), METHODS.len());
    assert!(METHODS.iter().all(|method| !method.summary.is_empty()));
}
