//! Where the classifier starts: from random weights, or from the linear probe of the frozen checkpoint (LP-FT, B11).

use super::Task;
use super::frozen::FrozenFigures;
use crate::config::HeadInit;
use crate::models::Linear;
use crate::runs::RunError;

impl Task {
    /// G_y at the start: random without bias, or the linear probe (B11).
    pub(super) fn classifier(&self, width: i64, frozen: Option<&FrozenFigures>) -> Result<Linear, RunError> {
        let (classes, seed) = (self.classes.len() as i64, self.config.train.seed);
        match (self.config.method.head_init, frozen) {
            (HeadInit::Random, _) => Ok(Linear::classifier(width, classes, seed, self.device)?),
            (HeadInit::LinearProbe, Some(FrozenFigures { probe, .. })) => Ok(probe.classifier(self.device)?),
            (HeadInit::LinearProbe, None) => Err(RunError::NoProbe),
        }
    }
}
