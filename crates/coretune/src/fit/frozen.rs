//! The checkpoint measured before any fine-tuning: kNN and linear probe of its frozen features (E7, B10).

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::Tensor;

use super::Task;
use crate::data::Split;
use crate::engine::{guard, versions};
use crate::evaluate::classification::{accuracy, correct};
use crate::evaluate::feature_cache::{FeatureCache, Features, Origin};
use crate::evaluate::figure;
use crate::evaluate::linear_probe::{LinearProbe, Settings, Training, linear_probe};
use crate::evaluate::nearest_neighbours::nearest_neighbours;
use crate::figures::Figures;
use crate::models::{Backbone, Mode, TestViews};
use crate::runs::RunError;
use crate::train::{Event, Measurement, Observer};

/// Figures of the frozen checkpoint on the test split, or on the validation split if there is no test split.
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

impl FrozenFigures {
    /// The accuracies, for an observer.
    pub fn measurement(&self) -> Measurement {
        Measurement {
            what: "frozen",
            split: self.split.into(),
            figures: self.accuracies(),
            shown: vec![figure::KNN_TOP1, figure::LINEAR_TOP1],
            took: self.took,
        }
    }

    /// The accuracies by name, as `summary.json` has them.
    pub(super) fn accuracies(&self) -> Figures {
        Figures::new().with(figure::KNN_TOP1.name, self.knn_top1).with(figure::LINEAR_TOP1.name, self.linear_top1)
    }
}

/// The same figures of the same network with random weights, which the checkpoint should exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RandomFigures {
    /// Top-1 of the nearest neighbours, a fraction.
    pub knn_top1: f64,
    /// Top-1 of the linear probe, a fraction.
    pub linear_top1: f64,
}

/// Whether features are worth keeping for another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    InCache,
    Nowhere,
}

/// Features of the splits that a probe needs.
struct ProbeFeatures {
    train: Tensor,
    train_mirrored: Tensor,
    validation: Tensor,
    evaluation: Tensor,
}

