//! The runs of `coretune compare`, `coretune sweep` and `--lr auto`: each a process of its own.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use coretune::compare::{
    CarryOut, CompareError, ComparedConfig, ComparedTask, Comparison, Event, Observer, Order, Outlook, PlannedRun,
    RunEnd,
};
use coretune::config::{Layers, RunKind};
use coretune::engine::Stop;
use coretune::engine::ranks::RanksError;
use coretune::report;

use super::lines;
use crate::args::{Flags, ManyRuns};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::{Progress, clock};
use crate::signals;

/// Calls work that carries out runs, each in a process of its own, and shows how it proceeds. A signal stops it.
pub(super) fn in_processes<T>(
    printer: &Printer,
    rows: Rows,
    work: impl FnOnce(&CarryOut<'_>, &Stop, &mut Observer<'_>) -> Result<T, CompareError>,
) -> Result<T, Failure> {
    let stop = Stop::default();
    signals::ask_to_stop(&stop)?;
    let program = env::current_exe()?;
    let mut progress = Progress::new(printer.clone());
    let done = work(&|order| in_own_process(&program, order), &stop, &mut |event| {
        see(printer, &mut progress, rows, event);
    });
    progress.clear();
    Ok(done?)
}

/// Shows what work would cost that carries out runs: a dry run.
pub(super) fn show_outlook(
    printer: &Printer,
    rows: Rows,
    work: impl FnOnce(&Stop, &mut Observer<'_>) -> Result<Outlook, CompareError>,
) -> Result<(), Failure> {
    let stop = Stop::default();
    signals::ask_to_stop(&stop)?;
    let mut progress = Progress::new(printer.clone());
    let outlook = work(&stop, &mut |event| see(printer, &mut progress, rows, event));
    progress.clear();
    let outlook = outlook?;
    printer.json(&outlook)?;
    printer.result("plan", planned(&outlook, rows))
}

/// What the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Each has all seeds.
    Methods,
    /// Points of one method, of which several may be one run.
    Settings,
}

/// What the runs learn: as `--task` says, or by the images.
pub(super) fn task(arguments: &ManyRuns, flags: &Flags) -> Result<ComparedTask, Failure> {
    match arguments.task.as_str() {
        "segmentation" => return Ok(ComparedTask::Segmentation),
        "classification" => return Ok(ComparedTask::Classification),
        _ => {}
    }
    let given = flags.over(arguments.layers.over(Layers::defaults())?)?;
    Ok(match super::fit::kind_by_data(&given)? {
        RunKind::Segmentation => ComparedTask::Segmentation,
        RunKind::FineTuning | RunKind::Pretraining => ComparedTask::Classification,
    })
}

/// Prints the table with what was noted.
pub(super) fn show_table(printer: &Printer, comparison: &Comparison) -> Result<(), Failure> {
    printer.line(comparison.to_text().trim_end())?;
    printer.line("")?;
    comparison.notes.iter().try_for_each(|note| printer.result("note", note))
}

/// Says where the table and the report page lie, and what to do with the best run.
pub(super) fn show_files(printer: &Printer, comparison: &Comparison, folder: &Path) -> Result<(), Failure> {
    printer.result("tables", format_args!("{}, .csv, .json, .tex", lines::quoted(&folder.join("table.md"))))?;
    printer.result("report", lines::quoted(&folder.join(report::PAGE)))?;
    let Some(best) = comparison.best_folder(folder) else { return Ok(()) };
    let masks = if comparison.task == ComparedTask::Segmentation { " --masks MASKS" } else { "" };
    printer.result("next", format_args!("coretune predict {} IMAGES{masks}", lines::quoted(&best)))
}

fn see(printer: &Printer, progress: &mut Progress, rows: Rows, event: &Event<'_>) {
    if let Event::Work(event) = event {
        return progress.see(event);
    }
    progress.clear();
    match event {
        Event::Note(text) => printer.warn(text),
        Event::Planned(outlook) => printer.say("plan", planned(outlook, rows)),
        Event::Started(run, place) => {
            printer.say(&format!("run {}/{}", place.number, place.of), described(run));
        }
        Event::Finished(run, end) => printer.say("finished", finished(run, end)),
        Event::Failed(run, sentence) => printer.warn(format_args!("{} failed: {sentence}", described(run))),
        Event::Work(_) => {}
    }
}

