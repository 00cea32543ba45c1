//! Chooses the images of a run, and checks them.

use super::splits::Splits;
use crate::config::DataSection;
use crate::data::Dataset;
use crate::data::UnknownClass;
use crate::data::check::Report;
use crate::runs::RunError;
use crate::train::{Event, Observer};

/// Chooses the splits, and checks their images as closely as `data` says; `observer` sees the progress. `seed` draws the
/// labelled budget and the validation images, `unknown` are the classes that training lacks.
///
/// # Errors
/// [`crate::data::DataError::Unfit`] for images with which a run cannot work.
pub(crate) fn check_images(
    dataset: &Dataset,
    unknown: &[UnknownClass],
    data: &DataSection,
    seed: u64,
    img_size: Option<i64>,
    observer: &mut Observer<'_>,
) -> Result<(Splits, Report), RunError> {
    observer(&Event::Stage("check of the images"));
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    let (splits, mut report) =
        Splits::choose_and_check(dataset, data, seed, img_size.map(|size| size as u32), &mut progress)?;
    report.add_unknown(unknown);
    Splits::refuse_unfit(&report, data)?;
    Ok((splits, report))
}
