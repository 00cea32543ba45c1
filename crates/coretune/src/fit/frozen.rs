//! The checkpoint measured before any fine-tuning: kNN and linear probe of its frozen features (E7, B10).

use std::time::{Duration, Instant};

use serde::Serialize;
use tch::{Kind, Tensor};

use super::Task;
use crate::config::{ProbeRows, ProbeViews};
use crate::data::Split;
use crate::engine::{guard, versions};
use crate::evaluate::classification::{accuracy, correct};
use crate::evaluate::feature_cache::{FeatureCache, Features, Origin};
use crate::evaluate::figure;
use crate::evaluate::label_propagation::Watch;
use crate::evaluate::linear_probe::{LinearProbe, Settings, Training, linear_probe};
use crate::evaluate::nearest_neighbours::nearest_neighbours;
use crate::figures::Figures;
use crate::models::{Backbone, Mode, ProjectionHead, TestViews};
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
    /// Top-1 of label propagation, a fraction; with unlabelled images only.
    pub propagation_top1: Option<f64>,
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
        let propagation = self.propagation_top1.map(|_| figure::PROPAGATION_TOP1);
        Measurement {
            what: "frozen",
            split: self.split.into(),
            figures: self.accuracies(),
            shown: [figure::KNN_TOP1, figure::LINEAR_TOP1].into_iter().chain(propagation).collect(),
            took: self.took,
        }
    }

    /// The accuracies by name, as `summary.json` has them.
    pub(super) fn accuracies(&self) -> Figures {
        let figures =
            Figures::new().with(figure::KNN_TOP1.name, self.knn_top1).with(figure::LINEAR_TOP1.name, self.linear_top1);
        match self.propagation_top1 {
            Some(top1) => figures.with(figure::PROPAGATION_TOP1.name, top1),
            None => figures,
        }
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
    /// Rows of their own in fitting the probe.
    train_mirrored: Option<Tensor>,
    validation: Tensor,
    evaluation: Tensor,
}

