//! Lines that several commands print, in the same words.

use std::path::Path;
use std::time::Duration;

use coretune::checkpoints::LoadReport;
use coretune::config::{HeadInit, MethodSection, Optimizer, RunConfig, Sampler, Select, Setting, TrainSection};
use coretune::data::{Description, Omission, ReadColumns, SplitDescription};
use coretune::engine::{Precision, cpu_multiplies_bf16, device_name, threads};
use coretune::evaluate::bootstrap::Interval;
use coretune::evaluate::figure::TOP1;
use coretune::figures::validation_name;
use coretune::fit::{Preparation, Task, ValidationSource};
use coretune::models::Stem;
use coretune::objectives::Method;
use coretune::run_folder::{PseudoLabelSummary, Summary};
use coretune::runs::Estimate;
use coretune::settings::RunKind;
use toml::Value;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::clock;

/// Shows what was found before anything is computed: data, checkpoint, notes.
pub(crate) fn found(printer: &Printer, preparation: &Preparation) {
    let task = &preparation.task;
    printer.say("data", data(task));
    if let Some(unlabelled) = &task.unlabelled {
        pseudo_labels(printer, &unlabelled.summary());
    }
    columns(printer, &preparation.data.columns);
    left_out(printer, &preparation.data.left_out);
    printer.say("checkpoint", format_args!("{}, {}", task.report.method, coverage(&task.report)));
    from_random_values(printer, &task.report);
    for note in &preparation.notes {
        printer.warn(note);
    }
}

/// Warns of backbone tensors that the checkpoint does not hold.
pub(crate) fn from_random_values(printer: &Printer, report: &LoadReport) {
    if !report.missing.is_empty() {
        printer.warn(format_args!("trained from random values: {}", first_of(&report.missing)));
    }
}

/// The columns of tables that were read.
pub(crate) fn columns(printer: &Printer, columns: &[ReadColumns]) {
    for table in columns {
        printer.say("columns", table);
    }
}

/// A line for each reason for which something in the data is not among the images.
pub(crate) fn left_out(printer: &Printer, omissions: &[Omission]) {
    for omission in omissions {
        printer.say("left out", omission);
    }
}

/// `flowers: 648 train, 72 validation (set aside from the labels), 240 test, 12 classes; 224 pixels`
fn data(task: &Task) -> String {
    let (config, splits) = (&task.config.data, &task.splits);
    let name = config.dir.file_name().map_or_else(|| config.dir.to_string_lossy(), |name| name.to_string_lossy());
    let source = match splits.validation_source {
        ValidationSource::OwnSplit => "",
        ValidationSource::CutFromBudget => " (set aside from the labels)",
        ValidationSource::RestOfTrain => " (from the rest of the training split)",
    };
    let test = splits.test.as_ref().map_or_else(|| "no test split".into(), |test| format!("{} test", test.len()));
    let (train, validation, classes) = (splits.train.len(), splits.validation.len(), task.classes.len());
    let pixels = task.input.img_size;
    format!("{name}: {train} train, {validation} validation{source}, {test}, {classes} classes; {pixels} pixels")
}

/// The unlabelled images, and the labels that were propagated to them.
fn pseudo_labels(printer: &Printer, summary: &PseudoLabelSummary) {
    let PseudoLabelSummary { runs, unlabelled, left_out, without_label, kept, least_certainty, classes, .. } = summary;
    let left_out: Vec<String> = left_out.iter().map(|(reason, images)| format!("{images} {reason}")).collect();
    let left_out =
        if left_out.is_empty() { String::new() } else { format!("; left out by content: {}", left_out.join(", ")) };
    let by = if runs.is_empty() { String::new() } else { format!(", labelled by {}", runs.join(" and ")) };
    printer.say("unlabelled", format_args!("{}{by}{left_out}", count(*unlabelled, "image")));
    let (least, most) = (classes.values().min().unwrap_or(&0), classes.values().max().unwrap_or(&0));
    let of_each =
        if least == most { format!("{least} of each class") } else { format!("{least} to {most} of a class") };
    let unreached = if *without_label == 0 {
        String::new()
    } else {
        format!("; {without_label} without a path to a labelled image")
    };
    printer.say(
        "pseudo-labels",
        format_args!(" {kept} trained on, {of_each}, certainty {least_certainty:.2} or more{unreached}"),
    );
    if let (Some(all), Some(kept)) = (summary.accuracy, summary.kept_accuracy) {
        printer.say(
            "",
            format_args!("{} of these are right, {} of all (by the labels not used)", percent(kept), percent(all)),
        );
    }
}

