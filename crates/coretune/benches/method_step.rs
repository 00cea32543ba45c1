//! Times a step of every method of fine-tuning, and of what surrounds one, against cross-entropy, and prints the table of
//! `docs/methods.md`, section *Cost*.
//!
//!     cargo bench -p coretune --bench method_step -- --threads 1 --steps 40
//!     cargo bench -p coretune --bench method_step -- --case resnet18:64:64 --methods bss,dr-tune --steps 10
//!
//! A case is network:size:batch; without one they are ResNet-18 at 64 pixels with 64 images and ResNet-50 at 224 with 8. The rows
//! take turns, step by step, so that a disturbance meets all of them; a factor is the median over the turns of a row's time
//! divided by that of cross-entropy in the same turn. Time is that of the processor, which a busy machine disturbs least; with more
//! threads than one it counts those that wait as well. Two rows of cross-entropy show how far factors can be trusted. The classifier
//! has 10 outputs, the images are noise.

use std::error::Error;

use coretune::config::{Layers, RunConfig, RunKind};
use coretune::data::Batch;
use coretune::engine::{threads, versions};
use coretune::models::{Architecture, Backbone, Family, Linear, Model, Normalisation, ProjectionHead, Stem};
use coretune::objectives::{Method, Objective, Start};
use coretune::train::{LayerRates, Optimizer, Rule, StepInput, step};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 10;

/// Side of the images that fill the bank of DR-Tune before the first step.
const SIDE_OF_BANK: i64 = 32;

/// A network and its batch.
#[derive(Debug, Clone, Copy)]
struct Case {
    family: Family,
    size: i64,
    batch: i64,
}

/// A row of the table: its name and its settings.
struct Row {
    name: String,
    settings: Vec<String>,
}

struct Plan {
    cases: Vec<Case>,
    methods: Option<Vec<String>>,
    steps: usize,
    warm_up: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    if coretune_testing::prints_help(include_str!("method_step.rs")) {
        return Ok(());
    }
    // As the command line does.
    coretune_native::keep_freed_memory();
    let mut plan = Plan { cases: Vec::new(), methods: None, steps: 20, warm_up: 3 };
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--case" => plan.cases.push(case(&value)?),
            "--methods" => plan.methods = Some(value.split(',').map(ToString::to_string).collect()),
            "--threads" => threads::set(value.parse()?)?,
            "--steps" => plan.steps = value.parse()?,
            "--warm-up" => plan.warm_up = value.parse()?,
            _ => return Err(format!("{name} is no setting").into()),
        }
    }
    if plan.cases.is_empty() {
        plan.cases = vec![case("resnet18:64:64")?, case("resnet50:224:8")?];
    }
    measure(&plan)
}

fn case(text: &str) -> Result<Case, Box<dyn Error>> {
    let [family, size, batch] = text.split(':').collect::<Vec<_>>()[..] else {
        return Err(format!("{text} is not network:size:batch").into());
    };
    Ok(Case { family: family.parse()?, size: size.parse()?, batch: batch.parse()? })
}

/// The rows, cross-entropy first: the methods that make steps, then options with the method that they are shown with.
fn rows(methods: Option<&[String]>) -> Vec<Row> {
    let row = |name: &str, settings: &[&str]| Row {
        name: name.into(),
        settings: settings.iter().map(ToString::to_string).collect(),
    };
    let mut rows: Vec<Row> = Method::of(RunKind::FineTuning)
        .filter(|method| method.word != "linear-probe")
        .map(|method| {
            let of_method = format!("method.name={}", method.word);
            // How the channels are weighed does not change a step.
            let uniform = (method.word == "delta").then_some("method.delta_channels=uniform");
            row(method.word, &[Some(of_method.as_str()), uniform].into_iter().flatten().collect::<Vec<_>>())
        })
        .collect();
    for (name, option) in [
        ("cross-entropy again", "train.seed=0"),
        ("cross-entropy --regulariser l2-sp", "method.regulariser=l2-sp"),
        ("cross-entropy --regulariser spd", "method.regulariser=spd"),
        ("cross-entropy --regulariser delta", "method.regulariser=delta"),
        ("cross-entropy --sam 0.05", "train.sam=0.05"),
    ] {
        rows.push(row(name, &["method.name=cross-entropy", option]));
    }
    rows.push(row("core-tuning --two-views true", &["method.name=core-tuning", "method.two_views=true"]));
    rows.sort_by_key(|row| row.name != "cross-entropy");
    let is_asked = |row: &Row| row.name == "cross-entropy" || methods.is_none_or(|names| names.contains(&row.name));
    rows.retain(is_asked);
    rows
}

