//! Averages of runs: a soup of several (Wortsman et al., ICML 2022, arXiv:2203.05482), or the interpolation between the
//! checkpoint with its linear probe and a fine-tuned run (WiSE-FT, B12).
//!
//! An average is a run folder like any other: it can be evaluated, exported, compared and averaged again.

mod error;
mod ingredients;
mod recipe;
mod weights;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

pub use self::error::AverageError;
use self::ingredients::Ingredients;
pub use self::recipe::{Recipe, Statistics};
use self::weights::weighted_mean;
use crate::config::RunConfig;
use crate::data::Role;
use crate::engine::{peak_device_bytes, peak_rss_bytes};
use crate::evaluate::calibration::{fit_temperature, negative_log_likelihood};
use crate::evaluate::figure;
use crate::figures::{EpochFigures, Figures};
use crate::fit::{self, Evaluation};
use crate::models::Model;
use crate::run_folder::{EvaluationRecord, MetricsRecord, RunFolder, Summary};
use crate::runs::{Machine, RunError, versions};
use crate::saved_models::{load_model, save_model};
use crate::train::{Event, Observer};

/// What is averaged.
#[derive(Debug)]
pub struct Request<'a> {
    /// Run folders.
    pub runs: &'a [PathBuf],
    /// How their weights are chosen.
    pub recipe: Recipe,
    /// Where the running statistics of batch norm come from.
    pub statistics: Statistics,
    /// The configuration of the last run, with this machine's settings: where the images are.
    pub config: RunConfig,
    /// The folder of the average.
    pub output: &'a Path,
}

/// Weights that were tried, with what they gave on the validation images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// Of the runs, in their order; they sum to 1.
    pub weights: Vec<f64>,
    /// Top-1 accuracy, a fraction.
    pub val_top1: f64,
    /// Mean negative log-likelihood after temperature scaling, nats.
    pub val_nll_calibrated: f64,
}

/// An average that was written.
#[derive(Debug)]
pub struct Averaged {
    /// What was tried, in order.
    pub tried: Vec<Tried>,
    /// The place of the chosen one.
    pub chosen: usize,
    /// Figures on the test split, if there is one.
    pub test: Option<Evaluation>,
    /// What `summary.json` says.
    pub summary: Summary,
}

/// Averages the best checkpoints of runs of one start, and writes a run folder. A run whose best epoch is its start, the linear
/// probe, gives its last weights.
///
/// Weights are averaged, and so are the running statistics of batch norm unless they are measured anew; the projection head
/// is left out.
///
/// # Errors
/// [`AverageError`]: runs that do not fit together, images that cannot be read, a folder that exists.
pub fn average(request: &Request<'_>, observer: &mut Observer<'_>) -> Result<Averaged, AverageError> {
    RunFolder::check_new(request.output)?;
    let started = Instant::now();
    let machine = Machine::choose(&request.config.run).map_err(RunError::from)?;
    let ingredients = Ingredients::open(request.runs, request.recipe, machine.device)?;
    let mut averaging = Averaging { request, ingredients, tried: Vec::new() };
    let chosen = match request.recipe {
        Recipe::Uniform => averaging.uniform(observer)?,
        Recipe::Greedy => averaging.greedy(observer)?,
        Recipe::Interpolate => averaging.interpolate(observer)?,
    };
    averaging.write(chosen, started, observer)
}

/// The runs with what has been tried of them.
struct Averaging<'a> {
    request: &'a Request<'a>,
    ingredients: Ingredients,
    tried: Vec<Tried>,
}

/// Values of a in B12.
const STEPS: u32 = 10;

