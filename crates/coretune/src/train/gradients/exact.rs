//! A batch in parts, with the gradient of the whole batch: pairs and contrast see the rows of all parts.

use std::ops::Range;

use tch::{Tensor, no_grad};

use super::backward::{Gradients, add, backward};
use crate::engine::guard;
use crate::models::{Mode, ModelError};
use crate::train::accumulation::parts;
use crate::train::step_input::StepInput;
use crate::train::{DeviceFigures, ImageRows, RowSource, Rows};

/// The images of a part, and its rows after the first pass.
type Part = (Range<usize>, Rows);

/// Rows first, without graph; then the gradient of the loss with respect to them; then the network again, part by part,
/// with that gradient. A single part keeps its graph and goes through the network once.
///
/// The rows are those of all ranks. Each computes the same loss, and replays its own rows.
pub(super) fn exact(input: &mut StepInput<'_>, weights: &[&Tensor], part: usize) -> Result<Gradients, ModelError> {
    let of_images = ImageRows { network: input.network, batch: input.batch };
    let (source, views) = (input.rows.unwrap_or(&of_images), input.objective.needs().views);
    let parts = first_pass(source, parts(input.images(), part), input.mode())?;
    let own = guard("joining rows", || Rows::join(parts.iter().map(|(_, rows)| rows), views))?;
    let (mut gradients, of_leaves, figures) = gradients_of_rows(input, weights, own)?;
    // Where the loss does not depend on the network, only heads learn, and their gradients are complete.
    if of_leaves.iter().any(Tensor::defined) {
        replay(source, parts, views, &of_leaves, weights, &mut gradients)?;
    }
    Ok((gradients, figures))
}

/// The rows of every part; those of a single part have their graph.
fn first_pass(source: &dyn RowSource, parts: Vec<Range<usize>>, mode: Mode) -> Result<Vec<Part>, ModelError> {
    let is_whole = parts.len() == 1;
    let rows_of = |part| {
        if is_whole { source.rows(part, mode) } else { no_grad(|| source.rows(part, Mode::TrainUntracked)) }
    };
    parts.into_iter().map(|part| Ok((part.clone(), rows_of(part)?))).collect()
}

/// Computes the rows of each part with their graph, and adds what the gradient with respect to the rows gives for each of the
/// weights.
fn replay(
    source: &dyn RowSource,
    parts: Vec<Part>,
    views: usize,
    of_leaves: &[Tensor],
    weights: &[&Tensor],
    gradients: &mut [Tensor],
) -> Result<(), ModelError> {
    let is_whole = parts.len() == 1;
    let mut first = 0;
    for (part, earlier) in parts {
        let count = earlier.features.size()[0] / views as i64;
        let again = if is_whole { earlier } else { source.again(part, &earlier)? };
        let replayed =
            guard("replaying the gradient of the rows", || again.replayed(of_leaves, (first, count), views))?;
        first += count;
        if !replayed.requires_grad() {
            // The whole network is frozen: only the heads learn, and their gradients are complete.
            break;
        }
        guard("computing gradients", || add(gradients, backward(&replayed, weights)))?;
    }
    Ok(())
}

/// The gradients of the loss of the rows of all ranks: with respect to the weights of the heads, which count once in the sum
/// over the ranks, and to what [`Rows::make_leaves`] makes of this rank's rows `own`; and the figures of the loss.
pub(super) fn gradients_of_rows(
    input: &mut StepInput<'_>,
    weights: &[&Tensor],
    own: Rows,
) -> Result<(Vec<Tensor>, Vec<Tensor>, DeviceFigures), ModelError> {
    let (world, views) = (input.world, input.objective.needs().views);
    let (mut rows, own) = own.gathered(world, input.images(), views)?;
    let leaves = rows.make_leaves();
    let loss = input.loss(&input.batch.images, &rows.labels, Some(&rows), input.draw)?;
    let inputs: Vec<&Tensor> = weights.iter().copied().chain(&leaves).collect();
    // Of the weights, only the heads' lie between the rows and the loss.
    let (mut gradients, figures) = guard("computing the gradient of the rows", || {
        let gradients = backward(&loss.total, &inputs);
        (gradients, DeviceFigures::gather(&loss).counting(&rows))
    })?;
    let of_leaves = gradients.split_off(weights.len());
    if !world.is_first() {
        // Every rank has the whole gradient of the heads.
        guard("leaving the heads to rank 0", || {
            gradients
                .iter_mut()
                .filter(|gradient| gradient.defined())
                .for_each(|gradient| *gradient = gradient.zeros_like());
        })?;
    }
    let of_leaves = guard("choosing rows", || own_rows(of_leaves, own.as_ref()))?;
    Ok((gradients, of_leaves, figures))
}

/// The gradients with respect to the leaves, of the rows those of `own` alone; that of the cross-entropy of pixels is one number.
fn own_rows(mut of_leaves: Vec<Tensor>, own: Option<&Tensor>) -> Vec<Tensor> {
    if let (Some(own), Some(rows)) = (own, of_leaves.first_mut().filter(|rows| rows.defined())) {
        *rows = rows.index_select(0, own);
    }
    of_leaves
}
