//! Which labels may be used: the labelled budget, and the validation split that is cut when none is given.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::error::{BUDGET, BUDGET_AND_VALIDATION};
use super::{DataError, Split};
use crate::random::{Purpose, stream};

/// How many labels of the training split may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// All of them.
    #[default]
    Everything,
    /// This share of every class, above 0 and at most 1; rounded, at least one image.
    Fraction(f64),
    /// This many of every class.
    PerClass(usize),
}

/// Where validation images come from when the data set has no validation split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationFrom {
    /// A tenth of the budget, at least one image of every class that has two: it costs training images.
    #[default]
    Budget,
    /// This many per class of what the budget leaves; with [`Budget::Everything`] they are taken out of it.
    Rest {
        /// Images of each class.
        per_class: usize,
    },
}

/// Images that cannot be read, by their names.
pub(crate) type Broken = HashSet<String>;

/// Of every ten images of a class in the order of its permutation, the one that validates. The second, so that a class
/// with two images has one.
const VALIDATES: usize = 1;

impl Split {
    /// The part of this split that `budget` allows, in the original order.
    ///
    /// Stratified, and nested for one `seed`: each class has one permutation, of which the first k are taken, so a
    /// smaller budget is contained in a larger one however the two are stated.
    ///
    /// # Errors
    /// [`DataError::ClassTooSmall`] when a class that has images has fewer than asked for; [`DataError::Argument`]
    /// when a share or number is out of range.
    pub fn budget(&self, budget: Budget, seed: u64) -> Result<Split, DataError> {
        self.budget_without(budget, seed, &Broken::default())
    }

    /// Like [`Split::budget`], but skips unreadable images: each is replaced by the next one in its class's permutation.
    /// Fractions still count all images.
    pub(crate) fn budget_without(&self, budget: Budget, seed: u64, broken: &Broken) -> Result<Split, DataError> {
        if budget == Budget::Everything && broken.is_empty() {
            return Ok(self.clone());
        }
        let mut chosen = Vec::new();
        for (class, members) in permuted_members(self, seed).iter().enumerate() {
            let whole = self.without_broken(members, broken);
            let allowed = allowed(budget, &self.classes()[class], members.len(), whole.len())?;
            chosen.extend_from_slice(&whole[..allowed]);
        }
        self.in_original_order(chosen)
    }

    /// Those of `members` that are not broken, in the same order.
    fn without_broken(&self, members: &[usize], broken: &Broken) -> Vec<usize> {
        let is_whole = |index: &usize| broken.is_empty() || !broken.contains(&self.images()[*index].to_string());
        members.iter().copied().filter(is_whole).collect()
    }

    fn in_original_order(&self, mut chosen: Vec<usize>) -> Result<Split, DataError> {
        chosen.sort_unstable();
        self.subset(&chosen)
    }
}

/// Splits what `budget` allows of `train` into (training, validation) images, both in the original order.
///
/// Both parts are nested over budgets for one `seed`, and a validation split taken from the rest is the same for every
/// budget: no image ever trains in one run and validates in another of the same series, unless the rest was used.
///
/// # Errors
/// [`DataError::ClassTooSmall`] when a class cannot give both parts, [`DataError::NothingToValidate`] when no class has
/// two images, [`DataError::Argument`] when a share or number is out of range.
pub fn carve_validation(
    train: &Split,
    budget: Budget,
    from: ValidationFrom,
    seed: u64,
) -> Result<(Split, Split), DataError> {
    carve_validation_without(train, budget, from, seed, &Broken::default())
}

/// Like [`carve_validation`], but skips unreadable images as [`Split::budget_without`] does.
pub(crate) fn carve_validation_without(
    train: &Split,
    budget: Budget,
    from: ValidationFrom,
    seed: u64,
    broken: &Broken,
) -> Result<(Split, Split), DataError> {
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (class, members) in permuted_members(train, seed).iter().enumerate() {
        let (name, whole) = (&train.classes()[class], train.without_broken(members, broken));
        match from {
            ValidationFrom::Budget => {
                let allowed = allowed(budget, name, members.len(), whole.len())?;
                for (position, &index) in whole[..allowed].iter().enumerate() {
                    let part = if position % 10 == VALIDATES { &mut validation } else { &mut training };
                    part.push(index);
                }
            }
            ValidationFrom::Rest { per_class } => {
                let (budgeted, rest) = budget_and_rest(budget, per_class, name, members.len(), &whole)?;
                training.extend_from_slice(budgeted);
                validation.extend_from_slice(rest);
            }
        }
    }
    if validation.is_empty() {
        return Err(DataError::NothingToValidate { images: training.len() });
    }
    Ok((train.in_original_order(training)?, train.in_original_order(validation)?))
}