impl Averaging<'_> {
    fn mixed(&self, weights: &[f64]) -> Result<Model, AverageError> {
        let model = weighted_mean(&self.ingredients.models, weights)?;
        if self.request.statistics == Statistics::Measured {
            let named = (&model, &self.ingredients.description);
            // Notes about the images come once, with the chosen average.
            fit::measure_statistics(named, &self.request.config, &mut |_| {})?;
        }
        Ok(model)
    }

    /// Evaluates the average of these weights on the validation images, and returns its place among those tried.
    fn evaluate(&mut self, weights: Vec<f64>, observer: &mut Observer<'_>) -> Result<usize, AverageError> {
        let model = self.mixed(&weights)?;
        observer(&Event::Stage("validation of an average"));
        let named = (&model, &self.ingredients.description);
        // Notes about the images come once, with the chosen average.
        let mut progress = |event: &Event| {
            if let Event::Progress { done, total } = event {
                observer(&Event::Progress { done: *done, total: *total });
            }
        };
        let outputs = fit::model_outputs(named, &self.request.config, Role::Validation, &mut progress)?;
        let temperature = fit_temperature(&outputs.logits, &outputs.labels)?;
        let val_nll_calibrated = negative_log_likelihood(&outputs.logits, &outputs.labels, temperature)?;
        self.tried.push(Tried { weights, val_top1: outputs.top1()?, val_nll_calibrated });
        Ok(self.tried.len() - 1)
    }

    fn loss(&self, place: usize) -> f64 {
        self.tried[place].val_nll_calibrated
    }

    fn uniform(&mut self, observer: &mut Observer<'_>) -> Result<usize, AverageError> {
        let runs = self.request.runs.len();
        self.evaluate(vec![1.0 / runs as f64; runs], observer)
    }

    fn greedy(&mut self, observer: &mut Observer<'_>) -> Result<usize, AverageError> {
        let runs = self.request.runs.len();
        let alike = |members: &[usize]| -> Vec<f64> {
            (0..runs).map(|run| if members.contains(&run) { 1.0 / members.len() as f64 } else { 0.0 }).collect()
        };
        let alone: Vec<usize> =
            (0..runs).map(|run| self.evaluate(alike(&[run]), observer)).collect::<Result<_, _>>()?;
        let mut order: Vec<usize> = (0..runs).collect();
        order.sort_by(|&one, &other| self.loss(alone[one]).total_cmp(&self.loss(alone[other])));
        let (mut members, mut best) = (vec![order[0]], alone[order[0]]);
        for &run in &order[1..] {
            let more = [members.as_slice(), &[run]].concat();
            let place = self.evaluate(alike(&more), observer)?;
            if self.loss(place) < self.loss(best) {
                (members, best) = (more, place);
            }
        }
        Ok(best)
    }

    fn interpolate(&mut self, observer: &mut Observer<'_>) -> Result<usize, AverageError> {
        for step in 0..=STEPS {
            let a = f64::from(step) / f64::from(STEPS);
            self.evaluate(vec![1.0 - a, a], observer)?;
        }
        let places = 0..self.tried.len();
        Ok(places.min_by(|&one, &other| self.loss(one).total_cmp(&self.loss(other))).unwrap_or(0))
    }

    /// Writes the chosen average, evaluated.
    fn write(self, chosen: usize, started: Instant, observer: &mut Observer<'_>) -> Result<Averaged, AverageError> {
        let Averaging { request, ingredients, tried } = &self;
        let config = &request.config;
        let folder = RunFolder::create(request.output)?;
        folder.write_config(&ingredients.config)?;
        folder.write_provenance(&ingredients.provenance)?;
        let model = self.mixed(&tried[chosen].weights)?;
        save_model(&folder.best_checkpoint(), &model, &ingredients.description)?;
        // What is evaluated is the file.
        let machine = Machine::choose(&config.run).map_err(RunError::from)?;
        let (mut model, description) = load_model(&folder.best_checkpoint(), machine.device)?;
        model.backbone.set_precision(machine.precision);
        let named = (&model, &description);
        let validation = fit::model_outputs(named, config, Role::Validation, observer)?;
        let temperature = fit_temperature(&validation.logits, &validation.labels)?;
        let loss = negative_log_likelihood(&validation.logits, &validation.labels, 1.0)?;
        let outputs =
            if ingredients.has_test { Some(fit::model_outputs(named, config, Role::Test, observer)?) } else { None };
        let seed = config.train.seed;
        let evaluate = |outputs| fit::evaluate_outputs(outputs, Some(temperature), seed);
        let test = outputs.as_ref().map(evaluate).transpose()?;

        let of_validation = Figures::new().with(figure::TOP1.name, validation.top1()?).with(figure::LOSS.name, loss);
        let seconds = started.elapsed().as_secs_f64();
        let record =
            EvaluationRecord { step: 0, epoch: 1, split: "validation".into(), figures: of_validation.clone(), seconds };
        folder.log(&MetricsRecord::Evaluation(record))?;
        folder.sync_metrics()?;
        folder.write_average(&serde_json::json!({
            "recipe": request.recipe,
            "batch_norm": request.statistics,
            "runs": request.runs,
            "chosen": tried[chosen],
            "tried": tried,
        }))?;
        folder.derive()?;
        let summary = Summary {
            method: format!("average-{}", request.recipe),
            best: EpochFigures { epoch: 1, figures: of_validation.of_validation() },
            test: test.as_ref().map(Evaluation::by_name),
            top1_interval: None,
            above_probe: None,
            temperature: Some(temperature),
            epochs: 1,
            steps: 0,
            images_per_second: 0.0,
            wall_seconds: seconds,
            peak_rss_bytes: peak_rss_bytes(),
            peak_device_bytes: peak_device_bytes(machine.device),
            exchange: None,
            versions: versions(),
            ..ingredients.summary.clone()
        };
        folder.write_summary(&summary)?;

        let Averaging { tried, .. } = self;
        Ok(Averaged { tried, chosen, test, summary })
    }
}
