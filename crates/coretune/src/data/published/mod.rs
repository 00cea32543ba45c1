//! Public data sets in the layout in which their authors distribute them, where folders alone do not say the splits.

mod aircraft;
mod caltech101;
mod cub200;
mod dtd;
mod food101;
mod image_list;
mod matlab;
mod pets;
mod place;
mod without_ending;

use std::path::{Path, PathBuf};

use super::found::Found;
use super::{DataError, DatasetOptions, Format, Layout};

pub(super) use matlab::refuse_matlab_lists;

/// A layout: how its folder is found below a root, and what it lists.
struct Published {
    find: fn(&Path) -> Option<PathBuf>,
    read: fn(&Path, &DatasetOptions) -> Result<Found, DataError>,
}

const PUBLISHED: [Published; 6] = [
    Published { find: pets::find, read: pets::read },
    Published { find: dtd::find, read: dtd::read },
    Published { find: aircraft::find, read: aircraft::read },
    Published { find: caltech101::find, read: caltech101::read },
    Published { find: food101::find, read: food101::read },
    Published { find: cub200::find, read: cub200::read },
];

/// What the first layout that fits lists; `None` if the folder holds something else.
pub(super) fn read(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    let found = find(root, options);
    found.map(|(folder, published)| (published.read)(&folder, options)).transpose()
}

/// Whether a layout fits; no list is read.
pub(super) fn is_published(root: &Path, options: &DatasetOptions) -> bool {
    find(root, options).is_some()
}

fn find(root: &Path, options: &DatasetOptions) -> Option<(PathBuf, &'static Published)> {
    let is_read = root.is_dir() && options.layout == Layout::Auto;
    is_read.then(|| PUBLISHED.iter().find_map(|published| Some(((published.find)(root)?, published)))).flatten()
}

/// Refuses the number of a split for data that has one split.
pub(super) fn refuse_split_number(root: &Path, format: Format, options: &DatasetOptions) -> Result<(), DataError> {
    match options.split_number {
        Some(number) if !matches!(format, Format::Dtd { .. } | Format::Caltech101 { .. }) => {
            Err(DataError::SplitNumberOfOne { path: root.to_path_buf(), number, format })
        }
        _ => Ok(()),
    }
}
