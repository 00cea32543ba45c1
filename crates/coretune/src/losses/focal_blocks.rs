//! M4 and M5 for anchors whose table of pairs is too large for memory.
//!
//! Of each block of anchors one table is in memory: the similarities, which become their own gradient in place. Elementwise
//! steps run over strips of it that stay in the cache. The gradient with respect to the rows z is summed over the blocks, and
//! handed on as that of `(z * gradient).sum()`.

use tch::{Tensor, no_grad};

use super::focus::Focus;
use crate::engine::PairTable;
use crate::engine::rows::{rows_of_block, same_class_of_block};

/// Entries of a strip: 1 MiB of float32.
const STRIP: i64 = 1 << 18;

/// Anchors, the rows that they are compared with, and the weights of the pairs. No anchor is compared with itself.
pub(super) trait Pairs {
    /// Similarities `[anchors, others]` of a block (first anchor, number of anchors).
    fn similarities(&self, block: (i64, i64)) -> Tensor;

    /// Weights of the same pairs; any value where an anchor meets itself.
    fn weights(&self, block: (i64, i64)) -> Tensor;

    /// Adds to `gradient`, one row for each of all rows, what the gradient of a block's similarities gives.
    fn add_gradient(&self, of_similarities: &Tensor, block: (i64, i64), gradient: &mut Tensor);
}

/// All rows are anchors; w_ij = 1 for rows of the same class.
pub(super) struct ByLabels<'a> {
    pub(super) projections: &'a Tensor,
    pub(super) labels: &'a Tensor,
}

/// The first of three parts are anchors, compared with each other, and with their own rows in the other parts if those are
/// there ([`super::own_pairs`]).
pub(super) struct Own<'a> {
    pub(super) projections: &'a Tensor,
    pub(super) labels: &'a Tensor,
    pub(super) with_mixed: bool,
}

/// The first of three parts are anchors, compared with all rows; w_ij is the overlap of soft labels.
pub(super) struct BySoftLabels<'a> {
    pub(super) projections: &'a Tensor,
    pub(super) soft_targets: &'a Tensor,
}

impl Pairs for ByLabels<'_> {
    fn similarities(&self, block: (i64, i64)) -> Tensor {
        rows_of_block(self.projections, block).matmul(&self.projections.tr())
    }

    fn weights(&self, block: (i64, i64)) -> Tensor {
        same_class_of_block(self.labels, block).to_kind(self.projections.kind())
    }

    fn add_gradient(&self, of_similarities: &Tensor, block: (i64, i64), gradient: &mut Tensor) {
        add_product_gradient(of_similarities, (self.projections, block), self.projections, gradient);
    }
}

impl Pairs for BySoftLabels<'_> {
    fn similarities(&self, block: (i64, i64)) -> Tensor {
        rows_of_block(self.projections, block).matmul(&self.projections.tr())
    }

    fn weights(&self, block: (i64, i64)) -> Tensor {
        rows_of_block(self.soft_targets, block).matmul(&self.soft_targets.tr())
    }

    fn add_gradient(&self, of_similarities: &Tensor, block: (i64, i64), gradient: &mut Tensor) {
        add_product_gradient(of_similarities, (self.projections, block), self.projections, gradient);
    }
}

impl Own<'_> {
    fn originals(&self) -> i64 {
        self.projections.size()[0] / 3
    }

    /// The rows that were generated for the anchors of a block: hard positives, semi-hard negatives.
    fn generated(&self, (first, count): (i64, i64)) -> [Tensor; 2] {
        [1, 2].map(|part| self.projections.narrow(0, part * self.originals() + first, count))
    }
}

impl Pairs for Own<'_> {
    fn similarities(&self, block: (i64, i64)) -> Tensor {
        let originals = self.projections.narrow(0, 0, self.originals());
        let anchors = rows_of_block(&originals, block);
        let to_originals = anchors.matmul(&originals.tr());
        if !self.with_mixed {
            return to_originals;
        }
        let to_generated = |rows: Tensor| (&anchors * rows).sum_dim_intlist([1i64].as_slice(), true, anchors.kind());
        let [positive, negative] = self.generated(block).map(to_generated);
        Tensor::cat(&[to_originals, positive, negative], 1)
    }

    fn weights(&self, block: (i64, i64)) -> Tensor {
        let same = same_class_of_block(self.labels, block).to_kind(self.projections.kind());
        if !self.with_mixed {
            return same;
        }
        let column = |value: f64| Tensor::full([block.1, 1], value, (same.kind(), same.device()));
        Tensor::cat(&[&same, &column(1.0), &column(0.0)], 1)
    }

    fn add_gradient(&self, of_similarities: &Tensor, block: (i64, i64), gradient: &mut Tensor) {
        let (n, (first, count)) = (self.originals(), block);
        let originals = self.projections.narrow(0, 0, n);
        let of_originals = of_similarities.narrow(1, 0, n);
        add_product_gradient(&of_originals, (&originals, block), &originals, &mut gradient.narrow(0, 0, n));
        if !self.with_mixed {
            return;
        }
        let anchors = rows_of_block(&originals, block);
        for (part, rows) in (1..).zip(self.generated(block)) {
            let of_pair = of_similarities.narrow(1, n + part - 1, 1);
            let _ = gradient.narrow(0, first, count).g_add_(&(&of_pair * rows));
            let _ = gradient.narrow(0, part * n + first, count).g_add_(&(&of_pair * &anchors));
        }
    }
}

