//! Settings of one method searched: every point of a grid, random points, or random points of which the worse are dropped
//! while runs become longer.
//!
//! A sweep is one comparison, or with successive halving several in one folder, whose rows are the points. So its runs have
//! the same identities, a sweep that was killed is resumed by asking again, and its table is that of a comparison.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::edge::best_at_edge;
use super::entry::OWN;
use super::tuning::short;
use super::{
    Axis, CarryOut, CompareError, ComparedTask, Comparison, Entry, Observer, Outlook, Request, Row, compare, formats,
    outlook,
};
use crate::config::{Kind, Layers, find_setting, setting_called};
use crate::engine::Stop;
use crate::files::write_whole;
use crate::objectives::Method;
use crate::random::{Purpose, Stream, stream};
use crate::settings::{RunKind, choice};

choice! {
    /// How the points of a sweep are chosen.
    Search {
        /// Every combination of the values.
        Grid = "grid",
        /// Points drawn at random, each independently.
        Random = "random",
        /// Random points: short runs of all, of which the better third is run three times as long, and so on (Jamieson and
        /// Talwalkar, AISTATS 2016, arXiv:1502.07943).
        Halving = "halving",
    }
}

/// What is searched, and how.
#[derive(Debug, Clone)]
pub struct SweepRequest {
    /// What the runs do.
    pub task: ComparedTask,
    /// Settings of every run, the method among them.
    pub layers: Layers,
    /// The settings that vary.
    pub dimensions: Vec<Dimension>,
    /// How points are chosen.
    pub search: Search,
    /// Points of a random search.
    pub points: usize,
    /// Runs of each point, with consecutive seeds; in successive halving, of the points of the last stage.
    pub seeds: usize,
    /// Runs at a time.
    pub jobs: usize,
    /// No run is begun that would not end within this time.
    pub deadline: Option<Duration>,
    /// The folder of the sweep.
    pub output: PathBuf,
}

/// A setting that varies.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    key: &'static str,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// As text.
    List(Vec<String>),
    /// From the first to the second number; by their logarithm if both are above 0.
    Between(f64, f64),
}

/// The result of a sweep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sweep {
    /// How points were chosen: `grid`, `random`, `halving`.
    pub search: String,
    /// The settings that vary, by key, each with its values or its range.
    pub dimensions: BTreeMap<String, String>,
    /// The stages, one unless points were dropped.
    pub stages: Vec<Stage>,
    /// The settings with the best score on the validation images in the last stage; null if no run has finished.
    pub best: Option<Best>,
    /// The table of the last stage.
    pub comparison: Comparison,
}

/// Runs of equal length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Passes over the training images.
    pub epochs: i64,
    /// The points, the best first; those without a finished run last.
    pub points: Vec<Scored>,
}

/// A point with what it measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The row of the table.
    pub name: String,
    /// What points are ranked by, the lowest being the best: [`Row::validation_score`].
    pub validation_score: Option<f64>,
    /// Mean top-1 accuracy, a fraction; null for segmentation.
    pub top1: Option<f64>,
    /// Mean IoU, a fraction; null for classification.
    pub mean_iou: Option<f64>,
}

/// The chosen point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The row of the table.
    pub name: String,
    /// Its settings by key; empty for the settings that the sweep started from.
    pub settings: BTreeMap<String, String>,
    /// Settings whose best value is at the edge of those tried, a sentence each.
    pub edges: Vec<String>,
}

/// Of the points of a stage one in so many is run longer, and so many times as long.
const REDUCTION: usize = 3;

