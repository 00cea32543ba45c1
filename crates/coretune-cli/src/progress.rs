//! Progress of training: a bar on a terminal, a line every half minute in a log.

use std::time::{Duration, Instant};

use coretune::figures::{FigureSpec, Figures};
use coretune::objectives::figure;
use coretune::train::{EvaluationReport, Event, Measurement, StepReport};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// Shows the events of a run on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    stage: Option<(&'static str, Instant)>,
    training: Option<Training>,
    last_line: Option<Instant>,
}

/// How far training has come.
#[derive(Debug)]
struct Training {
    epochs: u64,
    pace: Pace,
    step: Option<StepReport>,
    /// The last evaluation.
    evaluated: Option<EvaluationReport>,
}

/// `val top-1 74.1 % (best, epoch 6: 74.6 %)`, or `test kNN 61.2 %, rank 83.4 of 512 (epoch 5)`
fn evaluation(report: &EvaluationReport) -> String {
    let shown = |figures: &Figures, text: fn(&FigureSpec, f64) -> String| {
        let values = report.shown.iter().filter_map(|spec| Some(text(spec, figures.get(spec.name)?)));
        values.collect::<Vec<_>>().join(", ")
    };
    let split = if report.split == "validation" { "val" } else { &report.split };
    let when = match &report.best {
        Some(best) => format!("best, epoch {}: {}", best.epoch, shown(&best.figures, FigureSpec::show)),
        None => format!("epoch {}", report.epoch),
    };
    format!("{split} {} ({when})", shown(&report.figures, FigureSpec::labelled))
}

/// `kNN 66.7 %, linear probe 75.8 % on test   (3 s)`
pub(crate) fn measured(measurement: &Measurement) -> String {
    let Measurement { split, figures, shown, took, .. } = measurement;
    let values = shown.iter().filter_map(|spec| Some(spec.labelled(figures.get(spec.name)?)));
    format!("{} on {split}   ({:.0} s)", values.collect::<Vec<_>>().join(", "), took.as_secs_f64())
}

/// A log gets its first line of figures this long after some work began, then one every [`BETWEEN_LINES`].
pub(crate) const FIRST_LINE: Duration = Duration::from_secs(5);
pub(crate) const BETWEEN_LINES: Duration = Duration::from_secs(30);

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new(printer: Printer) -> Self {
        Progress { printer, bar: None, stage: None, training: None, last_line: None }
    }

    /// Shows an event.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Stage(stage) => self.begin_stage(stage),
            Event::Progress { done, total } => self.advance_stage(*done, *total),
            Event::EpochStarted { epochs, steps, .. } => self.begin_training(*epochs, *steps),
            Event::Step(report) => self.step(report),
            Event::Evaluated(report) => self.evaluated(report),
            Event::Trained { took, early } => self.end_training(*took, *early),
            Event::Measured(measurement) => {
                self.clear();
                self.printer.say(measurement.what, measured(measurement));
            }
            Event::Note(text) => self.aside(|printer| printer.say("note", text)),
        }
    }

    fn begin_stage(&mut self, stage: &'static str) {
        self.clear();
        self.stage = Some((stage, Instant::now()));
        self.last_line = None;
    }

    fn advance_stage(&mut self, done: usize, total: usize) {
        let Some((stage, began)) = self.stage else { return };
        let now = Instant::now();
        let spent = now.duration_since(began);
        let left = spent.mul_f64(total.saturating_sub(done) as f64 / done.max(1) as f64);
        let text = format!("{done} of {total} images   {} left", clock(left));
        if Printer::shows_bars() {
            let bar = self.bar.get_or_insert_with(|| bar(&self.printer, total as u64).with_prefix(stage));
            bar.set_message(text);
            bar.set_position(done as u64);
        } else if spent >= FIRST_LINE && self.is_due(now) {
            self.last_line = Some(now);
            self.printer.say(&format!("{stage}  "), text);
        }
        if done >= total {
            self.clear();
        }
    }

    fn begin_training(&mut self, epochs: u64, steps: u64) {
        if self.training.is_none() {
            self.clear();
            self.last_line = None;
            let pace = Pace::new(epochs * steps, steps, Instant::now());
            self.training = Some(Training { epochs, pace, step: None, evaluated: None });
            self.bar = Printer::shows_bars().then(|| bar(&self.printer, epochs * steps));
        }
    }

    fn step(&mut self, report: &StepReport) {
        let now = Instant::now();
        let Some(training) = &mut self.training else { return };
        training.pace.reach(report.step, now);
        training.step = Some(report.clone());
        if self.bar.is_some() {
            self.redraw(now);
        } else if training.pace.since_start(now) >= FIRST_LINE && self.is_due(now) {
            self.write_line(now);
        }
    }

    fn evaluated(&mut self, report: &EvaluationReport) {
        let now = Instant::now();
        let Some(training) = &mut self.training else {
            return self.printer.say("before", evaluation(report));
        };
        training.pace.evaluated(now);
        training.evaluated = Some(report.clone());
        let is_last = report.epoch == training.epochs;
        if self.bar.is_some() {
            self.redraw(now);
            // The last state of the bar stays as a line, in the log too.
            if !is_last {
                self.log_line(now);
            }
        } else if self.is_due(now) || is_last {
            self.write_line(now);
        }
    }

    fn end_training(&mut self, took: Duration, early: bool) {
        if self.bar.is_some() {
            self.clear();
            self.write_line(Instant::now());
        }
        let why = if early { "; stopped early: no better epoch" } else { "" };
        self.printer.say("trained", format_args!("in {}{why}", clock(took)));
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints without breaking the bar.
    fn aside(&self, print: impl FnOnce(&Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(&self.printer)),
            None => print(&self.printer),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.last_line.is_none_or(|last| now.duration_since(last) >= BETWEEN_LINES)
    }

    fn write_line(&mut self, now: Instant) {
        self.last_line = Some(now);
        if let Some(training) = &self.training {
            self.printer.say(&training.label(), training.figures(now));
        }
    }

    fn log_line(&self, now: Instant) {
        if let Some(training) = &self.training {
            self.printer.log(&training.label(), training.figures(now));
        }
    }

    fn redraw(&self, now: Instant) {
        if let (Some(bar), Some(training)) = (&self.bar, &self.training) {
            bar.set_prefix(training.label());
            bar.set_message(training.figures(now));
            bar.set_position(training.pace.made);
        }
    }
}

