use coretune::models::{
    Architecture, Backbone, Family, Linear, Mode, Model, ModelError, Network, Normalisation, ProjectionHead, Stem,
};
use tch::{Device, Kind, Tensor};

fn backbone() -> Backbone {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    Backbone::new(&architecture, 0, Device::Cpu).unwrap()
}

fn model() -> Model {
    let classifier = Linear::classifier(64, 5, 0, Device::Cpu).unwrap();
    let projection = ProjectionHead::new(64, ProjectionHead::WIDTH, 0, Device::Cpu).unwrap();
    Model::new(backbone(), classifier, Some(projection), Normalisation::IMAGENET).unwrap()
}

#[test]
fn a_linear_layer_starts_uniform_within_the_inverse_root_of_its_inputs() {
    let layer = Linear::classifier(400, 300, 3, Device::Cpu).unwrap();
    assert!(layer.bias.is_none());
    let bound = 1.0 / 20.0;
    let most = layer.weight.abs().max().double_value(&[]);
    assert!(most <= bound && most > 0.99 * bound, "{most}");
    let deviation = layer.weight.std(true).double_value(&[]);
    assert!((deviation / (bound / 3f64.sqrt()) - 1.0).abs() < 0.01, "{deviation}");
}

#[test]
fn the_projection_head_has_torchs_names_and_a_relu_between() {
    let head = ProjectionHead::new(6, ProjectionHead::WIDTH, 1, Device::Cpu).unwrap();
    let parameters = head.parameters();
    let shapes: Vec<_> = parameters.iter().map(|p| (p.name.as_str(), p.tensor.size())).collect();
    let expected = [("0.weight", vec![6, 6]), ("0.bias", vec![6]), ("2.weight", vec![256, 6]), ("2.bias", vec![256])];
    assert_eq!(shapes, expected);
    let x = Tensor::randn([3, 6], (Kind::Float, Device::Cpu));
    let [w0, b0, w2, b2] = ["0.weight", "0.bias", "2.weight", "2.bias"].map(|n| &parameters.get(n).unwrap().tensor);
    let by_hand = (x.matmul(&w0.tr()) + b0).clamp_min(0.0).matmul(&w2.tr()) + b2;
    let error = (head.forward(&x) - by_hand).abs().max().double_value(&[]);
    assert!(error < 1e-6, "{error}");
}

#[test]
fn a_model_lists_backbone_classifier_projection_in_this_order() {
    let model = model();
    let parameters = model.parameters();
    let names: Vec<_> = parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names[0], "backbone.conv1.weight");
    assert_eq!(
        names[names.len() - 5..],
        ["classifier.weight", "projection.0.weight", "projection.0.bias", "projection.2.weight", "projection.2.bias"]
    );
}

#[test]
fn what_is_written_into_a_listed_tensor_changes_the_model() {
    let model = model();
    let images = Tensor::randint(256, [2, 16, 16, 3], (Kind::Uint8, Device::Cpu));
    let before = model.logits(&images, Mode::Evaluate).unwrap();
    assert_eq!(before.size(), [2, 5]);
    let parameters = model.parameters();
    let _ = tch::no_grad(|| parameters.get("classifier.weight").unwrap().tensor.shallow_clone().zero_());
    assert_ne!(model.logits(&images, Mode::Evaluate).unwrap(), before);
}

#[test]
fn a_head_for_another_width_is_refused() {
    let classifier = Linear::classifier(65, 5, 0, Device::Cpu).unwrap();
    let error = Model::new(backbone(), classifier, None, Normalisation::IMAGENET).unwrap_err();
    assert!(matches!(error, ModelError::FeatureWidth { expected: 64, found: 65, .. }));
    assert!(matches!(Linear::classifier(64, 0, 0, Device::Cpu), Err(ModelError::EmptyLayer { .. })));
}

#[test]
fn images_of_another_shape_or_kind_are_refused() {
    let model = model();
    let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, Device::Cpu));
    for images in [
        zeros(&[2, 16, 16, 3], Kind::Float),
        zeros(&[2, 3, 16, 16], Kind::Uint8),
        zeros(&[16, 16, 3], Kind::Uint8),
        zeros(&[0, 16, 16, 3], Kind::Uint8),
    ] {
        assert!(matches!(model.features(&images, Mode::Evaluate), Err(ModelError::Images { .. })));
    }
}

#[test]
fn a_layer_can_be_made_of_given_values() {
    let weight = Tensor::randn([4, 3], (Kind::Double, Device::Cpu));
    let bias = Tensor::randn([4], (Kind::Double, Device::Cpu));
    let layer = Linear::from_values(&weight, Some(&bias), Device::Cpu).unwrap();
    assert_eq!((layer.inputs(), layer.outputs(), layer.weight.kind()), (3, 4, Kind::Float));
    assert!(layer.weight.is_leaf() && layer.weight.requires_grad());
    assert!(Linear::from_values(&weight, Some(&bias.slice(0, 0, 3, 1)), Device::Cpu).is_err());
}

#[test]
fn a_head_with_batch_norm_uses_its_running_averages_and_a_relu_where_no_tensors_are() {
    use coretune::models::HeadLayerForm;
    let linear = |place, inputs, outputs, bias| HeadLayerForm { place, inputs, outputs, norm: false, bias };
    let norm = |place, outputs, bias| HeadLayerForm { place, inputs: outputs, outputs, norm: true, bias };
    let forms = [linear(0, 6, 5, false), norm(1, 5, true), linear(3, 5, 4, true), norm(4, 4, false)];
    let head = ProjectionHead::of_layers(&forms, 3, Device::Cpu).unwrap();
    assert_eq!(head.forms(), forms);
    assert_eq!((head.inputs(), head.outputs(), head.is_plain()), (6, 4, false));
    assert!(ProjectionHead::new(6, 4, 0, Device::Cpu).unwrap().is_plain());
    tch::manual_seed(2);
    for parameter in head.parameters().iter() {
        let drawn = parameter.tensor.rand_like() + 0.2;
        tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&drawn));
    }
    let tensors = head.parameters();
    let of = |name: &str| tensors.get(name).unwrap().tensor.detach();
    let normalised = |x: Tensor, place: usize| {
        (x - of(&format!("{place}.running_mean"))) / (of(&format!("{place}.running_var")) + 1e-5).sqrt()
    };
    let x = Tensor::randn([7, 6], (Kind::Float, Device::Cpu));
    let hidden = normalised(x.matmul(&of("0.weight").tr()), 1) * of("1.weight") + of("1.bias");
    let expected = normalised(hidden.shallow_clone().relu().matmul(&of("3.weight").tr()) + of("3.bias"), 4);
    let off = (head.forward(&x) - expected).abs().max().double_value(&[]);
    assert!(off < 1e-5, "{off}");
    let first = (head.first_layer(&x) - hidden.relu()).abs().max().double_value(&[]);
    assert!(first < 1e-5, "{first}");
}
