//! `coretune compare`: methods side by side on one data set, each run a process of its own.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use coretune::compare::{
    self, Axis, ComparedConfig, ComparedTask, Comparison, Entry, Event, Order, PlannedRun, Request, Tuning, all_entries,
};
use coretune::config::{Layers, RunKind};
use coretune::engine::Stop;
use coretune::report;

use super::lines;
use crate::args::{Compare, Flags, LayerFlags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

pub(crate) fn run(arguments: &Compare, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let request = request(arguments, flags)?;
    let stop = Stop::default();
    signals::ask_to_stop(&stop)?;
    let program = env::current_exe()?;
    let mut progress = Progress::new(printer.clone());
    let mut see = |event: &Event<'_>| see(&printer, &mut progress, event);
    let comparison = compare::compare(&request, &|order| in_own_process(&program, order), &stop, &mut see);
    progress.clear();
    let comparison = comparison?;
    let page = arguments.output.join(report::PAGE);
    super::report::write_comparison(&comparison, &arguments.output, &page)?;
    printer.json(&comparison)?;
    show(&printer, &comparison, arguments)
}

fn request(arguments: &Compare, flags: &Flags) -> Result<Request, Failure> {
    let task = task(&arguments.task, &arguments.layers, flags)?;
    let axes = || arguments.tune.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>, _>>();
    let tuning = if arguments.fixed { None } else { Some(Tuning { axes: axes()?, trials: arguments.trials }) };
    let names = arguments.methods.iter().flat_map(|name| match name.as_str() {
        "all" => all_entries(task),
        name => vec![name],
    });
    Ok(Request {
        task,
        layers: flags.over(arguments.layers.over(Layers::defaults_of(task.kind()))?)?,
        entries: names.map(Entry::parse).collect::<Result<_, _>>()?,
        baseline: Entry::parse(&arguments.baseline)?,
        seeds: arguments.seeds,
        budgets: arguments.labels_per_class.clone(),
        tuning,
        jobs: arguments.jobs,
        deadline: arguments.deadline.map(Duration::from_secs),
        output: arguments.output.clone(),
    })
}

/// What is compared: as the task says, or by the images.
pub(super) fn task(word: &str, layers: &LayerFlags, flags: &Flags) -> Result<ComparedTask, Failure> {
    match word {
        "segmentation" => return Ok(ComparedTask::Segmentation),
        "classification" => return Ok(ComparedTask::Classification),
        _ => {}
    }
    let given = flags.over(layers.over(Layers::defaults())?)?;
    Ok(match super::fit::kind_by_data(&given) {
        RunKind::Segmentation => ComparedTask::Segmentation,
        RunKind::FineTuning | RunKind::Pretraining => ComparedTask::Classification,
    })
}

pub(super) fn see(printer: &Printer, progress: &mut Progress, event: &Event<'_>) {
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

fn show(printer: &Printer, comparison: &Comparison, arguments: &Compare) -> Result<(), Failure> {
    printer.line(comparison.to_text().trim_end())?;
    printer.line("")?;
    for note in &comparison.notes {
        printer.result("note", note)?;
    }
    for sentence in &comparison.verdict {
        printer.result("verdict", sentence)?;
    }
    let table = arguments.output.join("table.md");
    printer.result("tables", format_args!("{}, .csv, .json, .tex", lines::quoted(&table)))?;
    printer.result("report", lines::quoted(&arguments.output.join(report::PAGE)))
}

/// Carries a run out as `coretune fit` in a process of its own, so that a crash ends this run only, its memory is its
/// own, and runs side by side share no threads.
pub(super) fn in_own_process(program: &PathBuf, order: &Order<'_>) -> Result<(), String> {
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
