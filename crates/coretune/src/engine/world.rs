use tch::Tensor;

/// The processes that train together, and what they exchange. Today there is one; ranks of `torch.distributed` will be
/// a second case.
///
/// What is computed depends on the global batch alone, never on how many processes share it: each takes its part, rows
/// are gathered before the loss, and gradients are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum World {
    /// A single process.
    #[default]
    Alone,
}

impl World {
    /// This process's part of a global batch of images, or of a split that is evaluated.
    pub fn part<T>(self, batch: &[T]) -> &[T] {
        match self {
            World::Alone => batch,
        }
    }

    /// The rows `[n, ..]` of all processes in the order of the global batch; this process's own keep their graph.
    pub fn gather(self, rows: &Tensor) -> Tensor {
        match self {
            World::Alone => rows.shallow_clone(),
        }
    }

    /// Sums each gradient over all processes, in place.
    pub fn sum(self, _gradients: &mut [Tensor]) {
        match self {
            World::Alone => {}
        }
    }

    /// Whether any process was asked to stop: all of them then stop after the same step.
    pub fn agree(self, stop: bool) -> bool {
        match self {
            World::Alone => stop,
        }
    }
}
