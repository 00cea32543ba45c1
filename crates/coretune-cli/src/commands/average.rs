//! `coretune average RUN... --output DIR`: the mean of the weights of runs that began alike.

use coretune::average::{self, Averaged, Recipe, Request, Statistics, Tried};
use coretune::config::Layers;
use coretune::run_folder::{RunFolder, RunKind};

use super::lines;
use crate::args::{Average, Flags};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) fn run(arguments: &Average, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let recipe: Recipe = arguments.recipe.parse().unwrap_or(Recipe::Uniform);
    let statistics: Statistics = arguments.batch_norm.parse().unwrap_or(Statistics::Averaged);
    let last = RunFolder::open(&arguments.runs[arguments.runs.len() - 1])?;
    last.expect(RunKind::FineTuning)?;
    // Device and threads are this machine's, not those of the run.
    let config = flags.over(Layers::defaults().file(&last.config())?.on_this_machine())?.validate()?;
    let request = Request { runs: &arguments.runs, recipe, statistics, config, output: &arguments.output };
    let mut progress = Progress::new(printer.clone());
    let averaged = average::average(&request, &mut |event| progress.see(event));
    progress.clear();
    let averaged = averaged?;
    printer.json(&averaged.summary)?;
    tell(&printer, arguments, &averaged)
}

fn tell(printer: &Printer, arguments: &Average, averaged: &Averaged) -> Result<(), Failure> {
    for (place, Tried { weights, val_top1, val_nll_calibrated }) in averaged.tried.iter().enumerate() {
        let weights: Vec<String> = weights.iter().map(|weight| format!("{weight:.2}")).collect();
        let (top1, chosen) = (lines::percent(*val_top1), if place == averaged.chosen { "   chosen" } else { "" });
        printer.result(
            "weights",
            format_args!("{}   val top-1 {top1}, loss {val_nll_calibrated:.3}{chosen}", weights.join(" ")),
        )?;
    }
    if let Some(test) = &averaged.test {
        let figures = &test.classification;
        let (top1, interval) = (lines::percent(figures.top1), lines::interval(&figures.top1_interval));
        printer.result("result", format_args!("test top-1 {top1} ({interval})"))?;
    }
    printer.result("saved", lines::quoted(&arguments.output))
}
