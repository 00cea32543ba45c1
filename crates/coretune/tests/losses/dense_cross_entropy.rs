use coretune::losses::{dense_cross_entropy, labelled_pixels, pixel_weight, weighted_dense_cross_entropy};
use tch::{Device, Kind, Tensor};

fn logits() -> Tensor {
    tch::manual_seed(3);
    Tensor::randn([4, 3, 5, 6], (Kind::Double, Device::Cpu)).set_requires_grad(true)
}

/// Every image with other classes; the first row of each and all of the last image are ignored.
fn masks() -> Tensor {
    let masks = (Tensor::arange(120, (Kind::Int64, Device::Cpu)) * 7).remainder(3).view([4, 5, 6]).to_kind(Kind::Uint8);
    let _ = masks.narrow(1, 0, 1).fill_(255);
    let _ = masks.narrow(0, 3, 1).fill_(255);
    masks
}

fn gradient(loss: &Tensor, logits: &Tensor) -> Tensor {
    Tensor::run_backward(&[loss], &[logits], true, false).remove(0)
}

#[test]
fn parts_of_a_step_add_up_to_the_mean_over_its_labelled_pixels() {
    let (logits, masks) = (logits(), masks());
    let labelled = labelled_pixels(&masks).unwrap();
    assert_eq!(labelled, 3 * 4 * 6);
    let whole = dense_cross_entropy(&logits, &masks, labelled, 0.1).unwrap();
    let part = |first: i64| {
        dense_cross_entropy(&logits.narrow(0, first, 2), &masks.narrow(0, first, 2), labelled, 0.1).unwrap()
    };
    let parts = part(0) + part(2);
    assert!((&whole - &parts).abs().double_value(&[]) < 1e-12);
    let difference = gradient(&whole, &logits) - gradient(&parts, &logits);
    assert!(difference.abs().max().double_value(&[]) < 1e-15);
}

/// The weighted cross-entropy pixel by pixel, with its gradient: w_y (softmax - smoothed label) / sum of w_y.
fn naive_weighted(logits: &Tensor, masks: &Tensor, weights: &[f64], smoothing: f64) -> (f64, Vec<f64>) {
    let [n, classes, height, width] = logits.size()[..] else { panic!() };
    let logit = |i: i64, c: i64, y: i64, x: i64| logits.double_value(&[i, c, y, x]);
    let (mut sum, mut divisor, mut gradient) = (0.0, 0.0, vec![0.0; logits.numel()]);
    for (i, y, x) in (0..n).flat_map(|i| (0..height).flat_map(move |y| (0..width).map(move |x| (i, y, x)))) {
        let label = masks.int64_value(&[i, y, x]);
        if label == 255 {
            continue;
        }
        let total: f64 = (0..classes).map(|c| logit(i, c, y, x).exp()).sum();
        let weight = weights[label as usize];
        divisor += weight;
        for c in 0..classes {
            let target = smoothing / classes as f64 + if c == label { 1.0 - smoothing } else { 0.0 };
            let probability = logit(i, c, y, x).exp() / total;
            sum -= weight * target * probability.ln();
            gradient[(((i * classes + c) * height + y) * width + x) as usize] = weight * (probability - target);
        }
    }
    (sum / divisor, gradient.into_iter().map(|value| value / divisor).collect())
}

#[test]
fn class_weights_agree_with_a_naive_loop_in_value_and_gradient() {
    let (logits, masks, weights) = (logits(), masks(), [0.2, 0.7, 2.1]);
    let tensor = Tensor::from_slice(&weights);
    let of_step = pixel_weight(&masks, &weights).unwrap();
    for smoothing in [0.0, 0.2] {
        let loss = weighted_dense_cross_entropy(&logits, &masks, (&tensor, of_step), smoothing).unwrap();
        let (expected, expected_gradient) = naive_weighted(&logits.detach(), &masks, &weights, smoothing);
        assert!((loss.double_value(&[]) - expected).abs() < 1e-12, "{smoothing}");
        let found: Vec<f64> = gradient(&loss, &logits).flatten(0, -1).try_into().unwrap();
        let off = found.iter().zip(&expected_gradient).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-12, "{smoothing}: {off:e}");
        let part = |first: i64| {
            let (logits, masks) = (logits.narrow(0, first, 2), masks.narrow(0, first, 2));
            weighted_dense_cross_entropy(&logits, &masks, (&tensor, of_step), smoothing).unwrap()
        };
        assert!((part(0) + part(2) - &loss).abs().double_value(&[]) < 1e-12, "parts add up");
    }
    let equal = Tensor::ones([3], (Kind::Double, Device::Cpu));
    let labelled = labelled_pixels(&masks).unwrap();
    let alike = weighted_dense_cross_entropy(&logits, &masks, (&equal, labelled as f64), 0.1).unwrap();
    let plain = dense_cross_entropy(&logits, &masks, labelled, 0.1).unwrap();
    assert!((alike - plain).abs().double_value(&[]) < 1e-12, "equal weights change nothing");
}

#[test]
fn ignored_pixels_have_no_gradient() {
    let (logits, masks) = (logits(), masks());
    let loss = dense_cross_entropy(&logits, &masks, 1, 0.1).unwrap();
    let size = gradient(&loss, &logits).abs().sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
    let ignored = masks.eq(255);
    assert!(size.masked_select(&ignored).max().double_value(&[]) == 0.0);
    assert!(size.masked_select(&ignored.logical_not()).min().double_value(&[]) > 0.0);
}

#[test]
fn without_a_labelled_pixel_loss_and_gradient_are_zero() {
    let logits = logits();
    let masks = Tensor::full([4, 5, 6], 255, (Kind::Uint8, Device::Cpu));
    let loss = dense_cross_entropy(&logits, &masks, labelled_pixels(&masks).unwrap(), 0.0).unwrap();
    assert!(loss.double_value(&[]).abs() == 0.0);
    assert!(gradient(&loss, &logits).abs().max().double_value(&[]) == 0.0);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let error = dense_cross_entropy(&logits(), &masks().narrow(1, 0, 4), 1, 0.0).unwrap_err().to_string();
    assert!(error.contains("masks") && error.contains("[4, 5, 6]"), "{error}");
}
