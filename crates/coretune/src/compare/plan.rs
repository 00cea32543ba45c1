//! Which runs a comparison consists of, and which of them come next.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::context::RunContext;
use super::identity::{identity, runs_folder};
use super::measured::Measured;
use super::tuning::{Choice, Point, Space, Step, next_step};
use super::{CompareError, ComparedConfig, Entry, Request};

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// What makes it this run: its folder has this name.
    pub identity: String,
    /// The row that it belongs to.
    pub entry: Entry,
    /// Training labels of each class, if the comparison has several budgets.
    pub budget: Option<usize>,
    /// Its seed.
    pub seed: u64,
    /// The settings that are tuned, by key.
    pub tuned: Vec<(&'static str, String)>,
    /// Its resolved configuration.
    pub config: ComparedConfig,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Finished(Measured),
    /// It diverged or failed, as this sentence says.
    Failed(String),
}

/// The search for the settings of a row.
pub(super) enum Chosen {
    /// Runs that have to end first.
    Open(Vec<Rc<PlannedRun>>),
    Settings(Choice),
    /// Every trial failed, the first as this sentence says.
    Failed(String),
}

/// The runs of a comparison, and what is known of them.
pub(super) struct Plan<'a> {
    pub(super) request: &'a Request,
    context: RunContext,
    /// By identity; `None`: it has not ended.
    outcomes: RefCell<HashMap<String, Option<Rc<Outcome>>>>,
    /// Runs and spaces that were made before: every step of the plan asks for all of them.
    runs: RefCell<HashMap<RunKey, Rc<PlannedRun>>>,
    spaces: RefCell<HashMap<RowKey, Option<Rc<Space>>>>,
}

/// The name of an entry, and a budget.
type RowKey = (String, Option<usize>);

/// A row, a seed, and settings.
type RunKey = (RowKey, u64, Point);

impl<'a> Plan<'a> {
    pub(super) fn new(request: &'a Request, context: RunContext) -> Self {
        Plan { request, context, outcomes: RefCell::default(), runs: RefCell::default(), spaces: RefCell::default() }
    }

    /// The folder of a run.
    pub(super) fn folder(&self, identity: &str) -> PathBuf {
        runs_folder(&self.request.output).join(identity)
    }

    /// The run of an entry with these settings.
    pub(super) fn run(
        &self,
        entry: &Entry,
        budget: Option<usize>,
        seed: u64,
        point: &Point,
    ) -> Result<Rc<PlannedRun>, CompareError> {
        let key = ((entry.name.clone(), budget), seed, point.clone());
        if let Some(known) = self.runs.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let run = Rc::new(self.resolved_run(entry, budget, seed, point)?);
        self.runs.borrow_mut().insert(key, Rc::clone(&run));
        Ok(run)
    }

    fn resolved_run(
        &self,
        entry: &Entry,
        budget: Option<usize>,
        seed: u64,
        point: &Point,
    ) -> Result<PlannedRun, CompareError> {
        let config = self.request.config(entry, budget, seed, point)?;
        let mut config = self.context.resolve(&config);
        let identity = identity(&config, &self.context.inputs);
        let section = config.run_mut();
        (section.output, section.experiment) = (Some(self.folder(&identity)), None);
        let tuned = point.iter().map(|(key, value)| (*key, value.clone())).collect();
        Ok(PlannedRun { identity, entry: entry.clone(), budget, seed, tuned, config })
    }

    fn space(&self, entry: &Entry, budget: Option<usize>) -> Result<Option<Rc<Space>>, CompareError> {
        let key = (entry.name.clone(), budget);
        if let Some(known) = self.spaces.borrow().get(&key) {
            return Ok(known.clone());
        }
        let space = self.request.space(entry, budget)?.map(Rc::new);
        self.spaces.borrow_mut().insert(key, space.clone());
        Ok(space)
    }

    /// How a run has ended, from its folder if this is not known yet.
    pub(super) fn outcome(&self, identity: &str) -> Result<Option<Rc<Outcome>>, CompareError> {
        if let Some(known) = self.outcomes.borrow().get(identity) {
            return Ok(known.clone());
        }
        let measured = Measured::read(&self.folder(identity), self.request.task, self.context.classes())?;
        let outcome = measured.map(|measured| Rc::new(Outcome::Finished(measured)));
        self.outcomes.borrow_mut().insert(identity.into(), outcome.clone());
        Ok(outcome)
    }

    /// How many runs of the comparison have finished.
    pub(super) fn finished(&self) -> usize {
        let outcomes = self.outcomes.borrow();
        outcomes.values().flatten().filter(|outcome| matches!(***outcome, Outcome::Finished(_))).count()
    }

    /// Records that a run has ended: it finished, or it failed with a sentence.
    pub(super) fn ended(&self, identity: &str, failure: Option<String>) -> Result<Option<String>, CompareError> {
        self.outcomes.borrow_mut().remove(identity);
        let failure = match failure {
            None if self.outcome(identity)?.is_none() => Some("it ended without a result".to_string()),
            failure => failure,
        };
        if let Some(sentence) = &failure {
            self.outcomes.borrow_mut().insert(identity.into(), Some(Rc::new(Outcome::Failed(sentence.clone()))));
        }
        Ok(failure)
    }

