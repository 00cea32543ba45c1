//! Carries the runs of a comparison out, several at a time, until nothing is left to run.

use std::any::Any;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::context::RunContext;
use super::identity::runs_folder;
use super::outlook::{Outlook, seconds_left};
use super::plan::{Outcome, Plan, PlannedRun, expected_seconds};
use super::tabulate::{left_out, tabulate};
use super::{CompareError, Comparison, Request, formats};
use crate::engine::Stop;
use crate::files::{is_locked, write_whole};
use crate::run_folder::RunFolder;
use crate::runs::{self, Options, RunError};
use crate::train;

/// A run to be carried out.
#[derive(Debug)]
pub struct Order<'a> {
    /// The run.
    pub run: &'a PlannedRun,
    /// Its configuration as a file.
    pub config: &'a Path,
    /// Its folder.
    pub folder: &'a Path,
    /// Whether the folder holds a run that was begun before and is to be resumed.
    pub begun: bool,
    /// Asks the run to save its state and stop.
    pub stop: &'a Stop,
}

/// What happens in a comparison.
#[derive(Debug)]
pub enum Event<'a> {
    /// The images and the checkpoint are checked before anything is run.
    Work(&'a train::Event),
    /// Something the user should know, a sentence.
    Note(String),
    /// What is to be run, before the first run.
    Planned(Outlook),
    /// A run is begun or resumed.
    Started(&'a PlannedRun, Place),
    /// A run has finished.
    Finished(&'a PlannedRun, RunEnd),
    /// A run diverged or failed, as the sentence says.
    Failed(&'a PlannedRun, &'a str),
}

/// Which run of a comparison one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1 over those that this call begins.
    pub number: usize,
    /// How many it begins in all; while settings are chosen, at most.
    pub of: usize,
}

/// What a run that has finished measured and took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunEnd {
    /// Top-1 or mean IoU of the validation images.
    pub figure: f64,
    /// Seconds as the table has them: of the run itself, without the start of its process.
    pub seconds: f64,
    /// Seconds that the runs that have not ended will take.
    pub left: Option<f64>,
}

/// Receives the events of a comparison.
pub type Observer<'a> = dyn FnMut(&Event<'_>) + 'a;

/// Carries a run out; what kept it from its end is a sentence.
pub type CarryOut<'a> = dyn Fn(&Order<'_>) -> Result<(), String> + Sync + 'a;

/// Carries a run out in this process. Several at a time share the threads of the computation.
///
/// # Errors
/// What kept the run from its end, a sentence.
pub fn in_this_process(order: &Order<'_>) -> Result<(), String> {
    let config = &order.run.config;
    let ended = if order.begun {
        config.resume(order.folder, order.stop.clone())
    } else {
        config.begin(Options { stop: order.stop.clone(), ..Options::default() })
    };
    ended.map_err(|error| error.to_string())
}

/// Compares methods: carries out every run that is not there yet by calling `carry_out`, up to [`Request::jobs`] at a
/// time, and writes `table.md`, `table.csv`, `table.json` and `table.tex` into the folder of the comparison.
///
/// # Errors
/// What is wrong with the request or with images, checkpoint and machine, before anything is run;
/// [`CompareError::Interrupted`] when `stop` was requested: the same call resumes the comparison. A run that fails is
/// no error but part of the table.
pub fn compare(
    request: &Request,
    carry_out: &CarryOut<'_>,
    stop: &Stop,
    observer: &mut Observer<'_>,
) -> Result<Comparison, CompareError> {
    let started = Instant::now();
    let request = request.checked()?;
    check_folder(&request.output)?;
    let with_estimate = request.deadline.is_some();
    let (context, estimate) =
        RunContext::open(&request, with_estimate, stop, &mut |event| observer(&Event::Work(event)))?;
    let _lock = open_folder(&request.output)?;
    for note in &context.notes {
        observer(&Event::Note(note.clone()));
    }
    if !context.has_test {
        let note = "there is no test split: the figures are of the validation images, which chose the settings and the \
                    epochs, so they flatter every method";
        observer(&Event::Note(note.into()));
    }
    let plan = Plan::new(&request, context);
    observer(&Event::Planned(Outlook::of(&plan, estimate)?));
    let (taken, known) = (HashSet::new(), Vec::new());
    let mut queue = Queue { plan: &plan, stop, started, estimate, taken, known, ended: 0, late: 0 };
    queue.work(carry_out, observer)?;
    let comparison = tabulate(&plan, queue.late)?;
    let comparison = Comparison { left_out: left_out(&plan), ..comparison };
    formats::write(&comparison, &request.output)?;
    if stop.is_requested() {
        return Err(CompareError::Interrupted { finished: comparison.runs });
    }
    Ok(comparison)
}

