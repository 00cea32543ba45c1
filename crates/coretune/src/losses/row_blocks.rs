//! Means over anchors whose table of pairs is too large for memory, or is dealt over processes.
//!
//! The gradient with respect to the rows z is computed block by block, each with a graph of its own that is freed with the
//! block, and handed on as that of `(z * gradient).sum()`.

use tch::Tensor;

use crate::engine::PairTable;

/// What a block of anchors adds to a mean.
pub(super) struct BlockSums {
    /// Sum of the loss over the anchors that count: a scalar with graph.
    pub(super) loss: Tensor,
    /// Number of anchors that count: a scalar.
    pub(super) anchors: Tensor,
    /// Sums of other figures over the anchors: scalars without graph.
    pub(super) figures: Vec<Tensor>,
}

/// The mean over all anchors that count.
pub(super) struct BlockMean {
    /// The loss: a scalar whose gradient reaches the rows.
    pub(super) loss: Tensor,
    /// The other figures, summed over the anchors.
    pub(super) figures: Vec<Tensor>,
}

/// The mean over `anchors` anchors, with so many other figures; `sums` computes a block (first anchor, number of anchors)
/// from `rows`, or from leaves that hold the same values. The gradient can be taken once: it has no graph itself. Of a
/// table that is dealt over processes all get the same mean and the same gradient.
pub(super) fn mean_over_blocks(
    rows: &[&Tensor],
    (table, anchors, figures): (PairTable, i64, usize),
    sums: impl Fn(&[Tensor], (i64, i64)) -> BlockSums,
) -> BlockMean {
    let moves: Vec<bool> = rows.iter().map(|rows| in_graph(rows)).collect();
    let leaves: Vec<Tensor> =
        rows.iter().zip(&moves).map(|(rows, &moves)| rows.detach().set_requires_grad(moves)).collect();
    let moving: Vec<&Tensor> = leaves.iter().filter(|leaf| leaf.requires_grad()).collect();
    let mut gradients: Vec<Tensor> = moving.iter().map(|leaf| leaf.zeros_like()).collect();
    let mut total: Option<BlockSums> = None;
    for block in table.blocks(anchors) {
        let of_block = sums(&leaves, block);
        if of_block.loss.requires_grad() {
            let of_leaves = Tensor::run_backward(&[&of_block.loss], &moving, false, false);
            for (sum, gradient) in gradients.iter_mut().zip(of_leaves).filter(|(_, gradient)| gradient.defined()) {
                let _ = sum.g_add_(&gradient);
            }
        }
        total = Some(added(total, of_block));
    }
    let zero = || Tensor::zeros([], (rows[0].kind(), rows[0].device()));
    let nothing = || BlockSums { loss: zero(), anchors: zero(), figures: (0..figures).map(|_| zero()).collect() };
    let total = total.unwrap_or_else(nothing).over_processes(table, &mut gradients);
    let BlockSums { loss, anchors, figures } = total;
    let count = anchors.clamp_min(1.0);
    let value = loss / &count;
    let of_rows = rows.iter().zip(&moves).filter(|(_, moves)| **moves).map(|(rows, _)| *rows);
    let loss = of_rows.zip(&gradients).fold(value.shallow_clone(), |loss, (rows, gradient)| {
        // Its value is taken off again: only its gradient is wanted.
        let carrier = (rows * gradient).sum(rows.kind()) / &count;
        loss + (&carrier - carrier.detach())
    });
    BlockMean { loss, figures }
}

impl BlockSums {
    /// The sums over the blocks of all processes that share the table, beside those of the gradients.
    fn over_processes(self, table: PairTable, gradients: &mut [Tensor]) -> Self {
        let BlockSums { loss, anchors, figures } = self;
        let scalars = [&loss, &anchors].into_iter().chain(&figures);
        let mut sums: Vec<Tensor> = scalars.chain(&*gradients).map(Tensor::shallow_clone).collect();
        table.total(&mut sums);
        BlockSums { loss, anchors, figures }
    }
}

/// Whether a gradient is wanted: the rows are in a graph, and graphs are being recorded.
fn in_graph(rows: &Tensor) -> bool {
    rows.narrow(0, 0, 0).requires_grad()
}

fn added(total: Option<BlockSums>, block: BlockSums) -> BlockSums {
    let block = BlockSums { loss: block.loss.detach(), ..block };
    match total {
        None => block,
        Some(total) => BlockSums {
            loss: total.loss + block.loss,
            anchors: total.anchors + block.anchors,
            figures: total.figures.iter().zip(&block.figures).map(|(total, figure)| total + figure).collect(),
        },
    }
}
