//! B3: which maps are compared, and what the channels weigh.

use coretune::data::Batch;
use coretune::models::{Linear, Mode, Model, Network};
use coretune::objectives::{
    ChannelWeights, CrossEntropy, Delta, DeltaSettings, Objective, Start, channel_weights, figure,
};
use coretune::train::StepInput;
use tch::{Device, Kind, Tensor, no_grad};

use super::model;

fn settings(channels: ChannelWeights) -> DeltaSettings {
    DeltaSettings { weight: 0.5, head_decay: 0.25, channels, images: 6, label_smoothing: 0.0 }
}

fn batch() -> Batch {
    tch::manual_seed(3);
    let images = Tensor::randint(256, [6, 12, 12, 3], (Kind::Uint8, Device::Cpu));
    Batch { images, labels: vec![0, 2, 0, 1, 3, 0], masks: None, indices: (0..6).collect() }
}

fn maps(model: &Model, batch: &Batch, mode: Mode) -> Vec<Tensor> {
    no_grad(|| model.stage_maps(&batch.images, mode)).unwrap().split_off(1)
}

#[test]
fn the_loss_is_cross_entropy_and_the_distance_to_the_maps_of_the_start_in_every_stage_but_the_stem() {
    let (model, batch) = (model(4), batch());
    let mut method = Delta::new(settings(ChannelWeights::Uniform));
    method.begin(&Start { network: &model, seed: 0, steps: 3, probe: None }).unwrap();
    let before = maps(&model, &batch, Mode::Evaluate);
    let weight = model.parameters().get("backbone.layer2.0.conv1.weight").unwrap().tensor.shallow_clone();
    no_grad(|| drop(weight.shallow_clone().g_add_scalar_(0.01)));
    let now = maps(&model, &batch, Mode::TrainUntracked);
    let distance: f64 = now
        .iter()
        .zip(&before)
        .map(|(now, before)| {
            let places = (now.size()[0] * now.size()[2] * now.size()[3]) as f64;
            0.5 * (now - before).to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]) / places
        })
        .sum();
    let plain = super::loss(&mut CrossEntropy { label_smoothing: 0.0 }, &model, &batch.images, &batch.labels).unwrap();
    let loss = super::loss_at(&mut method, &model, &batch.images, &batch.labels, 0).unwrap();
    let expected = plain.total.double_value(&[]) + 0.5 * distance;
    assert!(distance > 1e-3 && (loss.total.double_value(&[]) - expected).abs() < 1e-4 * expected);
    let logged = loss.figures.iter().find(|(name, _)| *name == figure::FEATURE_DISTANCE).unwrap().1.double_value(&[]);
    assert!((logged - distance).abs() < 1e-4 * distance);
    let pulls = method.pulls();
    assert!(pulls.len() == 1 && (pulls[0].strength - 0.25).abs() < 1e-12 && pulls[0].towards.is_none());
}

/// One channel of one stage after another is set to 0, with the rest of the network written out.
#[test]
fn a_channel_weighs_by_the_rise_of_the_probes_loss_without_it() {
    let (model, batch) = (model(4), batch());
    let probe = Linear::classifier(model.backbone.feature_width(), 4, 9, Device::Cpu).unwrap();
    let mut method = Delta::new(settings(ChannelWeights::Loss));
    method.begin(&Start { network: &model, seed: 0, steps: 3, probe: Some(&probe) }).unwrap();
    StepInput::new(&model, &mut method, &batch, (0, 0)).prepare().unwrap();
    let labels = Tensor::from_slice(&batch.labels);
    let loss = |features: &Tensor| probe.forward(features).cross_entropy_for_logits(&labels).double_value(&[]);
    let maps = maps(&model, &batch, Mode::Evaluate);
    for stage in [2usize, 3] {
        let map = &maps[stage];
        let rise: Vec<f64> = (0..map.size()[1])
            .map(|channel| {
                no_grad(|| {
                    let without = map.copy();
                    let _ = without.select(1, channel).fill_(0.0);
                    loss(&model.backbone.features_after(stage + 1, &without, Mode::Evaluate))
                        - loss(&model.backbone.features_after(stage + 1, map, Mode::Evaluate))
                })
            })
            .collect();
        let expected = channel_weights(&Tensor::from_slice(&rise)).unwrap();
        let found = method.state().get(&format!("channel_weights.{stage}")).unwrap().tensor.to_kind(Kind::Double);
        assert!((found - &expected).abs().max().double_value(&[]) < 1e-3 * expected.max().double_value(&[]), "{stage}");
        assert!(rise.iter().any(|rise| rise.abs() > 1e-5));
    }
    let all = no_grad(|| model.features(&batch.images, Mode::Evaluate)).unwrap();
    let from_third = no_grad(|| model.backbone.features_after(3, &maps[2], Mode::Evaluate));
    assert!((all - from_third).abs().max().double_value(&[]) < 1e-6);
}
