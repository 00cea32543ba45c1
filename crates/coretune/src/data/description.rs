use serde::Serialize;

use super::left_out::Omission;
use super::{Dataset, Format, ReadColumns, Role, Split, UnknownClass};

/// What a data set holds, in numbers, for people to read before training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// How it is stored.
    pub format: Format,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The splits that are there.
    pub splits: Vec<SplitDescription>,
    /// Width and height of the first image of the first split; none when it cannot be read.
    pub first_image: Option<(u32, u32)>,
    /// What was left out, by reason.
    pub left_out: Vec<Omission>,
    /// The columns of tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ReadColumns>,
}

/// Numbers of one split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitDescription {
    /// What it is for.
    pub role: Role,
    /// Number of images.
    pub images: usize,
    /// Whether they have masks; then no image has a class.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub masks: bool,
    /// Further images, of classes that training lacks.
    #[serde(skip_serializing_if = "is_zero")]
    pub of_unknown_classes: usize,
    /// Classes that have images here.
    pub classes: usize,
    /// Images of each class, in the order of [`Description::classes`].
    pub class_counts: Vec<usize>,
    /// The class with the fewest images (none counts), the first of equals.
    pub smallest: ClassCount,
    /// The class with the most images, the first of equals.
    pub largest: ClassCount,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Description {
    /// Adds the images that the listing has left aside: those of classes that training lacks.
    pub fn add_unknown(&mut self, unknown: &[UnknownClass]) {
        for split in &mut self.splits {
            let of_split = unknown.iter().filter(|class| class.split == split.role);
            split.of_unknown_classes = of_split.map(|class| class.images).sum();
        }
    }
}

/// A class and how many images it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Title of the class.
    pub class: String,
    /// Number of images.
    pub images: usize,
}

impl Dataset {
    /// Counts, and decodes the first image.
    pub fn describe(&self) -> Description {
        let present: Vec<(Role, &Split)> =
            Role::ALL.into_iter().filter_map(|role| Some((role, self.split(role)?))).collect();
        let first = present.first().and_then(|(_, split)| split.load(0).ok());
        Description {
            format: self.format,
            classes: self.classes.to_vec(),
            splits: present.into_iter().map(|(role, split)| self.describe_split(role, split)).collect(),
            first_image: first.map(|image| image.dimensions()),
            left_out: self.left_out.omissions(),
            columns: self.columns.clone(),
        }
    }

    fn describe_split(&self, role: Role, split: &Split) -> SplitDescription {
        let counts = split.class_counts();
        let of = |class: usize| ClassCount {
            class: self.titles.get(class).cloned().unwrap_or_default(),
            images: counts.get(class).copied().unwrap_or_default(),
        };
        let smallest = (0..counts.len()).min_by_key(|&class| counts[class]).unwrap_or_default();
        let largest = (0..counts.len()).rev().max_by_key(|&class| counts[class]).unwrap_or_default();
        SplitDescription {
            role,
            images: split.len(),
            masks: split.masks().is_some(),
            of_unknown_classes: 0,
            classes: counts.iter().filter(|&&count| count > 0).count(),
            smallest: of(smallest),
            largest: of(largest),
            class_counts: counts,
        }
    }
}
