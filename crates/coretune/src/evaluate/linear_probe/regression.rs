use std::cell::RefCell;

use argmin::core::{CostFunction, Error as ArgminError, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use tch::{Kind, Tensor};

use super::super::{EvaluateError, values};
use super::settings::{Settings, Training};
use crate::engine::guard;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// A bias is put this far below the lowest logit of the training rows for a class that has none of them.
const BELOW_ALL_LOGITS: f64 = 10.0;

/// Multinomial logistic regression on standardised rows.
///
/// Products over rows are taken in the precision of the features, everything else in float64. Only classes with
/// training images take part: the bias of another one would fall without end.
pub(super) struct Regression {
    /// `[rows, D]`, standardised.
    rows: Tensor,
    /// x^T x / rows, `[D, D]`, float64.
    correlation: Tensor,
    /// `[rows, K]` for the K classes present, float64.
    targets: Tensor,
    /// The classes that have training images, rising.
    present: Vec<i64>,
}

/// Weights `[K, D]` and bias `[K]` of the classes present, for standardised features; also the gradient by them.
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

/// Where L-BFGS ended.
pub(super) struct Minimum {
    pub(super) at: Affine,
    pub(super) objective: f64,
    pub(super) iterations: u64,
    pub(super) gradient_norm: f64,
    pub(super) converged: bool,
}

impl Regression {
    pub(super) fn new(rows: Tensor, training: Training<'_>) -> Result<Self, EvaluateError> {
        let mut present = training.labels.to_vec();
        present.sort_unstable();
        present.dedup();
        if let [class] = present[..] {
            return Err(EvaluateError::OneClass { class, images: training.labels.len() });
        }
        Ok(guard("preparing the linear probe", || {
            let class = Tensor::from_slice(training.labels).unsqueeze(1);
            let one_hot = class.eq_tensor(&Tensor::from_slice(&present)).to_kind(Kind::Double);
            let targets = one_hot.repeat([training.views.len() as i64, 1]);
            let correlation = rows.tr().matmul(&rows).to_kind(Kind::Double) / rows.size()[0] as f64;
            Regression { rows, correlation, targets, present }
        })?)
    }

    /// All parameters 0.
    pub(super) fn origin(&self) -> Affine {
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Double, self.rows.device()));
        let classes = self.present.len() as i64;
        Affine { weight: zeros(&[classes, self.rows.size()[1]]), bias: zeros(&[classes]) }
    }

    /// Weights `[C, D]` and bias `[C]` over all `classes`, still for standardised features.
    pub(super) fn classifier(&self, at: &Affine, classes: i64) -> (Tensor, Tensor) {
        let lowest = self.logits(at).min().double_value(&[]);
        let place = Tensor::from_slice(&self.present);
        let weights = Tensor::zeros([classes, at.weight.size()[1]], (Kind::Double, at.weight.device()));
        let biases = Tensor::full([classes], lowest - BELOW_ALL_LOGITS, (Kind::Double, at.weight.device()));
        (weights.index_copy(0, &place, &at.weight), biases.index_copy(0, &place, &at.bias))
    }

    /// Minimises the objective for one penalty, starting at `start`.
    ///
    /// L-BFGS ends early if its line search finds nothing better; it starts again from the best point with an empty
    /// memory, and ends for good when that gains nothing either: the objective is flat to within rounding.
    pub(super) fn minimise(&self, penalty: f64, start: &Affine, settings: &Settings) -> Result<Minimum, EvaluateError> {
        let metric = guard("preparing the linear probe", || Metric::new(self, penalty, start))?;
        let parameters = guard("preparing the linear probe", || metric.coordinates(start))?;
        let problem = Problem { regression: self, metric, penalty, latest: RefCell::new(None) };
        let mut iterations = 0;
        let mut here = problem.at(&parameters)?;
        loop {
            let converged = here.gradient_norm() <= settings.gradient_tolerance;
            if converged || iterations >= settings.max_iterations {
                return problem.minimum(&here, iterations, converged);
            }
            let (parameters, used) = problem.descend(&here, settings, settings.max_iterations - iterations)?;
            iterations += used;
            let there = problem.at(&parameters)?;
            if there.objective >= here.objective {
                return problem.minimum(&here, iterations, false);
            }
            here = there;
        }
    }

    /// `[rows, K]`, float64.
    fn logits(&self, at: &Affine) -> Tensor {
        self.rows.matmul(&at.weight.to_kind(self.rows.kind()).tr()).to_kind(Kind::Double) + &at.bias
    }

    /// Mean cross-entropy + penalty/2 ||W||^2, and its gradient: ((softmax - target)^T x / rows + penalty W, its sum).
    fn evaluate(&self, at: &Affine, penalty: f64) -> (f64, Affine) {
        let rows = self.rows.size()[0] as f64;
        let log_probability = self.logits(at).log_softmax(1, Kind::Double);
        let cross_entropy = -(&log_probability * &self.targets).sum(Kind::Double) / rows;
        let objective = cross_entropy + at.weight.square().sum(Kind::Double) * (penalty / 2.0);
        let residual = (log_probability.exp() - &self.targets) / rows;
        let weight = residual.to_kind(self.rows.kind()).tr().matmul(&self.rows).to_kind(Kind::Double);
        let bias = residual.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        (objective.double_value(&[]), Affine { weight: weight + &at.weight * penalty, bias })
    }
}