/// Of the class's permutation without broken images, the first images and the last `per_class`; with the broken ones the
/// class has `images`.
fn budget_and_rest<'a>(
    budget: Budget,
    per_class: usize,
    name: &str,
    images: usize,
    members: &'a [usize],
) -> Result<(&'a [usize], &'a [usize]), DataError> {
    let available = members.len();
    if per_class == 0 {
        let expected = "at least 1".to_string();
        return Err(DataError::Argument { name: "validation images per class", expected, found: "0".to_string() });
    }
    if available == 0 {
        return Ok((members, members));
    }
    let allowed = match budget {
        Budget::Everything => available.saturating_sub(per_class).max(1),
        _ => allowed(budget, name, images, available)?,
    };
    let asked = allowed.saturating_add(per_class);
    if asked > available {
        let purpose = BUDGET_AND_VALIDATION;
        return Err(DataError::ClassTooSmall { class: name.to_string(), available, asked, purpose });
    }
    Ok((&members[..allowed], &members[available - per_class..]))
}

/// The positions of each class's images in the order in which budgets take them.
fn permuted_members(split: &Split, seed: u64) -> Vec<Vec<usize>> {
    let mut members = split.members();
    for (class, members) in members.iter_mut().enumerate() {
        members.shuffle(&mut stream(seed, Purpose::Subset, 0, class as u64));
    }
    members
}