/// How many runs [`compare`] would make and how long they would take. Opens images and checkpoint as it does,
/// times a few steps of the baseline, and writes nothing.
///
/// # Errors
/// What [`compare`] would be refused with.
pub fn outlook(request: &Request, stop: &Stop, observer: &mut Observer<'_>) -> Result<Outlook, CompareError> {
    let request = request.checked()?;
    check_folder(&request.output)?;
    let (context, estimate) = RunContext::open(&request, true, stop, &mut |event| observer(&Event::Work(event)))?;
    for note in &context.notes {
        observer(&Event::Note(note.clone()));
    }
    Outlook::of(&Plan::new(&request, context), estimate)
}

/// What an error of the system was met with.
fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> CompareError + use<> {
    let path = path.to_path_buf();
    move |source| CompareError::Io { path, action, source }
}

/// Refuses a folder that is not that of a comparison, or that another comparison uses; makes nothing.
fn check_folder(output: &Path) -> Result<(), CompareError> {
    if RunFolder::holds_run(output) {
        return Err(CompareError::NotAComparison { path: output.into(), found: "it is the folder of a run".into() });
    }
    let runs = runs_folder(output);
    let is_new = !output.exists() || fs::read_dir(output).map_err(io(output, "read"))?.next().is_none();
    if !is_new && !runs.is_dir() {
        let found = "it holds files, but no folder `runs`".into();
        return Err(CompareError::NotAComparison { path: output.into(), found });
    }
    if is_locked(&output.join(LOCK)) {
        return Err(CompareError::InUse { path: output.into() });
    }
    Ok(())
}

/// The folder of the comparison, made if needed; the file is locked until it is dropped.
fn open_folder(output: &Path) -> Result<File, CompareError> {
    let runs = runs_folder(output);
    fs::create_dir_all(&runs).map_err(io(&runs, "created"))?;
    let path = output.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io(&path, "written"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CompareError::InUse { path: output.into() }),
        Err(TryLockError::Error(source)) => Err(CompareError::Io { path, action: "written", source }),
    }
}

/// The file that a comparison holds a lock on.
const LOCK: &str = ".lock";

/// What is being run, and what is known of how long runs take.
struct Queue<'a> {
    plan: &'a Plan<'a>,
    stop: &'a Stop,
    started: Instant,
    /// Seconds of a run, before one has finished.
    estimate: Option<f64>,
    /// Identities of the runs that are under way.
    taken: HashSet<String>,
    known: Vec<(PlannedRun, f64)>,
    /// Runs that have ended.
    ended: usize,
    /// Runs that were left out because of the deadline.
    late: usize,
}

/// A run that has ended: which, how long it took, and the sentence it failed with.
type Ended = (PlannedRun, Duration, Option<String>);