/// The gradient of `anchors others^T`, whose anchors are a block of the `rows` that the first rows of `gradient` belong to.
fn add_product_gradient(
    of_product: &Tensor,
    (rows, (first, count)): (&Tensor, (i64, i64)),
    others: &Tensor,
    gradient: &mut Tensor,
) {
    let _ = gradient.narrow(0, first, count).addmm_(of_product, others);
    let _ = gradient.addmm_(&of_product.tr(), &rows.narrow(0, first, count));
}

/// The focal loss of `n` anchors, the first of `rows`; the gradient of its value reaches `rows`. It can be taken once: it has
/// no graph itself.
pub(super) fn focal_mean(
    pairs: &dyn Pairs,
    (rows, n): (&Tensor, i64),
    table: PairTable,
    (temperature, focus): (f64, Focus),
) -> Tensor {
    let is_trained = rows.narrow(0, 0, 0).requires_grad();
    let (value, gradient) = no_grad(|| {
        let mut gradient = is_trained.then(|| rows.zeros_like());
        let mut sums = Sums::none(rows);
        for block in table.blocks(n) {
            let similarities = pairs.similarities(block);
            let strip = (STRIP / similarities.size()[1]).max(1);
            for (first, count) in PairTable::Blocks(strip).blocks(block.1) {
                let weights = pairs.weights((block.0 + first, count));
                let strip = Strip { logits: similarities.narrow(0, first, count), weights, itself: block.0 + first };
                strip.add_loss(&mut sums, (temperature, focus), is_trained);
            }
            if let Some(gradient) = &mut gradient {
                pairs.add_gradient(&similarities, block, gradient);
            }
        }
        // Of a table that is dealt over processes all get the same mean and the same gradient.
        let mut totals: Vec<Tensor> =
            [&sums.loss, &sums.anchors].into_iter().chain(&gradient).map(Tensor::shallow_clone).collect();
        table.total(&mut totals);
        let count = sums.anchors.clamp_min(1.0);
        (sums.loss / &count, gradient.map(|gradient| gradient / (count * temperature)))
    });
    match gradient {
        None => value,
        Some(gradient) => {
            // Its value is taken off again: only its gradient is wanted.
            let carrier = (rows * gradient).sum(rows.kind());
            value + (&carrier - carrier.detach())
        }
    }
}

/// What the anchors add to the mean: scalars.
struct Sums {
    loss: Tensor,
    anchors: Tensor,
}

impl Sums {
    fn none(rows: &Tensor) -> Self {
        let zero = || Tensor::zeros([0i64; 0], (rows.kind(), rows.device()));
        Sums { loss: zero(), anchors: zero() }
    }
}

/// A few anchors of a block.
struct Strip {
    /// Similarities; then, if it is wanted, the gradient of the loss by the similarities over the temperature.
    logits: Tensor,
    weights: Tensor,
    /// The column in which the first anchor meets itself; the next one meets itself in the next.
    itself: i64,
}

impl Strip {
    /// Sets the entries in which anchors meet themselves.
    fn fill_itself(&self, table: &Tensor, value: f64) {
        let count = table.size()[0];
        let _ = table.narrow(1, self.itself, count).diagonal(0, 0, 1).fill_(value);
    }

    /// Adds the loss of the anchors; with u = sum_j a_j, a_j = w_j d/dl [(1 - p_j)^g l_j], l = log p, its gradient by the
    /// logit k is p_k u - a_k.
    fn add_loss(mut self, sums: &mut Sums, (temperature, focus): (f64, Focus), with_gradient: bool) {
        let over_columns = [1i64].as_slice();
        let (kind, has_others) = (self.logits.kind(), self.logits.size()[1] > 1);
        let _ = self.logits.divide_scalar_(temperature);
        // A row without others would be 0 / 0: it keeps its entry, whose weight is 0.
        if has_others {
            self.fill_itself(&self.logits, f64::NEG_INFINITY);
        }
        self.fill_itself(&self.weights, 0.0);
        let mass = self.weights.sum_dim_intlist(over_columns, true, kind);
        let counted = mass.gt(0.0).to_kind(kind);
        // An anchor without weights has terms of 0, and 0 / 1 keeps it there.
        let mut weights = self.weights.divide_(&(mass + (1.0 - &counted)));
        let log_p = self.logits.log_softmax(1, kind);
        if with_gradient {
            let _ = log_p.exp_out(&self.logits);
        }
        self.fill_itself(&log_p, 0.0);
        // The loss needs w (1 - p)^g, the gradient its derivative.
        let of_gradient = match focus.exponent {
            0.0 => None,
            exponent => {
                let complement = -log_p.expm1();
                let focal = complement.pow_tensor_scalar(exponent);
                let slope = (with_gradient && !focus.detached).then(|| {
                    let falling = complement.pow_tensor_scalar(exponent - 1.0) * (1.0 - &complement) * &log_p;
                    (&focal - falling * exponent) * &weights
                });
                weights = weights.g_mul_(&focal);
                slope
            }
        };
        sums.loss = &sums.loss - weights.view(-1).dot(&log_p.view(-1));
        sums.anchors = &sums.anchors + counted.sum(kind);
        if with_gradient {
            let of_loss = of_gradient.unwrap_or(weights);
            let sum = of_loss.sum_dim_intlist(over_columns, true, kind);
            let _ = self.logits.g_mul_(&sum).g_sub_(&of_loss);
        }
    }
}
