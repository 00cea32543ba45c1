//! Nearest neighbours (E7): what frozen features are worth without training anything.

use tch::Tensor;

use super::classification::accuracy;
use super::{EvaluateError, argmax, finite_matrix, labelled_matrix, normalised, values};
use crate::engine::{EngineError, guard, shape};

/// Neighbours that vote.
pub const NEIGHBOURS: usize = 20;
/// Temperature of a vote.
pub const TEMPERATURE: f64 = 0.07;

/// Test rows that are compared with all training rows at a time.
const BLOCK: i64 = 256;

/// Votes and predictions of the nearest neighbours.
#[derive(Debug)]
pub struct NearestNeighbours {
    /// Votes per class `[m, C]`, float64.
    pub votes: Tensor,
    /// The class with the most votes for each test row, the lowest one on ties.
    pub predicted: Vec<i64>,
}

impl NearestNeighbours {
    /// Fraction of rows whose prediction equals the label.
    ///
    /// # Errors
    /// [`EngineError::Shape`] when there is not one label per test row.
    pub fn top1(&self, labels: &[i64]) -> Result<f64, EngineError> {
        let rows = self.predicted.len();
        shape::length("labels", labels.len(), rows as i64)?;
        let correct: Vec<bool> =
            self.predicted.iter().zip(labels).map(|(predicted, label)| predicted == label).collect();
        Ok(accuracy(&correct))
    }
}

/// E7 with its published settings: [`NEIGHBOURS`] neighbours, temperature [`TEMPERATURE`].
///
/// # Errors
/// [`EvaluateError`] for shapes that do not fit, a label outside 0..`classes`, and features that are empty, NaN or
/// infinite.
pub fn nearest_neighbours(
    train: &Tensor,
    labels: &[i64],
    test: &Tensor,
    classes: i64,
) -> Result<NearestNeighbours, EvaluateError> {
    vote(train, labels, test, classes, NEIGHBOURS, TEMPERATURE)
}

/// Each of the k = `neighbours` training rows nearest by cosine votes for its class with exp(cosine / `temperature`).
///
/// `train` is `[n, D]` with `labels` (n classes in 0..`classes`), `test` is `[m, D]`. Among equal cosines the lower row
/// goes first. With fewer than k training rows all of them vote.
///
/// # Errors
/// Shapes that do not fit, a label outside 0..`classes`, empty or not finite features, k = 0, or a temperature so low
/// that a vote overflows.
pub fn vote(
    train: &Tensor,
    labels: &[i64],
    test: &Tensor,
    classes: i64,
    neighbours: usize,
    temperature: f64,
) -> Result<NearestNeighbours, EvaluateError> {
    let width = labelled_matrix("training features", train, labels, Some(classes))?;
    finite_matrix("test features", test)?;
    shape::exactly("test features", test, &[test.size()[0], width])?;
    check_settings(neighbours, temperature)?;
    let neighbours = neighbours.min(labels.len());
    Ok(guard("comparing with the nearest neighbours", || {
        let train = normalised(&train.to_device(test.device())).to_kind(test.kind()).tr();
        let mut votes = Vec::with_capacity(test.size()[0] as usize * classes as usize);
        for rows in normalised(test).split(BLOCK, 0) {
            for cosines in values(&rows.matmul(&train)).chunks_exact(labels.len()) {
                votes.extend(votes_of_row(cosines, labels, classes, neighbours, temperature));
            }
        }
        let predicted = votes.chunks_exact(classes as usize).map(|row| argmax(row) as i64).collect();
        let votes = Tensor::from_slice(&votes).view([-1, classes]);
        NearestNeighbours { votes, predicted }
    })?)
}

fn votes_of_row(cosines: &[f64], labels: &[i64], classes: i64, neighbours: usize, temperature: f64) -> Vec<f64> {
    let mut votes = vec![0.0; classes as usize];
    for row in nearest(cosines, neighbours) {
        votes[labels[row] as usize] += (cosines[row] / temperature).exp();
    }
    votes
}

/// The `neighbours` rows of the largest cosines, in the order of rows; among equal cosines the lower row goes first.
fn nearest(cosines: &[f64], neighbours: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..cosines.len()).collect();
    if neighbours < rows.len() {
        rows.select_nth_unstable_by(neighbours, |&a, &b| cosines[b].total_cmp(&cosines[a]).then(a.cmp(&b)));
        rows.truncate(neighbours);
    }
    rows.sort_unstable();
    rows
}

fn check_settings(neighbours: usize, temperature: f64) -> Result<(), EngineError> {
    shape::positive("temperature", temperature)?;
    let largest_vote = (1.0 / temperature).exp() * neighbours as f64;
    if neighbours > 0 && largest_vote.is_finite() {
        return Ok(());
    }
    Err(EngineError::Value {
        name: "neighbours and temperature",
        expected: "at least one neighbour whose vote exp(1 / temperature) does not overflow".into(),
        found: format!("{neighbours} and {temperature}"),
    })
}
