use std::cell::RefCell;

use coretune::data::Batch;
use coretune::losses::{Focus, labelled_pixels, pixel_weight};
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Mode, Network, Normalisation, OutputStride, ProjectionHead,
    Segmenter, SegmenterHeads, Stem,
};
use coretune::objectives::{CoreTuning, CrossEntropy, Objective, PairScheme, SupervisedContrastive};
use coretune::segment::PixelRows;
use coretune::train::{Accumulation, RowSource, StepInput, gradients};
use tch::{Device, Kind, Tensor, no_grad};

fn network(kind: DenseHeadKind) -> Segmenter {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Imagenet, width: 0.25 };
    let backbone = Backbone::dilated(&architecture, OutputStride::Eight, 3, Device::Cpu).unwrap();
    let heads = SegmenterHeads { kind, classes: 3, auxiliary: true, dropout: 0.5 };
    let mut network = Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 3).unwrap();
    network.freeze_batch_norm();
    let width = network.embedding_width();
    network.with_projection(ProjectionHead::with_hidden(width, 32, 16, 3, Device::Cpu).unwrap()).unwrap()
}

/// Six images of 32 pixels; masks of blocks, every fifth pixel ignored, and all of the last image's.
fn batch(labelled: bool) -> Batch {
    tch::manual_seed(5);
    let images = Tensor::randint(256, [6, 32, 32, 3], (Kind::Uint8, Device::Cpu));
    let blocks = Tensor::randint(3, [6, 4, 4], (Kind::Uint8, Device::Cpu));
    let masks = blocks.repeat_interleave_self_int(8, 1, None).repeat_interleave_self_int(8, 2, None);
    let ignored = Tensor::arange(6 * 32 * 32, (Kind::Int64, Device::Cpu)).remainder(5).eq(0).view([6, 32, 32]);
    let masks = masks.masked_fill(&ignored, 255);
    let _ = masks.narrow(0, 5, 1).fill_(255);
    let masks = if labelled { masks } else { masks.full_like(255) };
    Batch { images, labels: Vec::new(), masks: Some(masks), indices: vec![4, 0, 9, 2, 7, 1] }
}

fn gradients_of(
    network: &Segmenter,
    objective: &mut dyn Objective,
    batch: &Batch,
    accumulation: Accumulation,
) -> (Vec<Tensor>, f64) {
    weighted_gradients_of(network, objective, batch, accumulation, |_| None)
}

fn rows_of<'a>(network: &'a Segmenter, batch: &'a Batch, weights: Option<(Tensor, f64)>) -> PixelRows<'a> {
    let masks = batch.masks.as_ref().unwrap();
    PixelRows {
        network,
        batch,
        masks,
        labelled: labelled_pixels(masks).unwrap(),
        draw: (9, 4),
        per_class: 4,
        label_smoothing: 0.1,
        weights,
        sampled: RefCell::default(),
    }
}

/// With weights of the classes in the cross-entropy of the pixels, from the masks of the step.
fn weighted_gradients_of(
    network: &Segmenter,
    objective: &mut dyn Objective,
    batch: &Batch,
    accumulation: Accumulation,
    weights: impl Fn(&Tensor) -> Option<(Tensor, f64)>,
) -> (Vec<Tensor>, f64) {
    let rows = rows_of(network, batch, weights(batch.masks.as_ref().unwrap()));
    let parameters = network.tensors("");
    let weights: Vec<&Tensor> = parameters.iter().map(|entry| &entry.tensor).filter(|w| w.requires_grad()).collect();
    let mut input = StepInput::new(network, objective, batch, (9, 4)).accumulated(accumulation).with_rows(&rows);
    let (gradients, figures) = gradients(&mut input, &weights).unwrap();
    let defined = gradients
        .into_iter()
        .zip(&weights)
        .map(|(gradient, weight)| if gradient.defined() { gradient } else { weight.detach().zeros_like() });
    (defined.collect(), figures.read().unwrap().0)
}

fn largest_difference(a: &[Tensor], b: &[Tensor]) -> f64 {
    let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
    let relative = |(a, b): (&Tensor, &Tensor)| norm(&(a - b)) / norm(a).max(1e-6);
    a.iter().zip(b).map(relative).fold(0.0, f64::max)
}

