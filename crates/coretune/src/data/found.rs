use std::collections::HashMap;
use std::path::PathBuf;

use super::left_out::LeftOut;
use super::{Format, ImageSource, ReadColumns};

/// What a reader found.
pub(super) struct Found {
    pub(super) format: Format,
    /// In the order of [`Role::ALL`].
    pub(super) splits: [Option<Listing>; 3],
    /// Names of the classes by number, where the data set says them.
    pub(super) classes: Option<Vec<String>>,
    /// Names to show, by name of the class.
    pub(super) titles: HashMap<String, String>,
    pub(super) left_out: LeftOut,
    /// The columns of tables.
    pub(super) columns: Vec<ReadColumns>,
}

/// The images of one split.
pub(super) struct Listing {
    /// File or folder, for messages.
    pub(super) path: PathBuf,
    pub(super) images: Vec<ImageSource>,
    /// Positions in `names`, or class numbers when `names` is `None`.
    pub(super) labels: Vec<i64>,
    pub(super) names: Option<Vec<String>>,
}