impl Task {
    /// Measures the frozen checkpoint. Its features are cached by what they depend on, so a second run takes seconds.
    ///
    /// # Errors
    /// [`RunError`] for images that cannot be read, features that are NaN or infinite, and a request to stop.
    pub fn probe(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<FrozenFigures, RunError> {
        let started = Instant::now();
        observer(&Event::Stage("features of the frozen checkpoint"));
        let features = self.probe_features(self.probed(backbone, Keep::InCache), observer)?;
        observer(&Event::Stage("linear probe"));
        let (split, images) = self.splits.evaluation_split();
        let (probe, knn) = self.measure(&features)?;
        let linear_correct = correct(&probe.logits(&features.evaluation)?, images.labels())?;
        let propagation_top1 = self.propagation_top1(&features.evaluation, observer)?;
        Ok(FrozenFigures {
            split,
            knn_top1: knn,
            linear_top1: accuracy(&linear_correct),
            propagation_top1,
            probe,
            linear_correct,
            took: started.elapsed(),
        })
    }

    /// Features f32 `[n, D]` of the frozen checkpoint on the evaluation split; those of a probe are in the cache.
    ///
    /// # Errors
    /// [`RunError`] for images that cannot be read, and for a request to stop.
    pub fn evaluation_features(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<Tensor, RunError> {
        observer(&Event::Stage("features of the frozen checkpoint"));
        let (_, images) = self.splits.evaluation_split();
        let probed = Probed { rows: ProbeRows::Features, ..self.probed(backbone, Keep::InCache) };
        let [features] = self.split_features(probed, images, [View::AsItIs], observer)?;
        Ok(features)
    }

    /// Top-1 of label propagation on the evaluation split, whose features these are; `None` without unlabelled images.
    fn propagation_top1(&self, evaluation: &Tensor, observer: &mut Observer<'_>) -> Result<Option<f64>, RunError> {
        let Some(unlabelled) = &self.unlabelled else { return Ok(None) };
        let (_, images) = self.splits.evaluation_split();
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        let mut watch = Watch { stop: &self.stop, progress: &mut progress };
        self.world.by_first(|| unlabelled.top1(evaluation, images.labels(), &mut watch))
    }

    /// Features f32 `[n, D]` of the frozen checkpoint as the probe sees an image that is evaluated, from the cache if it has
    /// them.
    pub(super) fn frozen_features(
        &self,
        backbone: &Backbone,
        split: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<Tensor, RunError> {
        self.features_of_views(self.probed(backbone, Keep::InCache), split, observer)
    }

    /// The network that is probed.
    fn probed<'a>(&'a self, backbone: &'a Backbone, keep: Keep) -> Probed<'a> {
        Probed { backbone, rows: self.config.run.probe_rows, head: self.probe_head.as_ref(), keep }
    }

    /// Measures the same network with random weights.
    ///
    /// # Errors
    /// As [`Task::probe`].
    pub fn probe_random(&self, observer: &mut Observer<'_>) -> Result<RandomFigures, RunError> {
        observer(&Event::Stage("features of random weights"));
        let mut random = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        random.set_precision(self.precision);
        let head = self.probe_head.as_ref().map(ProjectionHead::forms);
        let head =
            head.map(|forms| ProjectionHead::of_layers(&forms, self.config.train.seed, self.device)).transpose()?;
        let probed = Probed { head: head.as_ref(), ..self.probed(&random, Keep::Nowhere) };
        let features = self.probe_features(probed, observer)?;
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
        let views: Vec<&Tensor> = std::iter::once(&features.train).chain(&features.train_mirrored).collect();
        let training = Training { views: &views, labels: train.labels() };
        let validation = (&features.validation, self.splits.validation.labels());
        let probe = linear_probe(training, validation, classes, &Settings::default())?;
        Ok((probe, knn.top1(images.labels())?))
    }

    fn probe_features(&self, probed: Probed<'_>, observer: &mut Observer<'_>) -> Result<ProbeFeatures, RunError> {
        let (train, train_mirrored) = match self.config.run.probe_views {
            ProbeViews::Mirrored => {
                let views = [View::AsItIs, View::Mirrored];
                let [train, mirrored] = self.split_features(probed, &self.splits.train, views, observer)?;
                (train, Some(mirrored))
            }
            ProbeViews::TenCrop => {
                let [train] = self.split_features(probed, &self.splits.train, [View::TenCrop], observer)?;
                (train, None)
            }
        };
        let validation = self.features_of_views(probed, &self.splits.validation, observer)?;
        let evaluation = match &self.splits.test {
            Some(test) => self.features_of_views(probed, test, observer)?,
            None => validation.shallow_clone(),
        };
        Ok(ProbeFeatures { train, train_mirrored, validation, evaluation })
    }

    /// Features of a split that is evaluated, the mean over its test views.
    fn features_of_views(
        &self,
        probed: Probed<'_>,
        split: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<Tensor, RunError> {
        match (self.config.run.probe_views, self.config.data.tta) {
            (ProbeViews::TenCrop, _) => {
                let [features] = self.split_features(probed, split, [View::TenCrop], observer)?;
                Ok(features)
            }
            (ProbeViews::Mirrored, TestViews::Plain) => {
                let [features] = self.split_features(probed, split, [View::AsItIs], observer)?;
                Ok(features)
            }
            (ProbeViews::Mirrored, TestViews::Flip) => {
                let views = [View::AsItIs, View::Mirrored];
                let [features, mirrored] = self.split_features(probed, split, views, observer)?;
                Ok(guard("averaging views", || (features + mirrored) / 2.0)?)
            }
        }
    }

    /// Features of these views of a split, from the cache if it has them.
    fn split_features<const VIEWS: usize>(
        &self,
        probed: Probed<'_>,
        split: &Split,
        views: [View; VIEWS],
        observer: &mut Observer<'_>,
    ) -> Result<[Tensor; VIEWS], RunError> {
        let Some(cache) = FeatureCache::of_user().filter(|_| probed.keep == Keep::InCache) else {
            return self.compute_features(probed, split, views, observer);
        };
        let data = self.world.by_first(|| split.content_hash())?;
        let keys =
            views.iter().map(|view| self.feature_key(&data, probed.rows, *view)).collect::<Result<Vec<_>, _>>()?;
        let known: Option<Vec<Tensor>> = keys.iter().map(|key| Some(cache.load(key)?.features)).collect();
        // What one process lacks, all compute together.
        let lacks = self.world.agree(known.is_none())?;
        if !lacks && let Some(Ok(known)) = known.map(TryInto::try_into) {
            return Ok(known);
        }
        let features = self.compute_features(probed, split, views, observer)?;
        for (key, features) in keys.iter().zip(&features).filter(|_| self.world.is_first()) {
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
    fn feature_key(&self, data: &str, rows: ProbeRows, view: View) -> Result<String, RunError> {
        let (architecture, normalisation) = (self.architecture, self.normalisation());
        let transform = self.input.framing().probe(self.input.crop_pct)?;
        // Tensors that the checkpoint lacks are drawn from the seed.
        let drawn = (!self.report.missing.is_empty()).then_some((&self.report.missing, self.config.train.seed));
        let rows = if rows == ProbeRows::Features { String::new() } else { format!(" {rows}") };
        let origin = Origin {
            data,
            checkpoint: &self.checkpoint_hash,
            encoder: &self.report.encoder,
            transform: &format!("{architecture:?} {transform:?} {normalisation:?} {view:?} {drawn:?}{rows}"),
            precision: &format!("{} on {:?}", self.precision, self.device),
            libtorch: &versions().libtorch,
        };
        Ok(origin.key())
    }

    /// Features of these views of a split through a frozen backbone.
    fn compute_features<const VIEWS: usize>(
        &self,
        probed: Probed<'_>,
        split: &Split,
        views: [View; VIEWS],
        observer: &mut Observer<'_>,
    ) -> Result<[Tensor; VIEWS], RunError> {
        let normalisation = self.normalisation();
        let mut forward = |images: &Tensor| {
            Ok(guard("computing features", || {
                let rows = |images: &Tensor| probed.rows(&normalisation.apply(images, self.device));
                views.map(|view| view.mean(images, &rows))
            })?)
        };
        let mut progress = |done, total| observer(&Event::Progress { done, total });
        Ok(self.probing_evaluator()?.features(split, &mut progress, &mut forward)?)
    }
}

/// A frozen network, and what of it is read.
#[derive(Clone, Copy)]
struct Probed<'a> {
    backbone: &'a Backbone,
    rows: ProbeRows,
    /// The projection head, where its first layer is read.
    head: Option<&'a ProjectionHead>,
    keep: Keep,
}

impl Probed<'_> {
    /// f32 rows of normalised images.
    fn rows(&self, images: &Tensor) -> Tensor {
        match (self.rows, self.head) {
            (ProbeRows::Stages, _) => {
                let maps = self.backbone.stage_maps(images, Mode::Evaluate);
                let means: Vec<Tensor> = maps[1..].iter().map(|map| self.backbone.pool(map)).collect();
                Tensor::cat(&means, 1)
            }
            (ProbeRows::Projector, Some(head)) => head.first_layer(&self.backbone.features(images, Mode::Evaluate)),
            _ => self.backbone.features(images, Mode::Evaluate),
        }
    }
}

/// What the probe is fitted to: the image, its mirror image (B10), or the mean over shifts and their mirror images.
#[derive(Debug, Clone, Copy)]
enum View {
    AsItIs,
    Mirrored,
    TenCrop,
}

/// A shift of [`View::TenCrop`] is this fraction of the side.
const SHIFT: i64 = 8;

impl View {
    /// The mean over the views of images `[n, h, w, 3]` of what `rows` gives for each.
    fn mean(self, images: &Tensor, rows: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        let mirrored = |images: &Tensor| images.flip([2i64]);
        match self {
            View::AsItIs => rows(images),
            View::Mirrored => rows(&mirrored(images)),
            View::TenCrop => {
                let crops = crops(images);
                let sum = crops.iter().map(|crop| rows(crop) + rows(&mirrored(crop))).reduce(|sum, more| sum + more);
                sum.unwrap_or_else(|| rows(images)) / (2 * crops.len()) as f64
            }
        }
    }
}

/// Images `[n, h, w, 3]`, and their shifts to the four corners, in which the pixels beyond the edge are those within it.
fn crops(images: &Tensor) -> Vec<Tensor> {
    let [_, height, width, _] = images.size()[..] else { return vec![images.shallow_clone()] };
    let (down, right) = ((height / SHIFT).max(1).min(height - 1), (width / SHIFT).max(1).min(width - 1));
    let padded = images.permute([0, 3, 1, 2]).to_kind(Kind::Float).reflection_pad2d([right, right, down, down]);
    let padded = padded.to_kind(images.kind()).permute([0, 2, 3, 1]);
    let crop = |top: i64, left: i64| padded.narrow(1, top, height).narrow(2, left, width).contiguous();
    let corners = [(0, 0), (0, 2 * right), (2 * down, 0), (2 * down, 2 * right)];
    std::iter::once(images.shallow_clone()).chain(corners.map(|(top, left)| crop(top, left))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn ten_crops_are_five_shifts_and_their_mirror_images() {
        let images = Tensor::arange(2 * 16 * 8 * 3, (Kind::Float, Device::Cpu)).view([2, 16, 8, 3]);
        let crops = crops(&images);
        assert_eq!(crops.len(), 5);
        assert!(crops[0].equal(&images));
        // Up and left by 2 rows and 1 column: what was at (0, 0) is at (2, 1).
        assert!(crops[1].get(0).get(2).get(1).equal(&images.get(0).get(0).get(0)));
        assert!(crops[4].get(1).get(0).get(0).equal(&images.get(1).get(2).get(1)));
        // Of rows that do not see mirroring the mean is that over the crops.
        let mean = |images: &Tensor| images.mean_dim(Some(&[1i64, 2][..]), false, Kind::Float);
        let expected = Tensor::stack(&crops.iter().map(mean).collect::<Vec<_>>(), 0).mean_dim(
            Some(&[0i64][..]),
            false,
            Kind::Float,
        );
        let found = View::TenCrop.mean(&images, &mean);
        assert!((found - expected).abs().max().double_value(&[]) < 1e-3);
    }
}