/// The configuration of a row; paths are not read.
fn configuration(settings: &[String]) -> Result<RunConfig, Box<dyn Error>> {
    let layers = ["checkpoint.path=none", "data.dir=none"]
        .iter()
        .try_fold(Layers::defaults(), |layers, text| layers.assignment(text))?;
    Ok(settings.iter().try_fold(layers, |layers, text| layers.assignment(text))?.validate()?)
}

/// The factors of a row in the turns of a case, beside those of steps that do what only every so many steps do.
struct Factors {
    usual: Vec<f64>,
    rare: Vec<f64>,
    every: Option<u64>,
}

impl Factors {
    /// The mean over a cycle of usual steps and a rare one.
    fn mean(&self) -> f64 {
        match (self.every, median(&self.rare)) {
            (Some(every), Some(rare)) => {
                let usual = median(&self.usual).unwrap_or(rare);
                usual + (rare - usual) / every as f64
            }
            _ => median(&self.usual).unwrap_or(f64::NAN),
        }
    }
}

fn measure(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let rows = rows(plan.methods.as_deref());
    let mut columns = Vec::new();
    for case in &plan.cases {
        columns.push(of_case(case, &rows, plan)?);
    }
    let names =
        plan.cases.iter().map(|case| format!("{}, {} pixels, batch {}", case.family.name(), case.size, case.batch));
    println!("| method | {} |", names.collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(plan.cases.len()));
    for (place, row) in rows.iter().enumerate() {
        let cells = columns.iter().map(|(seconds, factors)| cell(*seconds, &factors[place], place == 0));
        println!("| `{}` | {} |", row.name, cells.collect::<Vec<_>>().join(" | "));
    }
    let libtorch = versions().libtorch;
    println!(
        "\nTime of a step / that of cross-entropy in the same turn, median of {} turns (quartiles); {} threads, libtorch {libtorch}.",
        plan.steps,
        threads::get()
    );
    for (case, (_, factors)) in plan.cases.iter().zip(&columns) {
        for (row, factors) in rows.iter().zip(factors) {
            let (Some(every), Some(rare), Some(usual)) = (factors.every, median(&factors.rare), median(&factors.usual))
            else {
                continue;
            };
            let fraction = 100.0 * (rare - usual) / every as f64 / factors.mean();
            println!(
                "`{}`, {}: the singular value decomposition of every {every}th step is {fraction:.1} % of its time.",
                row.name,
                case.family.name()
            );
        }
    }
    Ok(())
}

fn cell(seconds: f64, factors: &Factors, is_first: bool) -> String {
    if is_first {
        return format!("1 ({:.0} ms)", 1000.0 * seconds);
    }
    let [low, high] = [0.25, 0.75].map(|fraction| quantile(&factors.usual, fraction).unwrap_or(f64::NAN));
    format!("{:.2} ({low:.2} to {high:.2})", factors.mean())
}

