//! What a run of Core-tuning may have beside the formula: weights of rows, a floor of lam, G_c first, two views, eta by
//! gradients, a memory.

use coretune::data::Batch;
use coretune::losses::Focus;
use coretune::mining::MixDraws;
use coretune::models::{Model, Network, Role};
use coretune::objectives::{
    CoreTuning, CoreTuningRun, EtaSchedule, FeatureBatch, Heads, Objective, PairScheme, RunSettings, Sizes, Start,
    figure,
};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::{config, loss_at, model};

const LABELS: [i64; 6] = [0, 1, 2, 0, 1, 0];
const CLASSES: i64 = 3;

/// Rows f64 with the weights of both heads.
struct Rows {
    features: Tensor,
    classifier: Tensor,
    projection: Tensor,
}

impl Rows {
    fn new(seed: i64) -> Self {
        tch::manual_seed(seed);
        let rows = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let features = rows([6, 5]).set_requires_grad(true);
        Rows { features, classifier: rows([5, CLASSES]), projection: rows([5, 4]) }
    }

    fn with<R>(&self, run: impl FnOnce(&FeatureBatch<'_>, &Heads<'_>) -> R) -> R {
        let heads = Heads {
            classifier: &|rows| rows.matmul(&self.classifier),
            projection: &|rows| rows.matmul(&self.projection),
        };
        run(&FeatureBatch::new(&self.features, &LABELS, CLASSES, (4, 0)), &heads)
    }

    fn gradient(&self, loss: &Tensor) -> Tensor {
        Tensor::run_backward(&[loss], &[&self.features], true, false).remove(0)
    }
}

/// A method that has begun on a network whose projections have 4 numbers, as those of [`Rows`].
fn begun(formula: CoreTuning, settings: RunSettings, steps: u64) -> CoreTuningRun {
    let mut run = CoreTuningRun::new(formula, settings);
    let mut network = model(4);
    let width = network.backbone.feature_width();
    network.projection = Some(coretune::models::ProjectionHead::new(width, 4, 0, Device::Cpu).unwrap());
    run.begin(&Start { network: &network, seed: 0, steps, probe: None }).unwrap();
    run
}

fn draws(formula: &CoreTuning) -> MixDraws {
    formula.draws(&LABELS, (4, 0)).unwrap()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * other.abs().max(1.0)
}

fn unit(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
}

/// - sum_k Y_k log softmax(logits)_k of each row, one after the other.
fn cross_entropies(logits: &Tensor, targets: &Tensor) -> Vec<Tensor> {
    let of_row = |row: i64| {
        let (logits, targets) = (logits.get(row), targets.get(row));
        (0..CLASSES).fold(Tensor::from(0.0f64), |sum, class| {
            let log_p = logits.get(class) - logits.exp().sum(Kind::Double).log();
            sum - targets.get(class) * log_p
        })
    };
    (0..logits.size()[0]).map(of_row).collect()
}

#[test]
fn rows_of_the_cross_entropy_have_their_weights_by_naive_loops_with_gradient() {
    let rows = Rows::new(1);
    for (clean, generated) in [(1.0, 0.3), (1.0, 0.0), (0.5, 2.0), (2.0, 2.0)] {
        let formula = CoreTuning { clean_weight: clean, mixed_weight: generated, eta: 0.0, ..CoreTuning::PUBLISHED };
        let draws = draws(&formula);
        rows.with(|batch, heads| {
            let found = formula.loss_with(batch, heads, &draws).unwrap().total;
            let mixed = formula.mix(batch, &draws).unwrap();
            let of_rows = cross_entropies(&mixed.rows.matmul(&rows.classifier), &mixed.soft_targets);
            let weight = |row: usize| if row < LABELS.len() { clean } else { generated };
            let weighted = of_rows.iter().enumerate().map(|(row, loss)| loss * weight(row));
            let expected = weighted.fold(Tensor::from(0.0f64), |sum, loss| sum + loss)
                / (0..of_rows.len()).map(weight).sum::<f64>();
            assert!(near(found.double_value(&[]), expected.double_value(&[])), "{clean}, {generated}");
            let off = (rows.gradient(&found) - rows.gradient(&expected)).abs().max().double_value(&[]);
            assert!(off < 1e-10, "{clean}, {generated}: gradient off by {off}");
        });
    }
}

#[test]
fn equal_weights_of_rows_and_no_floor_are_the_published_loss_bit_for_bit() {
    let rows = Rows::new(2);
    for pairs in [PairScheme::Own, PairScheme::Soft, PairScheme::Reference] {
        let formula = CoreTuning { pairs, eta: 0.7, ..CoreTuning::PUBLISHED };
        let draws = draws(&formula);
        let mut run = begun(formula, RunSettings::PLAIN, 9);
        rows.with(|batch, heads| {
            let plain = formula.loss_with(batch, heads, &draws).unwrap().total;
            let carried_out = run.joint_loss(batch, heads, &draws, 5).unwrap().total;
            assert!(plain.equal(&carried_out), "{pairs:?}");
        });
        assert!(run.state().is_empty());
    }
}

