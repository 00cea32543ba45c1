//! The frozen backbone measured before any training: a 1 x 1 convolution on its last map (B10).

use std::time::{Duration, Instant};

use rand::seq::index::sample;
use tch::{Device, Kind, Tensor, no_grad};

use super::SegmentationTask;
use crate::data::{Batch, Loader, LoaderOptions, Split, sampler};
use crate::engine::guard;
use crate::engine::rows::IGNORED;
use crate::evaluate::linear_probe::{LinearProbe, Settings, Training, linear_probe};
use crate::evaluate::segmentation::ClassPixels;
use crate::evaluate::{EvaluateError, Measure, figure};
use crate::figures::Figures;
use crate::mining::MapLabels;
use crate::models::{Backbone, DenseHeadKind, Mode, Segmenter};
use crate::random::{Purpose, stream};
use crate::runs::RunError;
use crate::train::{Event, Measurement, Observer};
use crate::transforms::Transform;

/// Most positions of a split that the probe is fitted to or chosen by; of more, each image gives as many, drawn by the
/// seed.
const MOST_POSITIONS: usize = 40_000;

/// Figures of a probe on the split that is evaluated.
#[derive(Debug)]
pub struct ProbeOfPixels {
    /// E2 of the evaluation split.
    pub figures: Figures,
    /// The pixels of each of its images by class.
    pub images: Vec<Vec<ClassPixels>>,
    /// The 1 x 1 convolution; a linear head can start from it (B11).
    pub probe: LinearProbe,
    /// Positions that it was fitted to, of each of two views.
    pub positions: usize,
}

/// The probe of the frozen checkpoint, and that of random weights beside it.
#[derive(Debug)]
pub struct PixelProbe {
    /// Name of the split that was evaluated.
    pub split: &'static str,
    /// Of the checkpoint.
    pub checkpoint: ProbeOfPixels,
    /// Of the same network with random weights.
    pub random: ProbeOfPixels,
    /// Time it took.
    pub took: Duration,
}

impl PixelProbe {
    /// The figures, for an observer: those of the checkpoint, and the mean IoU of random weights.
    pub fn measurement(&self) -> Measurement {
        Measurement {
            what: "frozen",
            split: self.split.into(),
            figures: self.checkpoint.figures.clone(),
            shown: vec![figure::MEAN_IOU, figure::MEAN_PIXEL_ACCURACY],
            took: self.took,
        }
    }
}

/// Rows of a split: f at labelled positions of each view (the image, and its mirror image), and their classes.
struct PositionRows<const VIEWS: usize> {
    views: [Tensor; VIEWS],
    labels: Vec<i64>,
}

impl SegmentationTask {
    /// Measures the frozen checkpoint, and the same network with random weights.
    ///
    /// # Errors
    /// [`EvaluateError::Interrupted`] when it was asked to stop, and what is wrong with images or labels.
    pub fn probe(&self, backbone: &Backbone, observer: &mut Observer<'_>) -> Result<PixelProbe, RunError> {
        let started = Instant::now();
        let checkpoint = self.probe_of(backbone, "frozen checkpoint", observer)?;
        let random = Backbone::new(&self.architecture, self.config.train.seed, self.device)?;
        let random = self.probe_of(&random, "random weights", observer)?;
        let (split, _) = self.splits.evaluation_split();
        Ok(PixelProbe { split, checkpoint, random, took: started.elapsed() })
    }

    fn probe_of(
        &self,
        backbone: &Backbone,
        whose: &'static str,
        observer: &mut Observer<'_>,
    ) -> Result<ProbeOfPixels, RunError> {
        let stages = match whose {
            "random weights" => ["maps of random weights", "linear probe of random weights"],
            _ => ["maps of the frozen checkpoint", "linear probe"],
        };
        observer(&Event::Stage(stages[0]));
        let network = self.network_with(backbone, DenseHeadKind::Linear, false)?;
        let train = self.position_rows::<2>(&network, &self.splits.train, observer)?;
        let validation = self.position_rows::<1>(&network, &self.splits.validation, observer)?;
        let stride = self.config.segmentation.output_stride;
        for (split, rows) in [("training", &train.labels), ("validation", &validation.labels)] {
            if rows.is_empty() {
                return Err(RunError::NoLabelledPosition { split, stride });
            }
        }
        observer(&Event::Stage(stages[1]));
        let training = Training { views: &train.views.each_ref(), labels: &train.labels };
        let chosen_by = (&validation.views[0], &validation.labels[..]);
        let probe = linear_probe(training, chosen_by, self.classes.len() as i64, &Settings::default())?;
        network.head.classifier().copy_values(&probe.classifier(self.device)?)?;
        let (_, images) = self.splits.evaluation_split();
        let measure = self.evaluator(self.views())?.measure(&network, images)?;
        let (figures, positions) = (measure.figures(), train.labels.len());
        Ok(ProbeOfPixels { figures, images: measure.images().to_vec(), probe, positions })
    }

