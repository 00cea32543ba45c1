//! How training goes: a bar on a terminal, a line now and then in a log.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// Figures of a step, as shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepFigures {
    /// Epoch, counted from 1.
    pub(crate) epoch: usize,
    /// Loss.
    pub(crate) loss: f64,
    /// The terms that add up to it, with their names.
    pub(crate) terms: Vec<(&'static str, f64)>,
    /// Images per second.
    pub(crate) images_per_second: f64,
}

/// The best validation figure so far.
#[derive(Debug, Clone, Copy)]
struct Validation {
    top1: f64,
    best_epoch: usize,
    best_top1: f64,
}

/// Shows how training goes, on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    pace: Pace,
    epochs: usize,
    figures: StepFigures,
    validation: Option<Validation>,
    last_line: Option<Instant>,
}

/// A log gets its first line of figures this long after the start, and then one each time this has passed.
const FIRST_LINE: Duration = Duration::from_secs(5);
const BETWEEN_LINES: Duration = Duration::from_secs(30);

impl Progress {
    /// Training of `epochs` epochs with `steps_per_epoch` steps each, of which `done` steps were made before.
    pub(crate) fn new(printer: Printer, epochs: usize, steps_per_epoch: usize, done: usize) -> Self {
        let bar = printer.shows_bars().then(|| bar(printer, epochs * steps_per_epoch));
        let pace = Pace::new(epochs, steps_per_epoch, done, Instant::now());
        let figures = StepFigures { epoch: done / steps_per_epoch.max(1) + 1, ..StepFigures::default() };
        Progress { printer, bar, pace, epochs, figures, validation: None, last_line: None }
    }

    /// A step has been made.
    pub(crate) fn step(&mut self, figures: StepFigures) {
        self.figures = figures;
        let now = Instant::now();
        self.pace.step(now);
        match &self.bar {
            Some(_) => self.redraw(now),
            None if self.pace.since_start(now) >= FIRST_LINE && self.is_due(now) => self.write_line(now),
            None => {}
        }
    }

    /// The model has been validated after the epoch.
    pub(crate) fn evaluated(&mut self, top1: f64, best_epoch: usize, best_top1: f64) {
        self.validation = Some(Validation { top1, best_epoch, best_top1 });
        let now = Instant::now();
        self.pace.evaluated(now);
        match &self.bar {
            Some(_) => self.redraw(now),
            None if self.is_due(now) || self.figures.epoch == self.epochs => self.write_line(now),
            None => {}
        }
    }

    /// Something worth a line of its own.
    pub(crate) fn note(&self, text: &str) {
        self.aside(|printer| printer.say("note", text));
    }

    /// Prints through the printer without breaking the bar.
    pub(crate) fn aside(&self, print: impl FnOnce(Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(self.printer)),
            None => print(self.printer),
        }
    }

    /// Training has ended: the bar goes, its last state stays as a line.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            self.write_line(Instant::now());
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.last_line.is_none_or(|last| now.duration_since(last) >= BETWEEN_LINES)
    }

    fn write_line(&mut self, now: Instant) {
        self.last_line = Some(now);
        self.printer.say(&self.label(), self.text(now));
    }

    fn redraw(&self, now: Instant) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(self.label());
            bar.set_message(self.text(now));
            bar.set_position(self.pace.made as u64);
        }
    }

    fn label(&self) -> String {
        format!("epoch {}/{}", self.figures.epoch, self.epochs)
    }

    /// `loss 2.31 = class 0.92 + contrast 1.39   val 74.1 % (best, epoch 6: 74.6)   98 img/s   1:42 left`
    fn text(&self, now: Instant) -> String {
        let StepFigures { loss, terms, images_per_second, .. } = &self.figures;
        let mut text = format!("loss {loss:.2}");
        if terms.len() > 1 {
            let terms: Vec<String> = terms.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
            let _ = write!(text, " = {}", terms.join(" + "));
        }
        if let Some(Validation { top1, best_epoch, best_top1 }) = self.validation {
            let (top1, best) = (100.0 * top1, 100.0 * best_top1);
            let _ = write!(text, "   val {top1:.1} % (best, epoch {best_epoch}: {best:.1})");
        }
        let _ = write!(text, "   {images_per_second:.0} img/s");
        if let Some(left) = self.pace.left(now) {
            let _ = write!(text, "   {} left", clock(left));
        }
        text
    }
}

