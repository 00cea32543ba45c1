//! The golden files of the method (M1-M7, R1-R3, M4/M5) and of others (B2 to B4, B6, B7, B9), values and gradients, and of the
//! evaluation (E3, E4, E7), in float32 and float64. `write_goldens.py` writes them.
//!
//! One test per case. `CORETUNE_GOLDENS` names another folder of files, written from another seed.

mod golden_file;
mod other_seeds;
mod pixels;
mod pretraining;

use coretune::evaluate::calibration::{self, expected_calibration_error, negative_log_likelihood};
use coretune::evaluate::geometry::geometry;
use coretune::evaluate::nearest_neighbours::vote;
use coretune::evaluate::segmentation::Confusion;
use coretune::losses::{
    Focus, class_contrast, feature_map_distance, spectral_shrinkage, supervised_contrastive, triplet,
};
use coretune::mining::{MixDraws, hardest_pairs};
use coretune::objectives::{CoreTuning, FeatureBatch, Heads, PairScheme, Pull, PullActs, rotation};
use coretune::train::{Optimizer, Rule, TrainedWeight};
use golden_file::Golden;
use tch::{Kind, Tensor};

const KINDS: [Kind; 2] = [Kind::Double, Kind::Float];

/// Rows scaled to length 1, as the oracle does before a contrastive loss.
fn unit(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// The parameters of a case, each a leaf of the graph.
struct Case {
    features: Tensor,
    labels: Vec<i64>,
    draws: MixDraws,
    weights: Vec<(&'static str, Tensor)>,
}

impl Case {
    fn read(golden: &Golden) -> Self {
        let names = [
            "classifier.weight",
            "projection.0.weight",
            "projection.0.bias",
            "projection.2.weight",
            "projection.2.bias",
        ];
        let labels = golden.integers("labels");
        let partner = golden.integers("partner");
        // The oracle marks a missing partner by -1, we by the anchor itself.
        let partner = partner.iter().enumerate().map(|(row, &r)| if r < 0 { row as i64 } else { r }).collect();
        Case {
            features: golden.leaf("features"),
            draws: MixDraws {
                hard_positive: golden.numbers("lam_positive"),
                semi_hard_negative: golden.numbers("lam_negative"),
                partner,
            },
            labels,
            weights: names.map(|name| (name, golden.leaf(name))).into(),
        }
    }

    fn weight(&self, name: &str) -> &Tensor {
        &self.weights.iter().find(|(other, _)| *other == name).expect("a weight of the case").1
    }

    fn project(&self, rows: &Tensor) -> Tensor {
        let hidden = rows.matmul(&self.weight("projection.0.weight").tr()) + self.weight("projection.0.bias");
        hidden.relu().matmul(&self.weight("projection.2.weight").tr()) + self.weight("projection.2.bias")
    }

    fn classify(&self, rows: &Tensor) -> Tensor {
        rows.matmul(&self.weight("classifier.weight").tr())
    }

    /// The loss, its terms and the gradient with respect to features and weights.
    fn compare(&self, golden: &Golden, method: &CoreTuning, prefix: &str) {
        let classes = self.weight("classifier.weight").size()[0];
        let batch = FeatureBatch::new(&self.features, &self.labels, classes, (0, 0));
        let heads = Heads { classifier: &|rows| self.classify(rows), projection: &|rows| self.project(rows) };
        let loss = method.loss_with(&batch, &heads, &self.draws).unwrap();
        golden.assert_close("classification", &loss.figures[0].1);
        golden.assert_close(&format!("{prefix}contrastive"), &loss.figures[1].1);
        golden.assert_close(&format!("{prefix}total"), &loss.total);
        let mut leaves = vec![("features", &self.features)];
        leaves.extend(self.weights.iter().map(|(name, weight)| (*name, weight)));
        let inputs: Vec<&Tensor> = leaves.iter().map(|(_, leaf)| *leaf).collect();
        for ((name, _), gradient) in leaves.iter().zip(Tensor::run_backward(&[&loss.total], &inputs, false, false)) {
            golden.assert_close(&format!("{prefix}grad.{name}"), &gradient);
        }
    }
}

fn core_tuning(case: &str) {
    for kind in KINDS {
        let golden = Golden::open(case, kind);
        let input = Case::read(&golden);
        for (pairs, prefix) in [(PairScheme::Own, "own."), (PairScheme::Soft, "soft.")] {
            let method = method(&golden, pairs, Focus { exponent: golden.setting("focal"), detached: false });
            let classes = input.weight("classifier.weight").size()[0];
            let batch = FeatureBatch::new(&input.features, &input.labels, classes, (0, 0));
            let mixed = method.mix(&batch, &input.draws).unwrap();
            golden.assert_indices("hardest_positive", &mixed.pairs.positive);
            if mixed.pairs.have_negatives {
                golden.assert_indices("hardest_negative", &mixed.pairs.negative);
            }
            golden.assert_close("rows", &mixed.rows);
            golden.assert_close("soft_targets", &mixed.soft_targets);
            golden.assert_close("projections", &unit(&input.project(&mixed.rows)));
            golden.assert_close("logits", &input.classify(&mixed.rows));
            input.compare(&golden, &method, prefix);
        }
    }
}

fn reference_pairs(case: &str) {
    for kind in KINDS {
        let golden = Golden::open(case, kind);
        let input = Case::read(&golden);
        let method = method(&golden, PairScheme::Reference, Focus { exponent: 1.0, detached: false });
        let classes = input.weight("classifier.weight").size()[0];
        let batch = FeatureBatch::new(&input.features, &input.labels, classes, (0, 0));
        let mixed = method.mix(&batch, &input.draws).unwrap();
        golden.assert_indices("hardest_positive", &mixed.pairs.positive);
        golden.assert_indices("hardest_negative", &mixed.pairs.negative);
        golden.assert_close("rows", &mixed.rows);
        golden.assert_close("soft_targets", &mixed.soft_targets);
        input.compare(&golden, &method, "");
    }
}

fn method(golden: &Golden, pairs: PairScheme, focus: Focus) -> CoreTuning {
    let (eta, temperature) = (golden.setting("eta"), golden.setting("temperature"));
    CoreTuning { pairs, eta, alpha: 1.0, temperature, focus, label_smoothing: 0.0, ..CoreTuning::PUBLISHED }
}

fn supervised(case: &str) {
    for kind in KINDS {
        let golden = Golden::open(case, kind);
        let features = golden.leaf("features");
        let focus = Focus { exponent: golden.setting("focal"), detached: false };
        let labels = golden.integers("labels");
        let loss = supervised_contrastive(&unit(&features), &labels, golden.setting("temperature"), focus).unwrap();
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&features], false, false);
        golden.assert_close("grad.features", &gradients[0]);
    }
}