/// How many images of a class may be used, which has `images`, of them `available` that can be read.
fn allowed(budget: Budget, class: &str, images: usize, available: usize) -> Result<usize, DataError> {
    match budget {
        Budget::Everything => Ok(available),
        Budget::Fraction(share) if share > 0.0 && share <= 1.0 => {
            Ok(((share * images as f64).round() as usize).max(1).min(available))
        }
        Budget::Fraction(share) => {
            let (name, expected) = ("label fraction", "above 0, at most 1".to_string());
            Err(DataError::Argument { name, expected, found: share.to_string() })
        }
        Budget::PerClass(0) => {
            let (name, expected) = ("labels per class", "at least 1".to_string());
            Err(DataError::Argument { name, expected, found: "0".to_string() })
        }
        Budget::PerClass(asked) if asked <= available || available == 0 => Ok(asked.min(available)),
        Budget::PerClass(asked) => {
            let class = class.to_string();
            Err(DataError::ClassTooSmall { class, available, asked, purpose: BUDGET })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::data::ImageSource;

    /// A split of classes of these sizes, interleaved; the name of a file is its position.
    fn split(sizes: &[usize]) -> Split {
        let mut labels: Vec<i64> = Vec::new();
        for round in 0..*sizes.iter().max().unwrap() {
            labels.extend((0..sizes.len()).filter(|&class| round < sizes[class]).map(|class| class as i64));
        }
        let images =
            (0..labels.len()).map(|i| ImageSource::File(Arc::from(std::path::Path::new(&format!("{i:05}"))))).collect();
        let classes = (0..sizes.len()).map(|class| format!("class {class}")).collect();
        Split::new(images, labels, classes).unwrap()
    }

    fn names(split: &Split) -> BTreeSet<String> {
        split.images().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn smaller_budgets_are_contained_in_larger_ones_however_stated() {
        let whole = split(&[40, 100, 63]);
        for seed in 0..20 {
            let budgets = [
                Budget::PerClass(1),
                Budget::Fraction(0.05),
                Budget::Fraction(0.1),
                Budget::Fraction(0.5),
                Budget::Fraction(0.77),
                Budget::Everything,
            ];
            let parts: Vec<_> = budgets.iter().map(|&budget| whole.budget(budget, seed).unwrap()).collect();
            for pair in parts.windows(2) {
                assert!(names(&pair[0]).is_subset(&names(&pair[1])), "seed {seed}");
            }
            for k in 1..40 {
                let (small, large) = (Budget::PerClass(k), Budget::PerClass(k + 1));
                let (small, large) = (whole.budget(small, seed).unwrap(), whole.budget(large, seed).unwrap());
                assert_eq!(small.class_counts(), [k; 3]);
                assert!(names(&small).is_subset(&names(&large)));
            }
        }
    }

    #[test]
    fn a_budget_is_stratified_keeps_the_order_and_depends_on_the_seed() {
        let whole = split(&[40, 100, 63]);
        let part = whole.budget(Budget::Fraction(0.1), 0).unwrap();
        assert_eq!(part.class_counts(), [4, 10, 6]);
        let order: Vec<String> = part.images().iter().map(ToString::to_string).collect();
        assert!(order.is_sorted());
        assert_ne!(names(&part), names(&whole.budget(Budget::Fraction(0.1), 1).unwrap()));
        assert_eq!(whole.budget(Budget::Fraction(0.001), 0).unwrap().class_counts(), [1, 1, 1]);
    }

    #[test]
    fn a_class_that_is_too_small_is_named_with_a_way_out() {
        let error = split(&[40, 100, 63]).budget(Budget::PerClass(50), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `class 0` has 40 of the 50 images that are needed for the labelled budget"
        );
        assert_eq!(
            error.hint().unwrap().to_string(),
            "ask for data.per_class = 40 or less, or for a fraction with data.label_fraction"
        );
        for budget in [Budget::Fraction(0.0), Budget::Fraction(1.5), Budget::Fraction(f64::NAN), Budget::PerClass(0)] {
            assert!(matches!(split(&[3]).budget(budget, 0), Err(DataError::Argument { .. })));
        }
    }

    #[test]
    fn a_tenth_of_the_budget_validates_and_both_parts_are_nested() {
        let whole = split(&[40, 100, 63]);
        let carve = |budget| carve_validation(&whole, budget, ValidationFrom::Budget, 3).unwrap();
        let (training, validation) = carve(Budget::Everything);
        assert_eq!(training.class_counts(), [36, 90, 56]);
        assert_eq!(validation.class_counts(), [4, 10, 7]);
        let mut previous = carve(Budget::PerClass(2));
        assert_eq!(previous.1.class_counts(), [1, 1, 1]);
        for k in 3..=40 {
            let next = carve(Budget::PerClass(k));
            assert!(names(&next.0).is_disjoint(&names(&next.1)));
            assert!(names(&previous.0).is_subset(&names(&next.0)) && names(&previous.1).is_subset(&names(&next.1)));
            previous = next;
        }
    }

    #[test]
    fn validation_from_the_rest_is_the_same_for_every_budget_and_outside_of_it() {
        let whole = split(&[40, 100, 63]);
        let from = ValidationFrom::Rest { per_class: 10 };
        let (everything, validation) = carve_validation(&whole, Budget::Everything, from, 0).unwrap();
        assert_eq!(everything.class_counts(), [30, 90, 53]);
        assert_eq!(validation.class_counts(), [10, 10, 10]);
        for k in [1, 5, 30] {
            let (training, other) = carve_validation(&whole, Budget::PerClass(k), from, 0).unwrap();
            assert_eq!(names(&training), names(&whole.budget(Budget::PerClass(k), 0).unwrap()));
            assert_eq!(names(&other), names(&validation));
            assert!(names(&training).is_disjoint(&names(&validation)));
        }
        let error = carve_validation(&whole, Budget::PerClass(31), from, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `class 0` has 40 of the 41 images that are needed for the labelled budget and validation"
        );
    }

    #[test]
    fn validation_needs_a_class_with_two_images() {
        assert!(carve_validation(&split(&[1, 1]), Budget::Everything, ValidationFrom::Budget, 0).is_err());
        let (training, validation) =
            carve_validation(&split(&[1, 2]), Budget::Everything, ValidationFrom::Budget, 0).unwrap();
        assert_eq!((training.class_counts(), validation.class_counts()), (vec![1, 1], vec![0, 1]));
    }

    #[test]
    fn the_next_image_takes_the_place_of_a_broken_one_and_no_other_moves() {
        let whole = split(&[40, 100]);
        let rest = ValidationFrom::Rest { per_class: 10 };
        for budget in [Budget::PerClass(10), Budget::Fraction(0.2), Budget::Everything] {
            let before = whole.budget(budget, 5).unwrap();
            let broken: Broken = names(&before).into_iter().take(3).collect();
            let after = whole.budget_without(budget, 5, &broken).unwrap();
            let kept: BTreeSet<String> = names(&before).into_iter().filter(|name| !broken.contains(name)).collect();
            assert!(kept.is_subset(&names(&after)) && names(&after).iter().all(|name| !broken.contains(name)));
            let lost = if budget == Budget::Everything { 3 } else { 0 };
            assert_eq!(after.len(), before.len() - lost, "{budget:?}");
            let (training, validation) = carve_validation_without(&whole, budget, rest, 5, &broken).unwrap();
            assert_eq!(validation.class_counts(), [10, 10]);
            assert!(names(&training).iter().chain(&names(&validation)).all(|name| !broken.contains(name)));
        }
        let small = whole.budget_without(Budget::PerClass(5), 5, &Broken::from(["00000".to_string()])).unwrap();
        let large = whole.budget_without(Budget::PerClass(9), 5, &Broken::from(["00000".to_string()])).unwrap();
        assert!(names(&small).is_subset(&names(&large)));
    }
}
