//! Makes the table from the runs that have ended.

use std::collections::BTreeMap;

use super::CompareError;
use super::entry::Entry;
use super::measured::{Classified, Measured};
use super::plan::{Chosen, Outcome, Plan};
use super::statistics::{
    Difference, SeedsNeeded, holm, paired_difference, paired_pixel_difference, seed_interval, seeds_needed,
};
use super::table::{Comparison, FEWEST_SEEDS, Row, Spread};
use super::tuning::{Choice, Point};
use super::verdict::{Basis, Verdict, verdict};
use crate::evaluate::calibration::Bin;
use crate::evaluate::figure;
use crate::evaluate::segmentation::PixelFigures;

/// A row with the runs that it comes from.
struct Gathered {
    row: Row,
    runs: Vec<(u64, Measured)>,
}

/// The table from all runs that have ended; `late` runs were left out because of the deadline.
pub(super) fn tabulate(plan: &Plan<'_>, late: usize) -> Result<Comparison, CompareError> {
    let request = plan.request;
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for budget in request.budgets_to_run() {
        let mut of_budget = Vec::new();
        for entry in &request.entries {
            of_budget.push(gather(plan, entry, budget)?);
        }
        let baseline = request.entries.iter().position(|entry| *entry == request.baseline);
        compare_with_baseline(&mut of_budget, baseline.unwrap_or_default());
        for Gathered { row, runs } in of_budget {
            rows.push(row);
            all.extend(runs.into_iter().map(|(_, measured)| measured));
        }
    }
    correct_p(&mut rows);
    let images = all.first().map_or(0, Measured::count);
    let basis = Basis { baseline: &request.baseline.name, task: request.task, images };
    let of_budget = |budget| {
        let of_budget: Vec<&Row> = rows.iter().filter(|row| row.labels_per_class == budget).collect();
        verdict(&of_budget, basis)
    };
    let verdicts: Vec<Verdict<'_>> = request.budgets_to_run().into_iter().map(of_budget).collect();
    let recommended = verdicts.iter().filter_map(|verdict| verdict.recommended);
    let best_run = recommended.max_by_key(|row| row.labels_per_class).and_then(|row| row.runs.first().cloned());
    Ok(Comparison {
        task: request.task,
        data: request.layers.get("data.dir").and_then(toml::Value::as_str).unwrap_or_default().into(),
        checkpoint: request.layers.get("checkpoint.path").and_then(toml::Value::as_str).unwrap_or_default().into(),
        split: all.first().map_or("none", |measured| measured.split).into(),
        images,
        seeds: request.seeds_to_run(),
        baseline: request.baseline.name.clone(),
        verdict: verdicts.into_iter().map(|verdict| verdict.sentence).collect(),
        notes: notes(&all, &rows, late),
        rows,
        runs: plan.finished(),
        best_run,
        left_out: Vec::new(),
    })
}

/// Methods with finished runs in the folder that the table written before had and this one has not.
pub(super) fn left_out(plan: &Plan<'_>) -> Vec<String> {
    let Ok(before) = Comparison::read(&plan.request.output) else { return Vec::new() };
    let mut left_out: Vec<String> = Vec::new();
    for name in before.rows.iter().map(|row| &row.method).chain(&before.left_out) {
        let is_new = !left_out.contains(name) && plan.request.entries.iter().all(|entry| entry.name != *name);
        if is_new && Entry::parse(name).is_ok_and(|entry| is_finished(plan, &entry)) {
            left_out.push(name.clone());
        }
    }
    left_out
}

/// Whether an entry would be a row with figures, with the settings that this comparison has.
fn is_finished(plan: &Plan<'_>, entry: &Entry) -> bool {
    let has_runs = |budget| gather(plan, entry, budget).is_ok_and(|gathered| !gathered.runs.is_empty());
    plan.request.budgets_to_run().into_iter().any(has_runs)
}

fn notes(all: &[Measured], rows: &[Row], late: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if all.iter().any(|measured| measured.split == "validation") {
        notes.push(
            "There is no test split: the figures are of the validation images, which chose settings and epochs, so they \
             flatter every method."
                .into(),
        );
    }
    if let Some(first) = all.first()
        && let Some(other) = all.iter().find(|measured| measured.versions != first.versions)
    {
        let (first, other) = (&first.versions, &other.versions);
        notes.push(format!("The runs come from different versions (coretune, libtorch): {first} and {other}."));
    }
    if late > 0 {
        notes.push(format!("At least {late} runs were not begun: they would not have ended before the deadline."));
    }
    notes.extend(without_interval(rows).map(String::from));
    notes
}

/// Why a row that has a t interval over seeds shows none.
fn without_interval(rows: &[Row]) -> Option<&'static str> {
    let unshown = rows.iter().filter(|row| row.t_interval.is_some() && row.interval_over_seeds().is_none());
    let seeds = unshown.filter_map(|row| Some(row.difference.as_ref()?.of_seeds.len())).min()?;
    Some(if seeds < FEWEST_SEEDS {
        "Two seeds are too few for an interval over seeds."
    } else {
        "Seeds that all show the same difference have no interval over seeds."
    })
}