/// Coordinates in which the objective is about as curved in every direction, so that L-BFGS needs few steps.
///
/// Taking the mean of p(1 - p) over rows and classes for the curvature by a logit, the second derivative by a row of W
/// is about curvature x^T x / rows + penalty I = F F^T. The coordinates are V = W F and sqrt(curvature) b.
struct Metric {
    factor: Tensor,
    inverse: Tensor,
    bias_scale: f64,
}

impl Metric {
    fn new(regression: &Regression, penalty: f64, start: &Affine) -> Self {
        let probability = regression.logits(start).softmax(1, Kind::Double);
        let curvature = (&probability - probability.square()).mean(Kind::Double).double_value(&[]).max(1e-6);
        let identity = Tensor::eye(regression.correlation.size()[0], (Kind::Double, regression.correlation.device()));
        let factor = (&regression.correlation * curvature + &identity * penalty).linalg_cholesky(false);
        let inverse = factor.linalg_solve_triangular(&identity, false, true, false);
        Metric { factor, inverse, bias_scale: curvature.sqrt() }
    }

    fn coordinates(&self, at: &Affine) -> Vec<f64> {
        let mut coordinates = values(&at.weight.matmul(&self.factor));
        coordinates.extend(values(&(&at.bias * self.bias_scale)));
        coordinates
    }

    fn point(&self, coordinates: &[f64]) -> Affine {
        let width = self.factor.size()[0];
        let classes = coordinates.len() / (width as usize + 1);
        let (weight, bias) = coordinates.split_at(coordinates.len() - classes);
        let weight = Tensor::from_slice(weight).view([classes as i64, width]).matmul(&self.inverse);
        Affine { weight, bias: Tensor::from_slice(bias) / self.bias_scale }
    }

    fn gradient(&self, gradient: &Affine) -> Vec<f64> {
        let mut by_coordinates = values(&gradient.weight.matmul(&self.inverse.tr()));
        by_coordinates.extend(values(&(&gradient.bias / self.bias_scale)));
        by_coordinates
    }
}

/// Objective and gradient at a point, in coordinates.
#[derive(Clone)]
struct Evaluation {
    coordinates: Vec<f64>,
    objective: f64,
    gradient: Vec<f64>,
}

impl Evaluation {
    fn gradient_norm(&self) -> f64 {
        self.gradient.iter().map(|value| value * value).sum::<f64>().sqrt()
    }
}

/// What argmin minimises. It asks for objective and gradient one after the other, so the latest point is remembered.
struct Problem<'a> {
    regression: &'a Regression,
    metric: Metric,
    penalty: f64,
    latest: RefCell<Option<Evaluation>>,
}

impl Problem<'_> {
    fn at(&self, coordinates: &[f64]) -> Result<Evaluation, EvaluateError> {
        if let Some(latest) = self.latest.borrow().as_ref().filter(|latest| latest.coordinates == coordinates) {
            return Ok(latest.clone());
        }
        let fresh = guard("fitting the linear probe", || {
            let (objective, gradient) = self.regression.evaluate(&self.metric.point(coordinates), self.penalty);
            Evaluation { coordinates: coordinates.to_vec(), objective, gradient: self.metric.gradient(&gradient) }
        })?;
        self.latest.replace(Some(fresh.clone()));
        Ok(fresh)
    }

    /// One run of L-BFGS: the best point it met and the iterations it took.
    fn descend(
        &self,
        from: &Evaluation,
        settings: &Settings,
        max_iterations: u64,
    ) -> Result<(Vec<f64>, u64), EvaluateError> {
        let failed = |error: ArgminError| EvaluateError::Probe { penalty: self.penalty, message: error.to_string() };
        let search = MoreThuenteLineSearch::new().with_c(1e-4, 0.9).map_err(failed)?;
        let solver = LBFGS::new(search, MEMORY).with_tolerance_grad(settings.gradient_tolerance).map_err(failed)?;
        // The starting objective is left for argmin to ask for: one that is handed over counts as no progress.
        let result = Executor::new(self, solver)
            .configure(|state| state.param(from.coordinates.clone()).max_iters(max_iterations))
            .timer(false)
            .run()
            .map_err(failed)?;
        let best = result.state.get_best_param().unwrap_or(&from.coordinates).clone();
        Ok((best, result.state.get_iter()))
    }

    fn minimum(&self, end: &Evaluation, iterations: u64, converged: bool) -> Result<Minimum, EvaluateError> {
        let at = guard("fitting the linear probe", || self.metric.point(&end.coordinates))?;
        Ok(Minimum { at, objective: end.objective, iterations, gradient_norm: end.gradient_norm(), converged })
    }
}

impl CostFunction for &Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, coordinates: &Vec<f64>) -> Result<f64, ArgminError> {
        Ok(self.at(coordinates)?.objective)
    }
}

impl Gradient for &Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, coordinates: &Vec<f64>) -> Result<Vec<f64>, ArgminError> {
        Ok(self.at(coordinates)?.gradient)
    }
}
