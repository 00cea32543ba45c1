//! The graph of nearest neighbours: S = D^-1/2 W D^-1/2 with W = A + A^T, a sparse matrix.

use tch::Tensor;

use super::watch::Watch;
use crate::data::on_threads;
use crate::engine::{guard, threads};
use crate::evaluate::{EvaluateError, values};

/// Cosines that are in memory at a time.
const BLOCK: usize = 1 << 23;

/// A node and the cosine to it.
pub(super) type Neighbour = (u32, f64);

/// Of each query the `each` nearest nodes by cosine, the nearest first; among equal cosines the lower node goes first. Both are
/// unit rows. With `own`, query i is node i, and not its own neighbour.
pub(super) fn nearest(
    (queries, nodes): (&Tensor, &Tensor),
    each: usize,
    own: bool,
    watch: &mut Watch<'_>,
) -> Result<Vec<Vec<Neighbour>>, EvaluateError> {
    let (rows, columns) = (queries.size()[0] as usize, nodes.size()[0] as usize);
    let block = (BLOCK / columns).clamp(1, 256);
    let transposed = guard("comparing features", || nodes.tr())?;
    let mut all = Vec::with_capacity(rows);
    for first in (0..rows).step_by(block) {
        let length = block.min(rows - first);
        let cosines = guard("comparing features", || {
            values(&queries.narrow(0, first as i64, length as i64).matmul(&transposed))
        })?;
        let cosines: Vec<(usize, &[f64])> = cosines.chunks_exact(columns).enumerate().collect();
        let of_row = |&(row, cosines): &(usize, &[f64])| Some(most_similar(cosines, each, own.then_some(first + row)));
        let found: Option<Vec<_>> = on_threads(&cosines, threads::get(), of_row, |_| None).into_iter().collect();
        all.extend(found.ok_or(EvaluateError::Thread { doing: "comparing features" })?);
        watch.at(first + length, rows)?;
    }
    Ok(all)
}

/// The `each` largest cosines with their nodes, in descending order, without that of the node `left_out`.
fn most_similar(cosines: &[f64], each: usize, left_out: Option<usize>) -> Vec<Neighbour> {
    let mut best: Vec<Neighbour> = Vec::with_capacity(each + 1);
    for (node, &cosine) in cosines.iter().enumerate() {
        let is_too_far = best.len() == each && best.last().is_none_or(|&(_, least)| cosine <= least);
        if is_too_far || left_out == Some(node) {
            continue;
        }
        let place = best.partition_point(|&(_, known)| known >= cosine);
        best.insert(place, (node as u32, cosine));
        best.truncate(each);
    }
    best
}

/// max(cos, 0)^gamma
pub(super) fn weight(cosine: f64, power: f64) -> f64 {
    cosine.max(0.0).powf(power)
}

/// S by rows, and D^-1/2.
#[derive(Debug)]
pub(super) struct Graph {
    /// Where each row begins in `columns` and `values`; one more than there are rows.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    /// D_ii^-1/2; 0 for a node without an edge.
    pub(super) scales: Vec<f64>,
}

impl Graph {
    /// Of the nearest neighbours of each node.
    pub(super) fn of(neighbours: &[Vec<Neighbour>], power: f64) -> Self {
        let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for mut row in both_ways(neighbours, power) {
            row.sort_unstable_by_key(|&(column, _)| column);
            let begin = columns.len();
            for (column, weight) in row {
                // Both of a pair may be among the nearest of the other.
                match columns.last() {
                    Some(&last) if columns.len() > begin && last == column => {
                        if let Some(sum) = values.last_mut() {
                            *sum += weight;
                        }
                    }
                    _ => {
                        columns.push(column);
                        values.push(weight);
                    }
                }
            }
            starts.push(columns.len());
        }
        let mut graph = Graph { starts, columns, values, scales: Vec::new() };
        graph.normalise();
        graph
    }

    /// W to S.
    fn normalise(&mut self) {
        let degree = |row: usize| self.values[self.starts[row]..self.starts[row + 1]].iter().sum::<f64>();
        let scale = |degree: f64| if degree > 0.0 { 1.0 / degree.sqrt() } else { 0.0 };
        self.scales = (0..self.nodes()).map(|row| scale(degree(row))).collect();
        for row in 0..self.nodes() {
            for entry in self.starts[row]..self.starts[row + 1] {
                self.values[entry] *= self.scales[row] * self.scales[self.columns[entry] as usize];
            }
        }
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// S x
    pub(super) fn multiply(&self, x: &[f64], product: &mut [f64]) {
        for (row, sum) in product.iter_mut().enumerate() {
            let entries = self.starts[row]..self.starts[row + 1];
            let (columns, values) = (&self.columns[entries.clone()], &self.values[entries]);
            *sum = columns.iter().zip(values).map(|(&column, value)| value * x[column as usize]).sum();
        }
    }
}

/// The edges of each node: those to its neighbours, and those from the nodes that it is a neighbour of.
fn both_ways(neighbours: &[Vec<Neighbour>], power: f64) -> Vec<Vec<Neighbour>> {
    let mut edges: Vec<Vec<Neighbour>> = neighbours.iter().map(|row| Vec::with_capacity(2 * row.len())).collect();
    for (node, row) in neighbours.iter().enumerate() {
        for &(other, cosine) in row {
            let weight = weight(cosine, power);
            if weight > 0.0 {
                edges[node].push((other, weight));
                edges[other as usize].push((node as u32, weight));
            }
        }
    }
    edges
}