macro_rules! cases {
    ($check:ident: $($name:ident = $case:literal),* $(,)?) => {
        $(#[test] fn $name() { $check($case); })*
    };
}

cases!(core_tuning:
    golden_core_tuning_small = "core_tuning_small",
    golden_core_tuning_batch = "core_tuning_batch",
    golden_core_tuning_relu_features = "core_tuning_relu_features",
    golden_core_tuning_many_classes = "core_tuning_many_classes",
    golden_core_tuning_singleton = "core_tuning_singleton",
    golden_core_tuning_all_distinct = "core_tuning_all_distinct",
    golden_core_tuning_one_class = "core_tuning_one_class",
    golden_core_tuning_two_rows = "core_tuning_two_rows",
    golden_core_tuning_focal_two = "core_tuning_focal_two",
    golden_core_tuning_no_focal = "core_tuning_no_focal",
);
cases!(reference_pairs:
    golden_reference_pairs = "reference_pairs",
    golden_reference_pairs_relu_features = "reference_pairs_relu_features",
);
cases!(supervised:
    golden_supervised_contrastive = "supervised_contrastive",
    golden_supervised_contrastive_singleton = "supervised_contrastive_singleton",
    golden_supervised_contrastive_no_positives = "supervised_contrastive_no_positives",
    golden_focal_contrastive = "focal_contrastive",
);

#[test]
fn golden_bss() {
    for kind in KINDS {
        let golden = Golden::open("bss", kind);
        let features = golden.leaf("features");
        let shrinkage = spectral_shrinkage(&features, golden.setting("smallest") as i64).unwrap();
        let loss = golden.setting("weight") * shrinkage;
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&features], false, false);
        golden.assert_close("grad.features", &gradients[0]);
    }
}

