use coretune::engine::{Precision, channels_last};
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, DropoutDraws, Family, Mode, ModelError, Network, Normalisation,
    OutputStride, ProjectionHead, Role, Segmenter, SegmenterHeads, Stem,
};
use tch::{Device, Kind, Tensor, no_grad};

const HEADS: SegmenterHeads =
    SegmenterHeads { kind: DenseHeadKind::DeepLabV3, classes: 3, auxiliary: true, dropout: 0.0 };

fn architecture(family: Family) -> Architecture {
    Architecture { width: 0.25, ..Architecture::published(family) }
}

fn with_heads(heads: &SegmenterHeads) -> Segmenter {
    let backbone = Backbone::dilated(&architecture(Family::ResNet18), OutputStride::Sixteen, 1, Device::Cpu).unwrap();
    Segmenter::new(backbone, heads, Normalisation::IMAGENET, 2).unwrap()
}

fn of_kind(kind: DenseHeadKind) -> Segmenter {
    with_heads(&SegmenterHeads { kind, ..HEADS })
}

fn images(count: i64) -> Tensor {
    (Tensor::arange(count * 48 * 40 * 3, (Kind::Int64, Device::Cpu)) * 7919)
        .remainder(251)
        .to_kind(Kind::Uint8)
        .view([count, 48, 40, 3])
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.detach().flatten(0, -1).try_into().unwrap()
}

#[test]
fn the_embedding_is_what_the_last_convolution_reads() {
    for (kind, width, [height, wide]) in [
        (DenseHeadKind::DeepLabV3, 256, [3, 3]),
        (DenseHeadKind::DeepLabV3Plus, 256, [12, 10]),
        (DenseHeadKind::Fcn, 32, [3, 3]),
        (DenseHeadKind::Linear, 128, [3, 3]),
    ] {
        let segmenter = of_kind(kind);
        let output = segmenter.forward(&images(2), Mode::Train, None, true).unwrap();
        assert_eq!(segmenter.embedding_width(), width, "{kind}");
        assert_eq!(output.embedding.size(), [2, width, height, wide], "{kind}");
        assert_eq!(output.logits.size(), [2, 3, height, wide], "{kind}");
        assert_eq!(output.auxiliary.unwrap().size(), [2, 3, 3, 3], "{kind}");
        let rows = output.embedding.permute([0, 2, 3, 1]).reshape([-1, width]);
        let logits = segmenter.classifier().unwrap().forward(&rows).view([2, height, wide, 3]).permute([0, 3, 1, 2]);
        assert!(logits.allclose(&output.logits, 1e-5, 1e-6, false), "{kind}");
    }
}

#[test]
fn pixels_get_logits_of_the_images_size() {
    assert_eq!(of_kind(DenseHeadKind::Fcn).pixel_logits(&images(1)).unwrap().size(), [1, 3, 48, 40]);
}

#[test]
fn every_head_keeps_channels_last() {
    for &kind in DenseHeadKind::ALL {
        let output = of_kind(kind).forward(&images(2), Mode::Train, None, false).unwrap();
        for map in [&output.embedding, &output.logits] {
            assert!(channels_last::is(map) && !map.is_contiguous(), "{kind}: {:?}", map.stride());
        }
    }
}

#[test]
fn a_loss_on_all_logits_reaches_every_weight() {
    for &kind in DenseHeadKind::ALL {
        let segmenter = of_kind(kind);
        let output = segmenter.forward(&images(2), Mode::Train, None, true).unwrap();
        (output.logits.square().sum(Kind::Float) + output.auxiliary.unwrap().square().sum(Kind::Float)).backward();
        for parameter in segmenter.tensors("").iter().filter(|p| p.role == Role::Weight) {
            let gradient = parameter.tensor.grad();
            assert!(gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 1, "{kind} {}", parameter.name);
        }
    }
}

