use tch::{Kind, Tensor};

use super::Coefficients;
use crate::engine::rows::{have_negatives, others_of_block, rows_of_block, same_class_of_block};
use crate::engine::{EngineError, PairTable, guard, rows, shape, transfer};

/// Larger than any cosine.
const ABOVE_COSINES: f64 = 2.0;

/// For each anchor of a batch the rows that are hardest for it.
#[derive(Debug)]
pub struct HardestPairs {
    /// hp(i), int64 `[n]`: the least similar row of the anchor's class; the anchor itself when it is alone in its class.
    pub positive: Tensor,
    /// hn(i), int64 `[n]`: the most similar row of another class; meaningless in a batch of one class.
    pub negative: Tensor,
    /// Whether the batch holds more than one class. Negatives exist for every anchor of a batch or for none.
    pub have_negatives: bool,
}

/// Cosines `[n, n]` between the rows of `features` `[n, D]`, outside of the graph: mining carries no gradient.
///
/// # Errors
/// [`EngineError::Shape`] for features that are not a matrix.
pub fn cosines(features: &Tensor) -> Result<Tensor, EngineError> {
    shape::matrix("features", features)?;
    guard("computing cosines", || rows::cosines(&features.detach()))
}

/// M1: hp(i) = argmin over {j != i, y_j = y_i} of cos(i, j), hn(i) = argmax over {y_j != y_i}; ties to the lowest index.
///
/// `cosines` is `[n, n]`, `labels` has n entries.
///
/// # Errors
/// [`EngineError::Shape`] for cosines that are not one row and one column for each label.
pub fn hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    check_square(cosines, labels)?;
    guard("mining hard pairs", || HardestPairs::of(cosines, labels, MiningRule::Published))
}

/// R1, what the published script mines: entries outside of the class hold similarity 0 instead of being left out, and a
/// hardest positive of index 0 is replaced by the anchor.
///
/// # Errors
/// As [`hardest_pairs`].
pub fn reference_hardest_pairs(cosines: &Tensor, labels: &[i64]) -> Result<HardestPairs, EngineError> {
    check_square(cosines, labels)?;
    guard("mining hard pairs", || HardestPairs::of(cosines, labels, MiningRule::Script))
}

fn check_square(cosines: &Tensor, labels: &[i64]) -> Result<(), EngineError> {
    let n = labels.len() as i64;
    shape::exactly("cosines", cosines, &[n, n])
}

/// The hardest pairs of rows and how similar they are.
#[derive(Debug)]
pub struct MinedPairs {
    /// The pairs.
    pub pairs: HardestPairs,
    /// cos(i, hp(i)), `[n]`, without graph.
    pub positive_cosines: Tensor,
    /// cos(i, hn(i)), `[n]`, without graph; meaningless in a batch of one class.
    pub negative_cosines: Tensor,
}

/// Which entries of a row of cosines are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MiningRule {
    /// M1, [`hardest_pairs`].
    Published,
    /// R1, [`reference_hardest_pairs`].
    Script,
}

/// The hardest pairs of the rows `[n, D]`, by their cosines, outside of the graph. Above [`PairTable::LARGEST_WHOLE`]
/// pairs the cosines are computed in blocks.
///
/// `labels` has n entries.
///
/// # Errors
/// [`EngineError::Shape`] for rows that are not a matrix with one row for each label.
pub fn mine(rows: &Tensor, labels: &[i64], rule: MiningRule) -> Result<MinedPairs, EngineError> {
    let n = labels.len() as i64;
    mine_by(PairTable::of_size(n, n), rows, labels, rule)
}

/// [`mine`] with the cosines computed as given.
///
/// # Errors
/// As [`mine`].
pub fn mine_by(table: PairTable, rows: &Tensor, labels: &[i64], rule: MiningRule) -> Result<MinedPairs, EngineError> {
    let (_, width) = shape::matrix("rows", rows)?;
    shape::exactly("rows", rows, &[labels.len() as i64, width])?;
    guard("mining hard pairs", || MinedPairs::of(table, rows, labels, rule))
}

