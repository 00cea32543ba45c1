//! `coretune fit --lr auto`: short runs at several learning rates first.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use coretune::compare::{self, ComparedTask, Dimension, Order, Search, Sweep, SweepRequest};
use coretune::config::{Layers, RunKind};
use coretune::engine::ranks::{Place, RanksError, variable};
use coretune::runs::Job;
use coretune::{report, runs};

use super::lines;
use super::processes::{ENDED_BY_SIGNAL, Rows, in_processes};
use crate::args::{Flags, Training};
use crate::failure::Failure;
use crate::printer::{Printer, rank};

/// Factors on the default rate that are tried.
const FACTORS: [f64; 4] = [0.1, 0.3, 1.0, 3.0];

/// One epoch of a search for so many epochs of the run, rounded up.
const SHORTER: i64 = 10;

/// Fewest epochs of a run for which the search costs less than the run.
const FEWEST_EPOCHS: i64 = 5;

/// The key of the learning rate.
const LR: &str = "train.lr";

/// The key of the number of ranks.
const RANKS: &str = "train.ranks";

/// The flags with the learning rate that was best in short runs; those given unless they ask for a search.
pub(super) fn with_rate<C: Job>(arguments: &Training, flags: &Flags) -> Result<Flags, Failure> {
    let Some(others) = flags.without(LR, "auto") else { return Ok(flags.clone()) };
    let given = others.over(arguments.layers.over(Layers::defaults_of(C::KIND))?)?;
    if Place::from_variables(&variable).is_ok_and(|place| place.is_some()) {
        // Every rank would start runs of its own before the ranks have met.
        let text = "--lr auto does not search on ranks that torchrun or srun has started: search without them first, with \
                    --grad-accum-steps raised by their number, and give that rate";
        return Err(Failure::refused(text));
    }
    let printer = Printer::new(arguments.json);
    let folder = runs::folder_of::<C>(&given)?;
    if arguments.resuming.resume && runs::is_begun(&folder)? {
        printer.say("note", "the learning rate is that of the run: nothing is searched");
        return Ok(others);
    }
    let usual = number(&given, LR);
    let task = if C::KIND == RunKind::Segmentation { ComparedTask::Segmentation } else { ComparedTask::Classification };
    let swept = search(&printer, (task, given), &folder)?;
    let best =
        swept.best.as_ref().ok_or_else(|| Failure::failed("no run of the search for the learning rate finished"))?;
    let rate = best.settings.get(LR).cloned().or(usual.map(|rate| rate.to_string())).unwrap_or_default();
    printer.say("lr", format_args!("{rate}, the best of {}", tried(task, &swept)));
    for edge in &best.edges {
        printer.say("note", edge);
    }
    Ok(others.with(LR, rate))
}

/// `0.003 (1.21), 0.01 (1.10)`: each rate with its loss on the validation images, or their mean IoU.
fn tried(task: ComparedTask, swept: &Sweep) -> String {
    let of_pixels = task == ComparedTask::Segmentation;
    let shown = |score: f64| if of_pixels { format!("{:.1} %", -100.0 * score) } else { format!("{score:.3}") };
    let stage = swept.stages.last();
    let points = stage.iter().flat_map(|stage| &stage.points).filter_map(|point| {
        let (_, rate) = point.name.split_once(":lr=")?;
        let loss = point.validation_score.map_or("failed".into(), shown);
        Some(format!("{rate} ({loss})"))
    });
    let epochs = stage.map_or(0, |stage| stage.epochs);
    let (points, figure) = (points.collect::<Vec<_>>().join(", "), if of_pixels { "mean IoU" } else { "loss" });
    format!("{points} after {} ({figure} of the validation images)", lines::count(epochs as usize, "epoch"))
}

fn search(printer: &Printer, (task, layers): (ComparedTask, Layers), folder: &Path) -> Result<Sweep, Failure> {
    let epochs = number(&layers, "train.epochs").map_or(1, |epochs| epochs as i64);
    if epochs < FEWEST_EPOCHS {
        let text = format!("--lr auto takes runs of {FEWEST_EPOCHS} epochs or more, found {epochs}: give a number");
        return Err(Failure::refused(text));
    }
    let usual = number(&layers, LR).unwrap_or(0.03);
    let rates = FACTORS.map(|factor| format!("{:.1e}", factor * usual)).join(",");
    let output = search_folder(folder);
    let short = layers.assignment(&format!("train.epochs={}", (epochs + SHORTER - 1) / SHORTER))?;
    let request = SweepRequest {
        task,
        layers: short,
        dimensions: vec![Dimension::parse(&format!("{LR}={rates}"))?],
        search: Search::Grid,
        points: FACTORS.len(),
        seeds: 1,
        jobs: 1,
        deadline: None,
        output: output.clone(),
    };
    printer.say("lr search", format_args!("{} runs into {}", FACTORS.len(), lines::quoted(&output)));
    // A rate fails where training diverges; a rank that is gone says nothing of the rate.
    let gone = Mutex::new(None);
    let ranks = number(&request.layers, RANKS).unwrap_or(1.0);
    let is_of_ranks =
        |sentence: &str| RanksError::is_named_in(sentence) || (ranks > 1.0 && sentence.starts_with(ENDED_BY_SIGNAL));
    let swept = in_processes(printer, Rows::Settings, |carry_out, stop, observer| {
        let carry_out = |order: &Order<'_>| {
            carry_out(order).inspect_err(|sentence| {
                if is_of_ranks(sentence) {
                    *gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(sentence.clone());
                    stop.request();
                }
            })
        };
        compare::sweep(&request, &carry_out, stop, observer)
    });
    match gone.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(sentence) => Err(Failure::failed(format!("the search for the learning rate ended: {sentence}"))
            .hint("the same command resumes the search")),
        None => swept,
    }
}

/// The number that layers give to a setting.
fn number(layers: &Layers, key: &str) -> Option<f64> {
    layers.get(key)?.to_string().parse().ok()
}

/// The folder of the search, beside that of the run.
fn search_folder(folder: &Path) -> PathBuf {
    let name = folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy());
    folder.with_file_name(format!("{name}-lr"))
}

/// Copies what a search tried into the folder of the run, for its report.
pub(super) fn keep<C: Job>(arguments: &Training, flags: &Flags) -> Result<(), Failure> {
    if rank().is_some_and(|rank| rank > 0) {
        return Ok(());
    }
    let folder = runs::folder_of::<C>(&flags.over(arguments.layers.over(Layers::defaults_of(C::KIND))?)?)?;
    let (found, kept) = (search_folder(&folder).join(Sweep::FILE), folder.join(report::RATE_SEARCH));
    if folder.is_dir() && found.is_file() && !kept.exists() {
        fs::copy(&found, &kept)?;
    }
    Ok(())
}
