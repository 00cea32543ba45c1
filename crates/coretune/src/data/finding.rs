//! What a check of images and labels finds, and how it is said.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Role;
use super::masks::MaskProblem;
use super::near_duplicates::{HASH_BITS, NEAR};

/// Examples that a finding names.
const EXAMPLES: usize = 3;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A run on the data is refused.
    Refused,
    /// Images that are missing or cannot be decoded.
    Unreadable,
    /// Classes without training images.
    EmptyClass,
    /// Classes that the training split lacks.
    UnknownClass,
    /// Classes that the test or validation split lacks.
    ClassNotTested,
    /// Images of one split that lie in another too, byte for byte.
    Shared,
    /// Images that have another label elsewhere, byte for byte the same.
    TwoLabels,
    /// Images that a class of a split holds twice, byte for byte.
    Repeated,
    /// Images that resemble others, but are not identical to them.
    NearDuplicates,
    /// Images that resemble others with another label, but are not identical to them.
    NearTwoLabels,
    /// Classes whose names differ only by case, blanks, leading zeros, `+`, `.0` or Unicode form.
    AlikeClasses,
    /// What was left out and could hold images: archives, and links that lead nowhere.
    MayHoldImages,
    /// Images that EXIF data turn, whose masks could be turned or not.
    HiddenTurn,
    /// Values to be ignored that no mask has.
    NeverIgnored,
    /// A split for training or validation that has images and no masks.
    SplitWithoutMasks,
    /// Classes that all have names of splits.
    NamesOfSplits,
    /// Classes whose names are those of missing values, of several labels, or of a recycle bin.
    DoubtfulClasses,
    /// Classes that hold nothing but several folders each, which could be classes themselves.
    NestedClasses,
    /// Classes with images and, among them, folders named like splits or other classes.
    OtherNamesInside,
    /// Classes of very different size.
    Imbalance,
    /// Images of 16 bits that use a small part of their range.
    BitDepth,
    /// Images smaller than the input of the network.
    Small,
    /// Images of hardly any pixels.
    Tiny,
    /// Images whose pixels are all equal.
    OneColour,
    /// Something about masks.
    #[serde(untagged)]
    Mask(MaskProblem),
}

/// What a problem means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is trained.
    Stops,
    /// The run goes on.
    Warns,
    /// Worth knowing, and often right; a run does not mention it.
    Notice,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub problem: Problem,
    /// What it means.
    pub severity: Severity,
    /// The split.
    pub split: Role,
    /// Each image or class, with particulars; a sentence names the first three.
    pub examples: Vec<String>,
    /// What the count is compared with, in words: the other split, the threshold, the size.
    pub measure: String,
}

impl Problem {
    /// Whether images that have it can be left out.
    pub(crate) fn is_of_images(self) -> bool {
        match self {
            Problem::Unreadable => true,
            Problem::Mask(problem) => problem.is_of_pairs(),
            _ => false,
        }
    }
}

impl Finding {
    /// How many images or classes.
    pub fn count(&self) -> usize {
        self.examples.len()
    }
}

impl Serialize for Finding {
    /// The fields, and the count.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 6)?;
        fields.serialize_field("problem", &self.problem)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("split", &self.split)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("examples", &self.examples)?;
        fields.serialize_field("measure", &self.measure)?;
        fields.end()
    }
}

/// A finding of these, none without any.
pub(super) fn finding(
    problem: Problem,
    severity: Severity,
    split: Role,
    all: Vec<String>,
    measure: &str,
) -> Option<Finding> {
    (!all.is_empty()).then(|| Finding { problem, severity, split, examples: all, measure: measure.into() })
}

/// `1 image`, `2 images`.
pub(super) fn images(count: usize) -> String {
    format!("{count} {}", if count == 1 { "image" } else { "images" })
}