/// The most memory that tensors took on the GPU, if the run used one.
pub(crate) fn device_memory(printer: &Printer, peak_bytes: Option<u64>) -> Result<(), Failure> {
    match peak_bytes {
        Some(bytes) => printer.result("memory", format_args!("{:.1} GB at most on the GPU", bytes as f64 / 1e9)),
        None => Ok(()),
    }
}

/// Memory and time of a run, as a dry run estimates them; `of` is the work that the time is for.
pub(crate) fn estimate(printer: &Printer, estimate: &Estimate, of: &str) {
    printer.say("parameters", format_args!("{:.1} M", estimate.parameters as f64 / 1e6));
    printer.say("memory", format_args!("about {:.1} GB", estimate.memory_bytes as f64 / 1e9));
    let time = Duration::from_secs_f64(estimate.seconds);
    printer.say("time", format_args!("about {} for {of}", clock(time)));
}

/// `test         240 images, 12 classes of 20`, or `900 images, 12 classes, 41 (iris) to 98 (daisy) each`: the splits of a
/// data set before any budget.
pub(crate) fn splits(data: &Description) -> Vec<(String, String)> {
    data.splits.iter().map(|split| (split.role.to_string(), of_split(split))).collect()
}

fn of_split(split: &SplitDescription) -> String {
    let SplitDescription { images, masks, of_unknown_classes, classes, smallest, largest, .. } = split;
    if *masks {
        return format!("{} with masks", count(*images, "image"));
    }
    let unknown = format!("{} of classes that train lacks", count(*of_unknown_classes, "image"));
    match (images, of_unknown_classes) {
        (0, 0) => return "no images".into(),
        (0, _) => return unknown,
        (_, 0) => {}
        _ => return format!("{}; {unknown}", of_split(&SplitDescription { of_unknown_classes: 0, ..split.clone() })),
    }
    let (images, least, most) = (count(*images, "image"), smallest.images, largest.images);
    let classes = format!("{classes} {}", if *classes == 1 { "class" } else { "classes" });
    if least == most {
        return format!("{images}, {classes} of {least}");
    }
    let [smallest, largest] = [smallest, largest].map(|extreme| coretune::data::quoted(&extreme.class));
    format!("{images}, {classes}, {least} ({smallest}) to {most} ({largest}) each")
}

/// `linear-probe   no steps: the checkpoint stays as it is`: a method that trains nothing.
pub(crate) fn untrained(method: &str) -> String {
    format!("{method}   no steps: the checkpoint stays as it is")
}

/// `core-tuning   pairs own, eta 1, alpha 1, temperature 0.07, focal 1; SGD, lr 0.03 cosine; 25 epochs of 10 steps`
pub(crate) fn method(config: &RunConfig, steps: u64) -> String {
    let head = match config.method.head_init {
        HeadInit::Random => "",
        HeadInit::LinearProbe => "; head from the linear probe",
    };
    training((&config.method, head), &config.train, steps)
}

/// The method, what is said of the head, and the optimisation.
pub(crate) fn training((method, head): (&MethodSection, &str), train: &TrainSection, steps: u64) -> String {
    let objective = match method.method() {
        Some(known) => objective_line(known, &method.values),
        None => method.word().into(),
    };
    let optimizer = match train.opt {
        Optimizer::Sgd => "SGD",
        Optimizer::Adamw => "AdamW",
        Optimizer::Lars => "LARS",
    };
    let (lr, schedule, epochs) = (train.lr, train.sched.name(), count(train.epochs, "epoch"));
    format!("{objective}{head}; {optimizer}, lr {lr} {schedule}; {epochs} of {}", count(steps as usize, "step"))
}

