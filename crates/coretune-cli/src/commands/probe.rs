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
    let images = frozen.linear_correct.len();
    printer.result("verdict", verdict(frozen.linear_top1, random.linear_top1, images))?;
    printer.json(&serde_json::json!({
        "checkpoint": task.report,
        "split": frozen.split,
        "train_images": task.splits.train.len(),
        "images": images,
        "knn_top1": frozen.knn_top1,
        "linear_top1": frozen.linear_top1,
        "propagation_top1": frozen.propagation_top1,
        "pseudo_labels": pseudo_labels,
        "seconds": frozen.took.as_secs_f64(),
        "random": random,
    }))
}

/// Whether the checkpoint's features are better than random weights, by the linear probe of each on so many images.
fn verdict(checkpoint: f64, random: f64, images: usize) -> String {
    /// Standard errors of a difference that is statistically significant at 5 %.
    const SIGNIFICANT: f64 = 1.96;
    const CHECK: &str = "check the encoder and its coverage (coretune inspect), --img-size, --mean and --std, and whether the \
                         checkpoint was trained on such images";
    let difference = checkpoint - random;
    let points = 100.0 * difference;
    let error = ((checkpoint * (1.0 - checkpoint) + random * (1.0 - random)) / images.max(1) as f64).sqrt();
    if difference <= 0.0 {
        format!("the checkpoint's features are no better than random weights on this data: {CHECK}")
    } else if difference <= SIGNIFICANT * error {
        format!(
            "the linear probe is {points:.1} points above random weights, not significant on these {images} images: {CHECK}"
        )
    } else {
        format!("the linear probe is {points:.1} points above random weights")
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn features_that_are_not_better_than_random_ones_are_called_that_with_what_to_check() {
        assert!(verdict(0.4, 0.4, 1000).starts_with("the checkpoint's features are no better than random weights"));
        assert!(verdict(0.3, 0.4, 1000).contains("coretune inspect"));
        assert!(
            verdict(0.41, 0.4, 1000).contains("1.0 points above random weights, not significant on these 1000 images")
        );
        assert_eq!(verdict(0.6, 0.4, 1000), "the linear probe is 20.0 points above random weights");
    }
}
