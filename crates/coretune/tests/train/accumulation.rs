//! A batch in parts gives the gradient of the whole.

use coretune::data::Batch;
use coretune::losses::Focus;
use coretune::models::{Architecture, Backbone, Family, Linear, Model, Normalisation, ProjectionHead, Stem};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme, SimClr, SupervisedContrastive};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, gradients};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 4;

pub(super) fn model(frozen_batch_norm: bool, frozen_stages: usize) -> Model {
    model_of_width(0.25, frozen_batch_norm, frozen_stages)
}

fn model_of_width(width: f64, frozen_batch_norm: bool, frozen_stages: usize) -> Model {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width };
    let mut backbone = Backbone::new(&architecture, 3, Device::Cpu).unwrap();
    if frozen_batch_norm {
        backbone.freeze_batch_norm();
    }
    backbone.freeze_stages(frozen_stages).unwrap();
    let width = backbone.feature_width();
    let classifier = Linear::classifier(width, CLASSES, 3, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(width, 32, 3, Device::Cpu).unwrap();
    Model::new(backbone, classifier, Some(projection), Normalisation::IMAGENET).unwrap()
}

fn batch(images: i64) -> Batch {
    tch::manual_seed(5);
    let pixels = Tensor::randint(256, [images, 16, 16, 3], (Kind::Uint8, Device::Cpu));
    Batch {
        images: pixels,
        labels: (0..images).map(|row| row % CLASSES).collect(),
        masks: None,
        indices: vec![0; images as usize],
    }
}

fn objectives() -> Vec<Box<dyn Objective>> {
    let focus = Focus { exponent: 1.0, detached: false };
    let core_tuning = |pairs| CoreTuning {
        pairs,
        eta: 1.0,
        alpha: 1.0,
        temperature: 0.07,
        focus,
        label_smoothing: 0.1,
        ..CoreTuning::PUBLISHED
    };
    vec![
        Box::new(CrossEntropy { label_smoothing: 0.0 }),
        Box::new(SupervisedContrastive { eta: 0.5, temperature: 0.07, label_smoothing: 0.0 }),
        Box::new(core_tuning(PairScheme::Own)),
        Box::new(core_tuning(PairScheme::Soft)),
        Box::new(core_tuning(PairScheme::Reference)),
    ]
}

/// Names of the trained tensors and the gradient of each; undefined ones as zeros.
fn named_gradients(
    model: &Model,
    objective: &mut dyn Objective,
    batch: &Batch,
    accumulation: Accumulation,
) -> Vec<(String, Tensor)> {
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let optimizer = Optimizer::new(model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 0.0, None);
    let weights = optimizer.weights();
    let mut input = StepInput::new(model, objective, batch, (9, 4)).accumulated(accumulation);
    let (gradients, figures) = gradients(&mut input, &weights).unwrap();
    assert!(figures.read().unwrap().0.is_finite());
    let names =
        model.parameters().iter().filter(|p| p.tensor.requires_grad()).map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!(names.len(), gradients.len());
    let defined =
        gradients.into_iter().zip(&weights).map(|(g, w)| if g.defined() { g } else { w.detach().zeros_like() });
    names.into_iter().zip(defined).collect()
}

/// With frozen batch norm and classes of unequal weight: the gradients of parts and of the whole.
fn weighted_gradients(
    model: &Model,
    objective: &mut dyn Objective,
    batch: &Batch,
    accumulation: Accumulation,
    class_weights: Option<&Tensor>,
) -> Vec<Tensor> {
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let optimizer = Optimizer::new(model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 0.0, None);
    let weights = optimizer.weights();
    let mut input = StepInput::new(model, objective, batch, (9, 4)).accumulated(accumulation).weighted(class_weights);
    let (gradients, _) = gradients(&mut input, &weights).unwrap();
    gradients.into_iter().zip(weights).map(|(g, w)| if g.defined() { g } else { w.detach().zeros_like() }).collect()
}

