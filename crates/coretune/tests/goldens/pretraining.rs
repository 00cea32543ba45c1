//! The formulas of pre-training (P1 to P5 of `pretraining/write_goldens.py`, which writes the files beside it), values and
//! gradients, in float32 and float64. `CORETUNE_PRETRAINING_GOLDENS` names another folder of files.

use std::path::{Path, PathBuf};

use coretune::evaluate::geometry::{effective_rank, geometry};
use coretune::losses::{info_nce, nt_xent};
use coretune::models::{Parameters, Role};
use coretune::objectives::{Queue, momentum_update, spread};
use coretune::train::{Optimizer, Rule, TrainedWeight};
use tch::{Device, Kind, Tensor};

use crate::golden_file::Golden;

const KINDS: [Kind; 2] = [Kind::Double, Kind::Float];

fn open(case: &str, kind: Kind) -> Golden {
    let folder = std::env::var_os("CORETUNE_PRETRAINING_GOLDENS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/pretraining"), PathBuf::from);
    Golden::open_in(&folder, case, kind)
}

fn gradient(loss: &Tensor, leaf: &Tensor) -> Tensor {
    Tensor::run_backward(&[loss], &[leaf], false, false).swap_remove(0)
}

fn check_nt_xent(case: &str, kind: Kind) -> Tensor {
    let file = open(case, kind);
    let projections = file.leaf("projections");
    let found = nt_xent(&projections, file.setting("temperature")).unwrap();
    file.assert_close("loss", &found.loss);
    let gradient = gradient(&found.loss, &projections);
    file.assert_close("grad.projections", &gradient);
    gradient
}

#[test]
fn nt_xent_equals_the_oracle() {
    for case in ["nt_xent_small", "nt_xent_low_temperature", "nt_xent_two_images", "nt_xent_equal_views"] {
        for kind in KINDS {
            let _ = check_nt_xent(case, kind);
        }
    }
}

/// The gradient of a row of zeros is huge (the length is kept above 1e-12) and hides the others in a norm over all.
#[test]
fn a_row_of_zeros_leaves_the_gradient_of_the_others_alone() {
    for kind in KINDS {
        let file = open("nt_xent_zero_row", kind);
        let all = check_nt_xent("nt_xent_zero_row", kind);
        let zero = file.setting("zero_row") as i64;
        let others: Vec<i64> = (0..all.size()[0]).filter(|&row| row != zero).collect();
        file.assert_close("grad.other_rows", &all.index_select(0, &Tensor::from_slice(&others)));
    }
}

/// A queue of these keys `[d, K]`, of which the one in column `pointer` is replaced next.
fn queue_of(keys: &Tensor, pointer: i64) -> Queue {
    let (width, length) = keys.size2().unwrap();
    let queue = Queue::new(width, length, 0, Device::Cpu).unwrap();
    let same_kind = queue.keys().to_kind(keys.kind());
    assert!(same_kind.size() == keys.size());
    tch::no_grad(|| {
        queue.keys().shallow_clone().set_data(keys);
        let _ = queue.pointer().shallow_clone().fill_(pointer);
    });
    queue
}

#[test]
fn info_nce_and_the_queue_equal_the_oracle() {
    for case in ["info_nce_queue_small", "info_nce_queue_end"] {
        for kind in KINDS {
            let file = open(case, kind);
            let (queries, keys) = (file.leaf("queries"), file.tensor("keys"));
            let mut queue = queue_of(&file.tensor("queue"), file.integer("pointer"));
            let found = info_nce(&queries, &keys, queue.keys(), file.setting("temperature")).unwrap();
            file.assert_close("loss", &found.loss);
            file.assert_close("accuracy", &found.accuracy.to_kind(kind));
            file.assert_close("grad.queries", &gradient(&found.loss, &queries));
            let unit = &keys / keys.norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
            queue.push(&unit).unwrap();
            file.assert_close("queue_after", queue.keys());
            assert_eq!(queue.pointer().int64_value(&[0]), file.integer("pointer_after"));
        }
    }
}