/// The formulas themselves, for callers that have checked the shapes and hold a [`guard`].
impl MinedPairs {
    /// [`mine_by`].
    pub(crate) fn of(table: PairTable, rows: &Tensor, labels: &[i64], rule: MiningRule) -> Self {
        let unit = rows::unit_rows(&rows.detach());
        let of_rows = transfer::integers(labels, unit.device());
        let of_block = |block: (i64, i64)| {
            let cosines = rows_of_block(&unit, block).matmul(&unit.tr());
            let [positive, negative] = hardest_of_block(&cosines, &of_rows, block, rule);
            let picked = |partner: &Tensor| cosines.gather(1, &partner.unsqueeze(1), false).squeeze_dim(1);
            [picked(&positive), picked(&negative), positive, negative]
        };
        let anchors = labels.len() as i64;
        let blocks: Vec<[Tensor; 4]> = table.blocks(anchors).map(of_block).collect();
        let joined = |which: usize, kind: Kind| {
            let of_blocks: Vec<&Tensor> = blocks.iter().map(|block| &block[which]).collect();
            table.joined(&of_blocks, anchors, (kind, unit.device()))
        };
        let [positive, negative] = [2, 3].map(|which| joined(which, Kind::Int64));
        let [positive_cosines, negative_cosines] = [0, 1].map(|which| joined(which, unit.kind()));
        let pairs = HardestPairs { positive, negative, have_negatives: have_negatives(labels) };
        MinedPairs { pairs, positive_cosines, negative_cosines }
    }
}

/// hp(i) and hn(i) of a block (first anchor, number of anchors) from its cosines `[anchors, n]` and all labels.
fn hardest_of_block(cosines: &Tensor, labels: &Tensor, block: (i64, i64), rule: MiningRule) -> [Tensor; 2] {
    let (n, device) = (labels.size()[0], cosines.device());
    let same = same_class_of_block(labels, block);
    match rule {
        MiningRule::Published => {
            let of_class = cosines.masked_fill(&same.logical_not(), f64::INFINITY);
            // The anchor itself is above every cosine and below what is left out: it is chosen when it is alone in its class.
            let _ = of_class.narrow(1, block.0, block.1).fill_diagonal_(ABOVE_COSINES, false);
            [of_class.argmin(1, false), cosines.masked_fill(&same, f64::NEG_INFINITY).argmax(1, false)]
        }
        MiningRule::Script => {
            let elsewhere = same.logical_and(&others_of_block(block, n, device)).logical_not();
            let anchors = rows_of_block(&Tensor::arange(n, (Kind::Int64, device)), block);
            let lowest = cosines.masked_fill(&elsewhere, 0.0).argmin(1, false);
            [lowest.where_self(&lowest.not_equal(0), &anchors), cosines.masked_fill(&same, 0.0).argmax(1, false)]
        }
    }
}

impl HardestPairs {
    /// [`hardest_pairs`] or [`reference_hardest_pairs`].
    fn of(cosines: &Tensor, labels: &[i64], rule: MiningRule) -> Self {
        let of_rows = transfer::integers(labels, cosines.device());
        let [positive, negative] = hardest_of_block(cosines, &of_rows, (0, labels.len() as i64), rule);
        HardestPairs { positive, negative, have_negatives: have_negatives(labels) }
    }

    /// lam x_hp(i) + (1 - lam) x_hn(i) for rows x `[n, K]`; x_hp(i) in a batch of one class.
    pub(crate) fn mix(&self, rows: &Tensor, coefficients: &Coefficients) -> Tensor {
        self.mix_with_negative(rows.index_select(0, &self.positive), rows, coefficients)
    }

    /// [`HardestPairs::mix`] of rows that are equal in a class, such as those of labels: x_hp(i) = x_i.
    pub(crate) fn mix_labels(&self, targets: &Tensor, coefficients: &Coefficients) -> Tensor {
        self.mix_with_negative(targets.shallow_clone(), targets, coefficients)
    }

    fn mix_with_negative(&self, positive: Tensor, rows: &Tensor, Coefficients { lam, rest }: &Coefficients) -> Tensor {
        if !self.have_negatives {
            return positive;
        }
        lam * positive + rest * rows.index_select(0, &self.negative)
    }
}
