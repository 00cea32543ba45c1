use thiserror::Error;

use crate::settings::Hint;

/// Why ranks cannot begin together, or could not continue.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the fields have the names of what they hold")]
pub enum RanksError {
    /// Some of the variables that name a rank are set, others are not.
    #[error("the environment names a rank incompletely: {given} is set, but {missing} is not")]
    Incomplete { given: String, missing: String },
    /// A variable that holds something else than a number in its range.
    #[error("the variable {variable} is {found:?}, expected {expected}")]
    Variable { variable: &'static str, found: String, expected: String },
    /// `--ranks` and the launcher disagree.
    #[error("{launcher} started {started} ranks, but {asked} are asked for")]
    OtherNumber {
        launcher: &'static str,
        /// Ranks that the launcher started.
        started: usize,
        /// What the configuration or the command asks for.
        asked: usize,
    },
    /// Two processes are the same rank.
    #[error("two processes are rank {rank} of {ranks}")]
    Twice { rank: usize, ranks: usize },
    /// The port of the store is in use.
    #[error("port {port} of {host} is in use")]
    PortTaken { host: String, port: u16 },
    /// The store cannot be opened for another reason.
    #[error("the store at {host}:{port} cannot be opened: {message}")]
    Store { host: String, port: u16, message: String },
    /// No store answers at the address of rank 0.
    #[error("rank 0 did not open its store at {host}:{port} within {seconds} s")]
    NoStore { host: String, port: u16, seconds: u64 },
    /// Some ranks never came.
    #[error("{} of {of} did not start within {seconds} s", list(ranks))]
    NotStarted { ranks: Vec<usize>, of: usize, seconds: u64 },
    /// The ranks found each other in the store, but cannot connect.
    #[error("rank {rank} cannot connect to the other ranks from {address}: {message}")]
    NotConnected { rank: usize, address: String, message: String },
    /// A process of a rank could not be started.
    #[error("rank {rank} cannot be started: {message}")]
    NotLaunched { rank: usize, message: String },
    /// Two ranks would not compute the same.
    #[error("rank {rank} has another {what} than rank 0: {found}, rank 0 has {expected}")]
    Differs { rank: usize, what: String, expected: String, found: String },
    /// Rank 0 ended before the first step.
    #[error("{reason}")]
    RefusedByFirst {
        /// The sentence that it ended with.
        reason: String,
    },
    /// A method that needs all images of a batch in one process.
    #[error("{what} cannot be computed by several ranks")]
    Undealt { what: String },
    /// A number of ranks among which the batch of the run cannot be dealt.
    #[error(
        "the run has batches of {batch} images a step, which {ranks} ranks with {per_rank} images each cannot share"
    )]
    Indivisible {
        batch: usize,
        ranks: usize,
        /// Images of a rank and pass.
        per_rank: usize,
        /// Numbers of ranks that can.
        possible: Vec<usize>,
    },
    /// Ranks that do not answer any more.
    #[error("{} of {of} did not answer at step {step}", list(ranks))]
    Lost { ranks: Vec<usize>, of: usize, step: u64 },
    /// A rank that ended with an error of its own.
    #[error("rank {rank} of {of} ended at step {step}: {reason}")]
    Left {
        rank: usize,
        of: usize,
        step: u64,
        /// The sentence that it ended with.
        reason: String,
    },
    /// The store is gone, and with it all that the ranks know of each other.
    #[error("the store of torchrun at {at} did not answer at step {step}")]
    StoreLost { at: String, step: u64 },
    /// An exchange failed although every rank still answers.
    #[error("an exchange between the ranks failed at step {step}: {message}")]
    Exchange { step: u64, message: String },
}

/// `rank 3`, `ranks 1, 2 and 5`.
pub fn list(ranks: &[usize]) -> String {
    match ranks {
        [] => "a rank".into(),
        [one] => format!("rank {one}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("ranks {} and {last}", first.join(", "))
        }
    }
}

impl RanksError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::Incomplete { .. } => {
                "torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; without it, unset them"
            }
            Self::PortTaken { .. } => "choose another port: MASTER_PORT, or the master port that torchrun is given",
            Self::NoStore { .. } | Self::NotStarted { .. } => {
                "start all ranks at about the same time; every machine must reach the address of rank 0, and its firewall \
                 must let ranks connect to each other"
            }
            Self::NotConnected { .. } => "MASTER_ADDR must lead to rank 0 over the network that all ranks share",
            Self::Differs { .. } => "all ranks need the same program, settings, images and checkpoint",
            Self::Undealt { .. } => "start it without ranks",
            Self::Indivisible { possible, .. } => {
                let possible: Vec<String> = possible.iter().map(ToString::to_string).collect();
                return Some(format!("use one of these numbers of ranks: {}", possible.join(", ")).into());
            }
            _ => return None,
        };
        Some(hint.into())
    }

    /// Whether the sentence that a run ended with is that of a rank that is gone.
    pub fn is_named_in(sentence: &str) -> bool {
        let of_ranks = ["rank ", "ranks ", "the store of torchrun at "].iter().any(|start| sentence.starts_with(start));
        of_ranks && [" did not answer at step ", " ended at step "].iter().any(|what| sentence.contains(what))
    }

    /// Whether the ranks cannot begin at all, as against one that failed on the way.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Lost { .. }
                | Self::Left { .. }
                | Self::StoreLost { .. }
                | Self::Exchange { .. }
                | Self::NotStarted { .. }
                | Self::NoStore { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_ranks_that_are_gone_are_known_by_their_words() {
        let gone = [
            RanksError::Lost { ranks: vec![1], of: 2, step: 3 },
            RanksError::Lost { ranks: vec![1, 3], of: 4, step: 3 },
            RanksError::Left { rank: 1, of: 2, step: 0, reason: "a.jpg cannot be read".into() },
            RanksError::StoreLost { at: "10.0.0.1:29500".into(), step: 3 },
        ];
        for error in gone {
            assert!(RanksError::is_named_in(&format!("{error}; no state was saved before")), "{error}");
        }
        for other in ["the loss is NaN at step 3 (epoch 1): loss NaN", "two processes are rank 1 of 2"] {
            assert!(!RanksError::is_named_in(other), "{other}");
        }
    }
}
