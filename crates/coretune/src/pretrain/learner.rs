//! An encoder being pre-trained, as the training loop sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::LiveProbe;
use crate::data::Batch;
use crate::engine::World;
use crate::models::{Architecture, Encoder, Parameters, Role};
use crate::objectives::{Objective, figure};
use crate::run_folder::{MetricsRecord, ProbeRecord};
use crate::train::{
    Accumulation, DeviceFigures, EpochEnd, EpochPlace, Event, Learner, METADATA_KEY, Observer, Optimizer, ProbeReport,
    Progress, StepInput, StepReport, TrainError, is_method_state, run_parameters, step,
};

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
    /// The processes that share a step.
    pub world: World,
    /// How the features are looked at.
    pub probe: LiveProbe,
    /// Epochs between looks; the last epoch always has one where there are any.
    pub probe_epochs: Option<u64>,
    /// What the file says.
    pub description: PretrainedDescription,
    /// Whether a collapse was told already.
    pub collapse_told: bool,
}

/// Below this [`figure::SPREAD`] the projections of a batch lie in one spot.
const COLLAPSED: f64 = 0.1;
/// Random weights spread little; a run has so many steps to get away from there.
const FIRST_STEPS: u64 = 200;
/// An effective rank that no useful features have.
const LOW_RANK: f64 = 2.0;
/// Images from which a rank says something: a few have a low one whatever their features.
const RANK_IMAGES: usize = 100;

impl Learner for Pretraining {
    fn step(&mut self, batch: &Batch, number: u64, rate: f64) -> Result<DeviceFigures, TrainError> {
        let input = StepInput {
            network: &self.encoder,
            objective: &mut *self.objective,
            batch,
            draw: (self.seed, number),
            accumulation: Accumulation::Whole,
            world: self.world,
        };
        Ok(step(input, &mut self.optimizer, rate)?)
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
        BTreeMap::from([("format".to_string(), "pt".to_string()), (METADATA_KEY.to_string(), value.to_string())])
    }

    fn remark(&mut self, report: &StepReport) -> Option<String> {
        let spread = *report.figures.get(figure::SPREAD)?;
        if report.step < FIRST_STEPS || spread >= COLLAPSED || self.collapse_told {
            return None;
        }
        self.collapse_told = true;
        Some(format!(
            "the features are collapsing: spread {spread:.3} of 1 at step {}; a lower --lr or a longer --warmup-epochs may help",
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
        let is_due = self.probe_epochs.is_some_and(|every| epoch.is_multiple_of(every) || epoch == place.epochs);
        let record = is_due.then(|| self.look(progress.step, epoch, place.seconds)).transpose()?;
        progress.epochs = epoch;
        let event = record.as_ref().map(|record| self.report(record));
        let judges = self.probe.judged_images() >= RANK_IMAGES && !self.collapse_told;
        if let Some(record) = record.as_ref().filter(|record| judges && record.rank < LOW_RANK) {
            let rank = record.rank;
            self.collapse_told = true;
            observer(&Event::Note(format!(
                "the features have collapsed: effective rank {rank:.1} after epoch {epoch}"
            )));
        }
        Ok(EpochEnd { record: record.map(MetricsRecord::Probe), event: event.map(Event::Probed) })
    }
}

impl Pretraining {
    /// Looks at the features as they stand.
    pub fn look(&self, step: u64, epoch: u64, seconds: f64) -> Result<ProbeRecord, TrainError> {
        self.probe.look(&self.encoder, step, epoch, seconds)
    }

    /// A look, for whoever watches.
    pub fn report(&self, record: &ProbeRecord) -> ProbeReport {
        let width = self.encoder.backbone.feature_width();
        ProbeReport { epoch: record.epoch, knn_top1: record.knn_top1, rank: record.rank, width }
    }
}
