//! Weights of the classes in the cross-entropy: against a loop in float64, and in every method.

use coretune::data::Batch;
use coretune::engine::World;
use coretune::losses::Focus;
use coretune::models::{Linear, Network};
use coretune::objectives::{
    CalibratedBank, CoreTuning, CrossEntropy, DrTune, DrTuneSettings, FeatureBatch, Heads, Method, PairScheme, Pass,
    Start, SupervisedContrastive,
};
use coretune::settings::RunKind;
use coretune::train::StepInput;
use tch::{Device, Kind, Tensor};

use super::{config, in_views, model};

const CLASSES: usize = 3;
const WIDTH: usize = 5;
const LABELS: [i64; 6] = [0, 0, 1, 0, 2, 1];
const WEIGHTS: [f64; CLASSES] = [0.4, 0.7, 1.9];
const SMOOTHING: f64 = 0.1;

fn double(rows: usize, columns: usize, seed: i64) -> Tensor {
    tch::manual_seed(seed);
    Tensor::randn([rows as i64, columns as i64], (Kind::Double, Device::Cpu))
}

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    (0..tensor.size()[0]).map(|row| Vec::try_from(tensor.get(row).detach()).unwrap()).collect()
}

/// sum_r v_r L_r / sum_r v_r, and its gradient with respect to the logits, in plain loops.
fn naive(logits: &[Vec<f64>], targets: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
    let weights: Vec<f64> = targets.iter().map(|row| row.iter().zip(WEIGHTS).map(|(y, w)| y * w).sum()).collect();
    let total: f64 = weights.iter().sum();
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for ((row, target), weight) in logits.iter().zip(targets).zip(&weights) {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        let smoothed: Vec<f64> = target.iter().map(|y| (1.0 - SMOOTHING) * y + SMOOTHING / CLASSES as f64).collect();
        loss += weight / total * smoothed.iter().zip(row).map(|(y, x)| -y * (x.exp() / sum).ln()).sum::<f64>();
        let of_row = row.iter().zip(&smoothed).map(|(x, y)| weight / total * (x.exp() / sum - y));
        gradient.push(of_row.collect());
    }
    (loss, gradient)
}

fn assert_close(found: &Tensor, expected: &[Vec<f64>]) {
    for (found, expected) in rows(found).concat().iter().zip(expected.concat()) {
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }
}

/// A batch with class weights, and heads that are plain matrices; the logits are kept.
fn with_batch<T>(class_weights: Option<&Tensor>, of: impl Fn(&FeatureBatch<'_>, &Heads<'_>) -> T) -> T {
    let (features, classifier, projection) =
        (double(LABELS.len(), WIDTH, 1), double(CLASSES, WIDTH, 2), double(4, WIDTH, 3));
    let batch = FeatureBatch { class_weights, ..FeatureBatch::new(&features, &LABELS, CLASSES as i64, (1, 2)) };
    let heads =
        Heads { classifier: &|rows| rows.matmul(&classifier.tr()), projection: &|rows| rows.matmul(&projection.tr()) };
    of(&batch, &heads)
}

