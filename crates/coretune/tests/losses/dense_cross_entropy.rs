use coretune::losses::{dense_cross_entropy, labelled_pixels};
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
