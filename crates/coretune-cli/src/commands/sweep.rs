//! `coretune sweep`: settings of one method searched, each run a process of its own.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use coretune::compare::{self, Dimension, Event, Search, Sweep as Swept, SweepRequest};
use coretune::config::Layers;
use coretune::engine::Stop;
use coretune::report;

use super::compare::{in_own_process, see, task};
use super::lines;
use crate::args::{Flags, Sweep};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

pub(crate) fn run(arguments: &Sweep, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let request = request(arguments, flags)?;
    let stop = Stop::default();
    signals::ask_to_stop(&stop)?;
    let program = env::current_exe()?;
    let mut progress = Progress::new(printer.clone());
    let mut see = |event: &Event<'_>| see(&printer, &mut progress, event);
    let swept = compare::sweep(&request, &|order| in_own_process(&program, order), &stop, &mut see);
    progress.clear();
    let swept = swept?;
    super::report::write_comparison(&swept.comparison, &arguments.output, &arguments.output.join(report::PAGE))?;
    printer.json(&swept)?;
    show(&printer, &swept, arguments)
}

fn request(arguments: &Sweep, flags: &Flags) -> Result<SweepRequest, Failure> {
    let task = task(&arguments.task, &arguments.layers, flags)?;
    let dimensions = arguments.tune.iter().map(|text| Dimension::parse(text));
    Ok(SweepRequest {
        task,
        layers: flags.over(arguments.layers.over(Layers::defaults_of(task.kind()))?)?,
        dimensions: dimensions.collect::<Result<_, _>>()?,
        search: Search::from_str(&arguments.search).expect("the command line takes these names alone"),
        points: arguments.trials,
        seeds: arguments.seeds,
        jobs: arguments.jobs,
        deadline: arguments.deadline.map(Duration::from_secs),
        output: arguments.output.clone(),
    })
}

fn show(printer: &Printer, swept: &Swept, arguments: &Sweep) -> Result<(), Failure> {
    printer.line(swept.comparison.to_text().trim_end())?;
    printer.line("")?;
    for note in &swept.comparison.notes {
        printer.result("note", note)?;
    }
    for stage in swept.stages.iter().take(swept.stages.len().saturating_sub(1)) {
        let best = stage.points.first().map_or("none", |point| &point.name);
        printer.result("stage", format_args!("{} points, {} epochs, best {best}", stage.points.len(), stage.epochs))?;
    }
    match &swept.best {
        None => printer.result("best", "no run has finished")?,
        Some(best) => {
            printer.result("best", format_args!("{} (best on the validation images)", best.name))?;
            for edge in &best.edges {
                printer.result("note", edge)?;
            }
        }
    }
    let table = arguments.output.join("table.md");
    printer.result("tables", format_args!("{}, .csv, .json, .tex", lines::quoted(&table)))?;
    printer.result("report", lines::quoted(&arguments.output.join(report::PAGE)))
}