impl Queue<'_> {
    fn work(&mut self, carry_out: &CarryOut<'_>, observer: &mut Observer<'_>) -> Result<(), CompareError> {
        let jobs = self.plan.request.jobs;
        let (sender, receiver) = mpsc::channel::<Ended>();
        thread::scope(|scope| {
            let mut outcome = Ok(());
            loop {
                while outcome.is_ok() && self.taken.len() < jobs && !self.stop.is_requested() {
                    let Some(run) = self.next().unwrap_or_else(|error| {
                        outcome = Err(error);
                        None
                    }) else {
                        break;
                    };
                    match self.place() {
                        Ok(place) => observer(&Event::Started(&run, place)),
                        Err(error) => {
                            outcome = Err(error);
                            break;
                        }
                    }
                    self.taken.insert(run.identity.clone());
                    let (folder, stop, sender) = (self.plan.folder(&run.identity), self.stop, sender.clone());
                    scope.spawn(move || {
                        let started = Instant::now();
                        let carried_out = || carry_out_in(&run, &folder, stop, carry_out);
                        // A run that panics must be reported like any other: the comparison waits for every run.
                        let failure = panic::catch_unwind(AssertUnwindSafe(carried_out))
                            .unwrap_or_else(|payload| Err(panicked(&*payload)))
                            .err();
                        // The receiver lives until every run has ended.
                        let _ = sender.send((run, started.elapsed(), failure));
                    });
                }
                if self.taken.is_empty() {
                    return outcome;
                }
                let Ok(ended) = receiver.recv() else { return outcome };
                if let Err(error) = self.ended(ended, observer) {
                    // The runs under way are stopped and saved before the error is reported.
                    self.stop.request();
                    outcome = outcome.and(Err(error));
                }
            }
        })
    }

    /// The next run to begin that would end before the deadline.
    fn next(&mut self) -> Result<Option<PlannedRun>, CompareError> {
        let mut runs = self.plan.next_runs()?;
        runs.retain(|run| !self.taken.contains(&run.identity));
        let all = runs.len();
        let left = self.plan.request.deadline.map(|deadline| deadline.saturating_sub(self.started.elapsed()));
        let fits = |run: &PlannedRun| {
            let expected = expected_seconds(run, &self.known).or(self.estimate).unwrap_or_default();
            left.is_none_or(|left| expected < left.as_secs_f64())
        };
        let next = runs.iter().find(|run| fits(run)).map(|run| PlannedRun::clone(run));
        self.late = if next.is_none() { all } else { 0 };
        Ok(next)
    }

    /// The place of the run that is begun next.
    fn place(&self) -> Result<Place, CompareError> {
        let left: usize = self.plan.left()?.iter().map(|(_, count)| count).sum();
        Ok(Place { number: self.ended + self.taken.len() + 1, of: self.ended + left })
    }

    fn ended(&mut self, (run, took, failure): Ended, observer: &mut Observer<'_>) -> Result<(), CompareError> {
        self.taken.remove(&run.identity);
        if failure.is_some() && self.stop.is_requested() {
            return Ok(());
        }
        self.ended += 1;
        if let Some(sentence) = self.plan.ended(&run.identity, failure)? {
            observer(&Event::Failed(&run, &sentence));
            return Ok(());
        }
        if let Some(Outcome::Finished(measured)) = self.plan.outcome(&run.identity)?.as_deref() {
            let (figure, seconds) = (measured.validation_figure, measured.seconds);
            self.known.push((run.clone(), seconds.max(took.as_secs_f64())));
            let left = seconds_left(self.plan, &self.known, self.estimate)?;
            observer(&Event::Finished(&run, RunEnd { figure, seconds, left }));
        }
        Ok(())
    }
}

/// Carries one run out once no earlier process writes into its folder.
fn carry_out_in(run: &PlannedRun, folder: &Path, stop: &Stop, carry_out: &CarryOut<'_>) -> Result<(), String> {
    const PAUSE: Duration = Duration::from_millis(100);
    while RunFolder::is_in_use(folder) {
        if stop.is_requested() {
            return Err("stopped before it began".into());
        }
        thread::sleep(PAUSE);
    }
    let text = |error: &dyn std::error::Error| error.to_string();
    let begun = runs::is_begun(folder).map_err(|error: RunError| text(&error))?;
    let config = config_file(folder);
    write_whole(&config, run.config.to_toml().as_bytes()).map_err(|error| text(&error))?;
    carry_out(&Order { run, config: &config, folder, begun, stop })
}

/// The sentence of a run that panicked.
fn panicked(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("an error in coretune itself: {}", text.unwrap_or("a panic without a text"))
}

/// The file with the configuration of a run, beside its folder.
fn config_file(folder: &Path) -> PathBuf {
    folder.with_extension("toml")
}