fn bar(printer: Printer, steps: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    let (template, characters) = if printer.colours_words() {
        ("{prefix} {bar:24.cyan/dim} {msg}", "━╸━")
    } else {
        ("{prefix} {bar:24} {msg}", "━╸ ")
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars(characters));
    bar
}

/// How fast steps and validations go, and how long the rest will take.
#[derive(Debug)]
struct Pace {
    steps: usize,
    steps_per_epoch: usize,
    start: Instant,
    /// Steps made, those before this process included.
    made: usize,
    /// When the last step or validation ended.
    last: Instant,
    step_seconds: Mean,
    validation_seconds: Mean,
}

impl Pace {
    fn new(epochs: usize, steps_per_epoch: usize, done: usize, now: Instant) -> Self {
        Pace {
            steps: epochs * steps_per_epoch,
            steps_per_epoch: steps_per_epoch.max(1),
            start: now,
            made: done,
            last: now,
            step_seconds: Mean::default(),
            validation_seconds: Mean::default(),
        }
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.duration_since(self.start)
    }

    fn step(&mut self, now: Instant) {
        self.made += 1;
        self.step_seconds.add(now.duration_since(self.last).as_secs_f64());
        self.last = now;
    }

    fn evaluated(&mut self, now: Instant) {
        self.validation_seconds.add(now.duration_since(self.last).as_secs_f64());
        self.last = now;
    }

    /// Time left, from the first step on; validations count from the first one on.
    fn left(&self, now: Instant) -> Option<Duration> {
        let steps = self.steps.saturating_sub(self.made);
        let validations = steps.div_ceil(self.steps_per_epoch);
        let estimate = steps as f64 * self.step_seconds.value()?
            + validations as f64 * self.validation_seconds.value().unwrap_or(0.0);
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
    use super::*;

    #[test]
    fn times_read_as_on_a_clock() {
        assert_eq!(clock(Duration::from_secs(102)), "1:42");
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(7302)), "2:01:42");
    }

    #[test]
    fn the_time_left_is_known_after_one_step_and_then_counts_validations() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(2, 3, 0, start);
        assert_eq!(pace.left(start), None);
        for second in [2, 4, 6] {
            pace.step(at(second));
        }
        assert_eq!(pace.left(at(6)), Some(Duration::from_secs(6)));
        pace.evaluated(at(16));
        assert_eq!(pace.left(at(16)), Some(Duration::from_secs(16)));
        assert_eq!(pace.left(at(17)), Some(Duration::from_secs(15)));
    }

    #[test]
    fn a_resumed_run_counts_only_what_is_left() {
        let start = Instant::now();
        let mut pace = Pace::new(10, 10, 90, start);
        pace.step(start + Duration::from_secs(1));
        assert_eq!(pace.left(start + Duration::from_secs(1)), Some(Duration::from_secs(9)));
    }

    #[test]
    fn the_line_says_loss_terms_validation_speed_and_time() {
        let mut progress = Progress::new(Printer::new(false), 25, 10, 0);
        progress.pace.step_seconds.add(1.0);
        progress.figures = StepFigures {
            epoch: 7,
            loss: 2.31,
            terms: vec![("class", 0.92), ("contrast", 1.39)],
            images_per_second: 98.4,
        };
        progress.validation = Some(Validation { top1: 0.741, best_epoch: 6, best_top1: 0.746 });
        progress.pace.made = 148;
        let line = format!("{} {}", progress.label(), progress.text(progress.pace.last));
        assert_eq!(
            line,
            "epoch 7/25 loss 2.31 = class 0.92 + contrast 1.39   val 74.1 % (best, epoch 6: 74.6)   98 img/s   1:42 left"
        );
    }
}
