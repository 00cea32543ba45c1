//! What the runs of a comparison will cost.

use std::rc::Rc;

use serde::Serialize;

use super::CompareError;
use super::plan::{Plan, PlannedRun, expected_seconds};

/// How many runs a comparison makes, and how long they take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outlook {
    /// Rows of each budget.
    pub rows: usize,
    /// Seeds of each row.
    pub seeds: usize,
    /// Labelled budgets.
    pub budgets: usize,
    /// Runs in all, trials included.
    pub runs: usize,
    /// Whether there may be fewer, as the results decide which settings are tried.
    pub at_most: bool,
    /// Runs that have finished before.
    pub finished: usize,
    /// Seconds that the others will take, so many at a time as were asked for; null without an estimate.
    pub seconds: Option<f64>,
}

impl Outlook {
    /// Of what is left of a plan, given the seconds of a run.
    pub(super) fn of(plan: &Plan<'_>, estimate: Option<f64>) -> Result<Self, CompareError> {
        let left = plan.left()?;
        let finished = plan.finished();
        Ok(Outlook {
            rows: plan.request.entries.len(),
            seeds: plan.request.seeds,
            budgets: plan.request.budgets_to_run().len(),
            runs: finished + left.iter().map(|(_, count)| count).sum::<usize>(),
            at_most: left.iter().any(|(_, count)| *count > 1),
            finished,
            seconds: seconds_left(plan, &[], estimate)?,
        })
    }

    /// Both, one after the other: the rows and seeds are those of the first.
    pub(super) fn then(self, next: Outlook) -> Self {
        Outlook {
            runs: self.runs + next.runs,
            at_most: self.at_most || next.at_most,
            finished: self.finished + next.finished,
            seconds: self.seconds.zip(next.seconds).map(|(first, next)| first + next),
            ..self
        }
    }
}

/// Seconds that the runs of a plan that have not ended will take: as those that are known took, else as estimated.
pub(super) fn seconds_left(
    plan: &Plan<'_>,
    known: &[(PlannedRun, f64)],
    estimate: Option<f64>,
) -> Result<Option<f64>, CompareError> {
    let left = plan.left()?;
    let of_run =
        |(run, count): &(Rc<PlannedRun>, usize)| Some(*count as f64 * expected_seconds(run, known).or(estimate)?);
    let all: Option<f64> = left.iter().map(of_run).sum();
    Ok(all.map(|seconds| seconds / plan.request.jobs as f64))
}
