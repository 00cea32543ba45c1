//! Chooses the images of a run, and checks them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::splits::Splits;
use crate::config::DataSection;
use crate::data::Dataset;
use crate::data::UnknownClass;
use crate::data::check::Report;
use crate::engine::World;
use crate::files::below;
use crate::runs::RunError;
use crate::train::{Event, Observer};

/// Chooses the splits, and checks their images as closely as `data` says; `observer` sees the progress. Of several processes rank 0
/// checks, and the others take its choice without reading an image; they have no findings. `seed` draws the
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
    world: World,
    observer: &mut Observer<'_>,
) -> Result<(Splits, Report), RunError> {
    observer(&Event::Stage("check of the images"));
    let mut progress = |done, total| observer(&Event::Progress { done, total });
    let mut checked = None;
    // Other processes may name the folder of images differently.
    let left_out: HashSet<PathBuf> = world.by_first(|| {
        let (splits, mut report, broken) =
            Splits::choose_and_check(dataset, data, seed, img_size.map(|size| size as u32), &mut progress)?;
        report.add_unknown(unknown);
        report.add_left_out(&dataset.left_out);
        Splits::refuse_unfit(&report, data)?;
        checked = Some((splits, report));
        Ok::<_, RunError>(broken.iter().map(|name| below(&data.dir, Path::new(name))).collect())
    })?;
    if let Some(checked) = checked {
        return Ok(checked);
    }
    let splits = [&dataset.train, &dataset.validation, &dataset.test].into_iter().flatten();
    let names = splits.flat_map(|split| split.images().iter().map(ToString::to_string));
    let broken = names.filter(|name| left_out.contains(&below(&data.dir, Path::new(name)))).collect();
    Ok((Splits::without(dataset, data, seed, &broken)?, Report::default()))
}
