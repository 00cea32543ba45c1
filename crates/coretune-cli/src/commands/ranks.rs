//! The ranks that share a run: those of `torchrun` or `srun`, or processes that are started here.

use std::env;
use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use coretune::config::Layers;
use coretune::engine::ranks::{Group, Place, RanksError, variable};
use coretune::engine::{EngineError, World};
use coretune::train::TrainError;
use toml::Value;

use crate::failure::Failure;
use crate::printer;

/// The flag that stops a run when its standard input ends.
const STOP_WITH_STDIN: &str = "--stop-with-stdin";

/// How long a rank that was started here may take to end after rank 0 has.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ranks that share a run, of which this process is one.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) world: World,
    /// The processes that this one has started.
    started: Vec<Child>,
}

/// Lets a process that was started as a rank speak as one from its first line on.
pub(super) fn speak_as_started() {
    if let Ok(Some(place)) = Place::from_variables(&variable) {
        printer::speak_as_rank(place.rank);
    }
}

impl From<RanksError> for Failure {
    fn from(error: RanksError) -> Self {
        TrainError::from(EngineError::from(error)).into()
    }
}

impl Ranks {
    /// Joins the ranks that the environment names, or starts as many as the settings say. `is_new`: the settings are those
    /// of a new run, so that the launcher must have started as many.
    pub(super) fn join(settings: &Layers, is_new: bool) -> Result<Self, Failure> {
        let asked = settings.get("train.ranks").and_then(Value::as_integer).unwrap_or(1).max(1) as usize;
        let seconds = settings.get("run.rank_timeout").and_then(Value::as_float).unwrap_or(120.0);
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_mins(2));
        match Place::from_variables(&variable)? {
            Some(place) if is_new && asked != 1 && asked != place.ranks => {
                Err(RanksError::OtherNumber { launcher: place.launcher, started: place.ranks, asked }.into())
            }
            Some(mut place) => {
                printer::speak_as_rank(place.rank);
                let store = Group::open_store(&mut place, timeout)?;
                let group = Group::join(place, store, timeout)?;
                printer::speak_for_all();
                Ok(Ranks { world: World::Ranks(group), started: Vec::new() })
            }
            None if asked == 1 => Ok(Ranks::default()),
            None => Ranks::start(asked, timeout, &arguments_of_ranks(settings)),
        }
    }

    /// Starts the other ranks as processes with these arguments.
    fn start(ranks: usize, timeout: Duration, arguments: &[OsString]) -> Result<Self, Failure> {
        printer::speak_as_rank(0);
        let mut place = Place::here(0, ranks, 0);
        let store = Group::open_store(&mut place, timeout)?;
        let failed = |rank| move |error: std::io::Error| RanksError::NotLaunched { rank, message: error.to_string() };
        let program = env::current_exe().map_err(failed(1))?;
        let mut joined = Ranks::default();
        for rank in 1..ranks {
            let mut command = Command::new(&program);
            command.args(arguments).stdin(Stdio::null());
            command.envs(Place::here(rank, ranks, place.port).variables());
            joined.started.push(command.spawn().map_err(failed(rank))?);
        }
        joined.world = World::Ranks(Group::join(place, store, timeout)?);
        printer::speak_for_all();
        Ok(joined)
    }

    /// Ends this rank's part: together with the others, or with a word to them why it cannot go on.
    pub(super) fn end<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if let World::Ranks(group) = self.world {
            match &outcome {
                Err(failure) if !failure.is_interrupted() => {
                    group.leave(&failure.in_short());
                    if let Some(RanksError::Lost { ranks, .. }) = group.failure() {
                        end_at_once(&mut self.started, &ranks);
                    }
                }
                _ => group.part(),
            }
        }
        let began = Instant::now();
        while began.elapsed() < PATIENCE && self.started.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
            thread::sleep(Duration::from_millis(50));
        }
        outcome
    }
}

/// Ends the processes of these ranks, which do not answer: one that was stopped would not end by itself. `started` begins with
/// rank 1.
fn end_at_once(started: &mut [Child], ranks: &[usize]) {
    for rank in ranks {
        if let Some(child) = rank.checked_sub(1).and_then(|place| started.get_mut(place)) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The command line of this process for the ranks that it starts. The learning rate that rank 0 has searched for takes the place of
/// `auto`. Their standard input is closed from the start, which must not stop them: rank 0 does.
fn arguments_of_ranks(settings: &Layers) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).filter(|argument| argument != STOP_WITH_STDIN).collect();
    let rate = settings.get("train.lr").map(ToString::to_string).unwrap_or_default();
    for at in 0..arguments.len() {
        if arguments[at] == "--lr=auto" {
            arguments[at] = format!("--lr={rate}").into();
        } else if at > 0 && arguments[at - 1] == "--lr" && arguments[at] == "auto" {
            arguments[at] = rate.clone().into();
        }
    }
    arguments
}

impl Drop for Ranks {
    /// No rank outlives the one that started it.
    fn drop(&mut self) {
        for child in &mut self.started {
            if matches!(child.try_wait(), Ok(None)) {
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_was_stopped_is_not_waited_for_and_the_others_are() {
        let sleeping = || Command::new("sleep").arg("600").spawn().unwrap();
        let mut started = vec![sleeping(), sleeping()];
        let stopped = Command::new("kill").args(["-STOP", &started[1].id().to_string()]).status().unwrap();
        assert!(stopped.success());
        end_at_once(&mut started, &[0, 2, 5]);
        let ended = started.iter_mut().map(|child| child.try_wait().unwrap().is_some()).collect::<Vec<_>>();
        drop(Ranks { world: World::Alone, started });
        assert_eq!(ended, [false, true]);
    }
}
