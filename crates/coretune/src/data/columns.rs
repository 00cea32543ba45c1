//! Which columns of a table hold the images, their labels and their splits.

use std::path::Path;

use csv::StringRecord;

use super::file_kind::has_ending_of_image;
use super::{Column, DataError, DatasetOptions};

impl Column {
    /// Names that say what the column holds; the first one counts before all others.
    fn names(self) -> &'static [&'static str] {
        match self {
            Column::Image => &[
                "image_path",
                "image",
                "image_file",
                "image_file_name",
                "image_name",
                "img",
                "img_path",
                "img_file",
                "img_name",
                "file",
                "file_name",
                "file_path",
                "path",
                "picture",
                "photo",
            ],
            Column::Label => &[
                "label",
                "labels",
                "label_name",
                "label_id",
                "class",
                "class_name",
                "class_id",
                "class_label",
                "category",
                "category_name",
                "category_id",
                "target",
            ],
        }
    }

    fn named_in(self, options: &DatasetOptions) -> Option<&str> {
        match self {
            Column::Image => options.image_column.as_deref(),
            Column::Label => options.label_column.as_deref(),
        }
    }

    /// Its position in the header: the one that `options` name, else the one with a usual name.
    fn position(self, path: &Path, header: &Header, options: &DatasetOptions) -> Result<usize, DataError> {
        if let Some(name) = self.named_in(options) {
            let missing =
                || DataError::NoSuchColumn { path: path.into(), name: name.into(), header: header.names.clone() };
            return self.only(path, header, &header.called(name))?.ok_or_else(missing);
        }
        let usual = self.names();
        let first = self.only(path, header, &header.called(usual[0]))?;
        let other = || self.only(path, header, &header.called_any(usual));
        match first.map_or_else(other, |at| Ok(Some(at)))? {
            Some(at) => Ok(at),
            None => Err(DataError::NoColumn { path: path.into(), column: self, header: header.names.clone() }),
        }
    }

    /// Refuses several columns of which each could be this one.
    fn only(self, path: &Path, header: &Header, found: &[usize]) -> Result<Option<usize>, DataError> {
        match *found {
            [] => Ok(None),
            [at] => Ok(Some(at)),
            _ => {
                let columns = found.iter().map(|&at| header.names[at].clone()).collect();
                Err(DataError::ManyColumns { path: path.into(), column: self, columns })
            }
        }
    }
}

/// Name of the column of splits.
const SPLIT: &str = "split";

/// Other names that a column of splits has, if its values are names of splits.
const MAYBE_SPLIT: &[&str] = &[
    "set",
    "subset",
    "partition",
    "phase",
    "stage",
    "type",
    "mode",
    "usage",
    "dataset",
    "data_set",
    "data_type",
    "set_type",
    "data_split",
    "split_name",
    "split_type",
    "train_test",
    "train_val_test",
    "fold",
];

/// Names of columns that mark the rows of one split with 1 or true.
const MARKS: &[&str] = &[
    "train",
    "is_train",
    "is_training",
    "is_training_image",
    "val",
    "valid",
    "is_val",
    "is_valid",
    "is_validation",
    "test",
    "is_test",
    "is_testing",
];

/// Where the columns are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) image: usize,
    pub(super) label: usize,
    /// The column that is named, or `split`, if there is one.
    pub(super) split: Option<usize>,
    /// Other columns that hold the splits if their values are names of splits.
    pub(super) maybe_split: Vec<usize>,
    /// All others, which hold the splits if their values are names of splits, with one that trains.
    pub(super) others: Vec<usize>,
    /// Columns that mark the rows of a split if their values say yes or no.
    pub(super) marks: Vec<usize>,
    /// Whether both have the names that the documentation asks for, or were named.
    pub(super) certain: bool,
}

impl Columns {
    pub(super) fn of(path: &Path, header: &StringRecord, options: &DatasetOptions) -> Result<Self, DataError> {
        let header = Header::of(header);
        let (image, label) = match both(path, &header, options) {
            Err(DataError::NoColumn { .. }) if header.is_a_row() => {
                return Err(DataError::NoHeader { path: path.into(), line: header.names.join(",") });
            }
            columns => columns?,
        };
        if image == label {
            let name = header.names[image].clone();
            return Err(DataError::OneColumnForBoth { path: path.into(), name });
        }
        let missing = |name: &String| {
            let (path, name, header) = (path.to_path_buf(), name.clone(), header.names.clone());
            DataError::NoSuchColumn { path, name, header }
        };
        let split = match &options.split_column {
            Some(name) => Some(*header.called(name).first().ok_or_else(|| missing(name))?),
            None => header.called(SPLIT).first().copied(),
        };
        let others = |names: &[&str]| -> Vec<usize> {
            let found = header.called_any(names).into_iter().filter(|at| ![image, label].contains(at));
            found.filter(|_| split.is_none()).collect()
        };
        let (maybe_split, marks) = (others(MAYBE_SPLIT), others(MARKS));
        let others = (0..header.names.len())
            .filter(|at| {
                split.is_none() && ![image, label].contains(at) && !maybe_split.contains(at) && !marks.contains(at)
            })
            .collect();
        let is_certain =
            |column: Column| column.named_in(options).is_some() || !header.called(column.names()[0]).is_empty();
        let certain = is_certain(Column::Image) && is_certain(Column::Label);
        Ok(Columns { image, label, split, maybe_split, others, marks, certain })
    }