impl Task {
    /// Measures the frozen checkpoint. Its features are cached by what they depend on, so a second run takes seconds.
    pub fn probe(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<FrozenFigures, RunError> {
        let started = Instant::now();
        observer(&Event::Stage("features of the frozen checkpoint"));
        let features = self.probe_features(backbone, Keep::InCache, observer)?;
        observer(&Event::Stage("linear probe"));
        let (split, images) = self.splits.evaluation_split();
        let (probe, knn) = self.measure(&features)?;
        let linear_correct = correct(&probe.logits(&features.evaluation)?, images.labels())?;
        Ok(FrozenFigures {
            split,
            knn_top1: knn,
            linear_top1: accuracy(&linear_correct),
            probe,
            linear_correct,
            took: started.elapsed(),
        })
    }

    /// Features f32 `[n, D]` of the frozen checkpoint on the evaluation split; those of a probe are in the cache.
    pub fn evaluation_features(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<Tensor, RunError> {
        observer(&Event::Stage("features of the frozen checkpoint"));
        let (_, images) = self.splits.evaluation_split();
        let [features] = self.split_features(backbone, Keep::InCache, images, [View::AsItIs], observer)?;
        Ok(features)
    }

    /// Measures the same network with random weights.
    pub fn probe_random(&self, observer: &mut Observer<'_>) -> Result<RandomFigures, RunError> {
        observer(&Event::Stage("features of random weights"));
        let mut random = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        random.set_precision(self.precision);
        let features = self.probe_features(&random, Keep::Nowhere, observer)?;
        observer(&Event::Stage("linear probe of random weights"));
        let (probe, knn_top1) = self.measure(&features)?;
        let (_, images) = self.splits.evaluation_split();
        let linear_top1 = accuracy(&correct(&probe.logits(&features.evaluation)?, images.labels())?);
        Ok(RandomFigures { knn_top1, linear_top1 })
    }

    /// The probe, chosen on validation, and the kNN accuracy on the evaluation split.
    fn measure(&self, features: &ProbeFeatures) -> Result<(LinearProbe, f64), RunError> {
        let (train, classes) = (&self.splits.train, self.classes.len() as i64);
        let (_, images) = self.splits.evaluation_split();
        let knn = nearest_neighbours(&features.train, train.labels(), &features.evaluation, classes)?;
        let views = [&features.train, &features.train_mirrored];
        let training = Training { views: &views, labels: train.labels() };
        let validation = (&features.validation, self.splits.validation.labels());
        let probe = linear_probe(training, validation, classes, &Settings::default())?;
        Ok((probe, knn.top1(images.labels())?))
    }

    fn probe_features(
        &self,
        backbone: &Backbone,
        keep: Keep,
        observer: &mut Observer<'_>,
    ) -> Result<ProbeFeatures, RunError> {
        let [train, train_mirrored] =
            self.split_features(backbone, keep, &self.splits.train, [View::AsItIs, View::Mirrored], observer)?;
        let validation = self.features_of_views(backbone, keep, &self.splits.validation, observer)?;
        let evaluation = match &self.splits.test {
            Some(test) => self.features_of_views(backbone, keep, test, observer)?,
            None => validation.shallow_clone(),
        };
        Ok(ProbeFeatures { train, train_mirrored, validation, evaluation })
    }

    /// Features of a split that is evaluated, the mean over its test views.
    fn features_of_views(
        &self,
        backbone: &Backbone,
        keep: Keep,
        split: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<Tensor, RunError> {
        match self.config.data.tta {
            TestViews::Plain => {
                let [features] = self.split_features(backbone, keep, split, [View::AsItIs], observer)?;
                Ok(features)
            }
            TestViews::Flip => {
                let views = [View::AsItIs, View::Mirrored];
                let [features, mirrored] = self.split_features(backbone, keep, split, views, observer)?;
                Ok(guard("averaging views", || (features + mirrored) / 2.0)?)
            }
        }
    }

    /// Features of these views of a split, from the cache if it has them.
    fn split_features<const VIEWS: usize>(
        &self,
        backbone: &Backbone,
        keep: Keep,
        split: &Split,
        views: [View; VIEWS],
        observer: &mut Observer<'_>,
    ) -> Result<[Tensor; VIEWS], RunError> {
        let Some(cache) = FeatureCache::of_user().filter(|_| keep == Keep::InCache) else {
            return self.compute_features(backbone, split, views, observer);
        };
        let data = split.content_hash()?;
        let keys = views.iter().map(|view| self.feature_key(&data, *view)).collect::<Result<Vec<_>, _>>()?;
        let known: Option<Vec<Tensor>> = keys.iter().map(|key| Some(cache.load(key)?.features)).collect();
        if let Some(Ok(known)) = known.map(TryInto::try_into) {
            return Ok(known);
        }
        let features = self.compute_features(backbone, split, views, observer)?;
        for (key, features) in keys.iter().zip(&features) {
            let entry = Features { features: features.shallow_clone(), labels: split.labels().to_vec() };
            // A cache that cannot be written costs time, not results.
            if let Err(error) = cache.store(key, &entry) {
                observer(&Event::Note(format!("{error}; the features will be computed again next time")));
                break;
            }
        }
        Ok(features)
    }

    /// The name under which the features of one view of a split are kept; `data` is the split's content hash.
    fn feature_key(&self, data: &str, view: View) -> Result<String, RunError> {
        let (architecture, normalisation) = (self.architecture, self.normalisation());
        let transform = self.input.framing().probe(self.input.crop_pct)?;
        // Tensors that the checkpoint lacks are drawn from the seed.
        let drawn = (!self.report.missing.is_empty()).then_some((&self.report.missing, self.config.train.seed));
        let origin = Origin {
            data,
            checkpoint: &self.checkpoint_hash,
            encoder: &self.report.encoder,
            transform: &format!("{architecture:?} {transform:?} {normalisation:?} {view:?} {drawn:?}"),
            precision: &format!("{} on {:?}", self.precision, self.device),
            libtorch: &versions().libtorch,
        };
        Ok(origin.key())
    }

    /// Features of these views of a split through a frozen backbone.
    fn compute_features<const VIEWS: usize>(
        &self,
        backbone: &Backbone,
        split: &Split,
        views: [View; VIEWS],
        observer: &mut Observer<'_>,
    ) -> Result<[Tensor; VIEWS], RunError> {
        let normalisation = self.normalisation();
        let mut forward = |images: &Tensor| {
            Ok(guard("computing features", || {
                views.map(|view| backbone.features(&normalisation.apply(&view.of(images), self.device), Mode::Evaluate))
            })?)
        };
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        Ok(self.probing_evaluator()?.features(split, &mut progress, &mut forward)?)
    }
}

/// What the probe is fitted to: the image, or its mirror image (B10).
#[derive(Debug, Clone, Copy)]
enum View {
    AsItIs,
    Mirrored,
}

impl View {
    /// This view of images `[n, h, w, 3]`.
    fn of(self, images: &Tensor) -> Tensor {
        match self {
            View::AsItIs => images.shallow_clone(),
            View::Mirrored => images.flip([2i64]),
        }
    }
}
