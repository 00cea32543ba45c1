//! Every network, as a graph: the file computes what the model computes.

use coretune::export::Format;
use coretune::models::{Architecture, Family, Stem};
use coretune::saved_models::ModelDescription;

use crate::saved_model::{SavedModel, described};

#[test]
fn every_family_computes_the_same_as_a_graph() {
    for (index, family) in Family::ALL.iter().copied().enumerate() {
        let stem = if index % 2 == 0 { Stem::Imagenet } else { Stem::Small };
        check(&described(Architecture { family, stem, width: 1.0 / 16.0 }), Format::Onnx);
    }
}

#[test]
fn both_stems_and_uneven_widths_compute_the_same_as_a_graph() {
    for stem in [Stem::Imagenet, Stem::Small] {
        check(&described(Architecture { family: Family::ResNet18, stem, width: 0.3 }), Format::Onnx);
        check(&described(Architecture { family: Family::ResNeXt50, stem, width: 0.1 }), Format::Onnx);
    }
    check(&described(Architecture { family: Family::MobileNetV2Small, stem: Stem::Small, width: 0.5 }), Format::Onnx);
}

#[test]
fn every_format_has_the_classifier_with_and_without_bias() {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.3 };
    for classifier_bias in [false, true] {
        for format in Format::ALL {
            check(&ModelDescription { classifier_bias, ..described(architecture) }, format);
        }
    }
}

fn check(description: &ModelDescription, format: Format) {
    let network = description.architecture;
    let exported =
        SavedModel::new(description).export(format, false).unwrap_or_else(|error| panic!("{network:?}: {error}"));
    let parity = exported.parity;
    assert!(parity.relative_difference <= 1e-5, "{network:?} {format}: {parity:?}");
    assert!(parity.largest_logit > 1e-3, "{network:?}: {parity:?}");
}
