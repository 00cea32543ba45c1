//! `SimCLR` (Chen et al., ICML 2020, arXiv:2002.05709).

use tch::Tensor;

use super::method::{Method, with_figures};
use crate::engine::guard;
use crate::losses::nt_xent;
use crate::models::{Encoder, Mode, ModelError, Parameters};
use crate::objectives::ObjectiveLoss;

/// One encoder; the other images of the batch are the negatives.
#[derive(Debug)]
pub struct SimClr {
    encoder: Encoder,
    temperature: f64,
}

impl SimClr {
    /// `temperature` is tau.
    pub fn new(encoder: Encoder, temperature: f64) -> Self {
        SimClr { encoder, temperature }
    }
}

impl Method for SimClr {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn loss(&mut self, views: &Tensor, _: u64) -> Result<ObjectiveLoss, ModelError> {
        // Both views together: batch norm sees all 2n rows.
        let projections = self.encoder.projections(views, Mode::Train)?;
        let loss = guard("computing the loss", || nt_xent(&projections, self.temperature))??;
        Ok(guard("computing figures", || with_figures(loss, &projections))?)
    }

    fn updated(&mut self) -> Result<(), ModelError> {
        Ok(())
    }

    fn parameters(&self) -> Parameters {
        self.encoder.parameters("backbone.")
    }
}