/// `core-tuning   pairs own, eta 1, alpha 1`: the method with its first settings, and those that are not at their defaults.
fn objective_line(method: &Method, values: &toml::Table) -> String {
    const FIRST: [&str; 4] = ["pairs", "eta", "alpha", "temperature"];
    let is_default = |setting: &Setting, value: &Value| {
        let text = match value {
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        setting.default_for(RunKind::FineTuning).is_some_and(|default| default == text)
    };
    let is_shown = |setting: &Setting, value: &Value| {
        let is_first = method.settings.len() <= FIRST.len() || FIRST.contains(&setting.name());
        is_first || !is_default(setting, value)
    };
    let shown = |setting: &Setting| match values.get(setting.name()).filter(|value| is_shown(setting, value))? {
        Value::Boolean(false) => None,
        Value::Boolean(true) => Some(setting.name().replace('_', " ")),
        Value::String(word) => Some(format!("{} {word}", setting.name().replace('_', " "))),
        Value::Float(number) => Some(format!("{} {number}", setting.name().replace('_', " "))),
        other => Some(format!("{} {other}", setting.name().replace('_', " "))),
    };
    let settings: Vec<String> = method.settings.iter().filter_map(shown).collect();
    if settings.is_empty() { method.word.into() } else { format!("{}   {}", method.word, settings.join(", ")) }
}

/// The training images, or the part of the batch size given, that are not used, if any.
pub(crate) fn unused(task: &Task, steps: u64) -> Option<String> {
    let (config, images) = (&task.config, task.training_split().len());
    let asked = config.train.effective_batch();
    match config.data.sampler {
        Sampler::Shuffle => left_out_of_epoch(images, asked, steps),
        Sampler::Balanced => {
            let (classes, of_each) = config.balanced_batch(task.classes.len());
            (classes * of_each < asked).then(|| {
                format!("{} per step ({classes} classes x {of_each}), not {asked}", count(classes * of_each, "image"))
            })
        }
    }
}

/// How many of the images each epoch leaves out, if any.
pub(crate) fn left_out_of_epoch(images: usize, batch: usize, steps: u64) -> Option<String> {
    let left_out = images.saturating_sub(batch.saturating_mul(steps as usize));
    let sentence = || match left_out {
        1 => "each epoch leaves out 1 image that does not fit into a batch, another one each time".into(),
        _ => format!("each epoch leaves out {left_out} images that do not fill a batch, different ones each time"),
    };
    (left_out > 0).then(sentence)
}

/// A warning that the best epoch is chosen on images of which each counts for more than a point.
pub(crate) fn few_validation_images(task: &Task) -> Option<String> {
    const FEW: usize = 100;
    let images = task.splits.validation.len();
    let chooses = task.config.train.select != Select::Last;
    (chooses && images < FEW).then(|| {
        let way_out = match task.splits.validation_source {
            ValidationSource::OwnSplit => "",
            ValidationSource::CutFromBudget | ValidationSource::RestOfTrain => " (--val-per-class N)",
        };
        format!(
            "each of the {} for validation is {:.1} points, so the choice of the best epoch is uncertain; \
             more of them make it surer{way_out}",
            count(images, "image"),
            100.0 / images as f64
        )
    })
}

/// What to try first with so many training labels per class, by the tables of docs/results.md; none where nothing was measured.
pub(crate) fn first_try(labels_per_class: usize) -> Option<String> {
    /// Between 10 labels, where no fine-tuning beat the probe, and 50, where LP-FT had the best mean.
    const PROBE: usize = 20;
    const MEASURED: usize = 500;
    let with = format!("with about {labels_per_class} labels per class");
    match labels_per_class {
        labels if labels <= PROBE => Some(format!(
            "{with}, try --method linear-probe first: with 10, no fine-tuning beat it in our measurements (docs/results.md)"
        )),
        labels if labels <= MEASURED => Some(format!(
            "{with}, try --recipe few-labels first (LP-FT): in our measurements with 50 to 500 it had the best mean or was level \
             with it (docs/results.md)"
        )),
        _ => None,
    }
}

/// `cat 0.67, dog 1.33`: the weight of each class in the cross-entropy; of many classes the least and the most.
pub(crate) fn class_weights(classes: &[String], weights: &[f64]) -> String {
    const FEW: usize = 8;
    let mut named: Vec<(&str, f64)> = classes.iter().map(String::as_str).zip(weights.iter().copied()).collect();
    let text = |(class, weight): &(&str, f64)| format!("{class} {weight:.2}");
    if named.len() <= FEW {
        return named.iter().map(text).collect::<Vec<_>>().join(", ");
    }
    named.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ends = |class: Option<&(&str, f64)>| class.map_or_else(String::new, text);
    format!("{} to {}, {} classes", ends(named.first()), ends(named.last()), named.len())
}

/// `cpu, 2 threads, f32 (this processor has no instructions for bf16)`, and the ranks if there are several.
pub(crate) fn machine(task: &Task) -> String {
    format!("{}{}", computes(&device_name(task.device), task.precision), ranks(&task.config.train))
}

/// `cpu, 2 threads, f32 (this processor has no instructions for bf16)`: device, threads and precision, with the reason on a CPU.
pub(crate) fn computes(device: &str, precision: Precision) -> String {
    let why = match (device, precision) {
        ("cpu", Precision::Bf16) if cpu_multiplies_bf16() => {
            " (this processor multiplies bf16, which is as fast as f32 or faster; --amp off computes in f32)"
        }
        ("cpu", Precision::F32) if !cpu_multiplies_bf16() => " (this processor has no instructions for bf16)",
        _ => "",
    };
    format!("{device}, {}, {precision}{why}", count(threads::get(), "thread"))
}

/// `, on each of 2 ranks; 128 images a step (2 ranks x 64)`; nothing for a single process.
pub(crate) fn ranks(train: &TrainSection) -> String {
    let TrainSection { ranks, batch_size, grad_accum_steps, .. } = train;
    if *ranks == 1 {
        return String::new();
    }
    let parts = if *grad_accum_steps > 1 { format!(" x {grad_accum_steps} batches") } else { String::new() };
    let images = train.effective_batch();
    format!(", on each of {ranks} ranks; {images} images a step ({ranks} ranks x {batch_size}{parts})")
}

/// `resnet50, 2048 features, 23.5 M parameters`
pub(crate) fn backbone(report: &LoadReport) -> String {
    let stem = if report.architecture.has_stems() && report.stem == Stem::Small { ", small stem" } else { "" };
    let width =
        if (report.width - 1.0).abs() > f64::EPSILON { format!(", width {}", report.width) } else { String::new() };
    let parameters = report.parameters as f64 / 1e6;
    format!("{}{stem}{width}, {} features, {parameters:.1} M parameters", report.architecture, report.features)
}

/// `resnet50, 318 of 318 backbone tensors`
pub(crate) fn coverage(report: &LoadReport) -> String {
    format!("{} of {} backbone tensors", report.loaded.len(), report.expected())
}

/// `validation top-1 74.1 %`: the best epoch of a run.
pub(crate) fn best_validation(summary: &Summary) -> String {
    match summary.best.figures.get(&validation_name(TOP1.name)) {
        Some(top1) => format!("validation {}", TOP1.labelled(top1)),
        None => format!("best epoch {}", summary.best.epoch),
    }
}

/// `79.2 %`
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// `95 %: 73.8 to 84.0`, in percent of a fraction.
pub(crate) fn interval(interval: &Interval) -> String {
    format!("95 %: {:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high)
}

/// `3.4 points above the linear probe (95 %: -0.9 to 7.6; not significant on these 240 images)`: a difference of fractions with
/// its interval; `unit` is that of the points.
pub(crate) fn above_probe(difference: f64, interval: &Interval, unit: &str, images: Option<usize>) -> String {
    let side = if difference < 0.0 { "below" } else { "above" };
    let significant = if interval.low > 0.0 || interval.high < 0.0 { "significant" } else { "not significant" };
    let images = images.map_or_else(String::new, |images| format!("{images} "));
    format!(
        "{:.1} {unit} {side} the linear probe ({}; {significant} on these {images}images)",
        100.0 * difference.abs(),
        self::interval(interval)
    )
}

/// `1 step`, `10 steps`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// The first few names, and how many more there are.
pub(crate) fn first_of(names: &[String]) -> String {
    const FEW: usize = 4;
    let shown = names.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A path, quoted for a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+=:@%,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted(Path::new("runs/a-b_1.pth")), "runs/a-b_1.pth");
        assert_eq!(quoted(Path::new("my run")), "'my run'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }

    #[test]
    fn the_weights_of_many_classes_are_shown_by_their_ends() {
        let classes: Vec<String> = (0..9).map(|class| format!("c{class}")).collect();
        let weights = [1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.0];
        assert_eq!(class_weights(&classes[..2], &weights[..2]), "c0 1.00, c1 0.50");
        assert_eq!(class_weights(&classes, &weights), "c1 0.50 to c7 1.50, 9 classes");
    }

    #[test]
    fn a_run_is_above_or_below_the_probe_and_significantly_so_or_not() {
        let of = |difference, low, high, images| above_probe(difference, &Interval { low, high }, "points", images);
        assert_eq!(
            of(0.034, -0.009, 0.076, Some(240)),
            "3.4 points above the linear probe (95 %: -0.9 to 7.6; not significant on these 240 images)"
        );
        assert!(of(0.034, 0.002, 0.076, None).ends_with("; significant on these images)"));
        assert!(
            of(-0.05, -0.08, -0.02, None).starts_with("5.0 points below the linear probe (95 %: -8.0 to -2.0; signi")
        );
    }

    #[test]
    fn the_first_try_follows_the_number_of_labels() {
        assert!(first_try(10).unwrap().contains("--method linear-probe"));
        assert!(first_try(50).unwrap().contains("--recipe few-labels"));
        assert!(first_try(500).unwrap().contains("--recipe few-labels"));
        assert_eq!(first_try(5000), None);
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let names: Vec<String> = (0..6).map(|index| format!("t{index}")).collect();
        assert_eq!(first_of(&names[..2]), "t0, t1");
        assert_eq!(first_of(&names), "t0, t1, t2, t3 and 2 more");
    }
}
