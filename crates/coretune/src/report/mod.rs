//! `report.html`: one page about one run or several, in one file that needs no network.
//!
//! | step | module |
//! |---|---|
//! | what the run folder has recorded | `records` |
//! | what needs model and images: figures, features before and after | `measurements` |
//! | the same of a run that segments images, with examples | `segmentation_measurements` |
//! | features in two dimensions | `embedding` |
//! | which images to show, and their thumbnails | `gallery`, `thumbnail` |
//! | figures as SVG | `charts` |
//! | the page | `page` |
//!
//! The page of a pre-training run is made from its records alone, that of a comparison of methods from its table.
//!
//! If data or checkpoint are gone, the page is made from the records and says what is missing and why. The run folder is
//! not changed and no clock is read: the same run gives the same bytes.

mod charts;
mod embedding;
mod error;
mod gallery;
mod measurements;
mod page;
mod records;
mod run;
mod segmentation_measurements;
mod source;
mod thumbnail;

use std::path::Path;

pub use error::ReportError;
pub use run::Missing;
pub use source::Source;

use crate::compare::Comparison;
use crate::config::SegmentationConfig;
use crate::files::{self, PartialFile};
use crate::run_folder::{PretrainSummary, SegmentationSummary, Summary};
use crate::train::Observer;
use measurements::Measurements;
pub use page::RATE_SEARCH;
use records::Records;
use run::{Run, SegmentationRun};
use segmentation_measurements::SegmentationMeasurements;

/// Name of the page in a run folder.
pub const PAGE: &str = "report.html";

/// The page.
#[derive(Debug, Clone)]
pub struct Report {
    /// The whole file.
    pub html: String,
    /// What the page could not show.
    pub missing: Vec<Missing>,
}

/// The page about these runs; several are shown side by side.
///
/// # Errors
/// [`ReportError::RunFolder`] when a folder holds no run or a damaged record. Unusable data or an unusable checkpoint are
/// not an error: see [`Report::missing`].
pub fn report(sources: &[Source], observer: &mut Observer<'_>) -> Result<Report, ReportError> {
    let folders: Vec<&Path> = sources.iter().map(|source| source.folder.as_path()).collect();
    let measured = |(source, records): (&Source, Records<Summary>)| Run {
        measurements: Measurements::of(source, &records, observer),
        records,
    };
    let runs: Vec<Run> = sources.iter().zip(records::read_all(&folders)?).map(measured).collect();
    let missing = runs.iter().flat_map(Run::missing).collect();
    Ok(Report { html: page::page(&runs)?, missing })
}

/// The page about these runs that segment images; several are shown side by side.
///
/// # Errors
/// As [`report`].
pub fn segmentation_report(
    sources: &[Source<SegmentationConfig>],
    observer: &mut Observer<'_>,
) -> Result<Report, ReportError> {
    let folders: Vec<&Path> = sources.iter().map(|source| source.folder.as_path()).collect();
    let records = records::read_all::<SegmentationSummary>(&folders)?;
    let measured = |(source, records)| SegmentationRun {
        measurements: SegmentationMeasurements::of(source, observer),
        seed: source.config.train.seed,
        records,
    };
    let runs: Vec<SegmentationRun> = sources.iter().zip(records).map(measured).collect();
    let missing = runs.iter().flat_map(SegmentationRun::missing).collect();
    Ok(Report { html: page::segmentation_page(&runs)?, missing })
}

/// The page about these pre-training runs, as HTML; several are shown side by side.
///
/// # Errors
/// [`ReportError::RunFolder`] when a folder holds no pre-training run or a damaged record.
pub fn pretraining_report(folders: &[&Path]) -> Result<String, ReportError> {
    page::pretraining_page(&records::read_all::<PretrainSummary>(folders)?)
}

/// The page about a comparison of methods, as HTML: its table and figures. `folder` is the folder of the comparison.
///
/// # Errors
/// [`ReportError::Figure`] when a figure cannot be drawn.
pub fn comparison_report(comparison: &Comparison, folder: &Path) -> Result<String, ReportError> {
    page::methods_page(comparison, folder)
}

/// Checks that a page can be written to `path`, before anything is computed.
///
/// # Errors
/// [`ReportError::Write`] when it cannot.
pub fn check_writable(path: &Path) -> Result<(), ReportError> {
    let write_error = |source| ReportError::Write { path: path.into(), source };
    if path.is_dir() {
        return Err(write_error(std::io::ErrorKind::IsADirectory.into()));
    }
    PartialFile::of(path).create().map(drop).map_err(write_error)
}

/// Writes a page, which is never half there.
///
/// # Errors
/// [`ReportError::Write`] when it cannot be written.
pub fn write(path: &Path, html: &str) -> Result<(), ReportError> {
    files::write_whole(path, html.as_bytes()).map_err(|source| ReportError::Write { path: path.into(), source })
}