/// Seconds of a step of cross-entropy, and the factors of each row.
fn of_case(case: &Case, rows: &[Row], plan: &Plan) -> Result<(f64, Vec<Factors>), Box<dyn Error>> {
    let mut trained: Vec<Training> = rows.iter().map(|row| Training::new(case, row)).collect::<Result<_, _>>()?;
    let mut seconds = Vec::new();
    let mut factors: Vec<Factors> =
        trained.iter().map(|training| Factors { usual: vec![], rare: vec![], every: training.every }).collect();
    for turn in 0..plan.warm_up + plan.steps {
        let mut first = None;
        for (training, factors) in trained.iter_mut().zip(&mut factors) {
            let is_rare = training.every.is_some_and(|every| training.optimizer.updates().is_multiple_of(every));
            let before = coretune_native::processor_seconds();
            training.step()?;
            let taken = coretune_native::processor_seconds() - before;
            let factor = taken / *first.get_or_insert(taken);
            if turn >= plan.warm_up {
                if is_rare { factors.rare.push(factor) } else { factors.usual.push(factor) }
            }
        }
        if turn >= plan.warm_up {
            seconds.extend(first);
        }
        eprintln!("{}: turn {} of {}", case.family.name(), turn + 1, plan.warm_up + plan.steps);
    }
    Ok((median(&seconds).unwrap_or(f64::NAN), factors))
}

/// A model in training on one batch.
struct Training {
    model: Model,
    objective: Box<dyn Objective>,
    optimizer: Optimizer,
    batch: Batch,
    sharpness: Option<f64>,
    /// Every so many steps do more than the others.
    every: Option<u64>,
}

impl Training {
    fn new(case: &Case, row: &Row) -> Result<Self, Box<dyn Error>> {
        let config = configuration(&row.settings)?;
        let mut objective = config.method.build(0.0).ok_or("no objective")?;
        let architecture = Architecture { family: case.family, stem: Stem::Imagenet, width: 1.0 };
        let backbone = Backbone::new(&architecture, 0, Device::Cpu)?;
        let width = backbone.feature_width();
        let classifier = Linear::classifier(width, CLASSES, 0, Device::Cpu)?;
        let projection =
            objective.needs().projection.then(|| ProjectionHead::new(width, ProjectionHead::WIDTH, 0, Device::Cpu));
        let model = Model::new(backbone, classifier, projection.transpose()?, Normalisation::IMAGENET)?;
        // The contrast of COIN's first steps comes without a classifier: what is timed are the others.
        let steps = if objective.name() == "coin" { 1 } else { 1 << 20 };
        objective.begin(&Start { network: &model, seed: 0, steps, probe: None })?;
        let mut seen = 0;
        while seen < objective.needs().preparation {
            let images = batch(SIDE_OF_BANK, 256, 1);
            StepInput::new(&model, &mut *objective, &images, (0, 0)).prepare()?;
            seen += images.labels.len();
        }
        let rates = LayerRates { layer_decay: 1.0, head_factor: 1.0 };
        let rule = Rule::Sgd { momentum: 0.9, nesterov: true };
        let optimizer = Optimizer::new(&model, rule, rates, config.train.weight_decay, None).pulled(objective.pulls());
        let every = config.method.values.get("dr_tune_rotate_every").and_then(toml::Value::as_integer);
        let batch = batch(case.size, case.batch, objective.needs().views as i64);
        let every = every.and_then(|every| u64::try_from(every).ok());
        Ok(Training { model, objective, optimizer, batch, sharpness: config.train.sam, every })
    }

    fn step(&mut self) -> Result<(), Box<dyn Error>> {
        let draw = (0, self.optimizer.updates());
        let mut input = StepInput::new(&self.model, self.objective.as_mut(), &self.batch, draw);
        input.sharpness = self.sharpness;
        step(input, &mut self.optimizer, 1e-4)?;
        Ok(())
    }
}

fn batch(size: i64, images: i64, views: i64) -> Batch {
    Batch {
        images: Tensor::randint(256, [views * images, size, size, 3], (Kind::Uint8, Device::Cpu)),
        masks: None,
        labels: (0..images).map(|index| index % CLASSES).collect(),
        indices: (0..images as usize).collect(),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which `fraction` of the values are, between two of them if need be.
fn quantile(values: &[f64], fraction: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = fraction * (sorted.len().checked_sub(1)?) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}
