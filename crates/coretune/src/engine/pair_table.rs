//! How a table of all pairs of rows is computed.

use tch::{Device, Kind, Tensor};

use super::World;

/// Which part of a table of pairs, anchors x others, is in memory at once, and which processes compute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairTable {
    /// At once.
    Whole,
    /// So many anchors at a time; at least 1.
    Blocks(i64),
    /// All processes have all rows, and each computes the pairs of so many anchors at a time: of as many blocks as the others,
    /// or one more.
    Dealt(World, i64),
}

impl PairTable {
    /// Entries up to which a table is made at once: 4,096 rows with each other.
    pub const LARGEST_WHOLE: i64 = 1 << 24;
    /// Entries of a block: 16 MiB of float32, of which a loss has about ten.
    const BLOCK: i64 = 1 << 22;
    /// Entries of a block of which there is one table only: 64 MiB of float32.
    const SINGLE: i64 = 1 << 24;

    /// At once up to [`PairTable::LARGEST_WHOLE`] entries, else in blocks.
    pub fn of_size(anchors: i64, others: i64) -> Self {
        Self::in_blocks((anchors, others), Self::BLOCK)
    }

    /// [`PairTable::of_size`] for a computation that has a single table of a block in memory.
    pub fn single(anchors: i64, others: i64) -> Self {
        Self::in_blocks((anchors, others), Self::SINGLE)
    }

    fn in_blocks((anchors, others): (i64, i64), block: i64) -> Self {
        if anchors.saturating_mul(others) <= Self::LARGEST_WHOLE {
            PairTable::Whole
        } else {
            PairTable::Blocks((block / others).max(1))
        }
    }

    /// As [`PairTable::of_size`], with the blocks dealt over the processes of `world`, which all have the same rows: the blocks
    /// are those of one process, and so is every number in them. A table that is made at once is made by every process.
    pub fn shared(world: World, anchors: i64, others: i64) -> Self {
        match PairTable::of_size(anchors, others) {
            PairTable::Blocks(block) if !world.is_alone() => PairTable::Dealt(world, block),
            table => table,
        }
    }

    /// First anchor and number of anchors of each block that this process computes, of which a whole table is one.
    pub fn blocks(self, anchors: i64) -> impl Iterator<Item = (i64, i64)> {
        let (block, world) = match self {
            PairTable::Whole => (anchors.max(1), World::Alone),
            PairTable::Blocks(block) => (block.max(1), World::Alone),
            PairTable::Dealt(world, block) => (block.max(1), world),
        };
        let blocks = (0..anchors).step_by(block as usize).map(move |first| (first, block.min(anchors - first)));
        blocks.skip(world.rank()).step_by(world.ranks())
    }

    /// Replaces what the blocks of this process add up to by what those of all processes do.
    ///
    /// # Panics
    /// For a process that is gone: call inside [`crate::engine::guard`].
    pub fn total(self, sums: &mut [Tensor]) {
        if let PairTable::Dealt(world, _) = self
            && let Err(error) = world.sum(sums)
        {
            panic!("{error}");
        }
    }

    /// The entries `[anchors]` of all anchors from those of this process's blocks.
    ///
    /// # Panics
    /// As [`PairTable::total`].
    pub fn joined(self, blocks: &[&Tensor], anchors: i64, options: (Kind, Device)) -> Tensor {
        let PairTable::Dealt(world, _) = self else {
            return if let [whole] = blocks { whole.shallow_clone() } else { Tensor::cat(blocks, 0) };
        };
        // The others have zeros there.
        let all = Tensor::zeros([anchors], options);
        for ((first, count), block) in self.blocks(anchors).zip(blocks) {
            all.narrow(0, first, count).copy_(block);
        }
        world.sum_as_it_is(&all).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_anchor_once() {
        let blocks = |table: PairTable, anchors| table.blocks(anchors).collect::<Vec<_>>();
        assert_eq!(blocks(PairTable::Whole, 5), [(0, 5)]);
        assert_eq!(blocks(PairTable::Blocks(2), 5), [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(blocks(PairTable::Blocks(0), 2), [(0, 1), (1, 1)]);
        assert_eq!(blocks(PairTable::Blocks(3), 0), []);
        assert_eq!(blocks(PairTable::Dealt(World::Alone, 3), 5), [(0, 3), (3, 2)]);
        assert_eq!(PairTable::of_size(4096, 4096), PairTable::Whole);
        assert_eq!(PairTable::of_size(65_536, 65_536), PairTable::Blocks(64));
        assert_eq!(PairTable::single(65_536, 65_536), PairTable::Blocks(256));
        assert_eq!(PairTable::of_size(1 << 20, 1 << 40), PairTable::Blocks(1));
        assert_eq!(PairTable::shared(World::Alone, 65_536, 65_536), PairTable::Blocks(64));
    }
}