/// The row of an entry at a budget, not yet compared with the baseline.
fn gather(plan: &Plan<'_>, entry: &Entry, budget: Option<usize>) -> Result<Gathered, CompareError> {
    let mut row = Row::empty(entry, budget);
    let mut runs = Vec::new();
    match plan.chosen(entry, budget)? {
        Chosen::Open(_) => row.remarks.push("its settings are not chosen yet".into()),
        Chosen::Failed(sentence) => row.remarks.push(sentence),
        Chosen::Settings(choice) => {
            add_trials(&mut row, plan, entry, &choice)?;
            runs = add_runs(&mut row, plan, entry, &choice.point)?;
        }
    }
    row.fill(&runs);
    Ok(Gathered { row, runs })
}

/// Adds what was chosen, and the cost and failures of the trials that were not.
fn add_trials(row: &mut Row, plan: &Plan<'_>, entry: &Entry, choice: &Choice) -> Result<(), CompareError> {
    let Choice { point, tried, edges } = choice;
    let first_seed = plan.request.seeds_to_run()[0];
    row.trials = tried.len();
    row.remarks.extend(edges.iter().cloned());
    row.settings = point.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    for point in tried.iter().filter(|tried| *tried != point) {
        match plan.outcome(&plan.run(entry, row.labels_per_class, first_seed, point)?.identity)?.as_deref() {
            Some(Outcome::Finished(measured)) => row.total_seconds += measured.seconds,
            Some(Outcome::Failed(sentence)) => {
                let settings: Vec<String> = point.iter().map(|(key, value)| format!("{key}={value}")).collect();
                row.remarks.push(format!("the trial {} failed: {sentence}", settings.join(" ")));
            }
            None => {}
        }
    }
    Ok(())
}

/// The finished runs of a row with the settings that were chosen, by seed.
fn add_runs(
    row: &mut Row,
    plan: &Plan<'_>,
    entry: &Entry,
    point: &Point,
) -> Result<Vec<(u64, Measured)>, CompareError> {
    let mut runs = Vec::new();
    for seed in plan.request.seeds_to_run() {
        let run = plan.run(entry, row.labels_per_class, seed, point)?;
        match plan.outcome(&run.identity)?.as_deref() {
            Some(Outcome::Finished(measured)) => {
                runs.push((seed, measured.clone()));
                row.runs.push(run.identity.clone());
            }
            Some(Outcome::Failed(sentence)) => row.remarks.push(format!("seed {seed} failed: {sentence}")),
            None => row.remarks.push(format!("seed {seed} has not been run")),
        }
    }
    Ok(runs)
}

