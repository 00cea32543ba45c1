//! Which of the splits in a folder or table trains, validates and tests.

use std::path::Path;

use super::listed::listed;
use super::role::role_of;
use super::{DataError, DatasetOptions, Role};

/// The name of the split for each role, in the order of [`Role::ALL`]: the one that `options` names, or else the one
/// with a usual name that no option has taken for another role. With [`DatasetOptions::train_only`] only the first has one.
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
    let mut names = asked.map(Clone::clone);
    for (role, name) in Role::ALL.into_iter().zip(&mut names) {
        let is_free = |split: &&String| role_of(split) == Some(role) && !asked.contains(&&Some((*split).clone()));
        let usual: Vec<&String> = if name.is_some() { Vec::new() } else { available.iter().filter(is_free).collect() };
        match usual[..] {
            [] => {}
            [only] => *name = Some(only.clone()),
            [first, second, ..] => {
                let (path, first, second) = (path.to_path_buf(), first.clone(), second.clone());
                return Err(DataError::TwoSplits { path, role, first, second });
            }
        }
    }
    if options.train_only {
        names = [names[0].take(), None, None];
    }
    Ok(names)
}
