//! The ranks that train together: joined, and exchanging tensors.

use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coretune_native::{Membership, Store};
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::watch::Watch;
use super::{Place, RanksError, StoreHost};

/// The ranks that train together, as this process sees them; for the life of the process.
#[derive(Debug)]
pub struct Group {
    place: Place,
    watch: &'static Watch,
    exchange: coretune_native::Group,
    store: Store,
    /// Words of rank 0 so far, which all ranks count alike.
    words: AtomicUsize,
}

/// What a rank has exchanged with the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Sums, gatherings and broadcasts of tensors.
    pub operations: u64,
    /// Bytes of their results.
    pub bytes: u64,
    /// Time that this rank waited for them: for the network, and for slower ranks.
    pub seconds: f64,
}

impl Traffic {
    /// What was exchanged after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            operations: self.operations - earlier.operations,
            bytes: self.bytes - earlier.bytes,
            seconds: self.seconds - earlier.seconds,
        }
    }
}

/// How long a rank sleeps between two looks at the store while ranks start.
const POLL: Duration = Duration::from_millis(100);

impl Group {
    /// Joins the ranks that `place` names, and waits for all of them; `timeout` is how long a rank may be silent, here and
    /// later. `store` is what [`Group::open_store`] gave.
    ///
    /// # Errors
    /// [`RanksError`] for ranks that do not come.
    pub fn join(place: Place, store: Store, timeout: Duration) -> Result<&'static Group, RanksError> {
        let prefix = format!("coretune/{}/", place.restart);
        wait_for_all(&store, &place, &prefix, timeout)?;
        let address = own_address(&place);
        let ended: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let keys = format!("{prefix}gloo");
        let membership =
            Membership { prefix: &keys, address: &address, rank: place.rank, ranks: place.ranks, timeout, ended };
        let exchange = coretune_native::Group::open(&store, membership).map_err(|error| RanksError::NotConnected {
            rank: place.rank,
            address: address.clone(),
            message: text_of(&error),
        })?;
        let at_launcher = place.store == StoreHost::Launcher;
        let launcher_at = at_launcher.then(|| format!("{}:{}", place.host, place.port));
        let watching = Store::open(&place.host, place.port, false, timeout).map_err(|_| RanksError::NoStore {
            host: place.host.clone(),
            port: place.port,
            seconds: timeout.as_secs(),
        })?;
        let watch = Watch::new((place.rank, place.ranks), launcher_at, prefix, timeout, ended);
        let watch: &'static Watch = Box::leak(Box::new(watch));
        watch.start(watching);
        Ok(Box::leak(Box::new(Group { place, watch, exchange, store, words: AtomicUsize::new(0) })))
    }

    /// Opens the store of the ranks if this one holds it, or connects to it. The port in `place` becomes the store's own if
    /// it was 0.
    ///
    /// # Errors
    /// [`RanksError`] for a port in use or a store that does not answer in time.
    pub fn open_store(place: &mut Place, timeout: Duration) -> Result<Store, RanksError> {
        let serves = place.rank == 0 && place.store == StoreHost::FirstRank;
        let (host, port) = (place.host.clone(), place.port);
        let store = Store::open(&host, port, serves, timeout).map_err(|error| {
            let message = text_of(&error);
            let in_use = message.contains("EADDRINUSE") || message.contains("address already in use");
            match (serves, in_use) {
                (true, true) => RanksError::PortTaken { host, port },
                (true, false) => RanksError::Store { host, port, message },
                (false, _) => RanksError::NoStore { host, port, seconds: timeout.as_secs() },
            }
        })?;
        place.port = store.port();
        Ok(store)
    }

    /// Where this process stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What this rank has exchanged with the others so far.
    pub fn traffic(&self) -> Traffic {
        let (operations, bytes, time) = self.exchange.traffic();
        Traffic { operations, bytes, seconds: time.as_secs_f64() }
    }

    /// Notes the step under way, counted from 1, for messages.
    pub fn set_step(&self, step: u64) {
        self.watch.step.store(step, Ordering::Relaxed);
    }

    /// Replaces a tensor by its sum over all ranks.
    ///
    /// # Errors
    /// [`RanksError`] for a rank that is gone.
    pub fn sum(&self, tensor: &Tensor) -> Result<(), RanksError> {
        self.explained(self.exchange.sum(tensor))
    }

    /// The sum of a tensor over all ranks, as a part of the graph.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn sum_in_graph(&self, tensor: &Tensor) -> Result<Tensor, RanksError> {
        self.explained(self.exchange.sum_in_graph(tensor))
    }

    /// The tensors of all ranks, of one shape, `[ranks, ..]`.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn gather(&self, tensor: &Tensor) -> Result<Tensor, RanksError> {
        self.explained(self.exchange.gather(tensor))
    }

    /// Replaces a tensor by that of rank 0.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn broadcast(&self, tensor: &Tensor) -> Result<(), RanksError> {
        self.explained(self.exchange.broadcast(tensor, 0))
    }

    /// Waits until all ranks have come to this place.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn meet(&self) -> Result<(), RanksError> {
        self.explained(self.exchange.meet())
    }

    /// Refuses to begin unless every rank has the same `facts`, by name, as rank 0.
    ///
    /// # Errors
    /// [`RanksError::Differs`].
    pub fn compare(&self, facts: &[(String, String)]) -> Result<(), RanksError> {
        let lines: Vec<String> = facts.iter().map(|(what, value)| format!("{what}\t{value}")).collect();
        let lines = lines.join("\n");
        let lost = |error: TchError| RanksError::Exchange { step: 0, message: text_of(&error) };
        let key = |rank: usize| format!("coretune/{}/facts/{rank}", self.place.restart);
        self.store.set(&key(self.place.rank), lines.as_bytes()).map_err(lost)?;
        // A store that answers has the facts: writing alone does not wait for it.
        let _ = self.store.get(&key(self.place.rank)).map_err(lost)?;
        self.meet()?;
        let of_rank = |rank| self.store.get(&key(rank)).map(Option::unwrap_or_default).map_err(lost);
        let first = String::from_utf8_lossy(&of_rank(0)?).into_owned();
        // Rank 0 names the first rank that differs, so that its user reads it; the rank itself refuses too.
        let others = if self.place.rank == 0 { 1..self.place.ranks } else { self.place.rank..self.place.rank + 1 };
        for rank in others {
            let found = String::from_utf8_lossy(&of_rank(rank)?).into_owned();
            if let Some(error) = first_difference(rank, &first, &found) {
                return Err(error);
            }
        }
        self.meet()
    }

    /// Rank 0 says something that every other rank hears ([`Group::hear`]): all ranks come to the same words in the same order.
    ///
    /// # Errors
    /// [`RanksError::Exchange`] when the store does not answer.
    pub fn say(&self, text: &str) -> Result<(), RanksError> {
        let (key, lost) = (self.next_word(), |error: TchError| self.no_answer(&error));
        self.store.set(&key, text.as_bytes()).map_err(lost)?;
        // A store that answers has the word: writing alone does not wait for it.
        self.store.get(&key).map(drop).map_err(lost)
    }

    /// What rank 0 says next, for which this rank waits as long as rank 0 lives.
    ///
    /// # Errors
    /// [`RanksError::RefusedByFirst`] when rank 0 ends before it has made a step; [`RanksError`] for a rank that is gone.
    pub fn hear(&self) -> Result<String, RanksError> {
        let key = self.next_word();
        loop {
            match self.watch.failure() {
                Some(RanksError::Left { rank: 0, step: 0, reason, .. }) => {
                    return Err(RanksError::RefusedByFirst { reason });
                }
                Some(failure) => return Err(failure),
                None => {}
            }
            if let Some(text) = self.store.get(&key).map_err(|error| self.no_answer(&error))? {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            std::thread::sleep(POLL);
        }
    }

    fn next_word(&self) -> String {
        format!("coretune/{}/word/{}", self.place.restart, self.words.fetch_add(1, Ordering::Relaxed))
    }

    fn no_answer(&self, error: &TchError) -> RanksError {
        self.watch.explanation(&text_of(error))
    }

    /// The failure that ended the exchanges, if any; waits a moment for what the heartbeats say of it.
    pub fn failure(&self) -> Option<RanksError> {
        let unexplained = || self.exchange.is_broken().then(|| self.watch.explanation("an exchange failed"));
        self.watch.failure().or_else(unexplained)
    }

    /// Says that this rank ends with an error of its own; the others then end too.
    pub fn leave(&self, reason: &str) {
        if self.failure().is_none() {
            self.watch.leave(reason);
        }
    }

    /// Ends together: nobody leaves before all have come here.
    pub fn part(&self) {
        // A rank that is gone now has done its work, or has said why not.
        drop(self.exchange.meet());
        self.watch.finish();
        if self.place.rank == 0 {
            // The store lives as long as rank 0: the others take their leave of it first.
            std::thread::sleep(POLL);
        }
    }

    fn explained<T>(&self, result: Result<T, TchError>) -> Result<T, RanksError> {
        result.map_err(|error| self.watch.explanation(&text_of(&error)))
    }
}