#[test]
fn names_and_shapes_do_not_depend_on_the_output_stride() {
    let shapes = |output_stride| {
        let backbone = Backbone::dilated(&architecture(Family::ResNet50), output_stride, 0, Device::Cpu).unwrap();
        let list: Vec<_> = backbone.parameters().iter().map(|p| (p.name.clone(), p.tensor.size())).collect();
        list
    };
    let plain = Backbone::outline(&architecture(Family::ResNet50)).unwrap();
    let plain: Vec<_> = plain.parameters().iter().map(|p| (p.name.clone(), p.tensor.size())).collect();
    assert!(OutputStride::ALL.into_iter().all(|output_stride| shapes(output_stride) == plain));
}

#[test]
fn a_dilated_backbone_gives_maps_of_its_stride() {
    for output_stride in OutputStride::ALL {
        let backbone = Backbone::dilated(&architecture(Family::ResNet34), output_stride, 0, Device::Cpu).unwrap();
        assert_eq!(backbone.stride(), Some(output_stride.pixels()));
        let images = Normalisation::IMAGENET.apply(&images(1), Device::Cpu);
        let maps = no_grad(|| backbone.stage_maps(&images, Mode::Evaluate));
        let side = |pixels: i64| (pixels - 1) / output_stride.pixels() + 1;
        assert_eq!(maps.last().unwrap().size(), [1, 128, side(48), side(40)]);
    }
}

#[test]
fn the_bottlenecks_of_a_dilated_stage_give_the_maps_of_the_strided_one_between_its_own() {
    let plain = Backbone::new(&architecture(Family::ResNet50), 3, Device::Cpu).unwrap();
    let dilated = Backbone::dilated(&architecture(Family::ResNet50), OutputStride::Eight, 3, Device::Cpu).unwrap();
    let images = Normalisation::IMAGENET.apply(&images(1), Device::Cpu);
    no_grad(|| {
        let strided = plain.stage_maps(&images, Mode::Evaluate).pop().unwrap();
        let dense = dilated.stage_maps(&images, Mode::Evaluate).pop().unwrap();
        let between = dense.slice(2, None, None, 4).slice(3, None, None, 4);
        let largest = strided.abs().max().double_value(&[]);
        assert!((between - strided).abs().max().double_value(&[]) < 1e-4 * largest);
    });
}

#[test]
fn a_copy_of_a_dilated_backbone_is_dilated() {
    let backbone = Backbone::dilated(&architecture(Family::ResNet18), OutputStride::Eight, 3, Device::Cpu).unwrap();
    let images = Normalisation::IMAGENET.apply(&images(1), Device::Cpu);
    let map = |backbone: &Backbone| no_grad(|| backbone.stage_maps(&images, Mode::Evaluate).pop().unwrap());
    assert_eq!(map(&backbone), map(&backbone.frozen_copy().unwrap()));
}

#[test]
fn the_mobilenet_cannot_be_dilated() {
    let refused =
        Backbone::dilated(&Architecture::published(Family::MobileNetV2Small), OutputStride::Sixteen, 0, Device::Cpu);
    assert!(matches!(refused, Err(ModelError::NoDilation { family: Family::MobileNetV2Small })));
}

#[test]
fn heads_are_drawn_by_the_seed_alone() {
    let head = |family, output_stride, seed| {
        let backbone = Backbone::dilated(&architecture(family), output_stride, seed + 5, Device::Cpu).unwrap();
        Segmenter::new(backbone, &HEADS, Normalisation::IMAGENET, seed).unwrap().head
    };
    let one = head(Family::ResNet18, OutputStride::Eight, 0);
    let other = head(Family::ResNet34, OutputStride::Sixteen, 0);
    for (one, other) in one.parameters().iter().zip(other.parameters().iter()) {
        assert_eq!((&one.name, &one.tensor), (&other.name, &other.tensor));
    }
    let seeded = head(Family::ResNet18, OutputStride::Eight, 1);
    assert_ne!(one.classifier().weight, seeded.classifier().weight);
}

