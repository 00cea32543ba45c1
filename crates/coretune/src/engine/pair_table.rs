//! How a table of all pairs of rows is computed.

/// Whether a table of pairs, anchors x others, is in memory at once or a block of anchors at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairTable {
    /// At once.
    Whole,
    /// So many anchors at a time; at least 1.
    Blocks(i64),
}

impl PairTable {
    /// Entries up to which a table is made at once: 4,096 rows with each other.
    pub const LARGEST_WHOLE: i64 = 1 << 24;
    /// Entries of a block: 16 MiB of float32, of which a loss has about ten.
    const BLOCK: i64 = 1 << 22;

    /// At once up to [`PairTable::LARGEST_WHOLE`] entries, else in blocks.
    pub fn of_size(anchors: i64, others: i64) -> Self {
        if anchors.saturating_mul(others) <= Self::LARGEST_WHOLE {
            PairTable::Whole
        } else {
            PairTable::Blocks((Self::BLOCK / others).max(1))
        }
    }

    /// First anchor and number of anchors of each block, of which a whole table is one.
    pub fn blocks(self, anchors: i64) -> impl Iterator<Item = (i64, i64)> {
        let block = match self {
            PairTable::Whole => anchors.max(1),
            PairTable::Blocks(block) => block.max(1),
        };
        (0..anchors).step_by(block as usize).map(move |first| (first, block.min(anchors - first)))
    }
}

#[cfg(test)]
mod tests {
    use super::PairTable;

    #[test]
    fn blocks_cover_every_anchor_once() {
        let blocks = |table: PairTable, anchors| table.blocks(anchors).collect::<Vec<_>>();
        assert_eq!(blocks(PairTable::Whole, 5), [(0, 5)]);
        assert_eq!(blocks(PairTable::Blocks(2), 5), [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(blocks(PairTable::Blocks(0), 2), [(0, 1), (1, 1)]);
        assert_eq!(blocks(PairTable::Blocks(3), 0), []);
        assert_eq!(PairTable::of_size(4096, 4096), PairTable::Whole);
        assert_eq!(PairTable::of_size(65_536, 65_536), PairTable::Blocks(64));
        assert_eq!(PairTable::of_size(1 << 20, 1 << 40), PairTable::Blocks(1));
    }
}
