use std::fmt;

/// A column that every table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Paths of the images.
    Image,
    /// Labels of the images.
    Label,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Column::Image => "the paths of the images",
            Column::Label => "the labels",
        })
    }
}

impl Column {
    /// The setting that names it.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Column::Image => "data.image_column",
            Column::Label => "data.label_column",
        }
    }
}
