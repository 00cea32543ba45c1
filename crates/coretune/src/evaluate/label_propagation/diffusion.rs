//! (I - alpha S) f = y by conjugate gradients.

use super::graph::Graph;

/// Residual over the norm of y at which a solution is accepted.
const TOLERANCE: f64 = 1e-8;

/// The condition number is at most (1 + alpha) / (1 - alpha): a thousand iterations reach the tolerance up to alpha 0.999.
const MOST_ITERATIONS: usize = 2000;

/// f for one class. The matrix is symmetric and positive definite for alpha below 1, as the eigenvalues of S lie in [-1, 1].
pub(super) fn solve(graph: &Graph, alpha: f64, y: &[f64]) -> Vec<f64> {
    let mut f = vec![0.0; y.len()];
    let (mut residual, mut direction, mut product) = (y.to_vec(), y.to_vec(), vec![0.0; y.len()]);
    let mut squared = dot(&residual, &residual);
    let least = TOLERANCE * TOLERANCE * squared;
    for _ in 0..MOST_ITERATIONS {
        if squared <= least {
            break;
        }
        graph.multiply(&direction, &mut product);
        for (product, direction) in product.iter_mut().zip(&direction) {
            *product = direction - alpha * *product;
        }
        let step = squared / dot(&direction, &product);
        for (place, residual) in residual.iter_mut().enumerate() {
            f[place] += step * direction[place];
            *residual -= step * product[place];
        }
        let next = dot(&residual, &residual);
        let momentum = next / squared;
        for (direction, residual) in direction.iter_mut().zip(&residual) {
            *direction = residual + momentum * *direction;
        }
        squared = next;
    }
    f
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
