//! How a rank notices that another one is gone: heartbeats in the store, by threads of their own.
//!
//! Every rank writes its heartbeat. Rank 0 reads all of them, the others that of rank 0; a rank whose exchange failed reads
//! all. Whoever finds out first what happened writes it under one key, which all ranks read, so that all say the same. Ranks
//! that find out at the same time count themselves in the store, and the first of them writes.
//! Only the watching thread uses its connection to the store: an operation on a store whose process was stopped never ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coretune_native::Store;

use super::RanksError;

/// How often a rank writes its heartbeat.
const BEAT: Duration = Duration::from_secs(1);
/// Heartbeats that a rank may miss before it is said to be gone, once an exchange has failed.
const MISSED: u32 = 4;
/// Heartbeats after which a rank writes what happened, although another one was first.
const UNWRITTEN: u32 = 2;

/// What the threads of a rank share.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) rank: usize,
    pub(super) ranks: usize,
    /// Where the store is, for messages; none if rank 0 holds it.
    pub(super) launcher_at: Option<String>,
    /// What keys begin with.
    pub(super) prefix: String,
    /// How long a rank may be silent.
    pub(super) timeout: Duration,
    /// The step under way.
    pub(super) step: AtomicU64,
    /// Ends every exchange that waits.
    pub(super) ended: &'static AtomicBool,
    /// Whether an exchange of this rank has failed, so that all heartbeats are read.
    suspicious: AtomicBool,
    /// Whether this rank has done its work, so that nothing is watched any more.
    finished: AtomicBool,
    findings: Mutex<Findings>,
    changed: Condvar,
}

#[derive(Debug)]
struct Findings {
    failure: Option<RanksError>,
    /// What this rank has to tell the others, and since when.
    to_tell: Option<(RanksError, Instant)>,
    /// When the store last answered.
    answered: Instant,
}

/// The last heartbeat of a rank, and when it was a new one.
struct Heartbeat {
    value: Vec<u8>,
    changed: Instant,
}

impl Watch {
    pub(super) fn new(
        (rank, ranks): (usize, usize),
        launcher_at: Option<String>,
        prefix: String,
        timeout: Duration,
        ended: &'static AtomicBool,
    ) -> Self {
        let findings = Findings { failure: None, to_tell: None, answered: Instant::now() };
        Watch {
            rank,
            ranks,
            launcher_at,
            prefix,
            timeout,
            step: AtomicU64::new(0),
            ended,
            suspicious: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            findings: Mutex::new(findings),
            changed: Condvar::new(),
        }
    }

    /// Starts the two threads that watch, for the life of the process.
    pub(super) fn start(&'static self, store: Store) {
        std::thread::spawn(move || self.beat(&store));
        std::thread::spawn(move || self.watch_store());
    }

