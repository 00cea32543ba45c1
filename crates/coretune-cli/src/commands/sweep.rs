//! `coretune sweep`: settings of one method searched.

use std::str::FromStr;
use std::time::Duration;

use coretune::compare::{self, Dimension, Search, Sweep as Swept, SweepRequest};
use coretune::config::Layers;
use coretune::report;

use super::processes::{Rows, in_processes, show_files, show_outlook, show_table, task};
use crate::args::{Flags, Sweep};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Sweep, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.runs.json);
    let request = request(arguments, flags)?;
    if arguments.runs.dry_run {
        return show_outlook(&printer, Rows::Settings, |stop, observer| {
            compare::sweep_outlook(&request, stop, observer)
        });
    }
    let swept = in_processes(&printer, Rows::Settings, |carry_out, stop, observer| {
        compare::sweep(&request, carry_out, stop, observer)
    })?;
    super::report::write_comparison(&swept.comparison, &request.output, &request.output.join(report::PAGE))?;
    printer.json(&swept)?;
    show(&printer, &swept)?;
    show_files(&printer, &swept.comparison, &request.output)
}

fn request(arguments: &Sweep, flags: &Flags) -> Result<SweepRequest, Failure> {
    let runs = &arguments.runs;
    let task = task(runs, flags)?;
    let dimensions = arguments.tune.iter().map(|text| Dimension::parse(text));
    Ok(SweepRequest {
        task,
        layers: flags.over(runs.layers.over(Layers::defaults_of(task.kind()))?)?,
        dimensions: dimensions.collect::<Result<_, _>>()?,
        search: Search::from_str(&arguments.search).expect("the command line takes these names alone"),
        points: arguments.trials,
        seeds: arguments.seeds,
        jobs: runs.jobs,
        deadline: runs.deadline.map(Duration::from_secs),
        output: runs.output.clone(),
    })
}

fn show(printer: &Printer, swept: &Swept) -> Result<(), Failure> {
    show_table(printer, &swept.comparison)?;
    for stage in swept.stages.iter().take(swept.stages.len().saturating_sub(1)) {
        let best = stage.points.first().map_or("none", |point| &point.name);
        printer.result("stage", format_args!("{} points, {} epochs, best {best}", stage.points.len(), stage.epochs))?;
    }
    let Some(best) = &swept.best else { return printer.result("best", "no run has finished") };
    printer.result("best", format_args!("{} (best on the validation images)", best.name))?;
    best.edges.iter().try_for_each(|edge| printer.result("note", edge))
}
