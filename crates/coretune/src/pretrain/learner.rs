//! An encoder being pre-trained, as the training loop sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::LiveProbe;
use crate::checkpoints::safetensors_file::DESCRIPTION;
use crate::data::Batch;
use crate::engine::World;
use crate::evaluate::figure::{KNN_TOP1, RANK};
use crate::figures::FigureSpec;
use crate::models::{Architecture, Encoder, Parameters, Role};
use crate::objectives::{Objective, figure};
use crate::run_folder::{EvaluationRecord, MetricsRecord};
use crate::train::{
    Accumulation, DeviceFigures, EpochEnd, EpochPlace, Evaluated, EvaluationReport, Event, Learner, Observer,
    Optimizer, Progress, StepInput, StepReport, TrainError, is_method_state, run_parameters, step,
};
use crate::transforms::ResizeMode;

/// What a file says of a pre-trained encoder beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainedDescription {
    /// `moco-v2`, `simclr`.
    pub method: String,
    /// The backbone.
    pub architecture: Architecture,
    /// Mean of red, green, blue, of pixels in [0, 1].
    pub mean: [f64; 3],
    /// Their standard deviation.
    pub std: [f64; 3],
    /// Height and width of the input, pixels.
    pub img_size: i64,
    /// What happened to images that are not square.
    #[serde(default)]
    pub resize_mode: ResizeMode,
}

/// An encoder with its method and optimizer, and what is measured of it meanwhile.
pub struct Pretraining {
    /// The encoder that gradients train, and that is kept.
    pub encoder: Encoder,
    /// What is minimised.
    pub objective: Box<dyn Objective>,
    /// The optimizer of the encoder.
    pub optimizer: Optimizer,
    /// Seed of the method's random draws.
    pub seed: u64,
    /// How a batch that does not fit into memory is computed.
    pub accumulation: Accumulation,
    /// The processes that share a step.
    pub world: World,
    /// How the features are evaluated; none if they are not.
    pub probe: Option<LiveProbe>,
    /// What the file says.
    pub description: PretrainedDescription,
    /// Whether a collapse was reported already.
    pub collapse_reported: bool,
}

/// Below this [`figure::SPREAD`] the projections of a batch coincide.
const COLLAPSED: f64 = 0.1;
/// Random weights spread little, so a run has this many steps before a collapse is reported.
const FIRST_STEPS: u64 = 200;
/// An effective rank that no useful features have.
const LOW_RANK: f64 = 2.0;
/// Fewest images whose rank is meaningful: few images have a low one whatever their features.
const RANK_IMAGES: usize = 100;

impl Learner for Pretraining {
    fn step(&mut self, batch: &Batch, number: u64, rate: f64) -> Result<DeviceFigures, TrainError> {
        let input = StepInput::new(&self.encoder, &mut *self.objective, batch, (self.seed, number))
            .accumulated(self.accumulation)
            .shared_by(self.world);
        Ok(step(input, &mut self.optimizer, rate)?)
    }

    fn is_divisible(&self) -> bool {
        self.objective.needs().divisible
    }

    fn parameters(&self) -> Parameters {
        run_parameters(&self.encoder, &*self.objective)
    }

    fn is_frozen(&self, _: &str, _: Role) -> bool {
        false
    }

    fn is_follower(&self, name: &str) -> bool {
        is_method_state(&*self.objective, name)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let parameters = self.parameters();
        let tensors = parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()));
        tensors.chain(self.optimizer.state()).collect()
    }

    fn loaded(&mut self, steps: u64) {
        self.optimizer.set_updates(steps);
    }

    fn metadata(&self, progress: &Progress) -> BTreeMap<String, String> {
        let value = serde_json::json!({ "pretrained": self.description, "progress": progress });
        BTreeMap::from([("format".to_string(), "pt".to_string()), (DESCRIPTION.to_string(), value.to_string())])
    }

    fn note(&mut self, report: &StepReport) -> Option<String> {
        let spread = *report.figures.get(figure::SPREAD)?;
        if report.step < FIRST_STEPS || spread >= COLLAPSED || self.collapse_reported {
            return None;
        }
        self.collapse_reported = true;
        Some(format!(
            "the features are collapsing: spread {spread:.3} of 1 at step {}; a lower train.lr or a longer train.warmup_epochs may help",
            report.step
        ))
    }

    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        place: EpochPlace<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<EpochEnd, TrainError> {
        let epoch = progress.epochs + 1;
        let Some(probe) = self.probe.as_ref().filter(|probe| probe.is_due(epoch, place.epochs)) else {
            progress.epochs = epoch;
            return Ok(EpochEnd::Done(None));
        };
        let record = match self.evaluate(probe, progress.step, epoch, place.seconds) {
            Err(error) => return EpochEnd::of_error(error, "the probed images"),
            Ok(record) => record,
        };
        progress.epochs = epoch;
        let rank = record.figures.get(RANK.name).unwrap_or(f64::INFINITY);
        if probe.measured_images() >= RANK_IMAGES && !self.collapse_reported && rank < LOW_RANK {
            self.collapse_reported = true;
            observer(&Event::Note(format!(
                "the features have collapsed: effective rank {rank:.1} after epoch {epoch}"
            )));
        }
        let report = self.report(&record);
        Ok(EpochEnd::Done(Some(Box::new(Evaluated { record: MetricsRecord::Probe(record), report }))))
    }
}

impl Pretraining {
    /// Measures the features of the encoder as it is now.
    ///
    /// # Errors
    /// [`TrainError`] for images that cannot be read, features that are NaN or infinite, and a request to stop.
    pub fn evaluate(
        &self,
        probe: &LiveProbe,
        step: u64,
        epoch: u64,
        seconds: f64,
    ) -> Result<EvaluationRecord, TrainError> {
        let figures = probe.measure(&self.encoder)?;
        Ok(EvaluationRecord { step, epoch, split: probe.split().into(), figures, seconds })
    }

    /// A record of such a measurement, for the observer.
    pub fn report(&self, record: &EvaluationRecord) -> EvaluationReport {
        let width = self.encoder.backbone.feature_width();
        let rank = FigureSpec { most: Some(width), ..RANK };
        EvaluationReport::of(record, vec![KNN_TOP1, rank], None)
    }
}