impl Dimension {
    /// Reads `KEY=VALUE,VALUE,...`, or `KEY=LOW..HIGH` for a range of numbers.
    ///
    /// # Errors
    /// [`CompareError::Axis`], and [`CompareError::Setting`] for a key or a value that does not exist.
    pub fn parse(text: &str) -> Result<Self, CompareError> {
        let range = text.split_once('=').and_then(|(key, values)| Some((key, values.split_once("..")?)));
        let Some((key, (low, high))) = range else {
            let Axis { key, values } = Axis::parse(text)?;
            return Ok(Dimension { key, values: Values::List(values) });
        };
        let refused = |found: &str| CompareError::Axis { axis: text.into(), found: found.into() };
        let refused_setting = |error| CompareError::Setting { of: text.into(), error: Box::new(error) };
        let setting = setting_called(key.trim()).map_err(refused_setting)?;
        if OWN.contains(&setting.key) {
            return Err(refused("the sweep itself gives this setting"));
        }
        if !matches!(setting.kind, Kind::Number(_) | Kind::Whole(..)) {
            return Err(refused("its values are not numbers, so they have no range"));
        }
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let (Some(low), Some(high)) = (number(low), number(high)) else {
            return Err(refused("a range is LOW..HIGH, two numbers"));
        };
        if low >= high {
            return Err(refused("the range is empty"));
        }
        let dimension = Dimension { key: setting.key, values: Values::Between(low, high) };
        for end in [low, high] {
            let value = dimension.written(end);
            Layers::defaults().assignment(&format!("{}={value}", setting.key)).map_err(refused_setting)?;
        }
        Ok(dimension)
    }

    /// A number as the setting takes it.
    fn written(&self, number: f64) -> String {
        let whole = find_setting(self.key).is_some_and(|setting| matches!(setting.kind, Kind::Whole(..)));
        if whole { format!("{}", number.round() as i64) } else { short(number) }
    }

    fn draw(&self, stream: &mut Stream) -> String {
        match &self.values {
            Values::List(values) => values[stream.random_range(0..values.len())].clone(),
            Values::Between(low, high) if *low > 0.0 => {
                self.written(stream.random_range(low.ln()..=high.ln()).exp().clamp(*low, *high))
            }
            Values::Between(low, high) => self.written(stream.random_range(*low..=*high)),
        }
    }

    /// The values or the range, as text.
    fn described(&self) -> String {
        match &self.values {
            Values::List(values) => values.join(","),
            Values::Between(low, high) => format!("{}..{}", self.written(*low), self.written(*high)),
        }
    }
}

/// Searches the settings of a method: carries out every run that is not there yet by calling `carry_out`, and writes
/// `sweep.json` beside the tables of the comparison.
///
/// # Errors
/// As [`compare`].
pub fn sweep(
    request: &SweepRequest,
    carry_out: &CarryOut<'_>,
    stop: &Stop,
    observer: &mut Observer<'_>,
) -> Result<Sweep, CompareError> {
    let (started, start) = (Instant::now(), request.start()?);
    let lengths = request.lengths()?;
    let mut points = request.points()?;
    let mut stages = Vec::new();
    let mut last = None;
    for (index, &epochs) in lengths.iter().enumerate() {
        let is_last = index + 1 == lengths.len();
        let seeds = if is_last { request.seeds } else { 1 };
        let deadline = request.deadline.map(|deadline| deadline.saturating_sub(started.elapsed()));
        let of_stage = Request { deadline, ..request.comparison(&start, &points, (epochs, seeds))? };
        let comparison = compare(&of_stage, carry_out, stop, observer)?;
        let ranked = ranked(&comparison);
        let kept = points.len().div_ceil(REDUCTION);
        let names: Vec<&str> = ranked.iter().map(|row| &*row.method).filter(|name| *name != start.name).collect();
        let better: Vec<Entry> =
            names.iter().take(kept).filter_map(|name| points.iter().find(|p| p.name == *name).cloned()).collect();
        stages.push(Stage { epochs, points: ranked.iter().map(|row| Scored::of(row)).collect() });
        points = if is_last { points } else { better };
        last = Some(comparison);
    }
    let mut comparison = last.ok_or(CompareError::Nothing { what: "the number of points" })?;
    let best = request.best(&comparison, &start, &points);
    let row = |best: &Best| comparison.rows.iter().find(|row| row.method == best.name)?.runs.first().cloned();
    comparison.best_run = best.as_ref().and_then(row);
    formats::write(&comparison, &request.output)?;
    let result = Sweep {
        search: request.search.to_string(),
        dimensions: request.dimensions.iter().map(|d| (d.key.to_string(), d.described())).collect(),
        best,
        stages,
        comparison,
    };
    result.write(&request.output)?;
    Ok(result)
}