impl Training {
    /// `epoch 7/25`
    fn label(&self) -> String {
        format!("epoch {}/{} ", self.step.as_ref().map_or(1, |step| step.epoch), self.epochs)
    }

    /// `loss 2.31 = class 0.92 + contrast 1.39   val top-1 74.1 % (best, epoch 6: 74.6 %)   98 img/s   1:42 left`
    fn figures(&self, now: Instant) -> String {
        let mut parts = Vec::new();
        if let Some(step) = &self.step {
            parts.push(loss(step));
        }
        parts.extend(self.evaluated.as_ref().map(evaluation));
        if let Some(step) = &self.step {
            parts.push(format!("{:.0} img/s", step.images_per_second));
        }
        if let Some(left) = self.pace.left(now) {
            parts.push(format!("{} left", clock(left)));
        }
        parts.join("   ")
    }
}

/// The loss, with the terms that add up to it if there are several: mixed rows of pixels with their weight 1/2, and what is
/// left, the contrastive one with its weight.
fn loss(step: &StepReport) -> String {
    let loss = step.loss;
    match step.figures.get(figure::CLASSIFICATION) {
        Some(class) if step.figures.contains_key(figure::CONTRASTIVE) => {
            let mixed = step.figures.get(figure::MIXED_CLASSIFICATION).map(|mixed| 0.5 * mixed);
            let rest = loss - class - mixed.unwrap_or_default();
            let mixed = mixed.map_or_else(String::new, |mixed| format!(" + mixed {mixed:.2}"));
            format!("loss {loss:.2} = class {class:.2}{mixed} + contrast {rest:.2}")
        }
        _ => format!("loss {loss:.2}"),
    }
}

pub(crate) fn bar(printer: &Printer, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let (template, characters) = if printer.colours_words() {
        ("{prefix} {bar:24.cyan/dim}  {msg}", "━╸━")
    } else {
        ("{prefix} {bar:24}  {msg}", "━╸ ")
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars(characters))
}

/// How fast steps and evaluations are, and how long the rest will take.
#[derive(Debug)]
struct Pace {
    steps: u64,
    steps_per_epoch: u64,
    start: Instant,
    /// The last step made, counted from 1 over the run; unknown until one has been reported.
    made: u64,
    reported: bool,
    /// When the last step or evaluation ended.
    last: Instant,
    step_seconds: Mean,
    evaluation_seconds: Mean,
}

impl Pace {
    fn new(steps: u64, steps_per_epoch: u64, now: Instant) -> Self {
        Pace {
            steps,
            steps_per_epoch: steps_per_epoch.max(1),
            start: now,
            made: 0,
            reported: false,
            last: now,
            step_seconds: Mean::default(),
            evaluation_seconds: Mean::default(),
        }
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.duration_since(self.start)
    }

    /// Step `step` has been reported; in a resumed run the first one is not step 1.
    fn reach(&mut self, step: u64, now: Instant) {
        let steps = if self.reported { step.saturating_sub(self.made).max(1) } else { 1 };
        (self.made, self.reported) = (step, true);
        self.step_seconds.add(now.duration_since(self.last).as_secs_f64() / steps as f64);
        self.last = now;
    }