impl fmt::Display for Finding {
    /// `3 images of train cannot be read: a.jpg is .., b.jpg is .. and 1 more`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { problem, split, measure, .. } = self;
        let count = self.count();
        let examples = &self.examples[..self.examples.len().min(EXAMPLES)];
        let (are, have) = if count == 1 { ("is", "has") } else { ("are", "have") };
        let images = format!("{} of {split}", images(count));
        let classes = format!("{count} {}", if count == 1 { "class" } else { "classes" });
        match problem {
            Problem::Refused => return f.write_str(&examples.join(", ")),
            Problem::Unreadable => write!(f, "{images} cannot be read")?,
            Problem::EmptyClass => write!(f, "{classes} without training images")?,
            Problem::UnknownClass => write!(f, "{classes} of {split} without training images")?,
            Problem::ClassNotTested => {
                let of = if measure.is_empty() { String::new() } else { format!(" of {measure}") };
                write!(f, "{classes}{of} without images in {split}")?;
            }
            Problem::Shared => write!(f, "{images} {are} identical to images of {measure}")?,
            Problem::TwoLabels => write!(f, "{images} {are} identical to images with another {measure}")?,
            Problem::Repeated => write!(f, "{images} {are} identical to others with the same {measure}")?,
            Problem::NearDuplicates => {
                let resemble = if count == 1 { "resembles" } else { "resemble" };
                write!(f, "{images} {resemble} {measure} (up to {NEAR} of {HASH_BITS} bits differ)")?;
            }
            Problem::NearTwoLabels => {
                let resemble = if count == 1 { "resembles an image" } else { "resemble images" };
                write!(f, "{images} {resemble} with another label (up to {NEAR} of {HASH_BITS} bits differ)")?;
            }
            Problem::AlikeClasses => {
                let differ = if count == 1 { "differs" } else { "differ" };
                write!(
                    f,
                    "{classes} of {split} {differ} from another only by case, blanks, leading zeros, `+`, `.0` or Unicode form"
                )?;
            }
            Problem::MayHoldImages => write!(f, "what was left out may hold images")?,
            Problem::HiddenTurn => {
                let (them, their, masks) =
                    if count == 1 { ("it", "its", "mask is") } else { ("them", "their", "masks are") };
                write!(
                    f,
                    "{images} {have} EXIF data that turn {them}, and the size does not show whether {their} {masks} turned too"
                )?;
            }
            Problem::NeverIgnored => {
                let (values, occur) = if count == 1 { ("value", "occurs") } else { ("values", "occur") };
                write!(f, "{count} {values} to be ignored never {occur} in the masks")?;
            }
            Problem::SplitWithoutMasks => write!(f, "a split is left out")?,
            Problem::NamesOfSplits => write!(f, "{classes} of {split} all have names of splits")?,
            Problem::NestedClasses => {
                write!(f, "the {classes} of {split} hold their images in folders, which could be the classes")?;
            }
            Problem::OtherNamesInside => {
                let hold = if count == 1 { "holds" } else { "hold" };
                write!(f, "{classes} of {split} {hold} folders named like splits or other classes")?;
            }
            Problem::DoubtfulClasses => {
                let have = if count == 1 { "has a doubtful name" } else { "have doubtful names" };
                write!(f, "{classes} of {split} {have}")?;
            }
            Problem::Imbalance => write!(f, "the classes of {split} differ by more than {measure}")?,
            Problem::BitDepth => {
                let have = if count == 1 { "has" } else { "have" };
                write!(f, "{images} {have} 16 bits and {measure}")?;
            }
            Problem::Mask(problem) => problem.write(f, count, *split, measure)?,
            Problem::Small => write!(f, "{images} {are} smaller than the input of {measure}")?,
            Problem::Tiny => write!(f, "{images} {are} smaller than {measure}")?,
            Problem::OneColour => write!(f, "{images} {are} of one colour")?,
        }
        write!(f, ": {}", examples.join(", "))?;
        match count.saturating_sub(examples.len()) {
            0 => Ok(()),
            more if *problem != Problem::Imbalance => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