/// How many runs [`sweep`] would make and how long they would take; writes nothing.
///
/// # Errors
/// What `sweep` would be refused with.
pub fn sweep_outlook(
    request: &SweepRequest,
    stop: &Stop,
    observer: &mut Observer<'_>,
) -> Result<Outlook, CompareError> {
    let (start, lengths, mut points) = (request.start()?, request.lengths()?, request.points()?);
    let mut all: Option<Outlook> = None;
    for (index, &epochs) in lengths.iter().enumerate() {
        let seeds = if index + 1 == lengths.len() { request.seeds } else { 1 };
        let of_stage = outlook(&request.comparison(&start, &points, (epochs, seeds))?, stop, observer)?;
        all = Some(all.map_or(of_stage, |before| before.then(of_stage)));
        // Which points are kept is open, not how many.
        points.truncate(points.len().div_ceil(REDUCTION));
    }
    all.ok_or(CompareError::Nothing { what: "the number of points" })
}

/// The rows, that with the best score on the validation images first, those without a finished run last.
fn ranked(comparison: &Comparison) -> Vec<&Row> {
    let score = |row: &&Row| row.validation_score.as_ref().map_or(f64::INFINITY, |spread| spread.mean);
    let mut rows: Vec<&Row> = comparison.rows.iter().collect();
    rows.sort_by(|a, b| score(a).total_cmp(&score(b)));
    rows
}

impl Scored {
    fn of(row: &Row) -> Self {
        let mean = |spread: &Option<super::Spread>| spread.as_ref().map(|spread| spread.mean);
        Scored {
            name: row.method.clone(),
            validation_score: mean(&row.validation_score),
            top1: mean(&row.top1),
            mean_iou: mean(&row.mean_iou),
        }
    }
}

impl Sweep {
    /// The name of the file that a sweep is written to, beside the tables of its comparison.
    pub const FILE: &str = "sweep.json";

    fn write(&self, output: &std::path::Path) -> Result<(), CompareError> {
        let json = serde_json::to_string_pretty(self).expect("numbers and texts have a spelling in JSON") + "\n";
        let path = output.join(Self::FILE);
        write_whole(&path, json.as_bytes()).map_err(|source| CompareError::Io { path, action: "written", source })
    }
}

impl SweepRequest {
    /// The method with the settings of the layers: the row that the points are compared with.
    fn start(&self) -> Result<Entry, CompareError> {
        let name = self.layers.get("method.name").and_then(toml::Value::as_str).unwrap_or_default();
        let method = Method::named(RunKind::FineTuning, name)
            .ok_or_else(|| CompareError::UnknownMethod { name: name.into(), known: super::all_entries(self.task) })?;
        Ok(Entry { name: method.word.into(), method: method.word, settings: Vec::new() })
    }

    fn point(&self, start: &Entry, values: Vec<String>) -> Entry {
        let settings: Vec<(&'static str, String)> = self.dimensions.iter().map(|d| d.key).zip(values).collect();
        let short_name = |key: &'static str| {
            let name = key.split_once('.').map_or(key, |(_, name)| name);
            if setting_called(name).is_ok_and(|setting| setting.key == key) { name } else { key }
        };
        let parts: Vec<String> = settings.iter().map(|(key, value)| format!("{}={value}", short_name(key))).collect();
        Entry { name: format!("{}:{}", start.name, parts.join(":")), method: start.method, settings }
    }

    /// The points to be run, each once.
    fn points(&self) -> Result<Vec<Entry>, CompareError> {
        if self.dimensions.is_empty() {
            return Err(CompareError::Nothing { what: "the number of settings that vary" });
        }
        for (index, dimension) in self.dimensions.iter().enumerate() {
            if self.dimensions[..index].iter().any(|earlier| earlier.key == dimension.key) {
                return Err(CompareError::Axis { axis: dimension.key.into(), found: "it is given twice".into() });
            }
        }
        let start = self.start()?;
        let method = Method::named(RunKind::FineTuning, start.method);
        for dimension in &self.dimensions {
            let of_a_method =
                Method::settings_of(RunKind::FineTuning).iter().any(|setting| setting.key == dimension.key);
            if of_a_method && !method.is_some_and(|method| method.reads(dimension.key)) {
                return Err(CompareError::NothingToTune { key: dimension.key });
            }
        }
        let all = if self.search == Search::Grid { self.grid()? } else { self.random() };
        let mut points: Vec<Entry> = Vec::new();
        for values in all {
            let point = self.point(&start, values);
            if points.iter().all(|known| known.name != point.name) {
                points.push(point);
            }
        }
        Ok(points)
    }

