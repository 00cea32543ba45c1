//! A task with figures of its own: a measure that the library does not know goes through validation, selection, metrics,
//! tables and the saved state.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use coretune::data::{Dataset, DatasetOptions, Split};
use coretune::engine::{Stop, World};
use coretune::evaluate::features::Evaluator;
use coretune::evaluate::{EvaluateError, Measure};
use coretune::figures::{FigureSpec, Figures, Selection};
use coretune::models::{Architecture, Backbone, Family, Linear, Model, Normalisation, Stem};
use coretune::objectives::CrossEntropy;
use coretune::run_folder::{MetricsRecord, RunFolder};
use coretune::saved_models::ModelDescription;
use coretune::train::{
    Accumulation, Decay, Event, FineTuning, Frozen, LayerRates, Optimizer, Plan, Rule, Sampling, Saving, Schedule,
    SupervisedTraining, TrainError, Trainer, TrainingImages, saved_progress,
};
use coretune::transforms::{Interpolation, ResizeMode, Transform};
use coretune_testing::SmallWorld;
use tch::{Device, Tensor};

const GAP: FigureSpec = FigureSpec::number("gap", "gap", "gap of the logits", "", "logits");
const BATCHES: FigureSpec = FigureSpec::fraction("batches", "batches", "batches", "");

/// The spread of all logits, and how often it was called.
#[derive(Default)]
struct Gap {
    batches: usize,
    least: f64,
    most: f64,
    instead: Option<f64>,
}

impl Measure for Gap {
    fn specs(&self) -> &'static [FigureSpec] {
        &[GAP, BATCHES]
    }

    fn add(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), EvaluateError> {
        assert_eq!(outputs.size(), [targets.size()[0], 3]);
        self.batches += 1;
        self.least = self.least.min(outputs.min().double_value(&[]));
        self.most = self.most.max(outputs.max().double_value(&[]));
        Ok(())
    }

    fn figures(&self) -> Figures {
        let gap = self.instead.unwrap_or(self.most - self.least);
        Figures::new().with("gap", gap).with("batches", self.batches as f64)
    }
}

fn splits(world: &SmallWorld) -> (Split, Split) {
    let dataset = Dataset::open(world.data(), &DatasetOptions::default()).unwrap();
    (dataset.train.unwrap(), dataset.test.unwrap())
}

fn trainer<'a>(
    world: &SmallWorld,
    folder: &'a RunFolder,
    measure: fn() -> Box<dyn Measure>,
    select: &str,
) -> Trainer<'a, FineTuning> {
    let architecture = Architecture { family: Family::ResNet18, stem: Stem::Small, width: 0.125 };
    let backbone = Backbone::new(&architecture, 7, Device::Cpu).unwrap();
    let classifier = Linear::classifier(backbone.feature_width(), 3, 7, Device::Cpu).unwrap();
    let model = Model::new(backbone, classifier, None, Normalisation::IMAGENET).unwrap();
    let (train, validation) = splits(world);
    let transform = Arc::new(Transform::evaluate(16, 1.0, Interpolation::Bilinear).unwrap());
    let stop = Stop::default();
    let training = SupervisedTraining {
        objective: Box::new(CrossEntropy { label_smoothing: 0.0 }),
        optimizer: Optimizer::new(
            &model,
            Rule::Sgd { momentum: 0.9, nesterov: true },
            LayerRates { layer_decay: 1.0, head_factor: 1.0 },
            0.0,
            None,
        ),
        average: None,
        accumulation: Accumulation::Whole,
        sharpness: None,
        frozen: Frozen::default(),
        seed: 0,
        world: World::Alone,
        validation,
        selection: Selection::from_word(select, &[GAP, BATCHES]).unwrap(),
        starts_from_probe: false,
    };
    let learner = FineTuning {
        training,
        class_weights: None,
        mix: coretune::transforms::MixImages { mixup: 0.0, cutmix: 0.0, shift: 1 },
        measure: Box::new(measure),
        test_views: coretune::models::TestViews::Plain,
        evaluator: Evaluator {
            transform: Arc::clone(&transform),
            batch_size: 5,
            workers: 1,
            stop: stop.clone(),
            world: World::Alone,
        },
        description: ModelDescription {
            architecture,
            classes: ["blue", "green", "red"].map(String::from).into(),
            mean: Normalisation::IMAGENET.mean,
            std: Normalisation::IMAGENET.std,
            img_size: 16,
            crop_pct: 1.0,
            interpolation: Interpolation::Bilinear,
            bit_depth_range: None,
            resize_mode: ResizeMode::Crop,
            classifier_bias: false,
            projection_width: None,
            projection_layers: None,
        },
        model,
    };
    let images = TrainingImages {
        split: train,
        sampling: Sampling::Shuffle { batch_size: 8 },
        transform,
        views: 1,
        world: World::Alone,
        workers: 1,
        page_locked: false,
        seed: 0,
    };
    let schedule = Schedule { base: 0.05, warmup_steps: 0, total_steps: 12, decay: Decay::Constant };
    let plan = Plan { epochs: 3, patience: None, log_every: 1, saving: Saving { steps: None, time: None::<Duration> } };
    Trainer::new(learner, images, (schedule, plan), folder, stop)
}

#[test]
fn figures_that_the_library_does_not_know_select_the_best_epoch_and_are_recorded() {
    let world = SmallWorld::new(12, 4);
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let mut shown = Vec::new();
    let mut trainer = trainer(&world, &folder, || Box::<Gap>::default(), "val_gap");
    let outcome = trainer.carry_on(&mut |event| {
        if let Event::Evaluated(report) = event {
            shown.push((report.epoch, report.shown.clone(), report.best.clone().unwrap().epoch));
        }
    });
    let best = outcome.unwrap().progress.best.unwrap();

    let gaps: Vec<f64> = folder.metrics().unwrap().iter().filter_map(gap).collect();
    assert_eq!(gaps.len(), 3);
    let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(
        best.figures.get("gap"),
        Some(least),
        "of a figure of which less is better, the least is best: {gaps:?}"
    );
    assert_eq!(best.figures.get("batches"), Some(3.0), "12 images in batches of 5");
    assert_eq!(saved_progress(&folder.last_checkpoint()).unwrap().best, Some(best));
    assert_eq!(shown.len(), 3);
    assert_eq!((shown[0].0, shown[0].1.as_slice(), shown[0].2), (1, &[GAP][..], 1));

    folder.derive().unwrap();
    let table = fs::read_to_string(folder.root().join("metrics.csv")).unwrap();
    assert!(table.starts_with("kind,step,epoch,split,loss,batches,gap,lr,"), "{table}");
}

fn gap(record: &MetricsRecord) -> Option<f64> {
    match record {
        MetricsRecord::Evaluation(record) => record.figures.get("gap"),
        _ => None,
    }
}

#[test]
fn a_figure_that_is_not_finite_ends_the_run_and_no_epoch_is_kept() {
    let world = SmallWorld::new(12, 4);
    let folder = RunFolder::create(&world.path("run")).unwrap();
    let broken = || -> Box<dyn Measure> { Box::new(Gap { instead: Some(f64::NAN), ..Gap::default() }) };
    let error = trainer(&world, &folder, broken, "val_batches").carry_on(&mut |_| {}).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { .. }), "{error}");
    assert!(error.to_string().contains("the gap of validation is NaN"), "{error}");
    assert!(!folder.best_checkpoint().exists() && !folder.last_checkpoint().exists());
}
