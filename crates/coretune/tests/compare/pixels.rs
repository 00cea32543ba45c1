//! Differences of segmentation methods against naive code.

use coretune::compare::statistics::{Difference, paired_pixel_difference};
use coretune::evaluate::segmentation::{ClassPixels, PixelFigures};
use coretune::random::{Purpose, stream};
use rand::RngExt;

type Images = Vec<Vec<ClassPixels>>;

const CLASSES: usize = 3;

/// Images of 100 pixels, each found with about this probability; class 2 is in every fifth image only.
fn images(count: usize, found: f64, number: u64) -> Images {
    let mut random = stream(number, Purpose::Shown, 0, 0);
    let mut of_image = |image: usize| {
        let mut classes = vec![ClassPixels::default(); CLASSES];
        for pixel in 0..100 {
            let truth = if image.is_multiple_of(5) && pixel < 30 { 2 } else { pixel % 2 };
            let predicted =
                if random.random_bool(found) { truth } else { (truth + random.random_range(1..CLASSES)) % CLASSES };
            classes[truth].truth += 1;
            classes[predicted].predicted += 1;
            classes[truth].hit += u64::from(truth == predicted);
        }
        classes
    };
    (0..count).map(&mut of_image).collect()
}

/// Mean IoU of the images of this list, by its definition.
fn mean_iou(images: &Images, drawn: &[usize]) -> f64 {
    let of_class = |class: usize| {
        let sum = |pixels: fn(&ClassPixels) -> u64| drawn.iter().map(|&i| pixels(&images[i][class])).sum::<u64>();
        let (hit, truth, predicted) = (sum(|c| c.hit), sum(|c| c.truth), sum(|c| c.predicted));
        (truth > 0).then(|| hit as f64 / (truth + predicted - hit) as f64)
    };
    let present: Vec<f64> = (0..CLASSES).filter_map(of_class).collect();
    present.iter().sum::<f64>() / present.len() as f64
}

fn compared(method: &[Images], baseline: &[Images], same_images: bool) -> Difference {
    let rows = |of_seeds: &[Images]| of_seeds.iter().map(|images| images.clone().leak() as &[_]).collect::<Vec<_>>();
    paired_pixel_difference(&rows(method), &rows(baseline), |figures: &PixelFigures| figures.mean_iou, same_images, 0)
}

#[test]
fn the_bootstrap_agrees_with_one_over_indices() {
    const DRAWS: usize = 10_000;
    for (seeds, same_images) in [(1, true), (3, true), (3, false)] {
        let method: Vec<Images> = (0..seeds).map(|seed| images(40, 0.72, seed)).collect();
        let baseline: Vec<Images> = (0..seeds).map(|seed| images(40, 0.70, 100 + seed)).collect();
        let found = compared(&method, &baseline, same_images);
        let mut random = stream(9, Purpose::Bootstrap, 1, 1);
        let mut draws: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let mut drawn: Vec<usize> = (0..40).map(|_| random.random_range(0..40)).collect();
                let mut of_seed = |seed: usize| {
                    if !same_images {
                        drawn = (0..40).map(|_| random.random_range(0..40)).collect();
                    }
                    mean_iou(&method[seed], &drawn) - mean_iou(&baseline[seed], &drawn)
                };
                (0..seeds as usize).map(&mut of_seed).sum::<f64>() / seeds as f64
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        assert!((found.interval.low - draws[DRAWS / 40]).abs() < 0.004, "{found:?}");
        assert!((found.interval.high - draws[DRAWS - DRAWS / 40]).abs() < 0.004, "{found:?}");
        let all: Vec<usize> = (0..40).collect();
        for (seed, difference) in found.of_seeds.iter().enumerate() {
            let expected = mean_iou(&method[seed], &all) - mean_iou(&baseline[seed], &all);
            assert!((difference - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn equal_predictions_differ_by_nothing_and_seeds_are_drawn_from_five_on() {
    let same: Vec<Images> = (0..5).map(|seed| images(20, 0.6, seed)).collect();
    let found = compared(&same, &same, true);
    assert_eq!((found.mean, found.p, found.interval.low, found.interval.high), (0.0, 1.0, 0.0, 0.0));
    assert!(found.seeds_drawn && !compared(&same[..4], &same[..4], true).seeds_drawn);
}
