//! Where a process stands among ranks: what `torchrun` or SLURM put into its environment.

use super::RanksError;
use super::slurm::{first_host, port, tasks_per_node};

/// Where this process stands among the ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// This rank, from 0.
    pub rank: usize,
    /// Ranks of all machines.
    pub ranks: usize,
    /// This rank among those of its machine, from 0.
    pub local_rank: usize,
    /// Ranks of this machine.
    pub local_ranks: usize,
    /// The machine of rank 0.
    pub host: String,
    /// The port of the store there; 0: a free one, which rank 0 chooses.
    pub port: u16,
    /// Who holds the store.
    pub store: StoreHost,
    /// Restarts before this one, which the keys in the store begin with.
    pub restart: u64,
    /// Who started the ranks, for messages.
    pub launcher: &'static str,
}

/// Who holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHost {
    /// Rank 0.
    FirstRank,
    /// `torchrun` itself.
    Launcher,
}

const TORCHRUN: [&str; 4] = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"];
/// What `srun` alone sets, as against `sbatch`.
const TASKS: &str = "SLURM_STEP_NUM_TASKS";

/// A variable of the environment, if it is set to some text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Place {
    /// The place that variables of the environment name; none for a process on its own.
    ///
    /// # Errors
    /// [`RanksError`] for variables that are incomplete or contradict each other.
    pub fn from_variables(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, RanksError> {
        let place = if get("RANK").is_some() || get("WORLD_SIZE").is_some() {
            Place::of_torchrun(get)?
        } else if get(TASKS).is_some() {
            Place::of_slurm(get)?
        } else {
            return Ok(None);
        };
        place.check()?;
        Ok(Some(place).filter(|place| place.ranks > 1))
    }

    /// Rank `rank` of `ranks` on this machine, with the store of rank 0 at `port`.
    pub fn here(rank: usize, ranks: usize, port: u16) -> Self {
        Place {
            rank,
            ranks,
            local_rank: rank,
            local_ranks: ranks,
            host: "127.0.0.1".into(),
            port,
            store: StoreHost::FirstRank,
            restart: 0,
            launcher: "coretune",
        }
    }

    /// The variables by which a process of its own becomes this rank.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("RANK", self.rank.to_string()),
            ("WORLD_SIZE", self.ranks.to_string()),
            ("LOCAL_RANK", self.local_rank.to_string()),
            ("LOCAL_WORLD_SIZE", self.local_ranks.to_string()),
            ("MASTER_ADDR", self.host.clone()),
            ("MASTER_PORT", self.port.to_string()),
        ]
    }

    fn of_torchrun(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, RanksError> {
        if let Some(missing) = TORCHRUN.into_iter().find(|name| get(name).is_none()) {
            let given = TORCHRUN.into_iter().find(|name| get(name).is_some()).unwrap_or(TORCHRUN[0]);
            return Err(RanksError::Incomplete { given: given.into(), missing: missing.into() });
        }
        let rank = number(get, "RANK", "a number from 0")?.unwrap_or(0);
        let ranks = number(get, "WORLD_SIZE", "a number from 1")?.unwrap_or(1);
        let by_agent = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Place {
            rank,
            ranks,
            local_rank: number(get, "LOCAL_RANK", "a number from 0")?.unwrap_or(rank),
            local_ranks: number(get, "LOCAL_WORLD_SIZE", "a number from 1")?.unwrap_or(ranks),
            host: get("MASTER_ADDR").unwrap_or_default(),
            port: number(get, "MASTER_PORT", "a port from 1 to 65535")?.unwrap_or(0),
            store: if by_agent { StoreHost::Launcher } else { StoreHost::FirstRank },
            restart: number(get, "TORCHELASTIC_RESTART_COUNT", "a number from 0")?.unwrap_or(0),
            launcher: "torchrun",
        })
    }

    /// What `srun` says of the tasks of a step; the first of its machines is that of task 0.
    fn of_slurm(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, RanksError> {
        let needed = [TASKS, "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID"];
        if let Some(missing) = needed.into_iter().find(|name| get(name).is_none()) {
            return Err(RanksError::Incomplete { given: TASKS.into(), missing: missing.into() });
        }
        let expected = |variable, expected: &str| RanksError::Variable {
            variable,
            found: get(variable).unwrap_or_default(),
            expected: expected.into(),
        };
        let ranks = number(get, TASKS, "a number from 1")?.unwrap_or(1);
        let first = first_host(&get("SLURM_STEP_NODELIST").unwrap_or_default());
        let own = number(get, "SLURM_NODEID", "a number from 0")?.unwrap_or(0usize);
        let local_ranks = match get("SLURM_STEP_TASKS_PER_NODE") {
            None => ranks,
            Some(list) => tasks_per_node(&list)
                .and_then(|nodes| nodes.get(own).copied())
                .ok_or_else(|| expected("SLURM_STEP_TASKS_PER_NODE", "tasks of each node such as 4(x2),3"))?,
        };
        let job: u64 = number(get, "SLURM_JOB_ID", "the number of the job")?.unwrap_or(0);
        let host = match get("MASTER_ADDR") {
            Some(host) => host,
            None => first.ok_or_else(|| expected("SLURM_STEP_NODELIST", "names of hosts such as node[03-05]"))?,
        };
        Ok(Place {
            rank: number(get, "SLURM_PROCID", "a number from 0")?.unwrap_or(0),
            ranks,
            local_rank: number(get, "SLURM_LOCALID", "a number from 0")?.unwrap_or(0),
            local_ranks,
            host,
            port: number(get, "MASTER_PORT", "a port from 1 to 65535")?.unwrap_or_else(|| port(job)),
            store: StoreHost::FirstRank,
            restart: number(get, "SLURM_RESTART_COUNT", "a number from 0")?.unwrap_or(0),
            launcher: "srun",
        })
    }

    /// Refuses numbers that contradict each other.
    fn check(&self) -> Result<(), RanksError> {
        let (of_rank, of_ranks) =
            if self.launcher == "srun" { ("SLURM_PROCID", TASKS) } else { ("RANK", "WORLD_SIZE") };
        let (of_local, of_locals) = if self.launcher == "srun" {
            ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")
        } else {
            ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
        };
        let refuse = |variable, found: usize, expected: String| {
            Err(RanksError::Variable { variable, found: found.to_string(), expected })
        };
        if self.ranks == 0 {
            return refuse(of_ranks, 0, "a number from 1".into());
        }
        if self.rank >= self.ranks {
            let expected = format!("0 to {}, because {of_ranks} is {}", self.ranks - 1, self.ranks);
            return refuse(of_rank, self.rank, expected);
        }
        if self.local_ranks == 0 || self.local_ranks > self.ranks {
            return refuse(of_locals, self.local_ranks, format!("1 to {}", self.ranks));
        }
        if self.local_rank >= self.local_ranks {
            let expected =
                format!("0 to {}, because this machine has {} ranks", self.local_ranks - 1, self.local_ranks);
            return refuse(of_local, self.local_rank, expected);
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(
    get: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    expected: &str,
) -> Result<Option<T>, RanksError> {
    let Some(found) = get(variable) else { return Ok(None) };
    let parsed = found.trim().parse().ok();
    parsed.map(Some).ok_or_else(|| RanksError::Variable { variable, found, expected: expected.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<Place>, RanksError> {
        let get =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_string());
        Place::from_variables(&get)
    }

    const TORCHRUN: [(&str, &str); 6] = [
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("MASTER_ADDR", "10.0.0.1"),
        ("MASTER_PORT", "29500"),
    ];

    fn with(change: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
        TORCHRUN.into_iter().filter(|(name, _)| *name != change.0).chain([change]).collect()
    }

    #[test]
    fn torchruns_variables_name_a_rank() {
        let place = place(&TORCHRUN).unwrap().unwrap();
        assert_eq!((place.rank, place.ranks, place.local_rank, place.local_ranks), (3, 4, 1, 2));
        assert_eq!((place.host.as_str(), place.port, place.store), ("10.0.0.1", 29500, StoreHost::FirstRank));
    }

    #[test]
    fn torchrun_may_hold_the_store_and_count_restarts() {
        let more =
            [TORCHRUN.as_slice(), &[("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", "2")]];
        let place = place(&more.concat()).unwrap().unwrap();
        assert_eq!((place.store, place.restart), (StoreHost::Launcher, 2));
    }

    #[test]
    fn a_process_on_its_own_has_no_place() {
        assert_eq!(place(&[]).unwrap(), None);
        assert_eq!(
            place(&with(("WORLD_SIZE", "1"))).unwrap_err().to_string(),
            "the variable RANK is \"3\", expected 0 to 0, because WORLD_SIZE is 1"
        );
        // In the shell of a batch job, outside of srun.
        assert_eq!(place(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "7")]).unwrap(), None);
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        let text = |variables: &[(&str, &str)]| place(variables).unwrap_err().to_string();
        assert!(text(&[("RANK", "0")]).contains("RANK is set, but WORLD_SIZE is not"));
        assert!(text(&[("WORLD_SIZE", "2")]).contains("WORLD_SIZE is set, but RANK is not"));
        assert!(text(&TORCHRUN[..5]).contains("MASTER_PORT is not"));
        assert!(text(&with(("RANK", "4"))).contains("RANK is \"4\", expected 0 to 3"));
        assert!(text(&with(("RANK", "-1"))).contains("expected a number from 0"));
        assert!(text(&with(("MASTER_PORT", "70000"))).contains("expected a port"));
        assert!(text(&with(("LOCAL_RANK", "2"))).contains("this machine has 2 ranks"));
        assert!(text(&with(("WORLD_SIZE", "0"))).contains("WORLD_SIZE is \"0\""));
    }

    #[test]
    fn sruns_variables_name_a_rank_and_the_first_host() {
        let variables = [
            ("SLURM_STEP_NUM_TASKS", "7"),
            ("SLURM_PROCID", "5"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_NODEID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", "4,3"),
            ("SLURM_STEP_NODELIST", "node[07-08]"),
            ("SLURM_JOB_ID", "15001"),
        ];
        let slurm = place(&variables).unwrap().unwrap();
        assert_eq!((slurm.rank, slurm.ranks, slurm.local_rank, slurm.local_ranks), (5, 7, 1, 3));
        assert_eq!((slurm.host.as_str(), slurm.port), ("node07", 15_001));
        let error = place(&variables[..6]).unwrap_err().to_string();
        assert!(error.contains("SLURM_JOB_ID is not"), "{error}");
    }
}
