//! What a folder or table holds beside the images of a data set.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::role::{Role, role_of};

/// Why something is not among the images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Images of a folder or a value that no split is read from.
    OtherSplit {
        /// Name of the split.
        split: String,
    },
    /// A table that no split is read from.
    OtherTable {
        /// Its name without the ending.
        split: String,
    },
    /// Tables of the test split that have no column of labels.
    TableWithoutLabels,
    /// Images that the data set gives no class.
    OfNoClass {
        /// Name of their folder.
        folder: String,
    },
    /// Images beside the folders of the classes.
    BesideClasses,
    /// Images in a format that is not decoded.
    NotDecoded {
        /// With its dot.
        ending: String,
    },
    /// Unfinished downloads and backup copies.
    Temporary,
    /// Images of a split without any mask, in data with masks.
    SplitWithoutMasks {
        /// Name of the split.
        split: String,
    },
    /// Images without a mask, in data with masks.
    WithoutMask,
    /// Masks without an image.
    WithoutImage,
    /// Images that annotations list and no folder has.
    ListedOnly,
    /// Regions that annotations mark as many objects, whose pixels are ignored.
    Crowd,
    /// Objects with a box and no outline; the pixels of the box are ignored.
    WithoutOutline,
    /// Objects whose outlines lie outside of their image.
    OutsideImage,
    /// Rows of a table that name an image again, with the same label for the same split.
    ListedTwice,
    /// Images in the folder of a table that no row names.
    WithoutRow,
    /// Images that no list names.
    NotListed,
    /// Files that are not images.
    NotAnImage {
        /// With its dot; empty without one.
        ending: String,
    },
    /// Folders and files that operating systems and other programs leave behind.
    Leftover,
    /// Names that begin with a dot.
    Hidden,
    /// What iCloud leaves in the place of a file that is not on this machine.
    NotDownloaded,
    /// A link to something that does not exist.
    BrokenLink,
    /// A link to a folder that contains the link.
    FolderAbove,
    /// A link to a folder or image that the same class holds already.
    ReachedTwice,
}

/// How many things were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Omission {
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
    /// Number of things.
    pub count: usize,
    /// The first of them, relative to the data.
    pub examples: Vec<String>,
}

/// Everything that was left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    by_reason: BTreeMap<Reason, (usize, Vec<String>)>,
}

/// Endings of archives.
const ARCHIVES: [&str; 7] = [".zip", ".tar", ".gz", ".tgz", ".bz2", ".7z", ".rar"];

/// Names that an omission gives.
const EXAMPLES: usize = 3;

impl LeftOut {
    /// Counts one thing.
    pub(super) fn add(&mut self, reason: Reason, example: String) {
        self.add_many(reason, 1, example);
    }

    /// Counts `count` things under one name.
    pub(super) fn add_many(&mut self, reason: Reason, count: usize, example: String) {
        if count == 0 {
            return;
        }
        let (total, examples) = self.by_reason.entry(reason).or_default();
        *total += count;
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    /// Counts also what another has counted.
    pub(super) fn extend(&mut self, other: LeftOut) {
        for (reason, (count, examples)) in other.by_reason {
            let (total, known) = self.by_reason.entry(reason).or_default();
            *total += count;
            known.extend(examples);
            known.truncate(EXAMPLES);
        }
    }

    /// Whether images that cannot be decoded are among them.
    pub(super) fn has_images_not_decoded(&self) -> bool {
        self.by_reason.keys().any(|reason| matches!(reason, Reason::NotDecoded { .. }))
    }

    /// What could hold images: archives, and links that lead nowhere.
    pub(super) fn may_hold_images(&self) -> Vec<String> {
        let is_archive = |ending: &str| ARCHIVES.contains(&ending.to_lowercase().as_str());
        let may = |reason: &Reason| match reason {
            Reason::NotAnImage { ending } => is_archive(ending),
            reason => *reason == Reason::BrokenLink,
        };
        self.omissions().iter().filter(|omission| may(&omission.reason)).map(ToString::to_string).collect()
    }

    /// The splits for training and validation that are left out since they have no masks.
    pub(super) fn splits_without_masks(&self) -> Vec<String> {
        let lacks = |omission: &Omission| match &omission.reason {
            Reason::SplitWithoutMasks { split } => role_of(split) != Some(Role::Test),
            _ => false,
        };
        self.omissions().iter().filter(|omission| lacks(omission)).map(ToString::to_string).collect()
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.by_reason.is_empty()
    }

    /// One for each reason.
    pub fn omissions(&self) -> Vec<Omission> {
        let omission = |(reason, (count, examples)): (&Reason, &(usize, Vec<String>))| Omission {
            reason: reason.clone(),
            count: *count,
            examples: examples.clone(),
        };
        self.by_reason.iter().map(omission).collect()
    }
}

impl fmt::Display for LeftOut {
    /// The omissions in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<String> = self.omissions().iter().map(ToString::to_string).collect();
        f.write_str(&sentences.join("; "))
    }
}

