use std::path::PathBuf;

use super::class_file::NamedClass;
use super::source::MaskSource;
use crate::data::Format;
use crate::data::left_out::LeftOut;

/// Images and their masks, as a layout has them.
pub(super) struct Found {
    pub(super) format: Format,
    /// In the order of [`Role::ALL`](crate::data::Role).
    pub(super) splits: [Option<Pairs>; 3],
    /// Classes that the layout has by itself.
    pub(super) usual_classes: Option<UsualClasses>,
    /// Folders in which a file of classes may lie.
    pub(super) class_folders: Vec<PathBuf>,
    pub(super) left_out: LeftOut,
}

/// The images of one split with their masks.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) images: Vec<PathBuf>,
    pub(super) masks: Vec<MaskSource>,
}

/// The classes of a public data set.
#[derive(Debug)]
pub(super) struct UsualClasses {
    /// By number.
    pub(super) classes: Vec<NamedClass>,
    /// Numbers among them that are ignored.
    pub(super) ignored: Vec<u16>,
    /// The colour of ignored pixels.
    pub(super) ignored_color: Option<[u8; 3]>,
}
