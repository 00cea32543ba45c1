use coretune::losses::{one_hot, smooth, soft_cross_entropy};
use tch::{Device, Kind, Tensor};

#[test]
fn hard_labels_give_the_mean_negative_log_likelihood() {
    let logits = Tensor::from_slice2(&[[1.0f64, 2.0, 0.5], [0.0, 0.0, 3.0]]);
    let targets = one_hot(&[1, 0], 3, &logits).unwrap();
    let ours = soft_cross_entropy(&logits, &targets).unwrap().double_value(&[]);
    let nll = |row: [f64; 3], class: usize| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[class];
    let naive = f64::midpoint(nll([1.0, 2.0, 0.5], 1), nll([0.0, 0.0, 3.0], 0));
    assert!((ours - naive).abs() < 1e-12, "{ours} {naive}");
}

#[test]
fn smoothing_keeps_the_sum_of_each_row() {
    let targets = one_hot(&[2, 0], 4, &Tensor::zeros([1], (Kind::Double, Device::Cpu))).unwrap();
    let smoothed = smooth(&targets, 0.1).unwrap();
    assert!((smoothed.double_value(&[0, 2]) - 0.925).abs() < 1e-12);
    assert!((smoothed.double_value(&[0, 0]) - 0.025).abs() < 1e-12);
}

#[test]
fn a_label_out_of_range_is_refused() {
    let like = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    let error = one_hot(&[0, 3], 3, &like).unwrap_err().to_string();
    assert_eq!(error, "label is 3, expected a class in 0..3");
}
