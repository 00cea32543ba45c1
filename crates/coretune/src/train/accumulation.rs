//! Whether a batch goes through the network at once or in parts, and which methods allow that.

use std::ops::Range;

use crate::engine::ranks::RanksError;
use crate::engine::{EngineError, World};
use crate::models::ModelError;
use crate::objectives::{Objective, Sharing};

/// How a batch that does not fit into memory is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulation {
    /// At once.
    Whole,
    /// Parts of so many images go through the network one at a time; mining and contrast see the whole batch, and the
    /// gradient is that of the whole batch. The forward pass is made twice. Batch norm takes its statistics from each
    /// part, unless it is frozen.
    Exact {
        /// Images of a part.
        part: usize,
    },
    /// Each part is a batch of its own, with its own pairs and its own loss; gradients are averaged. What the published
    /// script does.
    Split {
        /// Images of a part.
        part: usize,
    },
}

impl Accumulation {
    /// Refuses parts of a batch for a method that cannot be computed in them.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`].
    pub fn check(self, objective: &dyn Objective) -> Result<(), ModelError> {
        let needs = objective.needs();
        let fits = match self {
            Accumulation::Whole => true,
            Accumulation::Exact { .. } => needs.can_be_divided(),
            Accumulation::Split { .. } => needs.views == 1,
        };
        if fits { Ok(()) } else { Err(ModelError::Indivisible { method: objective.name() }) }
    }
}

/// Refuses what several ranks cannot compute together.
///
/// # Errors
/// [`RanksError::Undealt`].
pub fn check_sharing(world: World, objective: &dyn Objective, accumulation: Accumulation) -> Result<(), EngineError> {
    let needs = objective.needs();
    let refuse = |what: String| Err(RanksError::Undealt { what }.into());
    match (needs.shared_as(), accumulation) {
        _ if world.is_alone() => Ok(()),
        (Sharing::None, _) => refuse(format!("the method {} with these settings", objective.name())),
        (_, Accumulation::Split { .. }) if needs.keeps_rows => {
            refuse(format!("accumulation by split, with what {} keeps of earlier batches,", objective.name()))
        }
        (Sharing::Images | Sharing::RowsAndMaps, Accumulation::Exact { .. }) => {
            refuse(format!("accumulation with {}", objective.name()))
        }
        _ => Ok(()),
    }
}

/// The rows of each part; the last may be short.
pub(super) fn parts(rows: usize, part: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(part.max(1)).map(|start| start..(start + part.max(1)).min(rows)).collect()
}
