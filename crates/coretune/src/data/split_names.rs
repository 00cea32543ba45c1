//! Which of the splits in a folder or table trains, validates and tests.

use std::path::Path;

use super::listed::listed;
use super::{DataError, DatasetOptions, Role};

/// The name of the split for each role, in the order of [`Role::ALL`]: the one that `options` names, or else a usual one
/// that no option has taken for another role.
pub(super) fn assign(
    path: &Path,
    available: &[String],
    options: &DatasetOptions,
) -> Result<[Option<String>; 3], DataError> {
    let asked = [&options.train_split, &options.val_split, &options.test_split];
    for (i, first) in asked.iter().enumerate() {
        let Some(split) = first.as_ref() else { continue };
        if !available.contains(split) {
            let found = listed(available);
            return Err(DataError::SplitMissing { path: path.to_path_buf(), split: split.clone(), found });
        }
        if let Some(j) = (0..i).find(|&j| asked[j].as_ref() == Some(split)) {
            let (first, second) = (Role::ALL[j], Role::ALL[i]);
            return Err(DataError::SplitTwice { path: path.to_path_buf(), split: split.clone(), first, second });
        }
    }
    let free = |name: &&&str| {
        let is_name = |split: &String| split == **name;
        available.iter().any(is_name) && !asked.iter().any(|split| split.as_ref().is_some_and(is_name))
    };
    let usual = |role: Role| role.names().iter().find(free).map(ToString::to_string);
    Ok(std::array::from_fn(|i| asked[i].clone().or_else(|| usual(Role::ALL[i]))))
}
