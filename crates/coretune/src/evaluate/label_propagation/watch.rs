//! How far long work has come, and a request to end it.

use crate::engine::Stop;
use crate::evaluate::EvaluateError;

/// What the caller sees of the work, and how it ends it.
pub struct Watch<'a> {
    /// Ends the work between two blocks.
    pub stop: &'a Stop,
    /// Gets (done, total) rows.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

impl Watch<'_> {
    pub(super) fn at(&mut self, done: usize, total: usize) -> Result<(), EvaluateError> {
        (self.progress)(done, total);
        if self.stop.is_requested() { Err(EvaluateError::Interrupted) } else { Ok(()) }
    }
}
