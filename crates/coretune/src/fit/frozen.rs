//! What the checkpoint is worth before any fine-tuning: kNN and linear probe of its frozen features (E7, B10).

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::Tensor;

use super::Task;
use crate::data::Split;
use crate::evaluate::classification::correct;
use crate::evaluate::linear_probe::{LinearProbe, Settings, Training, linear_probe};
use crate::evaluate::nearest_neighbours::nearest_neighbours;
use crate::models::{Backbone, Mode};
use crate::train::{Evaluator, Event, Observer, TrainError};

/// Figures of the frozen checkpoint on the split that judges: the test split, or without one the validation split.
#[derive(Debug)]
pub struct FrozenFigures {
    /// Name of that split.
    pub split: &'static str,
    /// Top-1 of the nearest neighbours, a fraction.
    pub knn_top1: f64,
    /// Top-1 of the linear probe, a fraction.
    pub linear_top1: f64,
    /// The probe itself; a classifier can start from it (B11).
    pub probe: LinearProbe,
    /// Image by image, whether the linear probe was right.
    pub linear_correct: Vec<bool>,
    /// Time it took.
    pub took: Duration,
}

/// The same figures for the same network with random weights: what the checkpoint has to beat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RandomFigures {
    /// Top-1 of the nearest neighbours, a fraction.
    pub knn_top1: f64,
    /// Top-1 of the linear probe, a fraction.
    pub linear_top1: f64,
}

/// Features of the splits that a probe needs.
struct ProbeFeatures {
    train: Tensor,
    train_mirrored: Tensor,
    validation: Tensor,
    judged: Tensor,
}

impl Task {
    /// Measures the frozen checkpoint; features are kept under what they depend on, so a second run takes seconds.
    pub fn probe(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<FrozenFigures, TrainError> {
        let started = Instant::now();
        observer(&Event::Stage("features of the frozen checkpoint"));
        let features = self.probe_features(backbone, Some(&self.weights_key()), observer)?;
        observer(&Event::Stage("linear probe"));
        let (split, judged) = self.splits.judging();
        let (probe, knn) = self.measure(&features)?;
        let linear_correct = correct(&probe.logits(&features.judged)?, judged.labels())?;
        let right = linear_correct.iter().filter(|&&right| right).count();
        Ok(FrozenFigures {
            split,
            knn_top1: knn,
            linear_top1: right as f64 / linear_correct.len() as f64,
            probe,
            linear_correct,
            took: started.elapsed(),
        })
    }

    /// Measures the same network with random weights.
    pub fn probe_random(&self, observer: &mut Observer<'_>) -> Result<RandomFigures, TrainError> {
        observer(&Event::Stage("features of random weights"));
        let mut random = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        random.set_precision(self.precision);
        let features = self.probe_features(&random, None, observer)?;
        observer(&Event::Stage("linear probe of random weights"));
        let (probe, knn_top1) = self.measure(&features)?;
        let (_, judged) = self.splits.judging();
        let right = correct(&probe.logits(&features.judged)?, judged.labels())?;
        let linear_top1 = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
        Ok(RandomFigures { knn_top1, linear_top1 })
    }

    /// The probe, chosen on validation, and the kNN accuracy on the judging split.
    fn measure(&self, features: &ProbeFeatures) -> Result<(LinearProbe, f64), TrainError> {
        let (train, classes) = (&self.splits.train, self.classes.len() as i64);
        let (_, judged) = self.splits.judging();
        let knn = nearest_neighbours(&features.train, train.labels(), &features.judged, classes)?;
        let views = [&features.train, &features.train_mirrored];
        let training = Training { views: &views, labels: train.labels() };
        let validation = (&features.validation, self.splits.validation.labels());
        let probe = linear_probe(training, validation, classes, &Settings::default())?;
        Ok((probe, knn.top1(judged.labels())?))
    }

    fn probe_features(
        &self,
        backbone: &Backbone,
        weights: Option<&str>,
        observer: &mut Observer<'_>,
    ) -> Result<ProbeFeatures, TrainError> {
        let mut of = |split: &Split, mirrored: bool| self.split_features(backbone, weights, split, mirrored, observer);
        let [train, train_mirrored] = both(of(&self.splits.train, true)?);
        let validation = first(of(&self.splits.validation, false)?);
        let judged = match &self.splits.test {
            Some(test) => first(of(test, false)?),
            None => validation.shallow_clone(),
        };
        Ok(ProbeFeatures { train, train_mirrored, validation, judged })
    }

    /// Features of a split, and of its mirror images when `mirrored`; from the cache when they are known there.
    fn split_features(
        &self,
        backbone: &Backbone,
        weights: Option<&str>,
        split: &Split,
        mirrored: bool,
        observer: &mut Observer<'_>,
    ) -> Result<Vec<Tensor>, TrainError> {
        let _ = weights;
        let evaluator = self.evaluator()?;
        frozen_features(self, &evaluator, backbone, split, mirrored, observer)
    }

    /// What the frozen weights are, as a text: file and encoder.
    fn weights_key(&self) -> String {
        format!("{} {}", self.checkpoint_hash, self.report.encoder)
    }
}

/// Features of a split through a frozen backbone; with `mirrored` those of the mirror images as a second matrix.
fn frozen_features(
    task: &Task,
    evaluator: &Evaluator,
    backbone: &Backbone,
    split: &Split,
    mirrored: bool,
    observer: &mut Observer<'_>,
) -> Result<Vec<Tensor>, TrainError> {
    let normalisation = task.normalisation();
    let mut forward = |images: &Tensor| {
        let features = |images: &Tensor| {
            crate::engine::guard("computing features", || {
                backbone.features(&normalisation.apply(images, task.device), Mode::Evaluate)
            })
        };
        let mut views = vec![features(images)?];
        if mirrored {
            views.push(features(&images.flip([2i64]))?);
        }
        Ok(views)
    };
    evaluator.features(split, &mut |done, total| observer(&Event::Progress { done, total }), &mut forward)
}

fn first(views: Vec<Tensor>) -> Tensor {
    views.into_iter().next().expect("one view at least")
}

fn both(views: Vec<Tensor>) -> [Tensor; 2] {
    views.try_into().expect("the images and their mirror images")
}
