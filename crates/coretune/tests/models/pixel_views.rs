//! Test-time views of segmentation against naive loops over images, windows and sizes.

use coretune::models::{
    Architecture, Backbone, DenseHeadKind, Family, Mode, Network, Normalisation, OutputStride, PixelViews, Segmenter,
    SegmenterHeads, TestViews, Window,
};
use tch::{Device, Kind, Tensor, no_grad};

fn network() -> Segmenter {
    let small = Architecture { width: 0.25, ..Architecture::published(Family::ResNet18) };
    let backbone = Backbone::dilated(&small, OutputStride::Sixteen, 1, Device::Cpu).unwrap();
    let heads = SegmenterHeads { kind: DenseHeadKind::DeepLabV3, classes: 3, auxiliary: false, dropout: 0.0 };
    Segmenter::new(backbone, &heads, Normalisation::IMAGENET, 2).unwrap()
}

fn images() -> Tensor {
    let values = Tensor::arange(2 * 48 * 40 * 3, (Kind::Int64, Device::Cpu)) * 7919;
    values.remainder(251).to_kind(Kind::Uint8).view([2, 48, 40, 3])
}

/// Probabilities of a part of the images, rows and columns from the first to before the second.
fn probabilities(network: &Segmenter, images: &Tensor) -> Tensor {
    no_grad(|| network.pixel_logits(images).unwrap().softmax(1, Kind::Double))
}

fn part(images: &Tensor, rows: (i64, i64), columns: (i64, i64)) -> Tensor {
    images.narrow(1, rows.0, rows.1 - rows.0).narrow(2, columns.0, columns.1 - columns.0).contiguous()
}

fn of(views: &PixelViews, network: &Segmenter) -> Tensor {
    views.logits(network, &images()).unwrap().exp().to_kind(Kind::Double)
}

fn assert_close(found: &Tensor, expected: &Tensor) {
    let largest = (found - expected).abs().max().double_value(&[]);
    assert!(found.size() == expected.size() && largest < 1e-6, "differs by {largest}");
}

fn windows(size: i64, overlap: f64) -> PixelViews {
    PixelViews { window: Some(Window { size, overlap }), ..PixelViews::default() }
}

#[test]
fn the_image_alone_gives_its_logits() {
    let network = network();
    let logits = PixelViews::default().logits(&network, &images()).unwrap();
    assert!(logits.equal(&network.pixel_logits(&images()).unwrap()));
}

#[test]
fn one_window_that_covers_all_is_the_whole_image() {
    let network = network();
    for size in [48, 200] {
        assert_close(&of(&windows(size, 0.5), &network), &probabilities(&network, &images()));
    }
}

#[test]
fn two_windows_are_averaged_where_both_are() {
    let network = network();
    // Rows 0 to 32 and 16 to 48, columns 0 to 32 and 8 to 40.
    let found = of(&windows(32, 0.5), &network);
    let (sum, count) = (found.zeros_like(), found.zeros_like());
    for top in [0, 16] {
        for left in [0, 8] {
            let inside = probabilities(&network, &part(&images(), (top, top + 32), (left, left + 32)));
            for (y, x) in (0..32).flat_map(|y| (0..32).map(move |x| (y, x))) {
                let at = |map: &Tensor| map.select(3, left + x).select(2, top + y);
                let _ = at(&sum).g_add_(&inside.select(3, x).select(2, y));
                let _ = at(&count).g_add_scalar_(1.0);
            }
        }
    }
    assert_eq!((count.min().double_value(&[]), count.max().double_value(&[])), (1.0, 4.0));
    assert_close(&found, &(sum / count));
}

#[test]
fn the_mirror_image_is_a_view_turned_back() {
    let network = network();
    let views = PixelViews { mirror: TestViews::Flip, ..PixelViews::default() };
    let mirrored = probabilities(&network, &images().flip([2i64])).flip([3i64]);
    assert_close(&of(&views, &network), &((probabilities(&network, &images()) + mirrored) / 2.0));
}

#[test]
fn sizes_and_mirror_images_are_averaged_at_the_size_of_the_image() {
    let network = network();
    let views = PixelViews { mirror: TestViews::Flip, scales: vec![0.5, 1.0], window: None };
    let normalised = network.normalisation().apply(&images(), Device::Cpu);
    let smaller = normalised.internal_upsample_bilinear2d_aa([24i64, 20], false, None, None);
    let of_image = |images: &Tensor| {
        let size = [images.size()[2], images.size()[3]];
        let logits = no_grad(|| network.forward_normalised(images, Mode::Evaluate, None, false).unwrap().logits);
        let probabilities = logits.upsample_bilinear2d(size, false, None, None).softmax(1, Kind::Double);
        probabilities.upsample_bilinear2d([48i64, 40], false, None, None)
    };
    let both = |images: &Tensor| of_image(images) + of_image(&images.flip([3i64])).flip([3i64]);
    assert_close(&of(&views, &network), &((both(&normalised) + both(&smaller)) / 4.0));
}
