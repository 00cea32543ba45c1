use tch::Tensor;

/// The penalties `c` that are tried, as B10 states them.
pub const PENALTIES: [f64; 7] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];

/// How the probe is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The penalties `c` to choose from.
    pub penalties: Vec<f64>,
    /// Fitting one penalty ends when the norm of the gradient falls below this. It is taken in coordinates of unit
    /// curvature, where half its square is about how far the objective lies above its minimum.
    pub gradient_tolerance: f64,
    /// Fitting one penalty ends after this many iterations in any case, and says so.
    pub max_iterations: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { penalties: PENALTIES.to_vec(), gradient_tolerance: 3e-4, max_iterations: 1000 }
    }
}

/// Training rows: views of the same images (the images, their mirror images) and one label per image.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Feature matrices `[n, D]`, row i of each belonging to image i.
    pub views: &'a [&'a Tensor],
    /// n classes in 0..C.
    pub labels: &'a [i64],
}