#[test]
fn the_key_encoder_follows_as_the_oracle_says() {
    let list = |file: &Golden, of: &str| {
        let mut list = Parameters::default();
        for (name, role) in [("weight", Role::Weight), ("bias", Role::Weight), ("running_mean", Role::Buffer)] {
            let _ = list.add(name.into(), file.tensor(&format!("{of}.{name}")), role);
        }
        list
    };
    for kind in KINDS {
        let file = open("momentum_encoder", kind);
        let key = list(&file, "key");
        for step in 1..=file.setting("steps") as usize {
            momentum_update(&key, &list(&file, &format!("query.{step}")), file.setting("momentum")).unwrap();
            for parameter in key.iter() {
                file.assert_close(&format!("after.{step}.{}", parameter.name), &parameter.tensor);
            }
        }
    }
}

#[test]
fn lars_equals_the_oracle() {
    for case in ["lars", "lars_zero_norms"] {
        for kind in KINDS {
            let file = open(case, kind);
            let weights = ["weight", "bias"].map(|name| (name, file.tensor(name)));
            let trained = weights.iter().map(|(name, weight)| TrainedWeight {
                name: (*name).into(),
                weight: weight.shallow_clone(),
                rate_factor: 1.0,
            });
            let rule = Rule::Lars { momentum: file.setting("momentum"), trust: file.setting("eta") };
            let mut optimizer = Optimizer::over(trained, rule, file.setting("weight_decay"), None);
            for (index, rate) in file.numbers("learning_rates").into_iter().enumerate() {
                let step = index + 1;
                let gradients = weights.iter().map(|(name, _)| file.tensor(&format!("gradient.{step}.{name}")));
                optimizer.update(rate, gradients.collect());
                for (name, weight) in &weights {
                    file.assert_close(&format!("after.{step}.{name}"), weight);
                }
            }
        }
    }
}

#[test]
fn what_a_collapse_is_told_by_equals_the_oracle() {
    let cases = [
        "alignment_uniformity",
        "alignment_uniformity_few_rows",
        "alignment_uniformity_low_rank",
        "alignment_uniformity_collapsed",
    ];
    for case in cases {
        for kind in KINDS {
            let file = open(case, kind);
            let (x, y) = (file.tensor("x"), file.tensor("y"));
            let rows = x.size()[0];
            let scalar = |value: f64| Tensor::from(value).to_kind(kind);
            file.assert_close("effective_rank", &scalar(effective_rank(&x).unwrap()));
            // The oracle's spread is not scaled to 1.
            file.assert_close("spread", &(spread(&x) / (x.size()[1] as f64).sqrt()));
            let labels: Vec<i64> = (0..rows).collect();
            let lie = geometry(&x, &labels, rows).unwrap();
            file.assert_close("uniformity", &scalar(lie.uniformity.unwrap()));
            // Each pair of views is a class of its own.
            let pairs: Vec<i64> = labels.iter().chain(&labels).copied().collect();
            let lie = geometry(&Tensor::cat(&[&x, &y], 0), &pairs, rows).unwrap();
            file.assert_close("alignment", &scalar(lie.alignment.unwrap()));
        }
    }
}

#[test]
fn shapes_and_temperatures_that_cannot_be_are_refused() {
    let rows = Tensor::randn([3, 4], (Kind::Float, tch::Device::Cpu));
    let two = rows.narrow(0, 0, 2);
    assert!(nt_xent(&rows, 0.5).is_err(), "an odd number of rows");
    assert!(nt_xent(&two, 0.0).is_err() && nt_xent(&two, f64::NAN).is_err());
    let queue = Queue::new(4, 8, 0, tch::Device::Cpu).unwrap();
    assert!(info_nce(&rows, &two, queue.keys(), 0.2).is_err(), "a key for each query");
    assert!(info_nce(&rows, &rows, &queue.keys().tr(), 0.2).is_err(), "keys of another width");
    let mut queue = queue;
    assert!(queue.push(&rows).is_err(), "3 does not divide 8");
    assert!(queue.push(&two).is_ok());
}