fn figure(figures: &[(&'static str, Tensor)], name: &str) -> f64 {
    figures.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[])
}

#[test]
fn value_and_gradient_are_those_of_a_loop() {
    let weights = Tensor::from_slice(&WEIGHTS);
    let logits = double(4, CLASSES, 7).set_requires_grad(true);
    let targets = double(4, CLASSES, 8).softmax(1, Kind::Double);
    let loss = with_batch(Some(&weights), |batch, _| batch.cross_entropy(&logits, &targets, SMOOTHING).unwrap());
    let (expected, gradient) = naive(&rows(&logits), &rows(&targets));
    assert!((loss.double_value(&[]) - expected).abs() < 1e-12);
    loss.backward();
    assert_close(&logits.grad(), &gradient);
}

/// Rows of hard labels weigh as their classes, mixed rows by their soft labels; the contrastive term is not weighted.
#[test]
fn core_tuning_weighs_mixed_rows_by_their_labels_and_leaves_the_contrast_alone() {
    let weights = Tensor::from_slice(&WEIGHTS);
    for pairs in [PairScheme::Own, PairScheme::Soft, PairScheme::Reference] {
        let focus = Focus { exponent: 1.0, detached: false };
        let method = CoreTuning {
            pairs,
            eta: 0.5,
            alpha: 1.0,
            temperature: 0.07,
            focus,
            label_smoothing: SMOOTHING,
            ..CoreTuning::PUBLISHED
        };
        let of = |weights: Option<&Tensor>| {
            with_batch(weights, |batch, heads| {
                let draws = method.draws(&LABELS, batch.draw).unwrap();
                let mixed = method.mix(batch, &draws).unwrap();
                let logits = (heads.classifier)(&mixed.rows);
                let loop_result = naive(&rows(&logits), &rows(&mixed.soft_targets)).0;
                (method.loss_with(batch, heads, &draws).unwrap(), loop_result)
            })
        };
        let ((weighted, expected), (plain, _)) = (of(Some(&weights)), of(None));
        let classification = figure(&weighted.figures, "classification");
        assert!((classification - expected).abs() < 1e-12, "{pairs:?}");
        assert!((classification - figure(&plain.figures, "classification")).abs() > 1e-3, "{pairs:?}");
        let contrastive = figure(&plain.figures, "contrastive");
        assert!((figure(&weighted.figures, "contrastive") - contrastive).abs() < 1e-15, "{pairs:?}");
        assert!((weighted.total.double_value(&[]) - expected - 0.5 * contrastive).abs() < 1e-12, "{pairs:?}");
    }
}

/// The weight of the mixed rows goes through 1 without a jump: at 1 the loss is one mean over all rows.
#[test]
fn weights_of_rows_and_weights_of_classes_go_together() {
    let weights = Tensor::from_slice(&WEIGHTS);
    let classification = |mixed_weight| {
        let method = CoreTuning { mixed_weight, ..CoreTuning::PUBLISHED };
        with_batch(Some(&weights), |batch, heads| {
            let draws = method.draws(&LABELS, batch.draw).unwrap();
            figure(&method.loss_with(batch, heads, &draws).unwrap().figures, "classification")
        })
    };
    let (at, near, far) = (classification(1.0), classification(1.0 + 1e-9), classification(0.5));
    assert!((at - near).abs() < 1e-7 && (at - far).abs() > 1e-3, "{at}, {near}, {far}");
}

#[test]
fn weights_that_are_all_alike_change_nothing() {
    let loss = |weights: Option<&Tensor>| {
        with_batch(weights, |batch, heads| {
            let method = SupervisedContrastive { eta: 1.0, temperature: 0.07, label_smoothing: 0.0 };
            method.loss_of(batch, heads).unwrap().total.double_value(&[])
        })
    };
    let (alike, none) = (Tensor::from_slice(&[3.0; CLASSES]), loss(None));
    assert!((loss(Some(&alike)) - none).abs() < 1e-12);
    let wrong = Tensor::from_slice(&[1.0; CLASSES + 1]);
    with_batch(Some(&wrong), |batch, heads| {
        let refused = CrossEntropy { label_smoothing: 0.0 }.loss_of(batch, heads).unwrap_err().to_string();
        assert!(refused.contains("class weights"), "{refused}");
    });
}

/// B9 is a mean over the rows of the batch and of the bank together: so is the weighted one.
#[test]
fn dr_tune_weighs_the_rows_of_batch_and_bank_together() {
    let weights = Tensor::from_slice(&WEIGHTS);
    let (bank, bank_labels) = (double(4, WIDTH, 9), [2i64, 0, 1, 1]);
    let method = DrTune::new(DrTuneSettings { bank: 4, rotate_every: 1, label_smoothing: SMOOTHING });
    with_batch(Some(&weights), |batch, heads| {
        let calibrated = CalibratedBank { features: bank.shallow_clone(), labels: Tensor::from_slice(&bank_labels) };
        let loss = method.loss_of(batch, heads, &calibrated).unwrap();
        let logits = (heads.classifier)(&Tensor::cat(&[batch.features, &bank], 0));
        let one_hot = |label: &i64| (0..CLASSES).map(|class| f64::from(u8::from(class as i64 == *label))).collect();
        let targets: Vec<Vec<f64>> = LABELS.iter().chain(&bank_labels).map(one_hot).collect();
        let (expected, _) = naive(&rows(&logits), &targets);
        assert!((loss.total.double_value(&[]) - expected).abs() < 1e-12);
    });
}

/// A method whose cross-entropy did not go through [`FeatureBatch::cross_entropy`] would not see the weights.
#[test]
fn every_method_of_the_table_weighs_its_cross_entropy() {
    let labels = [0i64, 0, 0, 0, 0, 1, 2, 0];
    let class_weights = Tensor::from_slice(&[0.1f32, 1.3, 1.6]);
    tch::manual_seed(0);
    let images = Tensor::randint(256, [labels.len() as i64, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    for word in Method::of(RunKind::FineTuning).map(|method| method.word) {
        let classification = |weights: Option<&Tensor>| {
            let model = model(3);
            let mut objective = config(&[&format!("method.name={word}")]).method.build(0.0).unwrap();
            let probe = Linear::classifier(model.backbone().feature_width(), 3, 9, Device::Cpu).unwrap();
            objective.begin(&Start { network: &model, seed: 3, steps: 10, probe: Some(&probe) }).unwrap();
            if objective.needs().preparation > 0 {
                let batch = Batch {
                    images: in_views(&*objective, &images),
                    labels: labels.to_vec(),
                    masks: None,
                    indices: (0..labels.len()).collect(),
                };
                StepInput::new(&model, &mut *objective, &batch, (3, 0)).prepare().unwrap();
            }
            let projection = model.projection.as_ref().unwrap();
            let heads = Heads {
                classifier: &|rows| model.classifier.forward(rows),
                projection: &|rows| projection.forward(rows),
            };
            let images = in_views(&*objective, &images);
            // Late in the run: COIN has no cross-entropy before.
            let pass = Pass::new(&model, heads, &images, &labels, (3, 9), World::Alone).weighted(weights);
            let pass = if objective.needs().stage_maps { pass.keeping_maps() } else { pass };
            let loss = objective.loss(&pass).unwrap();
            assert!(loss.total.double_value(&[]).is_finite(), "{word}");
            figure(&loss.figures, "classification")
        };
        let (plain, weighted) = (classification(None), classification(Some(&class_weights)));
        assert!((plain - weighted).abs() > 1e-4, "{word}: {plain} with and without weights");
    }
}
