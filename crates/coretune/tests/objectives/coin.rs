//! B8: two parts of a run, each against its formula.

use coretune::data::Batch;
use coretune::losses::{Focus, one_hot, soft_cross_entropy, supervised_contrastive};
use coretune::objectives::{Coin, CoinSettings, FeatureBatch, Heads, Objective, Start};
use coretune::train::{Accumulation, LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

use super::{config, model};

const SETTINGS: CoinSettings = CoinSettings { eta: 0.1, temperature: 0.3, fraction: 0.7, label_smoothing: 0.0 };

fn begun(steps: u64) -> Coin {
    let mut coin = Coin::new(SETTINGS);
    coin.begin(&Start { network: &model(4), seed: 0, steps, probe: None }).unwrap();
    coin
}

#[test]
fn the_first_seven_tenths_of_the_steps_are_contrast_alone_and_then_it_is_a_tenth_of_the_loss() {
    tch::manual_seed(6);
    let rows = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    let (features, classifier, projection) = (rows([6, 5]), rows([5, 3]), rows([5, 4]));
    let heads = Heads { classifier: &|rows| rows.matmul(&classifier), projection: &|rows| rows.matmul(&projection) };
    let labels = [0, 1, 2, 0, 1, 0];
    let projected = features.matmul(&projection);
    let unit = &projected / projected.norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
    let contrastive = supervised_contrastive(&unit, &labels, 0.3, Focus::NONE).unwrap().double_value(&[]);
    let targets = one_hot(&labels, 3, &features).unwrap();
    let classification = soft_cross_entropy(&features.matmul(&classifier), &targets).unwrap().double_value(&[]);

    let batch = FeatureBatch::new(&features, &labels, 3, (0, 0));
    let coin = begun(20);
    let total = |step| coin.loss_of(&batch, &heads, step).unwrap().total.double_value(&[]);
    for (step, expected) in [
        (0, contrastive),
        (13, contrastive),
        (14, classification + 0.1 * contrastive),
        (19, classification + 0.1 * contrastive),
    ] {
        assert!((total(step) - expected).abs() < 1e-9, "step {step}: {} {expected}", total(step));
    }
}

/// Parts of a batch draw numbers of their own, and are still of the same step.
#[test]
fn the_classifier_rests_in_the_first_part_also_when_a_batch_is_split() {
    let images = Tensor::randint(256, [8, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    let batch = Batch { images, labels: (0..8).map(|row| row % 4).collect(), masks: None, indices: (0..8).collect() };
    for accumulation in [Accumulation::Whole, Accumulation::Split { part: 4 }] {
        let (model, mut coin) = (model(4), begun(10));
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let mut optimizer = Optimizer::new(&model, Rule::Sgd { momentum: 0.9, nesterov: true }, rates, 1e-4, None);
        let start = model.classifier.weight.detach().copy();
        let mut moved = |number| {
            let input = StepInput::new(&model, &mut coin, &batch, (0, number)).accumulated(accumulation);
            step(input, &mut optimizer, 0.01).unwrap();
            !model.classifier.weight.detach().equal(&start)
        };
        assert!(!moved(0) && !moved(6), "{accumulation:?}");
        assert!(moved(7), "{accumulation:?}");
    }
}

#[test]
fn it_has_its_authors_temperature_and_weight_and_refuses_to_stop_early() {
    let values = config(&["method.name=coin"]).method.values;
    let number = |key: &str| values[key].as_float().unwrap();
    assert!((number("temperature") - 0.3).abs() < 1e-12 && (number("eta") - 0.1).abs() < 1e-12);
    let paths = ["checkpoint.path=x", "data.dir=x", "method.name=coin", "train.early_stopping=3"];
    let layers =
        paths.into_iter().fold(coretune::config::Layers::defaults(), |layers, text| layers.assignment(text).unwrap());
    let error = layers.validate().unwrap_err();
    let details = format!("{error} {:?}", error.details());
    assert!(
        details.contains("early_stopping") && details.contains("the classifier learns in the last part"),
        "{details}"
    );
}
