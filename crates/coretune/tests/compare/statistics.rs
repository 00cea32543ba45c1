//! Statistics against naive code and known values.

use coretune::compare::statistics::{
    SeedsNeeded, deviation, holm, mean, paired_difference, seed_interval, seeds_needed, t_quantile,
};
use coretune::random::{Purpose, stream};
use rand::RngExt;

/// Whether each image is right, drawn with this probability.
fn answers(images: usize, probability: f64, number: u64) -> Vec<bool> {
    let mut random = stream(number, Purpose::Shown, 0, 0);
    (0..images).map(|_| random.random_bool(probability)).collect()
}

fn rows(of_seeds: &[Vec<bool>]) -> Vec<&[bool]> {
    of_seeds.iter().map(Vec::as_slice).collect()
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} and {b} differ by more than {tolerance}");
}

#[test]
fn quantiles_of_student_are_those_of_printed_tables() {
    let table = [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)];
    for (degrees, quantile) in table {
        close(t_quantile(0.975, degrees), quantile, 5e-5);
    }
    assert!(t_quantile(0.975, 0).is_infinite());
}

#[test]
fn the_interval_over_seeds_is_the_mean_with_t_times_its_standard_error() {
    let values = [0.010, 0.020, 0.036];
    close(mean(&values), 0.022, 1e-12);
    close(deviation(&values).unwrap(), 0.013_114_877_048_604, 1e-12);
    let interval = seed_interval(&values).unwrap();
    let half = 4.302_652_729_696_142 * 0.013_114_877_048_604 / 3f64.sqrt();
    close(interval.low, 0.022 - half, 1e-9);
    close(interval.high, 0.022 + half, 1e-9);
    assert!(seed_interval(&values[..1]).is_none());
}

#[test]
fn holm_agrees_with_a_worked_example() {
    // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives 0.03 0.06 0.06 0.02.
    for (found, expected) in holm(&[0.01, 0.04, 0.03, 0.005]).into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(found, expected, 1e-12);
    }
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

/// The bootstrap with indices, as it is described: low, high and p of many draws.
fn naive(method: &[Vec<bool>], baseline: &[Vec<bool>], same_images: bool, seeds_too: bool) -> (f64, f64, f64) {
    const DRAWS: usize = 40_000;
    let mut random = stream(99, Purpose::Bootstrap, 1, 1);
    let (seeds, images) = (method.len(), method[0].len());
    let difference = |seed: usize, image: usize| {
        f64::from(u8::from(method[seed][image])) - f64::from(u8::from(baseline[seed][image]))
    };
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<Vec<usize>> = (0..if same_images { 1 } else { seeds })
                .map(|_| (0..images).map(|_| random.random_range(0..images)).collect())
                .collect();
            let of_seed = |seed: usize| {
                let drawn = &drawn[if same_images { 0 } else { seed }];
                drawn.iter().map(|&image| difference(seed, image)).sum::<f64>() / images as f64
            };
            let chosen: Vec<usize> =
                (0..seeds).map(|seed| if seeds_too { random.random_range(0..seeds) } else { seed }).collect();
            chosen.iter().map(|&seed| of_seed(seed)).sum::<f64>() / seeds as f64
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let side = |keep: fn(f64) -> bool| draws.iter().filter(|draw| keep(**draw)).count() as f64 / DRAWS as f64;
    let p = 2.0 * side(|draw| draw <= 1e-9).min(side(|draw| draw >= -1e-9));
    (draws[DRAWS / 40], draws[DRAWS - DRAWS / 40], p.min(1.0))
}

#[test]
fn the_bootstrap_agrees_with_one_over_indices() {
    for (seeds, same_images) in [(1, true), (3, true), (3, false), (6, true), (6, false)] {
        let method: Vec<_> = (0..seeds).map(|seed| answers(60, 0.75, seed)).collect();
        let baseline: Vec<_> = (0..seeds).map(|seed| answers(60, 0.62, 100 + seed)).collect();
        let found = paired_difference(&rows(&method), &rows(&baseline), same_images, 0);
        assert_eq!(found.seeds_drawn, seeds >= 5);
        let (low, high, p) = naive(&method, &baseline, same_images, found.seeds_drawn);
        close(found.interval.low, low, 0.012);
        close(found.interval.high, high, 0.012);
        close(found.p, p, 0.015);
        close(found.mean, mean(&found.of_seeds), 1e-12);
    }
}

#[test]
fn an_image_that_every_seed_shares_counts_once() {
    let (method, baseline) = (answers(200, 0.7, 1), answers(200, 0.6, 2));
    let width = |same_images| {
        let (method, baseline) = ([&method[..]; 4], [&baseline[..]; 4]);
        let interval = paired_difference(&method, &baseline, same_images, 0).interval;
        interval.high - interval.low
    };
    let one = paired_difference(&[&method], &[&baseline], true, 0).interval;
    close(width(true), one.high - one.low, 0.01);
    close(width(false), width(true) / 2.0, 0.01);
}

#[test]
fn p_is_1_without_a_difference_and_as_small_as_the_draws_can_show_with_a_clear_one() {
    let answers = answers(50, 0.5, 3);
    let same = paired_difference(&[&answers], &[&answers], true, 0);
    assert_eq!((same.p, same.mean, same.interval.low, same.interval.high), (1.0, 0.0, 0.0, 0.0));
    let all_right = paired_difference(&[&[true; 50]], &[&[false; 50]], true, 0);
    close(all_right.p, 2.0 / 10_001.0, 1e-12);
    close(all_right.interval.low, 1.0, 1e-12);
}

#[test]
fn the_seeds_that_would_decide_are_those_whose_t_interval_excludes_0() {
    let differences = [0.01, 0.03, -0.005];
    let SeedsNeeded::About(needed) = seeds_needed(&differences) else { panic!("so many") };
    let (centre, spread) = (mean(&differences), deviation(&differences).unwrap());
    let half = |seeds: usize| t_quantile(0.975, seeds - 1) * spread / (seeds as f64).sqrt();
    assert!(half(needed) < centre && half(needed - 1) >= centre, "{needed}");
    assert_eq!(seeds_needed(&[0.01]), SeedsNeeded::Unknown);
    assert_eq!(seeds_needed(&[0.01, -0.01]), SeedsNeeded::TooMany);
}