/// The gradients are what an update without momentum at rate 1 subtracts from the weights.
#[test]
fn golden_l2_sp() {
    for kind in KINDS {
        let golden = Golden::open("l2_sp", kind);
        let pull = |name: &str, towards: Option<Tensor>, strength: &str| Pull {
            weight: golden.tensor(name),
            towards,
            strength: golden.setting(strength),
            acts: PullActs::Always,
        };
        let pulls = [pull("weight", Some(golden.tensor("source")), "alpha"), pull("head", None, "beta")];
        golden.assert_close("loss", &(pulls[0].penalty() + pulls[1].penalty()));
        let weights = pulls.each_ref().map(|pull| pull.weight.shallow_clone());
        let trained = weights.iter().map(|weight| TrainedWeight {
            name: String::new(),
            weight: weight.shallow_clone(),
            rate_factor: 1.0,
        });
        let before = weights.each_ref().map(Tensor::copy);
        let plain = Rule::Sgd { momentum: 0.0, nesterov: false };
        let mut optimizer = Optimizer::over(trained, plain, 0.0, None).pulled(pulls.into());
        optimizer.update(1.0, weights.iter().map(Tensor::zeros_like).collect());
        golden.assert_close("grad.weight", &(&before[0] - &weights[0]));
        golden.assert_close("grad.head", &(&before[1] - &weights[1]));
    }
}

#[test]
fn golden_triplet() {
    for kind in KINDS {
        let golden = Golden::open("triplet", kind);
        let features = golden.leaf("features");
        let rows = unit(&features);
        let [anchors, positives, negatives] = [0, 3, 6].map(|first| rows.narrow(0, first, 3));
        let loss = triplet(&anchors, &positives, &negatives, golden.setting("margin")).unwrap();
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&features], false, false);
        golden.assert_close("grad.features", &gradients[0]);
    }
}

#[test]
fn golden_bi_tuning_instance() {
    for kind in KINDS {
        let golden = Golden::open("bi_tuning_instance", kind);
        let (query, labels) = (golden.leaf("query"), golden.integers("labels"));
        let (own, queue) = (golden.tensor("own_key"), golden.tensor("queue"));
        let loss = class_contrast(&unit(&query), &own, &queue, &labels, golden.setting("temperature")).unwrap();
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&query], false, false);
        golden.assert_close("grad.query", &gradients[0]);
    }
}

#[test]
fn golden_bi_tuning_category() {
    for kind in KINDS {
        let golden = Golden::open("bi_tuning_category", kind);
        let (features, labels) = (golden.leaf("features"), golden.integers("labels"));
        let rows = unit(&golden.tensor("class_weight")).index_select(0, &Tensor::from_slice(&labels));
        let (queue, temperature) = (golden.tensor("queue"), golden.setting("temperature"));
        let loss = class_contrast(&rows, &unit(&features), &queue, &labels, temperature).unwrap();
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&features], false, false);
        golden.assert_close("grad.features", &gradients[0]);
    }
}

#[test]
fn golden_delta() {
    for kind in KINDS {
        let golden = Golden::open("delta", kind);
        let map = golden.leaf("feature_map");
        let (source, weights) = (golden.tensor("source_map"), golden.tensor("channel_weight"));
        let loss = feature_map_distance(&map, &source, Some(&weights)).unwrap();
        golden.assert_close("loss", &loss);
        let gradients = Tensor::run_backward(&[&loss], &[&map], false, false);
        golden.assert_close("grad.feature_map", &gradients[0]);
    }
}

