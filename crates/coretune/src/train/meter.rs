//! The speed of training.

use std::time::{Duration, Instant};

/// Time since a run began, over all the processes that it took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    earlier: Duration,
    since: Instant,
}

impl Stopwatch {
    /// Starts at zero.
    pub fn start() -> Self {
        Stopwatch::after(Duration::ZERO)
    }

    /// Starts at the time that earlier processes have spent.
    pub fn after(earlier: Duration) -> Self {
        Stopwatch { earlier, since: Instant::now() }
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        (self.earlier + self.since.elapsed()).as_secs_f64()
    }
}

/// Time and images since the last logged step, and over all steps of this process.
#[derive(Debug)]
pub(super) struct Meter {
    /// Since the last logged step, or since the epoch began.
    lap: Lap,
    /// Waiting for images in this epoch.
    waited: Duration,
    /// Over all laps that have ended.
    training: Duration,
    images: usize,
}

#[derive(Debug)]
struct Lap {
    since: Instant,
    images: usize,
    /// Waiting for images in this epoch before the lap.
    waited_before: Duration,
}

impl Lap {
    fn start(waited_before: Duration) -> Self {
        Lap { since: Instant::now(), images: 0, waited_before }
    }
}

impl Meter {
    pub(super) fn start() -> Self {
        let lap = Lap::start(Duration::ZERO);
        Meter { lap, waited: Duration::ZERO, training: Duration::ZERO, images: 0 }
    }

    /// Begins an epoch: the time since the last step was spent on evaluation.
    pub(super) fn begin_epoch(&mut self) {
        self.waited = Duration::ZERO;
        self.lap = Lap::start(Duration::ZERO);
    }

    /// Counts a step on so many images; `waited` is how long this epoch has waited for images so far.
    pub(super) fn count(&mut self, images: usize, waited: Duration) {
        self.lap.images += images;
        self.images += images;
        self.waited = waited;
    }

    /// Images per second and fraction of the time spent waiting, since the last logged step.
    pub(super) fn rates(&self) -> (f64, f64) {
        let elapsed = self.lap.since.elapsed().as_secs_f64().max(1e-9);
        let waited = self.waited.saturating_sub(self.lap.waited_before).as_secs_f64();
        (self.lap.images as f64 / elapsed, waited / elapsed)
    }

    /// Begins a new lap after a logged step.
    pub(super) fn end_lap(&mut self) {
        self.training += self.lap.since.elapsed();
        self.lap = Lap::start(self.waited);
    }

    /// Images per second over all steps of this process; none before the first.
    pub(super) fn overall_rate(&self) -> Option<f64> {
        (self.images > 0).then(|| self.images as f64 / self.training.as_secs_f64().max(1e-9))
    }
}