impl Row {
    fn empty(entry: &Entry, budget: Option<usize>) -> Self {
        Row {
            method: entry.name.clone(),
            labels_per_class: budget,
            settings: BTreeMap::new(),
            trials: 0,
            seeds: Vec::new(),
            top1: None,
            validation_score: None,
            nll: None,
            ece: None,
            mean_iou: None,
            pixel_accuracy: None,
            mean_pixel_accuracy: None,
            frequency_weighted_iou: None,
            difference: None,
            other_differences: BTreeMap::new(),
            p_holm: None,
            t_interval: None,
            detectable: None,
            seeds_to_decide: None,
            calibration: Vec::new(),
            seconds: None,
            total_seconds: 0.0,
            memory_bytes: None,
            remarks: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes the figures of the finished runs.
    fn fill(&mut self, runs: &[(u64, Measured)]) {
        let of_classes = |figure: fn(&Classified) -> f64| {
            Spread::of(runs.iter().filter_map(|(_, run)| run.classified()).map(figure).collect())
        };
        let pixels: Vec<PixelFigures> = runs.iter().filter_map(|(_, run)| run.pixel_figures()).collect();
        let of_pixels = |figure: PixelFigure| Spread::of(pixels.iter().map(figure).collect());
        self.seeds = runs.iter().map(|(seed, _)| *seed).collect();
        self.validation_score = Spread::of(runs.iter().map(|(_, run)| run.validation_score).collect());
        self.top1 = of_classes(Classified::top1);
        self.nll = of_classes(|run| run.nll);
        self.ece = of_classes(Classified::ece);
        self.mean_iou = of_pixels(|figures| figures.mean_iou);
        self.pixel_accuracy = of_pixels(|figures| figures.pixel_accuracy);
        self.mean_pixel_accuracy = of_pixels(|figures| figures.mean_pixel_accuracy);
        self.frequency_weighted_iou = of_pixels(|figures| figures.frequency_weighted_iou);
        self.seconds = Spread::of(runs.iter().map(|(_, run)| run.seconds).collect()).map(|spread| spread.mean);
        self.total_seconds += runs.iter().map(|(_, run)| run.seconds).sum::<f64>();
        self.memory_bytes = runs.iter().map(|(_, run)| run.memory_bytes).max();
        self.calibration = merged_bins(runs.iter().filter_map(|(_, run)| Some(&run.classified()?.bins[..])));
    }
}

/// Bins of several runs as one.
fn merged_bins<'a>(runs: impl Iterator<Item = &'a [Bin]>) -> Vec<Bin> {
    runs.fold(Vec::new(), |merged: Vec<Bin>, bins| {
        if merged.is_empty() {
            return bins.to_vec();
        }
        let both = |(a, b): (&Bin, &Bin)| {
            let images = a.images + b.images;
            let mean = |figure: fn(&Bin) -> f64| {
                (figure(a) * a.images as f64 + figure(b) * b.images as f64) / images.max(1) as f64
            };
            Bin { images, confidence: mean(|bin| bin.confidence), accuracy: mean(|bin| bin.accuracy), ..*a }
        };
        merged.iter().zip(bins).map(both).collect()
    })
}

/// Pairs every row with the baseline, over the seeds that both have finished.
fn compare_with_baseline(rows: &mut [Gathered], baseline: usize) {
    let of_baseline: BTreeMap<u64, Measured> = rows[baseline].runs.iter().cloned().collect();
    for (index, Gathered { row, runs }) in rows.iter_mut().enumerate() {
        let pairs: Vec<(&Measured, &Measured)> =
            runs.iter().filter_map(|(seed, run)| Some((run, of_baseline.get(seed)?))).collect();
        if index == baseline || pairs.is_empty() {
            continue;
        }
        if pairs.iter().any(|(run, other)| run.images != other.images || run.count() != other.count()) {
            row.remarks.push("it cannot be compared: it was measured on other images than the baseline".into());
            continue;
        }
        row.compare(&pairs);
    }
}

impl Row {
    /// The differences of runs and those of the baseline with the same seeds.
    fn compare(&mut self, pairs: &[(&Measured, &Measured)]) {
        let first = pairs[0].0;
        let is_first = |run: &Measured| run.images == first.images && run.count() == first.count();
        let same_images = pairs.iter().all(|(run, other)| is_first(run) && is_first(other));
        let difference = difference_of_classes(pairs, same_images).or_else(|| {
            self.other_differences = OTHER_PIXEL_FIGURES
                .into_iter()
                .filter_map(|(name, figure)| Some((name.into(), difference_of_pixels(pairs, figure, same_images)?)))
                .collect();
            difference_of_pixels(pairs, |figures| figures.mean_iou, same_images)
        });
        self.t_interval = difference.as_ref().and_then(|difference| seed_interval(&difference.of_seeds));
        self.detectable = self.t_interval.map(|interval| (interval.high - interval.low) / 2.0);
        self.difference = difference;
    }
}

/// One of the figures of E2.
type PixelFigure = fn(&PixelFigures) -> f64;

/// The figures of segmentation beside the mean IoU, by name.
const OTHER_PIXEL_FIGURES: [(&str, PixelFigure); 3] = [
    (figure::PIXEL_ACCURACY.name, |figures| figures.pixel_accuracy),
    (figure::MEAN_PIXEL_ACCURACY.name, |figures| figures.mean_pixel_accuracy),
    (figure::FREQUENCY_WEIGHTED_IOU.name, |figures| figures.frequency_weighted_iou),
];

/// The difference in top-1, if the runs are of classifiers.
fn difference_of_classes(pairs: &[(&Measured, &Measured)], same_images: bool) -> Option<Difference> {
    let both =
        pairs.iter().map(|(run, other)| Some((&run.classified()?.correct[..], &other.classified()?.correct[..])));
    let (method, other): (Vec<&[bool]>, Vec<&[bool]>) = both.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some(paired_difference(&method, &other, same_images, 0))
}

/// The difference in a figure of segmentation, if the runs are of segmentation.
fn difference_of_pixels(
    pairs: &[(&Measured, &Measured)],
    figure: PixelFigure,
    same_images: bool,
) -> Option<Difference> {
    let both = pairs.iter().map(|(run, other)| Some((run.pixels()?, other.pixels()?)));
    let (method, other): (Vec<_>, Vec<_>) = both.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some(paired_pixel_difference(&method, &other, figure, same_images, 0))
}

/// Holm's correction over all rows that were compared, and how many seeds would decide those that are open.
fn correct_p(rows: &mut [Row]) {
    let mut compared: Vec<&mut Row> = rows.iter_mut().filter(|row| row.difference.is_some()).collect();
    let p: Vec<f64> = compared.iter().filter_map(|row| Some(row.difference.as_ref()?.p)).collect();
    for (row, p) in compared.iter_mut().zip(holm(&p)) {
        row.p_holm = Some(p);
        if !row.is_decided()
            && let Some(difference) = &row.difference
            && let SeedsNeeded::About(seeds) = seeds_needed(&difference.of_seeds)
        {
            row.seeds_to_decide = Some(seeds);
        }
    }
}
