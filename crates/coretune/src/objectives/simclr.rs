//! `SimCLR` (Chen et al., ICML 2020, arXiv:2002.05709).

use serde::Deserialize;

use super::instance_discrimination::{DIM, with_figures};
use super::{FileNames, Method, Needs, Objective, ObjectiveLoss, Pass, PretrainingDefaults};
use crate::engine::guard;
use crate::losses::nt_xent_by;
use crate::models::ModelError;
use crate::settings::RunKind;

pub(super) const METHOD: Method = Method {
    word: "simclr",
    summary: "the other images of the batch are the negatives",
    kind: RunKind::Pretraining,
    settings: &[DIM],
    defaults: &[],
    requires: &[],
    pretraining: Some(PretrainingDefaults { temperature: 0.5, least_area: 0.08, jitter: 1.0 }),
    build: |values| {
        let Settings { temperature } = values.read();
        Box::new(SimClr { temperature })
    },
};

#[derive(Deserialize)]
struct Settings {
    temperature: f64,
}

/// NT-Xent between two views of each image; the other images of the batch are the negatives.
#[derive(Debug, Clone, Copy)]
pub struct SimClr {
    /// tau.
    pub temperature: f64,
}

impl Objective for SimClr {
    fn name(&self) -> &'static str {
        METHOD.word
    }

    fn needs(&self) -> Needs {
        Needs { divisible: true, ..Needs::TWO_VIEWS }
    }

    fn loss(&mut self, pass: &Pass<'_>) -> Result<ObjectiveLoss, ModelError> {
        // Both views together: batch norm sees all 2n rows.
        let projections = pass.projections()?;
        let rows = projections.size()[0];
        let loss = nt_xent_by(pass.table(rows, rows), &projections, self.temperature)?;
        Ok(guard("computing figures", || with_figures(loss, &projections))?)
    }

    fn names(&self) -> FileNames {
        FileNames { network: "backbone.", ..FileNames::OWN }
    }
}