/// The largest norm of a difference, relative to the norm of the tensor, and where it is.
fn largest_difference(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> (f64, String) {
    let relative = |(a, b): (&(String, Tensor), &(String, Tensor))| {
        let norm = a.1.norm().double_value(&[]);
        let difference = (&a.1 - &b.1).norm().double_value(&[]);
        (if norm > 0.0 { difference / norm } else { difference }, a.0.clone())
    };
    a.iter().zip(b).map(relative).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[test]
fn in_parts_the_gradient_is_that_of_the_whole_with_frozen_batch_norm() {
    let batch = batch(32);
    for mut objective in objectives() {
        let model = model(true, 0);
        let whole = named_gradients(&model, &mut *objective, &batch, Accumulation::Whole);
        for part in [4, 16, 5, 32] {
            let exact = named_gradients(&model, &mut *objective, &batch, Accumulation::Exact { part });
            let (off, name) = largest_difference(&whole, &exact);
            assert!(off <= 1e-5, "{}, parts of {part}: {name} is off by {off:e}", objective.name());
        }
    }
}

#[test]
fn in_parts_the_gradient_is_that_of_the_whole_with_two_views_of_each_image() {
    let images = batch(24);
    let batch = Batch { labels: images.labels[..12].to_vec(), indices: vec![0; 12], ..images };
    let (model, mut simclr) = (model(true, 0), SimClr { temperature: 0.5 });
    let whole = named_gradients(&model, &mut simclr, &batch, Accumulation::Whole);
    for part in [3, 5, 12] {
        let exact = named_gradients(&model, &mut simclr, &batch, Accumulation::Exact { part });
        let (off, name) = largest_difference(&whole, &exact);
        assert!(off <= 1e-5, "parts of {part}: {name} is off by {off:e}");
    }
}

#[test]
fn in_parts_the_gradient_is_that_of_the_whole_with_class_weights_too() {
    let mut batch = batch(32);
    batch.labels = (0..32).map(|row: i64| if row < 20 { 0 } else { row % CLASSES }).collect();
    let class_weights = Tensor::from_slice(&[0.2f32, 1.4, 0.9, 1.5]);
    for mut objective in objectives() {
        let model = model(true, 0);
        let mut of = |accumulation, weights| weighted_gradients(&model, &mut *objective, &batch, accumulation, weights);
        let whole = of(Accumulation::Whole, Some(&class_weights));
        let exact = of(Accumulation::Exact { part: 5 }, Some(&class_weights));
        let plain = of(Accumulation::Whole, None);
        let off = |a: &[Tensor], b: &[Tensor]| {
            let relative =
                |(a, b): (&Tensor, &Tensor)| (a - b).norm().double_value(&[]) / a.norm().double_value(&[]).max(1e-12);
            a.iter().zip(b).map(relative).fold(0.0, f64::max)
        };
        assert!(off(&whole, &exact) <= 1e-5, "{}: {:e}", objective.name(), off(&whole, &exact));
        assert!(off(&whole, &plain) > 1e-2, "{} ignores the weights", objective.name());
    }
}

#[test]
fn eight_times_eight_images_are_sixty_four_to_a_whole_resnet18() {
    let (batch, model) = (batch(64), model_of_width(1.0, true, 0));
    let objective = &mut objectives()[2];
    let whole = named_gradients(&model, &mut **objective, &batch, Accumulation::Whole);
    let exact = named_gradients(&model, &mut **objective, &batch, Accumulation::Exact { part: 8 });
    let (off, name) = largest_difference(&whole, &exact);
    println!("largest relative difference of a gradient: {off:e} ({name}, of {} tensors)", whole.len());
    assert!(off <= 1e-5, "{name} is off by {off:e}");
}

#[test]
fn contrast_of_parts_alone_is_another_gradient_and_cross_entropy_is_not() {
    let (batch, model) = (batch(32), model(true, 0));
    let mut all = objectives();
    let difference = |objective: &mut dyn Objective| {
        let whole = named_gradients(&model, objective, &batch, Accumulation::Whole);
        let split = named_gradients(&model, objective, &batch, Accumulation::Split { part: 8 });
        largest_difference(&whole, &split).0
    };
    assert!(difference(&mut *all[0]) <= 1e-5, "the mean of means of equal parts");
    assert!(difference(&mut *all[1]) > 1e-2 && difference(&mut *all[2]) > 1e-2);
}

#[test]
fn running_statistics_move_once_for_each_part() {
    let (batch, model) = (batch(16), model(false, 0));
    let objective = &mut objectives()[2];
    let counter = || model.parameters().get("backbone.bn1.num_batches_tracked").unwrap().tensor.int64_value(&[]);
    let mean = || model.parameters().get("backbone.bn1.running_mean").unwrap().tensor.copy();
    named_gradients(&model, &mut **objective, &batch, Accumulation::Exact { part: 4 });
    assert_eq!(counter(), 4);
    let after_exact = mean();
    let again = self::model(false, 0);
    named_gradients(&again, &mut **objective, &batch, Accumulation::Split { part: 4 });
    let after_split = again.parameters().get("backbone.bn1.running_mean").unwrap().tensor.copy();
    assert!((after_exact - after_split).abs().max().double_value(&[]) < 1e-7);
}

#[test]
fn a_frozen_network_still_trains_its_heads() {
    let (batch, model) = (batch(16), model(true, 5));
    let objective = &mut objectives()[2];
    let whole = named_gradients(&model, &mut **objective, &batch, Accumulation::Whole);
    let exact = named_gradients(&model, &mut **objective, &batch, Accumulation::Exact { part: 4 });
    assert!(whole.iter().all(|(name, _)| !name.starts_with("backbone.")));
    assert!(largest_difference(&whole, &exact).0 <= 1e-5);
}