    fn grid(&self) -> Result<Vec<Vec<String>>, CompareError> {
        let mut points = vec![Vec::new()];
        for Dimension { key, values } in &self.dimensions {
            let Values::List(values) = values else {
                let found = "a range has no grid: list its values, or search at random".into();
                return Err(CompareError::Axis { axis: (*key).into(), found });
            };
            let with = |point: &Vec<String>| {
                let point = point.clone();
                values.iter().map(move |value| [&point[..], std::slice::from_ref(value)].concat()).collect::<Vec<_>>()
            };
            points = points.iter().flat_map(with).collect();
        }
        Ok(points)
    }

    fn random(&self) -> Vec<Vec<String>> {
        let seed = self.layers.get("train.seed").and_then(toml::Value::as_integer).unwrap_or_default();
        let point = |index: usize| {
            let mut stream = stream(seed as u64, Purpose::Sweep, 0, index as u64);
            self.dimensions.iter().map(|dimension| dimension.draw(&mut stream)).collect()
        };
        (0..self.points).map(point).collect()
    }

    /// Epochs of each stage, the last as in the layers.
    fn lengths(&self) -> Result<Vec<i64>, CompareError> {
        let epochs = self.layers.get("train.epochs").and_then(toml::Value::as_integer).unwrap_or(1);
        let varies = |key| self.dimensions.iter().any(|dimension| dimension.key == key);
        if self.search != Search::Halving {
            return Ok(vec![epochs]);
        }
        if varies("train.epochs") {
            let found = "successive halving sets the length of runs itself".into();
            return Err(CompareError::Axis { axis: "train.epochs".into(), found });
        }
        let (mut lengths, mut points) = (vec![epochs], self.points);
        while points > REDUCTION && lengths[0] > 1 {
            let shorter = (lengths[0] as usize).div_ceil(REDUCTION) as i64;
            lengths.insert(0, shorter);
            points = points.div_ceil(REDUCTION);
        }
        Ok(lengths)
    }

    /// The comparison of points with where they start, in runs of so many epochs and seeds.
    fn comparison(
        &self,
        start: &Entry,
        points: &[Entry],
        (epochs, seeds): (i64, usize),
    ) -> Result<Request, CompareError> {
        let mut layers = self.layers.clone();
        if self.search == Search::Halving {
            layers = layers.assignment(&format!("train.epochs={epochs}"))?;
        }
        Ok(Request {
            task: self.task,
            layers,
            entries: std::iter::once(start).chain(points).cloned().collect(),
            baseline: start.clone(),
            seeds,
            budgets: Vec::new(),
            tuning: None,
            jobs: self.jobs,
            deadline: self.deadline,
            output: self.output.clone(),
        })
    }

    fn best(&self, comparison: &Comparison, start: &Entry, points: &[Entry]) -> Option<Best> {
        let ranked = ranked(comparison);
        let score = ranked.first()?.validation_score.as_ref()?.mean;
        // A point with the settings that the sweep starts from is the same run as that row.
        let is_best = |row: &&&Row| row.validation_score.as_ref().is_some_and(|other| other.mean <= score);
        let best = ranked.iter().filter(is_best).find(|row| row.method != start.name).or(ranked.first())?;
        let entry = points.iter().find(|point| point.name == best.method).unwrap_or(start);
        let settings: BTreeMap<String, String> =
            entry.settings.iter().map(|(key, value)| ((*key).to_string(), value.clone())).collect();
        let edge = |dimension: &Dimension| {
            let tried = points.iter().filter_map(|point| point.settings.iter().find(|(key, _)| *key == dimension.key));
            best_at_edge(dimension.key, settings.get(dimension.key)?, tried.map(|(_, value)| value.as_str()))
        };
        let edges = self.dimensions.iter().filter_map(edge).collect();
        Some(Best { name: best.method.clone(), edges, settings })
    }
}