#[test]
fn the_floor_bounds_lam_of_hard_positives_alone() {
    let plain = CoreTuning { alpha: 0.4, ..CoreTuning::PUBLISHED };
    let bounded = CoreTuning { hard_positive_floor: 0.5, ..plain };
    let labels: Vec<i64> = (0..64).map(|row| row % 5).collect();
    let (free, held) = (plain.draws(&labels, (0, 3)).unwrap(), bounded.draws(&labels, (0, 3)).unwrap());
    assert!(free.hard_positive.iter().any(|&lam| lam < 0.5));
    let expected: Vec<f64> = free.hard_positive.iter().map(|lam| lam.max(0.5)).collect();
    assert_eq!(held.hard_positive, expected);
    assert_eq!((held.semi_hard_negative, held.partner), (free.semi_hard_negative, free.partner));
}

#[test]
fn eta_keeps_the_ratio_of_gradients_averaged_over_steps() {
    let formula = CoreTuning { eta: 123.0, ..CoreTuning::PUBLISHED };
    let settings = RunSettings { eta_ratio: Some(0.3), ..RunSettings::PLAIN };
    let mut run = begun(formula, settings, 10);
    let (mut classification, mut contrastive) = (0.0, 0.0);
    for number in 0..3 {
        let rows = Rows::new(10 + number);
        let draws = draws(&formula);
        rows.with(|batch, heads| {
            let terms = formula.terms(batch, heads, &draws, None).unwrap();
            let mean_norm = |term: &Tensor| {
                let gradient = rows.gradient(term);
                (0..6).map(|row| gradient.get(row).norm().double_value(&[])).sum::<f64>() / 6.0
            };
            classification = 0.9 * classification + 0.1 * mean_norm(&terms.classification);
            contrastive = 0.9 * contrastive + 0.1 * mean_norm(&terms.contrastive);
            let expected = 0.3 * classification / contrastive;
            let loss = run.joint_loss(batch, heads, &draws, number as u64).unwrap();
            let (_, eta) = loss.figures.iter().find(|(name, _)| *name == figure::ETA).unwrap();
            let eta = eta.double_value(&[]);
            assert!((eta / expected - 1.0).abs() < 1e-5, "step {number}: {eta} {expected}");
            let total = &terms.classification + eta * &terms.contrastive;
            assert!((loss.total.double_value(&[]) / total.double_value(&[]) - 1.0).abs() < 1e-6);
            // eta is a constant of the step.
            let off = (rows.gradient(&loss.total) - rows.gradient(&total)).abs().max().double_value(&[]);
            assert!(off < 1e-5, "gradient off by {off}");
        });
    }
    let state = run.state();
    let saved = |name: &str| state.get(name).unwrap().tensor.double_value(&[]);
    assert!((saved("gradient.classification") / classification - 1.0).abs() < 1e-5);
    assert!((saved("gradient.contrastive") / contrastive - 1.0).abs() < 1e-5);
}

