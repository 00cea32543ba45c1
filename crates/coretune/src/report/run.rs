use serde::Serialize;

use super::measurements::Measurements;
use super::records::Records;
use super::segmentation_measurements::SegmentationMeasurements;
use crate::run_folder::{SegmentationSummary, Summary};

/// Something that a page could not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Name of the run.
    pub run: String,
    /// What is not shown, as text.
    pub what: &'static str,
    /// The reason, as text.
    pub why: String,
}

/// Everything about one run that the page shows.
pub(super) struct Run {
    pub(super) records: Records<Summary>,
    pub(super) measurements: Result<Measurements, String>,
}

impl Run {
    /// What the page about the run cannot show.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let run = &self.records.name;
        let missing = |what, why: &String| Missing { run: run.clone(), what, why: why.clone() };
        match &self.measurements {
            Err(why) => vec![missing("everything that needs the images and the fine-tuned model", why)],
            Ok(Measurements { frozen: Err(why), .. }) => vec![missing("the frozen checkpoint", why)],
            Ok(_) => Vec::new(),
        }
    }
}

/// Everything about one run that segments images.
pub(super) struct SegmentationRun {
    pub(super) records: Records<SegmentationSummary>,
    pub(super) seed: u64,
    pub(super) measurements: Result<SegmentationMeasurements, String>,
}

impl SegmentationRun {
    /// What the page about the run cannot show.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let run = &self.records.name;
        let missing = |what, why: &String| Missing { run: run.clone(), what, why: why.clone() };
        match &self.measurements {
            Err(why) => vec![missing("everything that needs the images and the fine-tuned network", why)],
            Ok(SegmentationMeasurements { frozen: Err(why), .. }) => vec![missing("the frozen checkpoint", why)],
            Ok(_) => Vec::new(),
        }
    }
}
