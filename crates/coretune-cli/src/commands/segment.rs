//! `coretune fit` on images with masks: trains a segmentation network, and reports what that gained over a linear probe of the
//! frozen checkpoint.

use std::path::Path;

use coretune::config::{HeadInit, Layers, SegmentationConfig};
use coretune::engine::device_name;
use coretune::evaluate::bootstrap::Interval;
use coretune::evaluate::figure::{MEAN_IOU, MEAN_PIXEL_ACCURACY};
use coretune::figures::validation_name;
use coretune::models::{DenseHeadKind, Network};
use coretune::run_folder::{PairedDifference, SegmentationSummary};
use coretune::segment::{SegmentationFinished, SegmentationPreparation};

use super::lines;
use super::training::Shown;
use crate::failure::Failure;
use crate::printer::Printer;

impl Shown for SegmentationConfig {
    const ESTIMATED: &'static str = "training, validation and test";

    fn unused(&self, layers: &Layers) -> Vec<String> {
        self.method.method().map(|method| layers.unused(method)).unwrap_or_default()
    }

    fn show_found(printer: &Printer, preparation: &SegmentationPreparation) {
        let task = &preparation.task;
        printer.say("data", data(preparation));
        lines::left_out(printer, &preparation.data.left_out);
        printer.say("checkpoint", format_args!("{}, {}", task.report.method, lines::coverage(&task.report)));
        lines::from_random_values(printer, &task.report);
        for note in &preparation.notes {
            printer.warn(note);
        }
    }

    fn before_training(preparation: &SegmentationPreparation) -> Vec<(&'static str, String)> {
        let (task, train) = (&preparation.task, &preparation.task.config.train);
        // A batch that the images do not fill was refused before.
        let steps = task.steps_per_epoch().unwrap_or_default();
        let head = match (task.config.method.head_init, task.config.segmentation.head) {
            (HeadInit::Random, _) => "",
            (HeadInit::LinearProbe, DenseHeadKind::Linear) => "; head from the linear probe",
            (HeadInit::LinearProbe, _) => "; head alone for a fifth of the steps",
        };
        let method = if task.trains {
            lines::training((&task.config.method, head), train, steps)
        } else {
            lines::untrained(task.config.method.word())
        };
        let unused = lines::left_out_of_epoch(task.splits.train.len(), train.effective_batch(), steps);
        let unused = unused.filter(|_| task.trains);
        let machine = lines::computes(&device_name(task.device), task.precision);
        let weights =
            task.class_weights.as_ref().map(|weights| ("weights", lines::class_weights(&task.classes, weights)));
        let found = [("model", model(preparation)), ("method", method)].into_iter().chain(weights);
        found.chain(unused.map(|unused| ("note", unused))).chain([("machine", machine)]).collect()
    }

    fn show_result(printer: &Printer, finished: &SegmentationFinished, root: &Path) -> Result<(), Failure> {
        printer.json(&finished.summary)?;
        let summary = &finished.summary;
        printer.result("result", result(finished))?;
        let path = lines::quoted(root);
        printer.result("saved", format_args!("{path}   best: epoch {}", summary.best.epoch))?;
        lines::device_memory(printer, summary.peak_device_bytes)
    }

    fn in_short(summary: &SegmentationSummary) -> String {
        match summary.test.as_ref().and_then(|test| test.get(MEAN_IOU.name)) {
            Some(iou) => format!("test {}", MEAN_IOU.labelled(iou)),
            None => best_validation(summary),
        }
    }
}

/// `camvid: 367 train, 101 validation, 233 test, 11 classes; crops of 160 pixels`
fn data(preparation: &SegmentationPreparation) -> String {
    let (task, splits) = (&preparation.task, &preparation.task.splits);
    let dir = &task.config.data.dir;
    let name = dir.file_name().map_or_else(|| dir.to_string_lossy(), |name| name.to_string_lossy());
    let test = splits.test.as_ref().map_or_else(|| "no test split".into(), |test| format!("{} test", test.len()));
    let (train, validation, classes) = (splits.train.len(), splits.validation.len(), task.classes.len());
    let crop = task.input.img_size;
    format!("{name}: {train} train, {validation} validation, {test}, {classes} classes; crops of {crop} pixels")
}

/// `resnet18, deeplabv3, output stride 16, 13.2 M parameters`
fn model(preparation: &SegmentationPreparation) -> String {
    let (task, section) = (&preparation.task, &preparation.task.config.segmentation);
    let parameters = preparation.network.tensors("").weight_count() as f64 / 1e6;
    let (family, head, stride) = (task.architecture.family, section.head.name(), section.output_stride);
    let auxiliary = if section.auxiliary { ", auxiliary head" } else { "" };
    format!("{family}, {head}, output stride {stride}{auxiliary}, {parameters:.1} M parameters")
}

/// `test mean IoU 52.1 % (95 %: 50.3 to 53.8), mean pixel accuracy 61.0 %; 3.2 points above the linear probe, ...`
fn result(finished: &SegmentationFinished) -> String {
    let summary = &finished.summary;
    let figures = summary.test.as_ref();
    let figure = match figures.and_then(|test| Some((test.get(MEAN_IOU.name)?, test.get(MEAN_PIXEL_ACCURACY.name)?))) {
        Some((iou, accuracy)) => {
            let interval = summary
                .mean_iou_interval
                .map_or_else(String::new, |[low, high]| format!(" (95 %: {:.1} to {:.1})", 100.0 * low, 100.0 * high));
            format!("test {}{interval}, {}", MEAN_IOU.labelled(iou), MEAN_PIXEL_ACCURACY.labelled(accuracy))
        }
        None => format!("{} (there is no test split)", best_validation(summary)),
    };
    let against =
        summary.above_probe.as_ref().map_or_else(String::new, |&PairedDifference { difference, low, high }| {
            let interval = Interval { low, high };
            format!("; {}", lines::above_probe(difference, &interval, "points of mean IoU", Some(finished.images)))
        });
    figure + &against
}

fn best_validation(summary: &SegmentationSummary) -> String {
    match summary.best.figures.get(&validation_name(MEAN_IOU.name)) {
        Some(iou) => format!("validation {}", MEAN_IOU.labelled(iou)),
        None => format!("best epoch {}", summary.best.epoch),
    }
}