    /// The rows of a split in the order of its images, of which each process reads every n-th; nothing is cropped or scaled.
    fn position_rows<const VIEWS: usize>(
        &self,
        network: &Segmenter,
        split: &Split,
        observer: &mut Observer<'_>,
    ) -> Result<PositionRows<VIEWS>, RunError> {
        let options = LoaderOptions { workers: self.config.workers(), ..LoaderOptions::default() };
        let transform = std::sync::Arc::new(Transform::new(Vec::new())?);
        let each = MOST_POSITIONS.div_ceil(split.len().max(1));
        let (mut views, mut labels) = ([const { Vec::new() }; VIEWS], Vec::new());
        let (world, images) = (self.world, sampler::sequential(split.len(), 1)?);
        let own = images.iter().skip(world.rank()).step_by(world.ranks()).cloned().collect();
        let mut loader = Loader::new(split.clone(), transform, own, options)?;
        for done in (0..split.len()).step_by(world.ranks()) {
            if world.agree(self.stop.is_requested())? {
                return Err(EvaluateError::Interrupted.into());
            }
            let batch = loader.next().transpose()?;
            let rows = batch.map(|batch| self.rows_of::<VIEWS>(network, &batch, each)).transpose()?;
            let (rows, of_batch) =
                rows.map_or(([const { None }; VIEWS], Vec::new()), |(rows, labels)| (rows.map(Some), labels));
            for (view, rows) in views.iter_mut().zip(rows) {
                view.extend(world.gather_uneven(rows.as_ref())?);
            }
            labels.extend(world.gather_uneven_numbers(&of_batch)?);
            observer(&Event::Progress { done: (done + world.ranks()).min(split.len()), total: split.len() });
        }
        let views = guard("joining rows of maps", || views.map(|parts| Tensor::cat(&parts, 0)))?;
        Ok(PositionRows { views, labels })
    }

    /// The rows of one image, at most `each`, of it and, with two views, of its mirror image; on the host.
    fn rows_of<const VIEWS: usize>(
        &self,
        network: &Segmenter,
        batch: &Batch,
        each: usize,
    ) -> Result<([Tensor; VIEWS], Vec<i64>), RunError> {
        let masks = batch.masks.as_ref().ok_or_else(|| RunError::NoMasks { path: self.config.data.dir.clone() })?;
        let images = match VIEWS {
            1 => batch.images.shallow_clone(),
            _ => Tensor::cat(&[&batch.images, &batch.images.flip([2i64])], 0),
        };
        let maps = no_grad(|| network.forward(&images, Mode::Evaluate, None, false))?.embedding;
        let size = maps.size();
        let all = MapLabels::nearest(masks, (size[2], size[3]))?.labels;
        let places = self.places(&all, batch.indices[0], each);
        let labels = places.iter().map(|&place| all[place as usize]).collect();
        let rows = guard("taking rows of a map", || {
            let taken = Tensor::from_slice(&places);
            std::array::from_fn(|view| {
                let map = maps.get(view as i64);
                // The mirrored map is turned back, so that both have one order of positions.
                let map = if view == 0 { map } else { map.flip([2i64]) };
                let rows = map.permute([1, 2, 0]).reshape([-1, size[1]]).to_device(Device::Cpu);
                rows.to_kind(Kind::Float).index_select(0, &taken)
            })
        })?;
        Ok((rows, labels))
    }

    /// The labelled positions of an image; of more than `each`, so many drawn by the seed, in ascending order.
    fn places(&self, labels: &[i64], index: usize, each: usize) -> Vec<i64> {
        let labelled: Vec<i64> =
            (0i64..).zip(labels).filter(|(_, label)| **label != IGNORED).map(|(at, _)| at).collect();
        if labelled.len() <= each {
            return labelled;
        }
        let mut random = stream(self.config.train.seed, Purpose::Pixels, u64::MAX, index as u64);
        let mut drawn = sample(&mut random, labelled.len(), each).into_vec();
        drawn.sort_unstable();
        drawn.into_iter().map(|place| labelled[place]).collect()
    }
}