    /// The settings of a row, or the runs that have to end before they are known.
    pub(super) fn chosen(&self, entry: &Entry, budget: Option<usize>) -> Result<Chosen, CompareError> {
        let Some(space) = self.space(entry, budget)? else {
            return Ok(Chosen::Settings(Choice { point: Point::new(), tried: Vec::new(), edges: Vec::new() }));
        };
        let seed = self.request.seeds_to_run()[0];
        let error = RefCell::new(None);
        let failure = RefCell::new(None);
        let score = |point: &Point| {
            let outcome = self.run(entry, budget, seed, point).and_then(|run| self.outcome(&run.identity));
            match outcome.as_ref().map(Option::as_deref) {
                Ok(Some(Outcome::Finished(measured))) => Some(measured.validation_score),
                Ok(Some(Outcome::Failed(sentence))) => {
                    failure.borrow_mut().get_or_insert_with(|| sentence.clone());
                    Some(f64::INFINITY)
                }
                Ok(None) => None,
                Err(_) => {
                    error.replace(outcome.err());
                    Some(f64::INFINITY)
                }
            }
        };
        let step = next_step(&space, &score);
        if let Some(error) = error.take() {
            return Err(error);
        }
        match step {
            Step::Try(points) => {
                let runs = points.iter().map(|point| self.run(entry, budget, seed, point));
                Ok(Chosen::Open(runs.collect::<Result<_, _>>()?))
            }
            Step::Chosen(choice) => Ok(Chosen::Settings(choice)),
            Step::AllFailed(tried) => {
                let (trials, first) = (tried.len(), failure.take().unwrap_or_default());
                Ok(Chosen::Failed(format!("all {trials} trials failed, the first with: {first}")))
            }
        }
    }

    /// The runs that have not ended, each with how many like it there are: where settings are still to be chosen, the first
    /// open trial with the most runs that the row can still have.
    pub(super) fn left(&self) -> Result<Vec<(Rc<PlannedRun>, usize)>, CompareError> {
        let mut left: Vec<(Rc<PlannedRun>, usize)> = Vec::new();
        let seeds = self.request.seeds_to_run();
        for budget in self.request.budgets_to_run() {
            for entry in &self.request.entries {
                let runs: Vec<(Rc<PlannedRun>, usize)> = match self.chosen(entry, budget)? {
                    Chosen::Failed(_) => Vec::new(),
                    Chosen::Open(trials) => {
                        let more = seeds.len() - 1 + self.trials_left(entry, budget)?.max(trials.len());
                        trials.into_iter().take(1).map(|first| (first, more)).collect()
                    }
                    Chosen::Settings(Choice { point, .. }) => {
                        let run = |&seed: &u64| Ok((self.run(entry, budget, seed, &point)?, 1));
                        seeds.iter().map(run).collect::<Result<_, CompareError>>()?
                    }
                };
                for (run, count) in runs {
                    let is_new = left.iter().all(|(known, _)| known.identity != run.identity);
                    if is_new && self.outcome(&run.identity)?.is_none() {
                        left.push((run, count));
                    }
                }
            }
        }
        Ok(left)
    }

    /// Trials of a row that have not ended, at most.
    fn trials_left(&self, entry: &Entry, budget: Option<usize>) -> Result<usize, CompareError> {
        let most = self.space(entry, budget)?.map_or(0, |space| space.most_trials());
        let (row, outcomes) = ((entry.name.clone(), budget), self.outcomes.borrow());
        let runs = self.runs.borrow();
        let of_row = runs.iter().filter(|((of, _, _), _)| *of == row).map(|(_, run)| &run.identity);
        let ended = of_row.filter(|identity| matches!(outcomes.get(*identity), Some(Some(_)))).count();
        Ok(most.saturating_sub(ended))
    }

    /// Every run that can be begun or resumed now: trials first, then seed after seed, in the order of the rows.
    pub(super) fn next_runs(&self) -> Result<Vec<Rc<PlannedRun>>, CompareError> {
        let mut runs = Vec::new();
        let mut settled = Vec::new();
        for budget in self.request.budgets_to_run() {
            for entry in &self.request.entries {
                match self.chosen(entry, budget)? {
                    Chosen::Open(trials) => runs.extend(trials),
                    Chosen::Settings(choice) => settled.push((entry, budget, choice.point)),
                    Chosen::Failed(_) => {}
                }
            }
        }
        for seed in self.request.seeds_to_run() {
            for (entry, budget, point) in &settled {
                runs.push(self.run(entry, *budget, seed, point)?);
            }
        }
        let mut next: Vec<Rc<PlannedRun>> = Vec::new();
        for run in runs {
            let is_new = next.iter().all(|known| known.identity != run.identity);
            if is_new && self.outcome(&run.identity)?.is_none() {
                next.push(run);
            }
        }
        Ok(next)
    }
}

/// Seconds that a run is expected to take: as the runs of its entry at its budget took, else the longest of its budget,
/// else the longest of all.
pub(super) fn expected_seconds(run: &PlannedRun, known: &[(PlannedRun, f64)]) -> Option<f64> {
    let longest = |like: &dyn Fn(&PlannedRun) -> bool| {
        known.iter().filter(|(other, _)| like(other)).map(|(_, seconds)| *seconds).reduce(f64::max)
    };
    longest(&|other| other.entry == run.entry && other.budget == run.budget)
        .or_else(|| longest(&|other| other.budget == run.budget))
        .or_else(|| longest(&|_| true))
}