#[test]
fn convolutions_of_heads_start_as_torch_draws_them() {
    for parameter in of_kind(DenseHeadKind::DeepLabV3).head.parameters().iter().filter(|p| p.tensor.dim() == 4) {
        let fan_in = parameter.tensor.size()[1..].iter().product::<i64>() as f64;
        let (bound, largest) = (fan_in.powf(-0.5), parameter.tensor.abs().max().double_value(&[]));
        assert!(largest <= bound && largest > 0.98 * bound, "{}: {largest} {bound}", parameter.name);
    }
}

#[test]
fn one_image_is_refused_in_training_unless_batch_norm_is_frozen() {
    let mut segmenter = of_kind(DenseHeadKind::DeepLabV3);
    for mode in [Mode::Train, Mode::TrainUntracked] {
        let error = segmenter.forward(&images(1), mode, None, false).unwrap_err();
        assert!(matches!(error, ModelError::OneImage));
        assert!(error.hint().unwrap().to_string().contains("model.freeze_batch_norm"));
    }
    segmenter.forward(&images(1), Mode::Evaluate, None, false).unwrap();
    segmenter.freeze_batch_norm();
    segmenter.forward(&images(1), Mode::Train, None, false).unwrap();
    of_kind(DenseHeadKind::Fcn).forward(&images(1), Mode::Train, None, false).unwrap();
}

#[test]
fn frozen_batch_norm_computes_in_training_as_in_evaluation() {
    for &kind in DenseHeadKind::ALL {
        let mut segmenter = of_kind(kind);
        segmenter.freeze_batch_norm();
        let before: Vec<_> = segmenter.tensors("").iter().map(|p| p.tensor.detach().copy()).collect();
        let trained = segmenter.forward(&images(2), Mode::Train, None, true).unwrap();
        let evaluated = segmenter.forward(&images(2), Mode::Evaluate, None, true).unwrap();
        assert!(trained.logits.allclose(&evaluated.logits, 1e-4, 1e-5, false), "{kind}");
        assert!(trained.auxiliary.unwrap().allclose(&evaluated.auxiliary.unwrap(), 1e-4, 1e-5, false), "{kind}");
        assert!(segmenter.tensors("").iter().zip(&before).all(|(p, before)| p.tensor == *before), "{kind}");
    }
}

#[test]
fn dropout_depends_on_seed_step_and_image_alone() {
    let segmenter = with_heads(&SegmenterHeads { kind: DenseHeadKind::Fcn, dropout: 0.4, ..HEADS });
    let both = images(2);
    let embedding = |seed, step, numbers: &[u64], mode| {
        let rows: Vec<Tensor> = numbers.iter().map(|&number| both.get(number as i64)).collect();
        let draws = DropoutDraws { seed, step, images: numbers };
        values(&segmenter.forward(&Tensor::stack(&rows, 0), mode, Some(draws), true).unwrap().embedding)
    };
    let untracked = Mode::TrainUntracked;
    let first = embedding(0, 1, &[0, 1], untracked);
    assert_eq!(first, embedding(0, 1, &[0, 1], untracked));
    assert_ne!(first, embedding(0, 2, &[0, 1], untracked));
    assert_ne!(first, embedding(1, 1, &[0, 1], untracked));
    let zeros = |values: &[f32]| values.iter().map(|&value| value == 0.0).collect::<Vec<_>>();
    let swapped = embedding(0, 1, &[1, 0], untracked);
    let half = first.len() / 2;
    assert_eq!(zeros(&first[..half]), zeros(&swapped[half..]));
    let without = values(&segmenter.forward(&both, Mode::Evaluate, None, false).unwrap().embedding);
    assert_eq!(embedding(0, 1, &[0, 1], Mode::Evaluate), without);
}

