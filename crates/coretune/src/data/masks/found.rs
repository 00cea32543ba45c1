use std::path::PathBuf;

use super::class_file::NamedClass;
use crate::data::Format;
use crate::data::left_out::LeftOut;

/// Images and their masks, as a layout has them.
pub(super) struct Found {
    pub(super) format: Format,
    /// In the order of [`Role::ALL`](crate::data::Role).
    pub(super) splits: [Option<Pairs>; 3],
    /// Classes that the layout has by itself, and the colour of ignored pixels.
    pub(super) usual_classes: Option<(Vec<NamedClass>, [u8; 3])>,
    /// Folders in which a file of classes may lie.
    pub(super) class_folders: Vec<PathBuf>,
    pub(super) left_out: LeftOut,
}

/// The images of one split with their masks.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) images: Vec<PathBuf>,
    pub(super) masks: Vec<PathBuf>,
}
