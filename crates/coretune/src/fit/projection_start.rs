//! Where the projection head starts: from random weights, or from the head that the checkpoint was pre-trained with.

use super::Task;
use crate::models::ProjectionHead;
use crate::runs::RunError;

impl Task {
    /// G_c at the start, over features of this width.
    pub(super) fn projection(&self, width: i64) -> Result<ProjectionHead, RunError> {
        let head = match &self.projector {
            None => ProjectionHead::new(width, self.config.method.contrast_dim, self.config.train.seed, self.device)?,
            Some(projector) => projector.head(self.device)?,
        };
        Ok(head)
    }
}