#[test]
fn a_batch_without_positives_leaves_eta_finite() {
    let settings = RunSettings { eta_ratio: Some(0.3), ..RunSettings::PLAIN };
    let formula = CoreTuning { pairs: PairScheme::Soft, eta: 1.0, ..CoreTuning::PUBLISHED };
    let mut run = begun(formula, settings, 10);
    let rows = Rows::new(3);
    let constant = |rows: &Tensor| Tensor::ones([rows.size()[0], 4], (Kind::Double, Device::Cpu));
    let heads = Heads { classifier: &|x| x.matmul(&rows.classifier), projection: &constant };
    let batch = FeatureBatch::new(&rows.features, &LABELS, CLASSES, (4, 0));
    let loss = run.joint_loss(&batch, &heads, &draws(&formula), 0).unwrap();
    assert!(loss.total.double_value(&[]).is_finite());
    assert!(rows.gradient(&loss.total).isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn eta_falls_to_zero_by_its_schedule() {
    let expect = |schedule: EtaSchedule, factors: [f64; 3]| {
        for (step, factor) in [0, 5, 10].into_iter().zip(factors) {
            assert!((schedule.factor(step, 10) - factor).abs() < 1e-12, "{schedule:?} in step {step}");
        }
    };
    expect(EtaSchedule::Constant, [1.0, 1.0, 1.0]);
    expect(EtaSchedule::Cosine, [1.0, 0.5, 0.0]);
    expect(EtaSchedule::Linear, [1.0, 0.5, 0.0]);
    let rows = Rows::new(4);
    let formula = CoreTuning { eta: 2.0, ..CoreTuning::PUBLISHED };
    let mut run = begun(formula, RunSettings { eta_schedule: EtaSchedule::Linear, ..RunSettings::PLAIN }, 10);
    rows.with(|batch, heads| {
        let terms = formula.terms(batch, heads, &draws(&formula), None).unwrap();
        let found = run.joint_loss(batch, heads, &draws(&formula), 5).unwrap().total.double_value(&[]);
        let expected = terms.classification.double_value(&[]) + terms.contrastive.double_value(&[]);
        assert!(near(found, expected), "{found} {expected}");
    });
}

/// M5 with earlier projections, anchor by anchor and pair by pair.
#[test]
fn anchors_are_compared_with_the_memory_by_naive_loops_with_gradient() {
    let focus = Focus { exponent: 1.0, detached: false };
    for pairs in [PairScheme::Own, PairScheme::Soft] {
        let formula = CoreTuning { pairs, eta: 1.0, temperature: 0.5, focus, ..CoreTuning::PUBLISHED };
        // 8 places, of which the first batch fills 6.
        let mut run = begun(formula, RunSettings { memory: 8, ..RunSettings::PLAIN }, 10);
        let earlier = Rows::new(5);
        let draws = draws(&formula);
        earlier.with(|batch, heads| {
            let alone = formula.terms(batch, heads, &draws, None).unwrap();
            let first = run.joint_loss(batch, heads, &draws, 0).unwrap().total;
            let expected = alone.classification + alone.contrastive;
            assert!(near(first.double_value(&[]), expected.double_value(&[])), "an empty memory changes nothing");
        });
        let stored = |run: &CoreTuningRun| {
            let state = run.state();
            ["memory.projections", "memory.labels"].map(|name| state.get(name).unwrap().tensor.copy())
        };
        assert_eq!(stored(&run)[1].max().int64_value(&[]), -1, "it is filled after the update");
        run.updated().unwrap();
        let [keys, classes] = stored(&run);
        let classes = Vec::<i64>::try_from(classes).unwrap();
        assert_eq!(classes, [0, 1, 2, 0, 1, 0, -1, -1]);
        let keys = keys.to_kind(Kind::Double);
        let off = (keys.narrow(0, 0, 6) - unit(&earlier.features.matmul(&earlier.projection))).abs().max();
        assert!(off.double_value(&[]) < 1e-6);

        let rows = Rows::new(6);
        rows.with(|batch, heads| {
            let found = run.joint_loss(batch, heads, &draws, 1).unwrap();
            let mixed = formula.mix(batch, &draws).unwrap();
            let z = unit(&mixed.rows.matmul(&rows.projection));
            let mut sum = Tensor::from(0.0f64);
            for anchor in 0..6i64 {
                // (similarity, weight) of all of A_i.
                let mut others: Vec<(Tensor, f64)> = Vec::new();
                let similarity = |other: &Tensor| z.get(anchor).dot(other) / 0.5;
                for row in (0..18i64).filter(|&row| row != anchor) {
                    let is_own = [anchor + 6, anchor + 12].contains(&row);
                    if pairs == PairScheme::Own && row >= 6 && !is_own {
                        continue;
                    }
                    let overlap = mixed.soft_targets.get(anchor).dot(&mixed.soft_targets.get(row)).double_value(&[]);
                    let weight = match pairs {
                        PairScheme::Own if row == anchor + 6 => 1.0,
                        PairScheme::Own if row == anchor + 12 => 0.0,
                        _ => overlap,
                    };
                    others.push((similarity(&z.get(row)), weight));
                }
                for (key, &class) in classes.iter().enumerate().take(6) {
                    let weight = f64::from(class == LABELS[anchor as usize]);
                    others.push((similarity(&keys.get(key as i64)), weight));
                }
                let all = others.iter().fold(Tensor::from(0.0f64), |sum, (s, _)| sum + s.exp());
                let mass: f64 = others.iter().map(|(_, weight)| weight).sum();
                for (s, weight) in &others {
                    let p = s.exp() / &all;
                    sum -= weight / mass * (1.0 - &p) * p.log();
                }
            }
            let contrastive = sum / 6.0;
            let terms = formula.terms(batch, heads, &draws, None).unwrap();
            let expected = terms.classification + contrastive;
            let (one, other) = (found.total.double_value(&[]), expected.double_value(&[]));
            assert!((one - other).abs() < 1e-6, "{pairs:?}: {one} {other}");
            let off = (rows.gradient(&found.total) - rows.gradient(&expected)).abs().max().double_value(&[]);
            assert!(off < 1e-6, "{pairs:?}: gradient off by {off}");
        });
    }
}

fn images(count: i64) -> Tensor {
    tch::manual_seed(8);
    Tensor::randint(256, [count, 12, 12, 3], (Kind::Uint8, Device::Cpu))
}

fn batch_of(count: i64, views: i64) -> Batch {
    let labels = (0..count).map(|row| row % 4).collect();
    Batch { images: images(count * views), labels, masks: None, indices: (0..count as usize).collect() }
}

/// Names of the tensors that differ from `before`.
fn changed(model: &Model, before: &[(String, Role, Tensor)]) -> Vec<String> {
    let now = model.tensors("");
    let moved = before.iter().zip(now.iter()).filter(|((.., then), now)| !now.tensor.detach().equal(then));
    moved.map(|((name, ..), _)| name.clone()).collect()
}

fn snapshot(model: &Model) -> Vec<(String, Role, Tensor)> {
    let tensors = model.tensors("");
    tensors.iter().map(|p| (p.name.clone(), p.role, p.tensor.detach().copy())).collect()
}

#[test]
fn in_the_first_part_the_projection_head_alone_changes() {
    let settings = RunSettings { projection_first: 0.4, memory: 16, ..RunSettings::PLAIN };
    for accumulation in [Accumulation::Whole, Accumulation::Exact { part: 4 }, Accumulation::Split { part: 4 }] {
        let (model, batch) = (model(4), batch_of(8, 1));
        let mut run = CoreTuningRun::new(CoreTuning::PUBLISHED, settings);
        run.begin(&Start { network: &model, seed: 0, steps: 10, probe: None }).unwrap();
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        let start = snapshot(&model);
        let mut one = |number| {
            let input = StepInput::new(&model, &mut run, &batch, (0, number)).accumulated(accumulation);
            step(input, &mut optimizer, 0.01).unwrap();
            changed(&model, &start)
        };
        for number in 0..4 {
            let moved = one(number);
            assert_eq!(moved.len(), 4, "{accumulation:?}, step {number}: {moved:?}");
            assert!(moved.iter().all(|name| name.starts_with("projection.")), "{moved:?}");
        }
        let moved = one(4);
        assert_eq!(moved.len(), start.len(), "{accumulation:?}: everything but {moved:?} changes afterwards");
    }
}

#[test]
fn two_views_are_twice_as_many_anchors_with_the_labels_repeated() {
    let settings = RunSettings { two_views: true, ..RunSettings::PLAIN };
    let (model, batch) = (model(4), batch_of(6, 2));
    let mut run = CoreTuningRun::new(CoreTuning::PUBLISHED, settings);
    assert_eq!((run.needs().views, run.needs().gradient_passes, run.needs().divisible), (2, 2, false));
    run.begin(&Start { network: &model, seed: 0, steps: 10, probe: None }).unwrap();
    let found = loss_at(&mut run, &model, &batch.images, &batch.labels, 2).unwrap().total;
    let mut plain = CoreTuning::PUBLISHED;
    let labels = batch.labels.repeat(2);
    let expected = loss_at(&mut plain, &model, &batch.images, &labels, 2).unwrap().total;
    assert!(near(found.double_value(&[]), expected.double_value(&[])));
}

#[test]
fn ratios_work_with_a_frozen_backbone_too() {
    let settings = RunSettings { eta_ratio: Some(0.3), ..RunSettings::PLAIN };
    let (mut model, batch) = (model(4), batch_of(8, 1));
    model.backbone.freeze_stages(5).unwrap();
    let mut run = CoreTuningRun::new(CoreTuning::PUBLISHED, settings);
    run.begin(&Start { network: &model, seed: 0, steps: 10, probe: None }).unwrap();
    let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
    let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
    step(StepInput::new(&model, &mut run, &batch, (0, 0)), &mut optimizer, 0.01).unwrap();
    assert!(run.state().get("gradient.contrastive").unwrap().tensor.double_value(&[]) > 0.0);
}

#[test]
fn every_extra_is_off_unless_it_is_asked_for() {
    let objective = config(&["method.name=core-tuning"]).method.build(0.0).unwrap();
    assert_eq!(objective.needs(), CoreTuning::PUBLISHED.needs());
    let with_all = config(&["method.memory=512", "method.two_views=true"]).method.build(0.0).unwrap();
    let sizes = Sizes { classes: 4, features: 64, projections: 32 };
    let (kept, key) = with_all.kept_rows(&sizes).unwrap();
    assert_eq!((kept.keys, kept.width, key, with_all.needs().views), (512, 32, "method.memory", 2));
    assert!(objective.kept_rows(&sizes).is_none());
}