    fn evaluated(&mut self, now: Instant) {
        self.evaluation_seconds.add(now.duration_since(self.last).as_secs_f64());
        self.last = now;
    }

    /// Time left, from the first step on; evaluations count from the first one on.
    fn left(&self, now: Instant) -> Option<Duration> {
        let steps = self.steps.saturating_sub(self.made);
        let evaluations = steps.div_ceil(self.steps_per_epoch);
        let estimate = steps as f64 * self.step_seconds.value()?
            + evaluations as f64 * self.evaluation_seconds.value().unwrap_or(0.0);
        let since = now.duration_since(self.last).as_secs_f64();
        Some(Duration::from_secs_f64((estimate - since).max(0.0)))
    }
}

/// A mean that follows the last few dozen values, as other work on the machine comes and goes.
#[derive(Debug, Default)]
struct Mean {
    count: u32,
    mean: f64,
}

impl Mean {
    const MEMORY: u32 = 50;

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.mean += (value - self.mean) / f64::from(self.count.min(Self::MEMORY));
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }
}

/// `1:42`, or `2:01:42` from an hour on.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use coretune::evaluate::figure::{KNN_TOP1, LOSS, RANK, TOP1};
    use coretune::figures::EpochFigures;

    use super::*;

    #[test]
    fn times_read_as_on_a_clock() {
        assert_eq!(clock(Duration::from_secs(102)), "1:42");
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(7302)), "2:01:42");
    }

    #[test]
    fn the_time_left_is_known_after_one_step_and_then_counts_evaluations() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(6, 3, start);
        assert_eq!(pace.left(start), None);
        for (step, second) in [(1, 2), (2, 4), (3, 6)] {
            pace.reach(step, at(second));
        }
        assert_eq!(pace.left(at(6)), Some(Duration::from_secs(6)));
        pace.evaluated(at(16));
        assert_eq!(pace.left(at(16)), Some(Duration::from_secs(16)));
        assert_eq!(pace.left(at(17)), Some(Duration::from_secs(15)));
    }

    #[test]
    fn a_run_that_goes_on_counts_only_what_is_left() {
        let start = Instant::now();
        let mut pace = Pace::new(100, 10, start);
        pace.reach(91, start + Duration::from_secs(1));
        assert_eq!(pace.left(start + Duration::from_secs(1)), Some(Duration::from_secs(9)));
    }

    fn report(step: u64) -> StepReport {
        StepReport {
            step,
            total_steps: 250,
            epoch: step / 10 + 1,
            rate: 0.03,
            loss: 2.31,
            figures: [(figure::CLASSIFICATION, 0.92), (figure::CONTRASTIVE, 0.695)].into_iter().collect(),
            images_per_second: 98.4,
            exchanged: None,
            data_wait_share: 0.0,
            seconds: 12.5,
        }
    }

    #[test]
    fn the_line_says_loss_with_weighted_terms_validation_speed_and_time() {
        let start = Instant::now();
        let mut pace = Pace::new(250, 10, start);
        pace.reach(148, start + Duration::from_secs(1));
        let evaluated = EvaluationReport {
            epoch: 14,
            step: 140,
            split: "validation".into(),
            figures: Figures::new().with("top1", 0.741).with("loss", 0.8),
            shown: vec![TOP1],
            best: Some(EpochFigures { epoch: 6, figures: Figures::new().with("top1", 0.746) }),
        };
        let training = Training { epochs: 25, pace, step: Some(report(148)), evaluated: Some(evaluated) };
        let line = training.label() + &training.figures(start + Duration::from_secs(1));
        assert_eq!(
            line,
            "epoch 15/25 loss 2.31 = class 0.92 + contrast 1.39   val top-1 74.1 % (best, epoch 6: 74.6 %)   98 img/s   1:42 left"
        );
    }
    #[test]
    fn every_figure_is_shown_in_its_unit_and_those_that_were_not_measured_are_left_out() {
        let report = |figures: Figures, shown: &[FigureSpec]| {
            let (shown, split) = (shown.to_vec(), "test".into());
            evaluation(&EvaluationReport { epoch: 5, step: 50, split, figures, shown, best: None })
        };
        let probe = [KNN_TOP1, FigureSpec { most: Some(512), ..RANK }];
        let rank = Figures::new().with("rank", 83.4);
        assert_eq!(report(rank.clone().with("knn_top1", 0.612), &probe), "test kNN 61.2 %, rank 83.4 of 512 (epoch 5)");
        assert_eq!(report(rank, &probe), "test rank 83.4 of 512 (epoch 5)");
        assert_eq!(report(Figures::new().with("loss", 0.831), &[LOSS]), "test loss 0.831 (epoch 5)");
    }
}
