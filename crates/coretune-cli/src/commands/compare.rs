//! `coretune compare`: methods side by side on one data set.

use std::time::Duration;

use coretune::compare::{self, Axis, Comparison, Entry, Request, Tuning, all_entries};
use coretune::config::Layers;
use coretune::report;

use super::processes::{Rows, in_processes, show_files, show_outlook, show_table, task};
use crate::args::{Compare, Flags};
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(arguments: &Compare, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.runs.json);
    let request = request(arguments, flags)?;
    if arguments.runs.dry_run {
        return show_outlook(&printer, Rows::Methods, |stop, observer| compare::outlook(&request, stop, observer));
    }
    let comparison = in_processes(&printer, Rows::Methods, |carry_out, stop, observer| {
        compare::compare(&request, carry_out, stop, observer)
    })?;
    super::report::write_comparison(&comparison, &request.output, &request.output.join(report::PAGE))?;
    printer.json(&comparison)?;
    show(&printer, &comparison)?;
    show_files(&printer, &comparison, &request.output)
}

fn request(arguments: &Compare, flags: &Flags) -> Result<Request, Failure> {
    let runs = &arguments.runs;
    let task = task(runs, flags)?;
    let axes = || arguments.tune.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>, _>>();
    let tuning = if arguments.fixed { None } else { Some(Tuning { axes: axes()?, trials: arguments.trials }) };
    let names = arguments.methods.iter().flat_map(|name| match name.as_str() {
        "all" => all_entries(task),
        name => vec![name],
    });
    Ok(Request {
        task,
        layers: flags.over(runs.layers.over(Layers::defaults_of(task.kind()))?)?,
        entries: names.map(Entry::parse).collect::<Result<_, _>>()?,
        baseline: Entry::parse(&arguments.baseline)?,
        seeds: arguments.seeds,
        budgets: arguments.labels_per_class.clone(),
        tuning,
        jobs: runs.jobs,
        deadline: runs.deadline.map(Duration::from_secs),
        output: runs.output.clone(),
    })
}

fn show(printer: &Printer, comparison: &Comparison) -> Result<(), Failure> {
    show_table(printer, comparison)?;
    if !comparison.left_out.is_empty() {
        let left_out = comparison.left_out.join(", ");
        let all = comparison.methods().into_iter().chain(comparison.left_out.iter().map(String::as_str));
        let all = all.collect::<Vec<_>>().join(",");
        let text = format!("finished in this folder, and not in the table: {left_out}; --methods {all} has them too");
        printer.result("note", text)?;
    }
    comparison.verdict.iter().try_for_each(|sentence| printer.result("verdict", sentence))
}
