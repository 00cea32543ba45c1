//! `SimCLR` (Chen et al., ICML 2020, arXiv:2002.05709).

use super::instance_discrimination::with_figures;
use super::{FileNames, Needs, Objective, ObjectiveLoss, Pass};
use crate::engine::guard;
use crate::losses::nt_xent;
use crate::models::ModelError;

/// NT-Xent between two views of each image; the other images of the batch are the negatives.
#[derive(Debug, Clone, Copy)]
pub struct SimClr {
    /// tau.
    pub temperature: f64,
}

impl Objective for SimClr {
    fn name(&self) -> &'static str {
        "simclr"
    }

    fn needs(&self) -> Needs {
        Needs::TWO_VIEWS
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        // Both views together: batch norm sees all 2n rows.
        let projections = pass.projections()?;
        let loss = guard("computing the loss", || nt_xent(&projections, self.temperature))??;
        Ok(guard("computing figures", || with_figures(loss, &projections))?)
    }

    fn names(&self) -> FileNames {
        FileNames { network: "backbone.", ..FileNames::OWN }
    }
}
