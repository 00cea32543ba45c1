//! How the weights of runs in an average are chosen.

use crate::settings::choice;

choice! {
    /// Where the running statistics of batch norm come from.
    Statistics {
        /// From those of the runs, averaged as the weights are.
        Averaged = "averaged",
        /// From the training images, measured with the averaged weights.
        Measured = "measured",
    }
}

choice! {
    /// How the weights of the runs in an average are chosen.
    Recipe {
        /// Every run counts alike.
        Uniform = "uniform",
        /// From the best run on, the next best is taken in if the validation loss falls.
        Greedy = "greedy",
        /// (1 - a) of the first run and a of the second, a of 0, 0.1, ..., 1 by the validation loss (B12).
        Interpolate = "interpolate",
    }
}
