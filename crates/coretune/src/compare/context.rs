//! What the checkpoint, the data and the machine decide for every run: found by opening them once.

use super::identity::Inputs;
use super::tuning::Point;
use super::{CompareError, ComparedConfig, Request};
use crate::config::{Cache, Input, RunConfig, RunSection, SegmentationConfig};
use crate::engine::{Stop, threads};
use crate::fit::Preparation;
use crate::models::Architecture;
use crate::runs::{Job, Options, Prepared};
use crate::segment::SegmentationPreparation;
use crate::train::Observer;

/// What the checkpoint, the data and the machine decide for every run.
pub(super) struct RunContext {
    architecture: Architecture,
    input: Input,
    classes: i64,
    /// The smaller side of the first training image, pixels; 0 in classification, which does not ask.
    smaller_side: u32,
    pub(super) inputs: Inputs,
    /// Device and precision.
    run: RunSection,
    /// Bytes of the decoded training images.
    image_bytes: u64,
    /// Whether there are images to test on.
    pub(super) has_test: bool,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

impl RunContext {
    /// Opens images and checkpoint once for all runs; if wanted, estimates the seconds of a run too.
    pub(super) fn open(
        request: &Request,
        with_estimate: bool,
        stop: &Stop,
        observer: &mut Observer<'_>,
    ) -> Result<(Self, Option<f64>), CompareError> {
        let budget = request.budgets_to_run()[0];
        let mut config = request.config(&request.baseline, budget, request.seeds_to_run()[0], &Point::new())?;
        if request.jobs > 1 && config.run().threads.is_none() {
            config.run_mut().threads = Some((threads::get() / request.jobs).max(1));
        }
        let (mut context, estimate) = match &config {
            ComparedConfig::Classification(config) => {
                open::<RunConfig>((config, with_estimate), stop, observer, &RunContext::of_classification)?
            }
            ComparedConfig::Segmentation(config) => {
                open::<SegmentationConfig>((config, with_estimate), stop, observer, &RunContext::of_segmentation)?
            }
        };
        if request.jobs > 1 {
            context.share_memory(request.jobs * config.train().ranks);
        }
        Ok((context, estimate))
    }

    /// Keeps no images in memory where so many processes at a time do not have it.
    fn share_memory(&mut self, processes: usize) {
        let cache = self.run.cache_of_each(self.image_bytes, processes);
        if cache != self.run.cache && self.run.cache == Cache::Ram {
            let note = format!("run.cache = off: {processes} processes cannot all keep the images in memory");
            self.notes.push(note);
        }
        self.run.cache = cache;
    }

    fn of_classification(prepared: &Preparation) -> Result<Self, CompareError> {
        let task = &prepared.task;
        Ok(RunContext {
            architecture: task.architecture,
            input: task.input,
            classes: task.classes.len() as i64,
            smaller_side: 0,
            inputs: Inputs::of(&task.config.data, task.checkpoint_hash.clone())?,
            run: task.config.run.clone(),
            image_bytes: task.training_split().decoded_bytes(),
            has_test: task.splits.test.is_some(),
            notes: prepared.notes.clone(),
        })
    }

    fn of_segmentation(prepared: &SegmentationPreparation) -> Result<Self, CompareError> {
        let task = &prepared.task;
        Ok(RunContext {
            architecture: task.architecture,
            input: task.input,
            classes: task.classes.len() as i64,
            smaller_side: task.smaller_side,
            inputs: Inputs::of(&task.config.data, task.checkpoint_hash.clone())?,
            run: task.config.run.clone(),
            image_bytes: task.splits.train.decoded_bytes(),
            has_test: task.splits.test.is_some(),
            notes: prepared.notes.clone(),
        })
    }

    /// The configuration with every value filled in.
    pub(super) fn resolve(&self, config: &ComparedConfig) -> ComparedConfig {
        let RunContext { architecture, input, classes, smaller_side, run, .. } = self;
        let mut resolved = match config {
            ComparedConfig::Classification(config) => {
                ComparedConfig::Classification(Box::new(config.resolve(architecture, input, *classes).0))
            }
            ComparedConfig::Segmentation(config) => {
                let of_data = (*classes, *smaller_side);
                ComparedConfig::Segmentation(Box::new(config.resolve(architecture, input, of_data).0))
            }
        };
        let section = resolved.run_mut();
        section.device.clone_from(&run.device);
        (section.amp, section.threads, section.cache) = (run.amp, run.threads, run.cache);
        resolved
    }

    /// Number of classes.
    pub(super) fn classes(&self) -> usize {
        self.classes as usize
    }
}

/// Opens the job of one run, and describes its context; if wanted, estimates its seconds too.
fn open<J: Job>(
    (config, with_estimate): (&J, bool),
    stop: &Stop,
    observer: &mut Observer<'_>,
    describe: &dyn Fn(&J::Prepared) -> Result<RunContext, CompareError>,
) -> Result<(RunContext, Option<f64>), CompareError> {
    let options = Options { stop: stop.clone(), ..Options::default() };
    let prepared = config.prepare(options, observer)?;
    prepared.steps_per_epoch()?;
    let context = describe(&prepared)?;
    let estimate = with_estimate.then(|| prepared.estimate()).transpose()?;
    Ok((context, estimate.map(|estimate| estimate.seconds)))
}