fn objectives() -> Vec<Box<dyn Objective>> {
    let focus = Focus { exponent: 1.0, detached: false };
    vec![
        Box::new(CrossEntropy { label_smoothing: 0.1 }),
        Box::new(SupervisedContrastive { eta: 0.1, temperature: 0.1, label_smoothing: 0.1 }),
        Box::new(CoreTuning {
            pairs: PairScheme::Own,
            eta: 0.1,
            alpha: 1.0,
            temperature: 0.1,
            focus,
            label_smoothing: 0.1,
            ..CoreTuning::PUBLISHED
        }),
    ]
}

/// Dropout and an auxiliary head included: the zeros are the same in both passes.
#[test]
fn in_parts_the_gradient_is_that_of_the_whole_with_frozen_batch_norm() {
    let batch = batch(true);
    for kind in [DenseHeadKind::DeepLabV3, DenseHeadKind::Fcn] {
        let network = network(kind);
        for mut objective in objectives() {
            let (whole, loss) = gradients_of(&network, &mut *objective, &batch, Accumulation::Whole);
            assert!(loss > 0.1, "{loss}");
            for part in [1, 2, 4] {
                let (exact, same) = gradients_of(&network, &mut *objective, &batch, Accumulation::Exact { part });
                let off = largest_difference(&whole, &exact);
                assert!(off <= 2e-4, "{} {kind}, parts of {part}: off by {off:e}", objective.name());
                assert!((loss - same).abs() < 1e-5, "{loss} {same}");
            }
        }
    }
}

#[test]
fn in_parts_the_gradient_is_that_of_the_whole_with_class_weights_too() {
    let (batch, network) = (batch(true), network(DenseHeadKind::Fcn));
    let of_classes = [0.2, 0.7, 2.1];
    let weights = |masks: &Tensor| {
        let tensor = Tensor::from_slice(&of_classes).to_kind(Kind::Float);
        Some((tensor, pixel_weight(masks, &of_classes).unwrap()))
    };
    for mut objective in objectives() {
        let mut of = |accumulation| weighted_gradients_of(&network, &mut *objective, &batch, accumulation, weights);
        let (whole, loss) = of(Accumulation::Whole);
        let (exact, same) = of(Accumulation::Exact { part: 4 });
        assert!(largest_difference(&whole, &exact) <= 2e-4 && (loss - same).abs() < 1e-5, "{loss} {same}");
        let (unweighted, _) = gradients_of(&network, &mut *objective, &batch, Accumulation::Whole);
        assert!(largest_difference(&whole, &unweighted) > 1e-2, "the weights change the gradient");
    }
}

#[test]
fn a_step_without_labelled_pixels_has_loss_and_gradient_zero() {
    let (batch, network) = (batch(false), network(DenseHeadKind::Fcn));
    for mut objective in objectives() {
        for accumulation in [Accumulation::Whole, Accumulation::Exact { part: 4 }] {
            let (gradients, loss) = gradients_of(&network, &mut *objective, &batch, accumulation);
            assert!(loss.abs() == 0.0, "{loss}");
            assert!(gradients.iter().all(|gradient| gradient.abs().max().double_value(&[]) == 0.0));
        }
    }
}

/// A second gradient of a step, at other weights, is that of the same rows.
#[test]
fn the_positions_of_a_step_stay_when_the_weights_move() {
    let (batch, network) = (batch(true), network(DenseHeadKind::Fcn));
    let positions = |rows: &PixelRows<'_>| {
        let sampled = rows.rows(0..6, Mode::TrainUntracked).unwrap();
        (Vec::<i64>::try_from(sampled.dense.unwrap().positions).unwrap(), sampled.labels)
    };
    let of_step = rows_of(&network, &batch, None);
    let first = positions(&of_step);
    let _ = no_grad(|| network.head.classifier().weight.shallow_clone().neg_());
    assert_eq!(positions(&of_step), first);
    assert_ne!(positions(&rows_of(&network, &batch, None)), first, "the network errs elsewhere now");
}
