//! Label propagation (B13): labels spread from labelled to unlabelled images over a graph of frozen features.

mod diffusion;
mod graph;
mod watch;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use self::diffusion::solve;
use self::graph::{Graph, Neighbour, nearest, weight};
pub use self::watch::Watch;
use super::{EvaluateError, argmax, finite_matrix, labelled_matrix, normalised};
use crate::data::on_threads;
use crate::engine::{EngineError, guard, shape, threads};

/// Shape of the graph, and how far labels spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// k: neighbours of a node.
    pub neighbours: usize,
    /// alpha, from 0 to below 1: how far labels spread.
    pub alpha: f64,
    /// gamma: power of the cosine.
    pub power: f64,
}

impl Default for Settings {
    /// Those of the published method.
    fn default() -> Self {
        Settings { neighbours: 50, alpha: 0.99, power: 3.0 }
    }
}

/// The label that an image was given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PseudoLabel {
    /// The class with the largest score.
    pub class: i64,
    /// 1 - H(p) / log C, p the scores over their sum: 1 when one class has all of it, 0 when all have the same.
    pub certainty: f64,
}

impl PseudoLabel {
    /// The label by the scores of the classes; `None` when none is above 0, as no path leads to a labelled image.
    pub fn of(scores: &[f64]) -> Option<Self> {
        // Rounding may leave a little below 0.
        let scores: Vec<f64> = scores.iter().map(|score| score.max(0.0)).collect();
        let sum: f64 = scores.iter().sum();
        if sum <= 0.0 {
            return None;
        }
        let surprise = |score: &f64| if *score > 0.0 { -(score / sum) * (score / sum).ln() } else { 0.0 };
        let entropy: f64 = scores.iter().map(surprise).sum();
        let certainty = (1.0 - entropy / (scores.len() as f64).ln()).clamp(0.0, 1.0);
        Some(PseudoLabel { class: argmax(&scores) as i64, certainty })
    }
}

/// Scores of every node of a graph of labelled and unlabelled images.
#[derive(Debug)]
pub struct LabelPropagation {
    settings: Settings,
    /// Unit rows: first the labelled images, then the others.
    nodes: Tensor,
    labelled: usize,
    /// D^-1/2 of each node.
    scales: Vec<f64>,
    /// F, by class.
    scores: Vec<Vec<f64>>,
}

impl LabelPropagation {
    /// Spreads `labels` (classes in 0..`classes`) from the rows `labelled` `[l, D]` to the rows `unlabelled` `[u, D]`.
    ///
    /// # Errors
    /// Shapes that do not fit, fewer than two classes, a label outside 0..`classes`, empty or not finite features, settings
    /// out of range.
    pub fn new(
        (labelled, labels): (&Tensor, &[i64]),
        unlabelled: &Tensor,
        classes: i64,
        settings: Settings,
        watch: &mut Watch<'_>,
    ) -> Result<Self, EvaluateError> {
        let width = labelled_matrix("features of labelled images", labelled, labels, Some(classes))?;
        finite_matrix("features of unlabelled images", unlabelled)?;
        shape::exactly("features of unlabelled images", unlabelled, &[unlabelled.size()[0], width])?;
        check(settings, classes)?;
        let nodes = guard("joining features", || normalised(&Tensor::cat(&[labelled, unlabelled], 0)))?;
        let graph = Graph::of(&nearest((&nodes, &nodes), settings.neighbours, true, watch)?, settings.power);
        let of_class = |class: &i64| {
            let mut y = vec![0.0; graph.nodes()];
            for (y, _) in y.iter_mut().zip(labels).filter(|(_, label)| *label == class) {
                *y = 1.0;
            }
            Some(solve(&graph, settings.alpha, &y))
        };
        let all: Vec<i64> = (0..classes).collect();
        let scores: Option<Vec<_>> = on_threads(&all, threads::get(), of_class, |_| None).into_iter().collect();
        let scores = scores.ok_or(EvaluateError::Thread { doing: "spreading labels" })?;
        watch.at(graph.nodes(), graph.nodes())?;
        Ok(LabelPropagation { settings, nodes, labelled: labels.len(), scales: graph.scales, scores })
    }

    /// The label of each unlabelled image, in order; `None` for one that no path connects to a labelled image.
    pub fn pseudo_labels(&self) -> Vec<Option<PseudoLabel>> {
        (self.labelled..self.scales.len()).map(|node| PseudoLabel::of(&self.scores_of(node))).collect()
    }

    /// F of a node, class by class.
    pub fn scores_of(&self, node: usize) -> Vec<f64> {
        self.scores.iter().map(|of_class| of_class[node]).collect()
    }

    /// The label of each row of `features` `[m, D]`, images outside the graph: from the scores of their nearest nodes,
    /// sum_j w_xj D_jj^-1/2 F_jc.
    ///
    /// # Errors
    /// Shapes that do not fit, and features that are empty or not finite.
    pub fn predict(&self, features: &Tensor, watch: &mut Watch<'_>) -> Result<Vec<Option<PseudoLabel>>, EvaluateError> {
        finite_matrix("features", features)?;
        shape::exactly("features", features, &[features.size()[0], self.nodes.size()[1]])?;
        let rows = guard("normalising features", || normalised(features).to_kind(self.nodes.kind()))?;
        let neighbours = nearest((&rows, &self.nodes), self.settings.neighbours, false, watch)?;
        Ok(neighbours.iter().map(|near| PseudoLabel::of(&self.scores_near(near))).collect())
    }

    fn scores_near(&self, near: &[Neighbour]) -> Vec<f64> {
        let share = |&(node, cosine): &Neighbour| (node as usize, weight(cosine, self.settings.power));
        let of_class = |scores: &Vec<f64>| {
            near.iter().map(share).map(|(node, weight)| weight * self.scales[node] * scores[node]).sum()
        };
        self.scores.iter().map(of_class).collect()
    }
}

/// Of the images with the same label, the most certain `fraction`, at least one: their positions, ascending. Among equally
/// certain images the first goes first.
pub fn most_certain(labels: &[Option<PseudoLabel>], classes: i64, fraction: f64) -> Vec<usize> {
    let mut of_class: Vec<Vec<(usize, f64)>> = vec![Vec::new(); classes as usize];
    for (position, label) in labels.iter().enumerate() {
        if let Some(PseudoLabel { class, certainty }) = label {
            of_class[*class as usize].push((position, *certainty));
        }
    }
    let mut kept = Vec::new();
    for mut members in of_class {
        members.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let number = (fraction * members.len() as f64).ceil() as usize;
        kept.extend(members.iter().take(number).map(|&(position, _)| position));
    }
    kept.sort_unstable();
    kept
}

fn check(settings: Settings, classes: i64) -> Result<(), EngineError> {
    let Settings { neighbours, alpha, power } = settings;
    shape::positive("power of the cosine", power)?;
    let refused =
        |name, expected: &str, found: String| Err(EngineError::Value { name, expected: expected.into(), found });
    if neighbours == 0 {
        return refused("neighbours", "at least 1", "0".into());
    }
    if !(0.0..1.0).contains(&alpha) {
        return refused("alpha", "0 to below 1", alpha.to_string());
    }
    if classes < 2 {
        return refused("classes", "at least 2", classes.to_string());
    }
    Ok(())
}