    /// How many of the two columns the header has, even if one of them is not clear.
    pub(super) fn found_in(header: &StringRecord, options: &DatasetOptions) -> usize {
        let header = Header::of(header);
        let there = |column: &Column| {
            !matches!(
                column.position(Path::new(""), &header, options),
                Err(DataError::NoColumn { .. } | DataError::NoSuchColumn { .. })
            )
        };
        [Column::Image, Column::Label].iter().filter(|column| there(column)).count()
    }
}

fn both(path: &Path, header: &Header, options: &DatasetOptions) -> Result<(usize, usize), DataError> {
    Ok((Column::Image.position(path, header, options)?, Column::Label.position(path, header, options)?))
}

/// The names of the columns.
struct Header {
    names: Vec<String>,
}

impl Header {
    fn of(record: &StringRecord) -> Self {
        Header { names: record.iter().map(ToString::to_string).collect() }
    }

    /// Columns of exactly this name, else those that differ from it by case, blanks and signs between words.
    fn called(&self, name: &str) -> Vec<usize> {
        let at = |is_it: &dyn Fn(&String) -> bool| -> Vec<usize> {
            (0..self.names.len()).filter(|&at| is_it(&self.names[at])).collect()
        };
        let exactly = at(&|own| own == name);
        if exactly.is_empty() { at(&|own| plain(own) == plain(name)) } else { exactly }
    }

    fn called_any(&self, names: &[&str]) -> Vec<usize> {
        (0..self.names.len()).filter(|&at| names.iter().any(|name| plain(name) == plain(&self.names[at]))).collect()
    }

    /// Whether a value is the path of an image: then the table begins without a header.
    fn is_a_row(&self) -> bool {
        self.names.iter().any(|name| has_ending_of_image(name))
    }
}

/// `Image Path`, `image-path` and `imagePath` as `imagepath`.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &[&str], image: Option<&str>, label: Option<&str>) -> Result<(usize, usize), DataError> {
        let named = |name: Option<&str>| name.map(ToString::to_string);
        let options =
            DatasetOptions { image_column: named(image), label_column: named(label), ..DatasetOptions::default() };
        Columns::of(Path::new("t.csv"), &StringRecord::from(header.to_vec()), &options)
            .map(|columns| (columns.image, columns.label))
    }

    #[test]
    fn columns_are_known_by_usual_names_in_any_case() {
        for (header, expected) in [
            (["image_path", "label"], (0, 1)),
            (["Label", "Image_Path"], (1, 0)),
            (["filename", "class"], (0, 1)),
            (["File Name", "CATEGORY"], (0, 1)),
            (["target", "img-path"], (1, 0)),
            (["ImagePath", "className"], (0, 1)),
            (["file", "labels"], (0, 1)),
        ] {
            assert_eq!(columns(&header, None, None).unwrap(), expected, "{header:?}");
        }
    }

    #[test]
    fn the_usual_name_counts_before_others_and_others_must_be_alone() {
        assert_eq!(columns(&["filename", "image_path", "class", "label"], None, None).unwrap(), (1, 3));
        let error = columns(&["filename", "path", "label"], None, None).unwrap_err();
        assert!(matches!(&error, DataError::ManyColumns { column: Column::Image, columns, .. } if columns.len() == 2));
        let error = columns(&["filename", "class", "class_id"], None, None).unwrap_err();
        assert!(matches!(error, DataError::ManyColumns { column: Column::Label, .. }), "{error}");
        assert!(matches!(columns(&["image", "label", "label"], None, None), Err(DataError::ManyColumns { .. })));
    }

    #[test]
    fn a_named_column_is_taken_and_must_be_there() {
        let header = ["filename", "path", "dx", "class"];
        assert_eq!(columns(&header, Some("path"), Some("dx")).unwrap(), (1, 2));
        assert_eq!(columns(&header, Some("PATH"), Some("DX")).unwrap(), (1, 2));
        assert!(matches!(columns(&header, Some("x"), None), Err(DataError::NoSuchColumn { .. })));
        assert!(matches!(columns(&header, Some("dx"), Some("dx")), Err(DataError::OneColumnForBoth { .. })));
    }

    #[test]
    fn a_table_without_a_header_is_recognised() {
        for row in [["a/1.jpg", "cat"], ["0", "x.PNG"]] {
            assert!(matches!(columns(&row, None, None), Err(DataError::NoHeader { .. })), "{row:?}");
        }
        assert!(matches!(columns(&["a", "b"], None, None), Err(DataError::NoColumn { .. })));
    }
}
