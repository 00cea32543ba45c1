//! Opens the images of a run and looks at them.

use super::splits::Splits;
use crate::config::DataSection;
use crate::data::Dataset;
use crate::train::{Event, Observer, TrainError};

/// Opens what `data` names and chooses the splits; `seed` draws the labelled budget and the validation images.
pub(crate) fn open_images(data: &DataSection, seed: u64) -> Result<(Dataset, Splits), TrainError> {
    let dataset = Dataset::open(&data.dir, &data.options())?;
    let splits = Splits::choose(&dataset, data, seed)?;
    Ok((dataset, splits))
}

/// Looks at the images as closely as `data` says, telling how far that has come; gives the splits without those that
/// are left out, and what the user should know, in words.
pub(crate) fn check_images(
    splits: Splits,
    data: &DataSection,
    img_size: i64,
    observer: &mut Observer<'_>,
) -> Result<(Splits, Vec<String>), TrainError> {
    observer(&Event::Stage("check of the images"));
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    let (splits, findings) = splits.checked(data, img_size as u32, &mut progress)?;
    Ok((splits, findings.iter().map(ToString::to_string).collect()))
}
