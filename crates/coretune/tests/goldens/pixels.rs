//! Core-tuning and SCL on pixels against a loop over pixels and positions: which positions become rows, values and
//! gradients.

use coretune::losses::Focus;
use coretune::losses::{dense_cross_entropy, labelled_pixels};
use coretune::mining::{MapLabels, MixDraws, PixelDraws, SampledPixels, sample_pixels};
use coretune::objectives::{
    CoreTuning, Dense, FeatureBatch, Heads, ObjectiveLoss, PairScheme, SupervisedContrastive, figure,
};
use tch::{Kind, Tensor};

use crate::KINDS;
use crate::golden_file::Golden;

const LEAVES: [&str; 8] = [
    "features",
    "auxiliary",
    "classifier.weight",
    "classifier.bias",
    "projection.0.weight",
    "projection.0.bias",
    "projection.2.weight",
    "projection.2.bias",
];

/// Maps, masks and heads of the case.
struct Maps {
    leaves: [Tensor; 8],
    masks: Tensor,
}

impl Maps {
    fn read(golden: &Golden) -> Self {
        let masks = golden.integers("masks");
        let masks = Tensor::from_slice(&masks).view([3, 13, 17]).to_kind(Kind::Uint8);
        Maps { leaves: LEAVES.map(|name| golden.leaf(name)), masks }
    }

    fn classify(&self, rows: &Tensor) -> Tensor {
        rows.linear(&self.leaves[2], Some(&self.leaves[3]))
    }

    fn project(&self, rows: &Tensor) -> Tensor {
        let [.., weight, bias, output, output_bias] = &self.leaves;
        rows.linear(weight, Some(bias)).relu().linear(output, Some(output_bias))
    }

    /// f at every position: `[n h w, D]`.
    fn rows(&self) -> Tensor {
        self.leaves[0].permute([0, 2, 3, 1]).reshape([-1, self.leaves[0].size()[1]])
    }

    /// Logits `[n, C, h, w]`.
    fn logits(&self) -> Tensor {
        let size = self.leaves[0].size();
        self.classify(&self.rows()).view([size[0], size[2], size[3], -1]).permute([0, 3, 1, 2])
    }

    /// The cross-entropy of all labelled pixels: of the logits, and of the auxiliary head's with its weight.
    fn dense(&self, auxiliary: f64) -> Tensor {
        let labelled = labelled_pixels(&self.masks).unwrap();
        let of = |map: &Tensor| {
            let logits = map.upsample_bilinear2d([13, 17], false, None, None);
            dense_cross_entropy(&logits, &self.masks, labelled, 0.0).unwrap()
        };
        of(&self.logits()) + auxiliary * of(&self.leaves[1])
    }

    fn sampled(&self, golden: &Golden) -> SampledPixels {
        let labels = MapLabels::nearest(&self.masks, (4, 5)).unwrap();
        let truth = Tensor::from_slice(&labels.labels).view([3, 20]);
        let wrong = self.logits().argmax(1, false).view([3, 20]).not_equal_tensor(&truth);
        let keys = PixelDraws { keys: golden.numbers("keys") };
        sample_pixels(&wrong, &labels, &keys, golden.setting("per_class") as usize).unwrap()
    }
}

fn check(golden: &Golden, loss: &ObjectiveLoss, maps: &Maps, method: &str) {
    golden.assert_close(&format!("{method}.total"), &loss.total);
    let leaves: Vec<&Tensor> = maps.leaves.iter().collect();
    for (name, gradient) in LEAVES.iter().zip(Tensor::run_backward(&[&loss.total], &leaves, true, false)) {
        golden.assert_close(&format!("{method}.grad.{name}"), &gradient);
    }
}

#[test]
fn golden_pixels() {
    for kind in KINDS {
        let golden = Golden::open("pixels", kind);
        let maps = Maps::read(&golden);
        let sampled = maps.sampled(&golden);
        golden.assert_indices("positions", &sampled.positions);
        assert_eq!(sampled.labels, golden.integers("labels"));
        assert_eq!(sampled.images, golden.integers("images"));

        let cross_entropy = maps.dense(golden.setting("auxiliary"));
        golden.assert_close("dense", &cross_entropy);
        let features = maps.rows().index_select(0, &sampled.positions);
        let dense = Dense { cross_entropy: &cross_entropy, images: &sampled.images };
        let batch = FeatureBatch { dense: Some(dense), ..FeatureBatch::new(&features, &sampled.labels, 4, (0, 0)) };
        let heads = Heads { classifier: &|rows| maps.classify(rows), projection: &|rows| maps.project(rows) };

        let (eta, temperature) = (golden.setting("eta"), golden.setting("temperature"));
        let focus = Focus { exponent: 1.0, detached: false };
        let method = CoreTuning {
            pairs: PairScheme::Own,
            eta,
            alpha: 1.0,
            temperature,
            focus,
            label_smoothing: 0.0,
            ..CoreTuning::PUBLISHED
        };
        let draws = MixDraws {
            hard_positive: golden.numbers("lam_positive"),
            semi_hard_negative: golden.numbers("lam_negative"),
            partner: golden.integers("partner"),
        };
        let loss = method.loss_with(&batch, &heads, &draws).unwrap();
        let figure = |name| &loss.figures.iter().find(|(other, _)| *other == name).expect("a figure").1;
        golden.assert_close("mixed", figure(figure::MIXED_CLASSIFICATION));
        golden.assert_close("contrastive", figure(figure::CONTRASTIVE));
        golden.assert_close("elsewhere", figure(figure::HARDEST_POSITIVE_ELSEWHERE));
        check(&golden, &loss, &maps, "core_tuning");

        let scl = SupervisedContrastive { eta, temperature, label_smoothing: 0.0 };
        check(&golden, &scl.loss_of(&batch, &heads).unwrap(), &maps, "scl");
    }
}