#[test]
fn dropout_zeroes_its_fraction_and_scales_the_rest() {
    let mut segmenter = with_heads(&SegmenterHeads { kind: DenseHeadKind::Fcn, dropout: 0.25, ..HEADS });
    segmenter.freeze_batch_norm();
    let numbers: Vec<u64> = (0..16).collect();
    let draws = DropoutDraws { seed: 3, step: 0, images: &numbers };
    let dropped = values(&segmenter.forward(&images(16), Mode::Train, Some(draws), false).unwrap().embedding);
    let whole = values(&segmenter.forward(&images(16), Mode::Train, None, false).unwrap().embedding);
    let pairs: Vec<_> = dropped.iter().zip(&whole).filter(|&(_, &whole)| whole != 0.0).collect();
    let zeros = pairs.iter().filter(|&&(&dropped, _)| dropped == 0.0).count() as f64 / pairs.len() as f64;
    assert!((zeros - 0.25).abs() < 0.04, "{zeros} of {}", pairs.len());
    let scaled = |dropped: f32, whole: f32| dropped == 0.0 || (dropped - whole / 0.75).abs() < 1e-4 * whole.abs();
    assert!(pairs.into_iter().all(|(&dropped, &whole)| scaled(dropped, whole)));
}

#[test]
fn dropout_needs_a_number_for_each_image() {
    let segmenter = with_heads(&SegmenterHeads { dropout: 0.5, ..HEADS });
    let draws = DropoutDraws { seed: 0, step: 0, images: &[0] };
    assert!(segmenter.forward(&images(2), Mode::Train, Some(draws), false).is_err());
}

#[test]
fn heads_that_cannot_be_built_are_refused() {
    let refused = |heads: &SegmenterHeads| {
        let backbone = Backbone::new(&architecture(Family::ResNet18), 1, Device::Cpu).unwrap();
        Segmenter::new(backbone, heads, Normalisation::IMAGENET, 2).unwrap_err()
    };
    assert!(matches!(refused(&SegmenterHeads { classes: 1, ..HEADS }), ModelError::Classes { found: 1 }));
    for dropout in [-0.1, 1.0, f64::NAN] {
        assert!(matches!(refused(&SegmenterHeads { dropout, ..HEADS }), ModelError::Dropout { .. }));
    }
    let narrow = ProjectionHead::new(8, 4, 0, Device::Cpu).unwrap();
    let error = of_kind(DenseHeadKind::Fcn).with_projection(narrow).unwrap_err();
    assert!(matches!(error, ModelError::FeatureWidth { expected: 32, found: 8, .. }));
}

#[test]
fn bf16_is_close_to_f32_and_gives_f32() {
    let mut segmenter = of_kind(DenseHeadKind::DeepLabV3);
    let full = segmenter.forward(&images(2), Mode::Evaluate, None, true).unwrap();
    segmenter.backbone.set_precision(Precision::Bf16);
    let half = segmenter.forward(&images(2), Mode::Evaluate, None, true).unwrap();
    assert_eq!((half.logits.kind(), half.embedding.kind()), (Kind::Float, Kind::Float));
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    assert!(largest(&(&half.logits - &full.logits)) < 0.05 * largest(&full.logits));
    assert!(half.logits != full.logits);
}

#[test]
fn a_small_stem_has_stride_8_whatever_is_asked_for() {
    let architecture = Architecture { stem: Stem::Small, ..architecture(Family::ResNet18) };
    let backbone = Backbone::dilated(&architecture, OutputStride::Sixteen, 0, Device::Cpu).unwrap();
    assert_eq!(backbone.stride(), Some(8));
}

#[test]
fn a_classifier_takes_the_values_of_a_probe() {
    let segmenter = of_kind(DenseHeadKind::Linear);
    let probe = coretune::models::Linear::from_values(
        &Tensor::rand([3, 128], (Kind::Float, Device::Cpu)),
        Some(&Tensor::rand([3], (Kind::Float, Device::Cpu))),
        Device::Cpu,
    )
    .unwrap();
    segmenter.head.classifier().copy_values(&probe).unwrap();
    let rows = Tensor::rand([4, 128], (Kind::Float, Device::Cpu));
    assert_eq!(probe.forward(&rows), segmenter.head.classifier().forward(&rows));
    assert_eq!(segmenter.tensors("").get("classifier.weight").unwrap().tensor.size(), [3, 128, 1, 1]);
}
