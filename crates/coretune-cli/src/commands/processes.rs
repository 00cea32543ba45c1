//! The runs of `coretune compare`, `coretune sweep` and `--lr auto`: each a process of its own.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use coretune::compare::{
    CarryOut, CompareError, ComparedConfig, ComparedTask, Comparison, Event, Observer, Order, PlannedRun,
};
use coretune::config::{Layers, RunKind};
use coretune::engine::Stop;
use coretune::report;

use super::lines;
use crate::args::{Flags, ManyRuns};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

/// Calls work that carries out runs, each in a process of its own, and shows how it proceeds. A signal stops it.
pub(super) fn in_processes<T>(
    printer: &Printer,
    work: impl FnOnce(&CarryOut<'_>, &Stop, &mut Observer<'_>) -> Result<T, CompareError>,
) -> Result<T, Failure> {
    let stop = Stop::default();
    signals::ask_to_stop(&stop)?;
    let program = env::current_exe()?;
    let mut progress = Progress::new(printer.clone());
    let done = work(&|order| in_own_process(&program, order), &stop, &mut |event| see(printer, &mut progress, event));
    progress.clear();
    Ok(done?)
}

/// What the runs learn: as `--task` says, or by the images.
pub(super) fn task(arguments: &ManyRuns, flags: &Flags) -> Result<ComparedTask, Failure> {
    match arguments.task.as_str() {
        "segmentation" => return Ok(ComparedTask::Segmentation),
        "classification" => return Ok(ComparedTask::Classification),
        _ => {}
    }
    let given = flags.over(arguments.layers.over(Layers::defaults())?)?;
    Ok(match super::fit::kind_by_data(&given) {
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

/// Says where the table and the report page lie.
pub(super) fn show_files(printer: &Printer, folder: &Path) -> Result<(), Failure> {
    printer.result("tables", format_args!("{}, .csv, .json, .tex", lines::quoted(&folder.join("table.md"))))?;
    printer.result("report", lines::quoted(&folder.join(report::PAGE)))
}

fn see(printer: &Printer, progress: &mut Progress, event: &Event<'_>) {
    if let Event::Work(event) = event {
        return progress.see(event);
    }
    progress.clear();
    match event {
        Event::Note(text) => printer.warn(text),
        Event::Started(run) => printer.say("run", described(run)),
        Event::Finished(run, took) => {
            printer.say("finished", format_args!("{}, {:.1} s", described(run), took.as_secs_f64()));
        }
        Event::Failed(run, sentence) => printer.warn(format_args!("{} failed: {sentence}", described(run))),
        Event::Work(_) => {}
    }
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

/// The sentence of a process that failed.
fn failure(status: ExitStatus, words: &str) -> String {
    let sentence = words.lines().rev().find_map(|line| line.strip_prefix("error: "));
    match (status.signal(), sentence) {
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (None, Some(sentence)) => sentence.into(),
        (None, None) => format!("its process ended with {status}"),
    }
}
