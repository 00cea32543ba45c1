//! The search for the settings of a method on the first seed.
//!
//! First the learning rate on its grid, then the method's own axes one after the other at the best learning rate so far,
//! then finer learning rates around the best with what is left of the trials. What is tried next depends on scores alone,
//! not on the order in which runs end, so a search that was killed is resumed by asking again.

use std::collections::BTreeMap;

use super::Axis;
use super::edge::best_at_edge;

/// Settings over those of an entry: values as text by key.
pub(super) type Point = BTreeMap<&'static str, String>;

/// The key of the learning rate.
pub(super) const LR: &str = "train.lr";

/// Neighbouring learning rates closer than this factor are not divided further.
const FINEST: f64 = 1.2;

/// What is tuned for one entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space {
    /// The value of each setting that is tuned, where the search starts.
    pub(super) start: Point,
    /// The grid of the learning rate; none if it is not tuned.
    pub(super) lr: Option<Axis>,
    /// The other axes, in the order in which they are tuned.
    pub(super) axes: Vec<Axis>,
    /// Runs that the search may make.
    pub(super) trials: usize,
}

/// The next step of a search.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// These settings have to be scored first.
    Try(Vec<Point>),
    /// The search has ended.
    Chosen(Choice),
    /// Every trial failed: these settings.
    AllFailed(Vec<Point>),
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) point: Point,
    /// All settings that were tried.
    pub(super) tried: Vec<Point>,
    /// Settings whose best value is the smallest or largest that was tried, a sentence each.
    pub(super) edges: Vec<String>,
}

/// The next step of a search over `space`. `score` gives the score of settings: `None` while they have not been tried,
/// infinite if their run failed; the lowest is the best.
pub(super) fn next_step(space: &Space, score: &dyn Fn(&Point) -> Option<f64>) -> Step {
    let mut search = Search { score, left: space.trials, tried: Vec::new() };
    match search.run(space) {
        Err(missing) => Step::Try(missing),
        Ok(()) => search.choice(space),
    }
}

struct Search<'a> {
    score: &'a dyn Fn(&Point) -> Option<f64>,
    left: usize,
    tried: Vec<(Point, f64)>,
}

impl Space {
    /// Runs that the search makes at most. A learning rate is divided until no trial is left.
    pub(super) fn most_trials(&self) -> usize {
        let values = || 1 + self.axes.iter().map(|axis| axis.values.len()).sum::<usize>();
        if self.lr.is_some() { self.trials } else { self.trials.min(values()) }
    }
}

impl Search<'_> {
    /// The whole search; an error holds the settings without a score that it comes to first.
    fn run(&mut self, space: &Space) -> Result<(), Vec<Point>> {
        let with = |point: &Point, key, value: &String| {
            let mut point = point.clone();
            point.insert(key, value.clone());
            point
        };
        let grid: Vec<Point> = match &space.lr {
            Some(axis) => axis.values.iter().map(|lr| with(&space.start, LR, lr)).collect(),
            None => vec![space.start.clone()],
        };
        self.try_all(grid)?;
        for axis in &space.axes {
            let Some(best) = self.best().cloned() else { return Ok(()) };
            self.try_all(axis.values.iter().map(|value| with(&best, axis.key, value)).collect())?;
        }
        while space.lr.is_some() && self.left > 0 {
            let Some(best) = self.best().cloned() else { return Ok(()) };
            let finer: Vec<Point> = self.finer_rates(&best).iter().map(|lr| with(&best, LR, lr)).collect();
            if finer.is_empty() {
                return Ok(());
            }
            self.try_all(finer)?;
        }
        Ok(())
    }

    /// Scores settings, as many as there are trials left for; those that were tried before cost none.
    fn try_all(&mut self, points: Vec<Point>) -> Result<(), Vec<Point>> {
        let new = points.into_iter().filter(|point| self.tried.iter().all(|(tried, _)| tried != point));
        let new: Vec<Point> = new.take(self.left).collect();
        let missing: Vec<Point> = new.iter().filter(|point| (self.score)(point).is_none()).cloned().collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        self.left -= new.len();
        self.tried.extend(new.into_iter().filter_map(|point| Some((point.clone(), (self.score)(&point)?))));
        Ok(())
    }

    /// The settings with the lowest score, the first of them on ties; none if all failed.
    fn best(&self) -> Option<&Point> {
        let finite = self.tried.iter().filter(|(_, score)| score.is_finite());
        finite.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(point, _)| point)
    }

    /// Learning rates between the best and its neighbours among those tried, the geometric mean of each gap.
    fn finer_rates(&self, best: &Point) -> Vec<String> {
        let mut rates: Vec<f64> = self.tried.iter().filter_map(|(point, _)| number(point, LR)).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let Some(rate) = number(best, LR) else { return Vec::new() };
        let Some(at) = rates.iter().position(|tried| tried.total_cmp(&rate).is_eq()) else { return Vec::new() };
        let gaps = [at.checked_sub(1).map(|below| (rates[below], rate)), rates.get(at + 1).map(|&above| (rate, above))];
        let open = gaps.into_iter().flatten().filter(|(low, high)| high / low > FINEST * FINEST);
        open.map(|(low, high)| short((low * high).sqrt())).collect()
    }

    fn choice(&self, space: &Space) -> Step {
        let tried = self.tried.iter().map(|(point, _)| point.clone()).collect();
        let Some(point) = self.best() else { return Step::AllFailed(tried) };
        let keys = space.lr.iter().chain(&space.axes).map(|axis| axis.key);
        let edge = |key: &'static str| {
            let tried = self.tried.iter().filter_map(|(point, _)| point.get(key));
            best_at_edge(key, point.get(key)?, tried.map(String::as_str))
        };
        let edges = keys.filter_map(edge).collect();
        Step::Chosen(Choice { point: point.clone(), tried, edges })
    }
}

fn number(point: &Point, key: &str) -> Option<f64> {
    point.get(key)?.parse().ok()
}

/// A number in three digits, as text that reads back to it.
pub(super) fn short(number: f64) -> String {
    let rounded: f64 = format!("{number:.2e}").parse().unwrap_or(number);
    toml::Value::Float(rounded).to_string()
}