    fn beat_time(&self) -> Duration {
        BEAT.min(self.timeout / 10).max(Duration::from_millis(50))
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// Writes heartbeats and reads those of others.
    fn beat(&self, store: &Store) {
        let mut heartbeats: Vec<Heartbeat> =
            (0..self.ranks).map(|_| Heartbeat { value: Vec::new(), changed: Instant::now() }).collect();
        let mut count = 0u64;
        let mut was_suspicious = false;
        while !self.finished.load(Ordering::Relaxed) {
            count += 1;
            let suspicious = self.suspicious.load(Ordering::Relaxed);
            if suspicious && !was_suspicious {
                // The silence that counts begins now: these heartbeats may not have been read before.
                for heartbeat in &mut heartbeats {
                    heartbeat.changed = Instant::now();
                }
                was_suspicious = true;
            }
            match self.exchange(store, count, suspicious, &mut heartbeats) {
                Ok(()) => self.judge(suspicious, &heartbeats),
                Err(_) => self.store_is_gone(),
            }
            std::thread::sleep(self.beat_time());
        }
    }

    /// One round with the store.
    fn exchange(
        &self,
        store: &Store,
        count: u64,
        suspicious: bool,
        heartbeats: &mut [Heartbeat],
    ) -> Result<(), tch::TchError> {
        let key = |name: &str, rank: usize| format!("{}{name}/{rank}", self.prefix);
        store.set(&key("heartbeat", self.rank), &count.to_le_bytes())?;
        let read: Vec<usize> = if self.rank == 0 || suspicious { (0..self.ranks).collect() } else { vec![0] };
        for rank in read.into_iter().filter(|&rank| rank != self.rank) {
            let value = store.get(&key("heartbeat", rank))?.unwrap_or_default();
            if value != heartbeats[rank].value {
                heartbeats[rank] = Heartbeat { value, changed: Instant::now() };
            }
        }
        if !self.read_failure(store)? {
            self.write_failure(store)?;
        }
        self.findings().answered = Instant::now();
        Ok(())
    }

    /// Whether a rank has written what happened; it becomes the failure of this one.
    fn read_failure(&self, store: &Store) -> Result<bool, tch::TchError> {
        let said = store.get(&format!("{}failure", self.prefix))?.and_then(|text| self.parsed(&text));
        Ok(said.map(|failure| self.fail(failure)).is_some())
    }

    /// Writes what this rank has to tell, if it is the first that has something to tell. The others read it in their next
    /// round, and write themselves if the first ends before it has written.
    fn write_failure(&self, store: &Store) -> Result<(), tch::TchError> {
        let Some((failure, since)) = self.findings().to_tell.clone() else { return Ok(()) };
        let is_first = store.add(&format!("{}failures", self.prefix), 1)? == 1;
        if is_first || since.elapsed() > self.beat_time() * UNWRITTEN {
            store.set(&format!("{}failure", self.prefix), &self.written(&failure))?;
            self.fail(failure);
        }
        Ok(())
    }

    /// Names the ranks that are silent for too long: with the first, those whose heartbeats ended at about the same time.
    fn judge(&self, suspicious: bool, heartbeats: &[Heartbeat]) {
        let patience = if suspicious { (self.beat_time() * MISSED).min(self.timeout) } else { self.timeout };
        let watched: &[Heartbeat] = if self.rank == 0 || suspicious { heartbeats } else { &heartbeats[..1] };
        let silent_for = |longer: Duration| -> Vec<usize> {
            let silent = watched.iter().enumerate().filter(|(_, heartbeat)| heartbeat.changed.elapsed() > longer);
            silent.map(|(rank, _)| rank).filter(|&rank| rank != self.rank).collect()
        };
        if !silent_for(patience).is_empty() {
            let ranks = silent_for(patience.saturating_sub(self.beat_time() * 3 / 2));
            self.tell(RanksError::Lost { ranks, of: self.ranks, step: self.step() });
        }
    }

    /// Ends the wait for a store that does not answer, or for a process that was stopped with it.
    fn watch_store(&self) {
        while !self.finished.load(Ordering::Relaxed) {
            std::thread::sleep(self.beat_time());
            let silence = self.findings().answered.elapsed();
            if silence > self.timeout && self.rank != 0 {
                self.store_is_gone();
            }
        }
    }

    fn store_is_gone(&self) {
        if self.finished.load(Ordering::Relaxed) {
            return;
        }
        let step = self.step();
        self.fail(match &self.launcher_at {
            Some(at) => RanksError::StoreLost { at: at.clone(), step },
            None => RanksError::Lost { ranks: vec![0], of: self.ranks, step },
        });
    }

    /// Hands the watching thread something that the other ranks have to know.
    fn tell(&self, failure: RanksError) {
        let mut findings = self.findings();
        if findings.failure.is_none() && findings.to_tell.is_none() {
            findings.to_tell = Some((failure, Instant::now()));
        }
    }

    /// The first failure counts.
    fn fail(&self, failure: RanksError) {
        self.findings().failure.get_or_insert(failure);
        self.ended.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// What happened, after an exchange of this rank failed with `message`: waits for what the heartbeats say.
    pub(super) fn explanation(&self, message: &str) -> RanksError {
        self.suspicious.store(true, Ordering::Relaxed);
        let patience = self.beat_time() * (2 * MISSED + 2);
        let wait = |findings: MutexGuard<'_, Findings>| {
            let result = self.changed.wait_timeout_while(findings, patience, |findings| findings.failure.is_none());
            result.unwrap_or_else(PoisonError::into_inner).0.failure.clone()
        };
        let found = wait(self.findings())
            .unwrap_or_else(|| RanksError::Exchange { step: self.step(), message: first_line(message) });
        self.fail(found.clone());
        found
    }

    /// Says that this rank ends with an error of its own, and waits a moment until the others can read it.
    pub(super) fn leave(&self, reason: &str) {
        self.tell(RanksError::Left { rank: self.rank, of: self.ranks, step: self.step(), reason: first_line(reason) });
        let findings = self.findings();
        let patience = self.beat_time() * 4;
        drop(self.changed.wait_timeout_while(findings, patience, |findings| findings.failure.is_none()));
        if self.rank == 0 && self.launcher_at.is_none() {
            // The store ends with this process: the others read it first.
            std::thread::sleep(self.beat_time() * 2);
        }
    }

    /// The failure that ended the exchanges, if any.
    pub(super) fn failure(&self) -> Option<RanksError> {
        self.findings().failure.clone()
    }

    /// From here on a silent rank is one that has ended well.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// A failure as the others read it: `lost 1 3` or `left 2 <reason>`, after the step.
    fn written(&self, failure: &RanksError) -> Vec<u8> {
        let text = match failure {
            RanksError::Lost { ranks, step, .. } => {
                let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
                format!("{step} lost {}", ranks.join(" "))
            }
            RanksError::Left { rank, step, reason, .. } => format!("{step} left {rank} {reason}"),
            other => format!("{} left {} {other}", self.step(), self.rank),
        };
        text.into_bytes()
    }

    fn parsed(&self, text: &[u8]) -> Option<RanksError> {
        let text = String::from_utf8_lossy(text);
        let (step, rest) = text.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let (step, of) = (step.parse().ok()?, self.ranks);
        if kind == "lost" {
            let ranks = rest.split(' ').filter_map(|rank| rank.parse().ok()).collect();
            return Some(RanksError::Lost { ranks, of, step });
        }
        let (rank, reason) = rest.split_once(' ')?;
        Some(RanksError::Left { rank: rank.parse().ok()?, of, step, reason: reason.into() })
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_it_was_written() {
        static ENDED: AtomicBool = AtomicBool::new(false);
        let watch = Watch::new((1, 4), None, String::new(), Duration::from_secs(1), &ENDED);
        for failure in [
            RanksError::Lost { ranks: vec![0, 3], of: 4, step: 17 },
            RanksError::Left { rank: 2, of: 4, step: 0, reason: "a file cannot be read: no such file".into() },
        ] {
            assert_eq!(watch.parsed(&watch.written(&failure)), Some(failure));
        }
        assert_eq!(watch.parsed(b"nonsense"), None);
    }

    #[test]
    fn ranks_whose_heartbeats_ended_within_a_beat_are_named_together() {
        static ENDED: AtomicBool = AtomicBool::new(false);
        let watch = Watch::new((0, 4), None, String::new(), Duration::from_mins(10), &ENDED);
        let silent = |milliseconds| Heartbeat {
            value: Vec::new(),
            changed: Instant::now().checked_sub(Duration::from_millis(milliseconds)).unwrap(),
        };
        watch.judge(true, &[9000, 3600, 3200, 500].map(silent));
        assert!(watch.findings().to_tell.is_none(), "no rank has been silent for four beats");
        watch.judge(true, &[9000, 4400, 3400, 500].map(silent));
        let told = watch.findings().to_tell.clone().map(|(failure, _)| failure);
        assert_eq!(told, Some(RanksError::Lost { ranks: vec![1, 2], of: 4, step: 0 }));
    }

    fn left(rank: usize) -> RanksError {
        RanksError::Left { rank, of: 2, step: 3, reason: format!("rank {rank} found a broken file") }
    }

    #[test]
    fn ranks_that_fail_at_once_all_say_what_the_first_wrote() {
        static ENDED: AtomicBool = AtomicBool::new(false);
        let store = Store::open("127.0.0.1", 0, true, Duration::from_secs(20)).unwrap();
        let watches =
            [0, 1].map(|rank| Watch::new((rank, 2), None, "at-once/".into(), Duration::from_mins(10), &ENDED));
        for (rank, watch) in watches.iter().enumerate() {
            watch.tell(left(rank));
            assert!(!watch.read_failure(&store).unwrap(), "neither has written yet");
        }
        for watch in watches.iter().rev() {
            watch.write_failure(&store).unwrap();
        }
        assert_eq!(watches[1].failure(), Some(left(1)));
        assert_eq!(watches[0].failure(), None, "the second waits for what the first writes");
        for watch in &watches {
            assert!(watch.read_failure(&store).unwrap());
            assert_eq!(watch.failure(), Some(left(1)));
        }
    }

    #[test]
    fn a_rank_writes_what_happened_when_the_first_ended_before_it_wrote() {
        static ENDED: AtomicBool = AtomicBool::new(false);
        let store = Store::open("127.0.0.1", 0, true, Duration::from_secs(20)).unwrap();
        let watch = Watch::new((1, 2), None, "silent/".into(), Duration::from_millis(500), &ENDED);
        assert_eq!(store.add("silent/failures", 1).unwrap(), 1);
        watch.tell(left(1));
        while watch.failure().is_none() {
            watch.write_failure(&store).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(watch.read_failure(&store).unwrap());
        assert_eq!(watch.failure(), Some(left(1)));
    }
}