/// The first line in which the facts of a rank differ from those of rank 0.
fn first_difference(rank: usize, first: &str, found: &str) -> Option<RanksError> {
    let differs =
        |(expected, found): (&str, &str)| (expected != found).then(|| (expected.to_string(), found.to_string()));
    let (expected, found) = match first.lines().zip(found.lines()).find_map(differs) {
        Some(pair) => pair,
        None if first == found => return None,
        None => ("inputs".into(), "inputs".into()),
    };
    let value = |line: &str| line.split_once('\t').map_or_else(|| line.to_string(), |(_, value)| value.to_string());
    let what = expected.split('\t').next().unwrap_or_default().to_string();
    Some(RanksError::Differs { rank, what, expected: value(&expected), found: value(&found) })
}

/// Waits until every rank has written that it started.
fn wait_for_all(store: &Store, place: &Place, prefix: &str, timeout: Duration) -> Result<(), RanksError> {
    let gone =
        |_: TchError| RanksError::NoStore { host: place.host.clone(), port: place.port, seconds: timeout.as_secs() };
    let key = |rank: usize| format!("{prefix}started/{rank}");
    if store.add(&key(place.rank), 1).map_err(gone)? > 1 {
        return Err(RanksError::Twice { rank: place.rank, ranks: place.ranks });
    }
    let began = Instant::now();
    let mut missing: Vec<usize> = (0..place.ranks).collect();
    loop {
        let mut still = Vec::new();
        for rank in missing {
            if store.get(&key(rank)).map_err(gone)?.is_none() {
                still.push(rank);
            }
        }
        missing = still;
        if missing.is_empty() {
            return Ok(());
        }
        if began.elapsed() > timeout {
            return Err(RanksError::NotStarted { ranks: missing, of: place.ranks, seconds: timeout.as_secs() });
        }
        std::thread::sleep(POLL);
    }
}

/// The address at which other ranks reach this machine: that of its way to rank 0.
fn own_address(place: &Place) -> String {
    let on_the_way = || {
        let target = (place.host.as_str(), place.port).to_socket_addrs().ok()?.next()?;
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // No packet is sent: the system only chooses the way.
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    on_the_way().unwrap_or_else(|| "127.0.0.1".into())
}

/// What libtorch says, in one line.
fn text_of(error: &TchError) -> String {
    let text = match error {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_string()
}
