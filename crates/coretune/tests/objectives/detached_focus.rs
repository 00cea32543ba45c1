//! `method.detach_focal`: the same loss, another gradient.

use tch::{Device, Kind, Tensor};

use super::{config, loss, model};

#[test]
fn a_detached_focal_weight_changes_the_gradient_and_not_the_loss() {
    let images = Tensor::arange(8 * 12 * 12 * 3, (Kind::Int64, Device::Cpu)).remainder(251).to_kind(Kind::Uint8);
    let (images, labels) = (images.view([8, 12, 12, 3]), [0, 1, 2, 3, 0, 1, 2, 3]);
    let of = |setting: &str| {
        let model = model(4);
        let mut objective = config(&[setting]).method.build(0.0).unwrap();
        let total = loss(&mut *objective, &model, &images, &labels).unwrap().total;
        total.backward();
        let weight = model.parameters().get("projection.0.weight").unwrap().tensor.shallow_clone();
        (total.double_value(&[]), weight.grad())
    };
    let ((attached, with_weight), (detached, without_weight)) =
        (of("method.detach_focal=false"), of("method.detach_focal=true"));
    assert!((attached - detached).abs() < 1e-6, "{attached} {detached}");
    let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
    assert!(norm(&(&with_weight - &without_weight)) > 1e-2 * norm(&with_weight));
}
