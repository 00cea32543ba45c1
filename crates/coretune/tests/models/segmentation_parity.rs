//! The same weights give the maps of torchvision's segmentation networks, and of dilated ones made of its blocks.
//! `segmentation_maps.py` wrote the expected ones.

use coretune::engine::channels_last;
use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Mode, Network, Normalisation, OutputStride, Segmenter,
    SegmenterHeads, upsample,
};
use tch::{Device, no_grad};

use crate::filled::{assert_close, expected, fill, spread};

const EXPECTED: &[u8] = include_bytes!("segmentation_maps.safetensors");

#[test]
fn deeplabv3_resnet18_gives_the_maps_of_torchvisions_blocks() {
    check(DenseHeadKind::DeepLabV3, Family::ResNet18, OutputStride::Eight, 305);
    check(DenseHeadKind::DeepLabV3, Family::ResNet18, OutputStride::Sixteen, 305);
}

#[test]
fn deeplabv3_resnet34_gives_the_maps_of_torchvisions_blocks() {
    check(DenseHeadKind::DeepLabV3, Family::ResNet34, OutputStride::Eight, 65);
    check(DenseHeadKind::DeepLabV3, Family::ResNet34, OutputStride::Sixteen, 65);
}

#[test]
fn deeplabv3plus_resnet18_gives_the_maps_of_torchvisions_blocks() {
    check(DenseHeadKind::DeepLabV3Plus, Family::ResNet18, OutputStride::Sixteen, 65);
}

#[test]
fn deeplabv3_resnet50_gives_torchvisions_maps() {
    check(DenseHeadKind::DeepLabV3, Family::ResNet50, OutputStride::Eight, 65);
}

#[test]
fn fcn_resnet18_gives_the_maps_of_torchvisions_blocks() {
    check(DenseHeadKind::Fcn, Family::ResNet18, OutputStride::Eight, 65);
    check(DenseHeadKind::Fcn, Family::ResNet18, OutputStride::Sixteen, 65);
}

#[test]
fn fcn_resnet34_gives_the_maps_of_torchvisions_blocks() {
    check(DenseHeadKind::Fcn, Family::ResNet34, OutputStride::Eight, 65);
    check(DenseHeadKind::Fcn, Family::ResNet34, OutputStride::Sixteen, 65);
}

#[test]
fn fcn_resnet50_gives_torchvisions_maps() {
    check(DenseHeadKind::Fcn, Family::ResNet50, OutputStride::Eight, 65);
}

fn check(kind: DenseHeadKind, family: Family, output_stride: OutputStride, side: i64) {
    let name = format!("{kind}_{family}_{}", output_stride.pixels());
    let segmenter = segmenter(kind, family, output_stride);
    let images = channels_last::copy(&spread("images", &[1, 3, side, side], -2.0, 2.0));
    let output = no_grad(|| segmenter.forward_normalised(&images, Mode::Evaluate, None, true)).unwrap();
    assert_close(&output.logits, &expected(EXPECTED, &name), &name);
    let auxiliary = output.auxiliary.unwrap();
    assert_close(&auxiliary, &expected(EXPECTED, &format!("{name}.auxiliary")), &format!("{name}.auxiliary"));
    if name == "deeplabv3_resnet18_16" {
        let pixels = upsample(&output.logits, [side, side]).unwrap();
        let pixels = pixels.slice(2, 0, side, 16).slice(3, 0, side, 16);
        assert_close(&pixels, &expected(EXPECTED, &format!("{name}.pixels")), "pixels");
    }
}

fn segmenter(kind: DenseHeadKind, family: Family, output_stride: OutputStride) -> Segmenter {
    let backbone = Backbone::zeroed_dilated(&Architecture::published(family), output_stride, Device::Cpu).unwrap();
    let heads = SegmenterHeads { kind, classes: 5, auxiliary: true, dropout: 0.0 };
    let segmenter = Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 0).unwrap();
    fill(&segmenter.tensors(""), "");
    segmenter
}
