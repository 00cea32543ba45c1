//! `coretune probe CKPT`: what the frozen checkpoint is worth, beside the same network with random weights (E7).

use coretune::config::{Layers, find_setting};
use coretune::fit::Unlabelled;
use coretune::runs::{Job, Options};

use super::lines;
use crate::args::{Flags, Probe};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::{self, Progress};

pub(crate) fn run(arguments: &Probe, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let mut layers = flags.over(arguments.layers.over(Layers::defaults())?)?;
    if let Some(path) = find_setting("checkpoint.path") {
        layers = layers.flag("CKPT", path, std::slice::from_ref(&arguments.checkpoint))?;
    }
    let mut progress = Progress::new(printer.clone());
    let preparation = layers.validate()?.prepare(Options::default(), &mut |event| progress.see(event));
    progress.clear();
    let preparation = preparation?;
    lines::found(&printer, &preparation);
    printer.say("machine", lines::machine(&preparation.task));

    let task = &preparation.task;
    let frozen = task.probe(&preparation.backbone, &mut |event| progress.see(event))?;
    progress.clear();
    printer.result("frozen", progress::measured(&frozen.measurement()))?;
    let pseudo_labels = task.unlabelled.as_ref().map(Unlabelled::summary);
    let random = task.probe_random(&mut |event| progress.see(event))?;
    progress.clear();
    let (knn, linear) = (lines::percent(random.knn_top1), lines::percent(random.linear_top1));
    printer.result("random", format_args!("kNN {knn}, linear probe {linear}   (the same network, random weights)"))?;
    printer.json(&serde_json::json!({
        "checkpoint": task.report,
        "split": frozen.split,
        "train_images": task.splits.train.len(),
        "images": frozen.linear_correct.len(),
        "knn_top1": frozen.knn_top1,
        "linear_top1": frozen.linear_top1,
        "propagation_top1": frozen.propagation_top1,
        "pseudo_labels": pseudo_labels,
        "seconds": frozen.took.as_secs_f64(),
        "random": random,
    }))
}