/// `4 methods x 2 seeds, 8 runs, about 0:45`; with tuning `up to 40 runs`.
fn planned(outlook: &Outlook, rows: Rows) -> String {
    let mut parts = Vec::new();
    if rows == Rows::Methods {
        let mut factors = vec![lines::count(outlook.rows, "method"), lines::count(outlook.seeds, "seed")];
        if outlook.budgets > 1 {
            factors.push(lines::count(outlook.budgets, "budget"));
        }
        parts.push(factors.join(" x "));
    }
    let at_most = if outlook.at_most { "up to " } else { "" };
    parts.push(format!("{at_most}{}", lines::count(outlook.runs, "run")));
    if outlook.finished > 0 {
        parts.push(format!("{} of them finished before", outlook.finished));
    }
    parts.extend(outlook.seconds.filter(|_| outlook.finished < outlook.runs).map(about));
    parts.join(", ")
}

/// `about 0:45`
fn about(seconds: f64) -> String {
    format!("about {}", clock(Duration::from_secs_f64(seconds.max(0.0))))
}

/// `cross-entropy, seed 0: val top-1 74.1 %, 3.2 s; about 0:45 left`
fn finished(run: &PlannedRun, end: &RunEnd) -> String {
    let figure = match run.config {
        ComparedConfig::Classification(_) => ComparedTask::Classification.figure(),
        ComparedConfig::Segmentation(_) => ComparedTask::Segmentation.figure(),
    };
    let left = end.left.filter(|left| *left > 0.0).map(|left| format!("; {} left", about(left))).unwrap_or_default();
    format!("{}: val {figure} {}, {:.1} s{left}", described(run), lines::percent(end.figure), end.seconds)
}

/// The row, the budget, the seed and the settings of a run.
fn described(run: &PlannedRun) -> String {
    let name = |key: &str| key.split_once('.').map_or(key.to_string(), |(_, name)| name.to_string());
    let settings = run.tuned.iter().map(|(key, value)| format!("{}={value}", name(key)));
    let row: Vec<String> = std::iter::once(run.entry.name.clone()).chain(settings).collect();
    let budget = run.budget.map(|labels| format!(", {labels} labels per class")).unwrap_or_default();
    format!("{}{budget}, seed {}", row.join(" "), run.seed)
}

/// Carries a run out as `coretune fit` in a process of its own, so that a crash ends this run only, its memory is its
/// own, and runs side by side share no threads.
fn in_own_process(program: &Path, order: &Order<'_>) -> Result<(), String> {
    let mut command = Command::new(program);
    let task = match order.run.config {
        ComparedConfig::Classification(_) => "classification",
        ComparedConfig::Segmentation(_) => "segmentation",
    };
    command.args(["fit", "--stop-with-stdin", "--task", task]);
    if order.begun {
        command.args(["--resume", "--output"]).arg(order.folder);
    } else {
        command.arg("--config").arg(order.config);
    }
    // A process group of its own: Ctrl-C reaches this program alone, which then closes the pipes.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("the run cannot be started: {error}"))?;
    let stderr = child.stderr.take();
    let words = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            // What cannot be read is missing from the sentence about a failure, no more.
            let _ = stderr.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = wait(&mut child, order.stop).map_err(|error| error.to_string())?;
    let words = words.join().unwrap_or_default();
    if status.success() { Ok(()) } else { Err(failure(status, &words)) }
}

/// Waits for a process; once it is to stop, closes its standard input, upon which it saves its state and ends.
fn wait(child: &mut Child, stop: &Stop) -> io::Result<ExitStatus> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut stdin = child.stdin.take();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if stop.is_requested() {
            drop(stdin.take());
        }
        thread::sleep(PAUSE);
    }
}

/// How the sentence of a process begins that a signal has ended.
pub(super) const ENDED_BY_SIGNAL: &str = "its process was ended by signal";

/// The sentence of a process that failed.
fn failure(status: ExitStatus, words: &str) -> String {
    let sentences = || words.lines().rev().filter_map(|line| line.strip_prefix("error: "));
    // Ranks that end because of another one write their sentences too.
    let sentence = sentences().find(|sentence| RanksError::is_named_in(sentence)).or_else(|| sentences().next());
    match (status.signal(), sentence) {
        (Some(signal), _) => format!("{ENDED_BY_SIGNAL} {signal}"),
        (None, Some(sentence)) => sentence.into(),
        (None, None) => format!("its process ended with {status}"),
    }
}