impl fmt::Display for Omission {
    /// `3 files .heic, convert them: train/cat/a.heic, train/cat/b.heic, train/cat/c.heic`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        let one_or = |one: &'static str, many: &'static str| if count == 1 { one } else { many };
        let (files, images, links) = (one_or("file", "files"), one_or("image", "images"), one_or("link", "links"));
        match &self.reason {
            Reason::OtherSplit { split } => {
                return write!(f, "{count} {images} of `{split}`, which no split is read from");
            }
            Reason::OtherTable { split } => {
                return write!(f, "the table `{split}`, which no split is read from");
            }
            Reason::OfNoClass { folder } => {
                return write!(f, "{count} {images} of `{folder}`, which {} of no class", one_or("is", "are"));
            }
            Reason::SplitWithoutMasks { split } => {
                return write!(f, "{count} {images} of `{split}`, which has no masks");
            }
            Reason::TableWithoutLabels => write!(f, "{count} {} without labels", one_or("table", "tables"))?,
            Reason::BesideClasses => write!(f, "{count} {images} beside the folders of the classes")?,
            Reason::NotDecoded { ending } => {
                write!(f, "{count} {files} {ending}, convert {}", one_or("it", "them"))?;
            }
            Reason::Temporary => write!(f, "{count} temporary {files} or backup {}", one_or("copy", "copies"))?,
            Reason::WithoutMask => write!(f, "{count} {images} without a mask")?,
            Reason::WithoutImage => write!(f, "{count} {} without an image", one_or("mask", "masks"))?,
            Reason::ListedOnly => write!(f, "{count} {images} that the annotations list, not found")?,
            Reason::Crowd => {
                write!(f, "{count} {} of many objects (iscrowd), ignored", one_or("region", "regions"))?;
            }
            Reason::WithoutOutline => {
                write!(
                    f,
                    "{count} {} without an outline, {} ignored",
                    one_or("object", "objects"),
                    one_or("its box", "their boxes")
                )?;
            }
            Reason::OutsideImage => {
                write!(
                    f,
                    "{count} {} outside of {}",
                    one_or("object", "objects"),
                    one_or("its image", "their images")
                )?;
            }
            Reason::ListedTwice => {
                write!(f, "{count} {} an image again", one_or("row that names", "rows that name"))?;
            }
            Reason::WithoutRow => write!(f, "{count} {images} without a row in the table")?,
            Reason::NotListed => write!(f, "{count} {images} that no list names")?,
            Reason::NotAnImage { ending } if ending.is_empty() => write!(f, "{count} {files} without an ending")?,
            Reason::NotAnImage { ending } => write!(f, "{count} {files} {ending}")?,
            Reason::Leftover => write!(f, "{count} {} of other programs", one_or("leftover", "leftovers"))?,
            Reason::Hidden => write!(f, "{count} hidden {files} or {}", one_or("folder", "folders"))?,
            Reason::NotDownloaded => {
                write!(f, "{count} {files} that iCloud keeps elsewhere, download {}", one_or("it", "them"))?;
            }
            Reason::BrokenLink => write!(f, "{count} {links} that {} nowhere", one_or("leads", "lead"))?,
            Reason::FolderAbove => write!(f, "{count} {links} to a folder above")?,
            Reason::ReachedTwice => write!(f, "{count} {links} to what the class holds already")?,
        }
        write!(f, " ({}", self.examples.join(", "))?;
        match count.saturating_sub(self.examples.len()) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}
