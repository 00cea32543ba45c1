//! How a download goes: a bar on a terminal, a line now and then in a log.

use std::time::{Duration, Instant};

use coretune::data::fetch::{Doing, Event};
use indicatif::ProgressBar;

use crate::printer::Printer;
use crate::progress::{BETWEEN_LINES, FIRST_LINE, bar, clock};

/// Shows what a fetch tells of itself, on stderr.
#[derive(Debug)]
pub(crate) struct Transfer {
    printer: Printer,
    bar: Option<ProgressBar>,
    work: Option<Work>,
}

/// The piece of work that goes on.
#[derive(Debug)]
struct Work {
    doing: Doing,
    file: String,
    total: u64,
    /// When it began, and how many bytes were there then.
    began: Instant,
    there: u64,
    done: u64,
    shown: Instant,
}

/// A bar moves this often at most.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);

impl Transfer {
    /// Shows nothing yet.
    pub(crate) fn new(printer: Printer) -> Self {
        Transfer { printer, bar: None, work: None }
    }

    /// Takes note of what happened, and shows it.
    pub(crate) fn see(&mut self, event: Event<'_>) {
        match event {
            Event::Note(text) => self.aside("note", &text),
            Event::Resumed { file, from } => {
                self.aside("resumed", &format!("{file}   {} downloaded before", size(from)));
                self.work = Some(Work::new(Doing::Fetching, file, from, Instant::now()));
            }
            Event::Advanced { doing, file, done, total } => self.advance(doing, file, done, total, Instant::now()),
        }
    }

    fn advance(&mut self, doing: Doing, file: &str, done: u64, total: u64, now: Instant) {
        if self.work.as_ref().is_none_or(|work| work.doing != doing || work.file != file) {
            self.clear();
            self.work = Some(Work::new(doing, file, 0, now));
        }
        let Some(work) = &mut self.work else { return };
        (work.done, work.total) = (done, total);
        if done >= total {
            let text = work.ended(now);
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            if let Some(text) = text {
                self.printer.say(work.word(), text);
            }
        } else if Printer::shows_bars() {
            let bar = self.bar.get_or_insert_with(|| bar(&self.printer, total).with_prefix(work.word()));
            if now.duration_since(work.shown) >= BETWEEN_DRAWINGS {
                work.shown = now;
                bar.set_message(work.figures(now));
                bar.set_position(done);
            }
        } else if work.is_due(now) {
            work.shown = now;
            self.printer.say(work.word(), work.figures(now));
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints without breaking the bar.
    fn aside(&self, label: &str, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.printer.say(label, text)),
            None => self.printer.say(label, text),
        }
    }
}

impl Work {
    fn new(doing: Doing, file: &str, there: u64, now: Instant) -> Self {
        Work { doing, file: file.to_string(), total: 0, began: now, there, done: there, shown: now }
    }

    fn word(&self) -> &'static str {
        match self.doing {
            Doing::Fetching => "fetching",
            Doing::Unpacking => "unpacking",
        }
    }

    /// Whether a log gets a line: the first one soon, then one each time the second has passed.
    fn is_due(&self, now: Instant) -> bool {
        let since = if self.shown == self.began { FIRST_LINE } else { BETWEEN_LINES };
        now.duration_since(self.shown) >= since
    }

    /// `train-images-idx3-ubyte.gz   12.1 MB of 26.4 MB   8.1 MB/s   0:02 left`
    fn figures(&self, now: Instant) -> String {
        let seconds = now.duration_since(self.began).as_secs_f64();
        let per_second = self.done.saturating_sub(self.there) as f64 / seconds.max(1e-3);
        let left = self.total.saturating_sub(self.done) as f64 / per_second.max(1.0);
        format!(
            "{}   {} of {}   {}/s   {} left",
            self.file,
            size(self.done),
            size(self.total),
            size(per_second as u64),
            clock(Duration::from_secs_f64(left))
        )
    }

    /// `train-images-idx3-ubyte.gz   26.4 MB in 0:03`, said once.
    fn ended(&mut self, now: Instant) -> Option<String> {
        let began = std::mem::replace(&mut self.began, now);
        let is_new = self.there < self.total;
        self.there = self.total;
        is_new.then(|| format!("{}   {} in {}", self.file, size(self.total), clock(now.duration_since(began))))
    }
}

/// `26.4 MB`, `29.5 kB`.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 100_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let start = Instant::now();
        let mut work = Work::new(Doing::Fetching, "a.gz", 2_000_000, start);
        (work.done, work.total) = (12_000_000, 27_000_000);
        assert_eq!(work.figures(start + Duration::from_secs(2)), "a.gz   12.0 MB of 27.0 MB   5.0 MB/s   0:03 left");
    }

    #[test]
    fn a_log_has_a_first_line_soon_and_few_more_and_one_at_the_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut work = Work::new(Doing::Unpacking, "a.gz", 0, start);
        work.total = 1_000_000;
        assert!(!work.is_due(at(2)) && work.is_due(at(5)));
        work.shown = at(5);
        assert!(!work.is_due(at(30)) && work.is_due(at(35)));
        assert_eq!(work.ended(at(40)).as_deref(), Some("a.gz   1.0 MB in 0:40"));
        assert_eq!(work.ended(at(41)), None);
    }
}