#[test]
fn golden_dr_tune_rotation() {
    for kind in KINDS {
        let golden = Golden::open("dr_tune_rotation", kind);
        let (bank, now) = (golden.tensor("pretrained"), golden.tensor("finetuned"));
        let found = rotation(&bank, &now).unwrap();
        golden.assert_close("rotation", &found);
        golden.assert_close("rotated", &bank.matmul(&found.tr()));
    }
}

#[test]
fn golden_mining_ties() {
    for kind in KINDS {
        let golden = Golden::open("mining_ties", kind);
        let pairs = hardest_pairs(&golden.tensor("cosines"), &golden.integers("labels")).unwrap();
        golden.assert_indices("hardest_positive", &pairs.positive);
        golden.assert_indices("hardest_negative", &pairs.negative);
    }
}

/// A figure that is summed in float64 whatever the inputs are.
fn assert_figure(golden: &Golden, name: &str, ours: f64, kind: Kind) {
    golden.assert_close(name, &Tensor::from(ours).to_kind(kind));
}

#[test]
fn golden_feature_geometry() {
    for kind in KINDS {
        let golden = Golden::open("feature_geometry", kind);
        let ours = geometry(&golden.tensor("features"), &golden.integers("labels"), 4).unwrap();
        assert_figure(&golden, "within", ours.within, kind);
        assert_figure(&golden, "between", ours.between, kind);
        assert_figure(&golden, "alignment", ours.alignment.unwrap(), kind);
        assert_figure(&golden, "uniformity", ours.uniformity.unwrap(), kind);
    }
}

#[test]
fn golden_calibration() {
    for kind in KINDS {
        let golden = Golden::open("calibration", kind);
        assert_eq!(golden.setting("bins") as usize, calibration::BINS);
        let (logits, labels) = (golden.tensor("logits"), golden.integers("labels"));
        let error = expected_calibration_error(&logits, &labels, 1.0).unwrap();
        assert_figure(&golden, "expected_calibration_error", error, kind);
        let loss = negative_log_likelihood(&logits, &labels, 1.0).unwrap();
        assert_figure(&golden, "negative_log_likelihood", loss, kind);
    }
}

#[test]
fn golden_segmentation_metrics() {
    for kind in KINDS {
        let golden = Golden::open("segmentation_metrics", kind);
        let counts = golden.tensor("confusion");
        let classes = counts.size()[0];
        let count = |truth, predicted| counts.double_value(&[truth, predicted]) as u64;
        let rows: Vec<Vec<u64>> =
            (0..classes).map(|truth| (0..classes).map(|predicted| count(truth, predicted)).collect()).collect();
        let figures = Confusion::of_counts(&rows).unwrap().figures().unwrap();
        assert_figure(&golden, "pixel_accuracy", figures.pixel_accuracy, kind);
        assert_figure(&golden, "mean_pixel_accuracy", figures.mean_pixel_accuracy, kind);
        assert_figure(&golden, "mean_iou", figures.mean_iou, kind);
        assert_figure(&golden, "frequency_weighted_iou", figures.frequency_weighted_iou, kind);
    }
}

#[test]
fn golden_nearest_neighbours() {
    for kind in KINDS {
        let golden = Golden::open("nearest_neighbours", kind);
        let (train, test) = (golden.tensor("train"), golden.tensor("test"));
        let (k, temperature) = (golden.setting("k") as usize, golden.setting("temperature"));
        let ours = vote(&train, &golden.integers("labels"), &test, 4, k, temperature).unwrap();
        golden.assert_close("votes", &ours.votes.to_kind(kind));
        golden.assert_indices("predicted", &Tensor::from_slice(&ours.predicted));
    }
}
