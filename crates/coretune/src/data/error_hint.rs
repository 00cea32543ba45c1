//! What a user can do about a [`DataError`].

use super::error::BUDGET;
use super::format_hint::of_format;
use super::layout_hint::{of_layout, setting_of};
use super::resemblance::{resembled, told_apart};
use super::{Column, DataError, Role};
use crate::settings::{Hint, literal};

/// The hint for errors of one kind; `None` for other errors.
type Hints = fn(&DataError) -> Option<Hint>;

const KINDS: [Hints; 7] = [of_place, of_layout, of_table, of_class, of_budget, of_image, of_format];

/// Endings of workbooks of spreadsheets.
const WORKBOOKS: [&str; 3] = [".xlsx", ".xls", ".ods"];

/// Endings of archives, as they come in a list of names.
const ARCHIVES: [&str; 6] = [".zip`", ".tar`", ".tar.gz`", ".tgz`", ".7z`", ".rar`"];

impl DataError {
    /// A way out that the command line can print, where there is one.
    pub fn hint(&self) -> Option<Hint> {
        KINDS.iter().find_map(|hint| hint(self))
    }
}

/// What lies at the path, and the names of what lies there.
fn of_place(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::NotFound { .. } => "check the path; paths in a CSV are relative to the folder of the CSV",
        DataError::Unrecognised { found, .. } if ARCHIVES.iter().any(|ending| found.contains(ending)) => {
            "unpack the archive first, and give the folder that it becomes"
        }
        DataError::Unrecognised { path, found }
            if WORKBOOKS
                .iter()
                .any(|end| found.contains(&format!("{end}`")) || path.to_string_lossy().ends_with(end)) =>
        {
            "save the workbook as CSV (in the program: save as, CSV UTF-8), with the columns image_path,label"
        }
        DataError::Unrecognised { .. } => {
            "expected train/<class>/* (and val/, test/), <class>/*, train.csv with the columns image_path,label, \
             train-*.parquet, CIFAR's *.bin files, or MNIST's train-images-idx3-ubyte files; for \
             pretrain also any folder of images without classes"
        }
        DataError::SplitNumber { last, .. } => {
            return Some(format!("give {{data.split_number}} of 1 to {last}, or leave it out").into());
        }
        DataError::SplitNumberOfOne { .. } => "leave out {data.split_number}",
        DataError::MatlabLists { path, command, .. } => {
            let (path, command) = (literal(path.display()), literal(command));
            return Some(Hint::new(format!(
                "run this in {path}, which needs Python with scipy and writes labels.csv; then give the same folder \
                 again: {command}"
            )));
        }
        DataError::NotUtf8 { .. } => "rename it",
        DataError::Backslash { .. } => {
            "unpack the zip file again with a program that makes folders of backslashes, such as 7-Zip or bsdtar"
        }
        DataError::NotData { .. } => "was the download complete?",
        DataError::NoImages { .. } => {
            "put images into it, or remove it if it is an empty split; JPEG, PNG, WebP, BMP, GIF, TIFF and PNM files are read"
        }
        _ => return None,
    };
    Some(text.into())
}

/// Tables and their columns.
fn of_table(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::SplitValue { .. } => {
            "if the splits have other names: {data.train_split=NAME}, {data.val_split=NAME} and {data.test_split=NAME}; \
             rows of others are then left out"
        }
        DataError::ForeignPath { written, beside: Some(beside), .. } => {
            return Some(Hint::new(format!(
                "write {} for {}, and so for all",
                literal(beside.display()),
                literal(written)
            )));
        }
        DataError::ForeignPath { .. } => {
            "put the images beside the table and write paths from its folder on, such as cat/1.jpg"
        }
        DataError::Line { expected, .. } if expected == "them the other way round" => {
            "are the columns exchanged? Correct the header, or name the columns: {data.image_column=NAME} and \
             {data.label_column=NAME}"
        }
        DataError::Line { expected, .. } if expected.contains("as in the header") => {
            "use one sign in all lines, quotes around a value that holds it, and none at the end of a line unless the header \
             has it too"
        }
        DataError::Line { expected, .. }
            if ["a label", "the path of an image", "a split: train, val or test"].contains(&expected.as_str()) =>
        {
            "complete the line, or remove it; images without labels are for {@predict}"
        }
        DataError::SplitColumns { .. } => "name it: {data.split_column=NAME}",
        DataError::SplitMarks { column, values, .. } => return Some(marks(column, values)),
        DataError::TableEncoding { .. } => "save it as UTF-8 (spreadsheets call this CSV UTF-8)",
        DataError::NotATable { found, .. } if found.contains("Excel") => {
            "save it as CSV in UTF-8 (in the program: save as, CSV UTF-8), with the columns image_path,label"
        }
        DataError::NotATable { found, .. } if found.contains("JSON") => {
            "write it as CSV in UTF-8 with the columns image_path,label"
        }
        DataError::NotATable { found, .. } if found.contains("for each class") => {
            "write one column of labels in their place; images with several labels at once are not read"
        }
        DataError::NotATable { found, .. } if found.starts_with("its first line says") => {
            "remove the first line, or correct it"
        }
        DataError::NotATable { found, .. } if found.contains("below a title") => "remove the lines above that line",
        DataError::NotATable { found, .. } if found.contains("in quotes as a whole") => {
            "remove the quotes around each line, or save the table again with separate columns"
        }
        DataError::NotATable { found, .. } if found.contains("two signs") => {
            "use one sign in the whole table, and quotes around values that hold it"
        }
        DataError::NotATable { .. } => {
            "a table is text in UTF-8 with the columns image_path,label; was the download complete?"
        }
        DataError::NoHeader { .. } => "put a line image_path,label in front, in the order of the columns",
        DataError::NoColumn { column: Column::Image, .. } => {
            "name it: {data.image_column=NAME}, and {data.label_column=NAME} if the labels have an unusual name too"
        }
        DataError::ManyColumns { columns, .. }
            if columns.windows(2).all(|pair| pair[0].eq_ignore_ascii_case(&pair[1])) =>
        {
            "give each column a name of its own in the table"
        }
        DataError::NoColumn { column, .. } | DataError::ManyColumns { column, .. } => {
            return Some(format!("name it: {{{}=NAME}}", column.setting()).into());
        }
        DataError::NoSuchColumn { .. } | DataError::OneColumnForBoth { .. } => {
            "name the columns with {data.image_column}, {data.label_column} and {data.split_column}"
        }
        DataError::TableOrFolders { .. } => {
            "to read the table, name the file instead of its folder; to read the folders: {data.layout=splits}"
        }
        DataError::ColumnOfNoTable { .. } => {
            "leave out {data.image_column}, {data.label_column} and {data.split_column}, or give the value auto to override those of a run"
        }
        _ => return None,
    };
    Some(text.into())
}

/// How the column of marks can be read: which value trains follows from its name.
fn marks(column: &str, values: &[String]) -> Hint {
    let says_yes = |value: &&String| ["1", "1.0", "true", "yes", "t", "y"].contains(&value.to_lowercase().as_str());
    let yes = values.iter().find(says_yes).map_or("1", String::as_str);
    let no = values.iter().find(|value| !says_yes(value)).map_or("0", String::as_str);
    let name = column.to_lowercase();
    let (train, other, role) = if name.contains("train") {
        (yes, no, Role::Validation)
    } else {
        (no, yes, if name.contains("test") { Role::Test } else { Role::Validation })
    };
    Hint::new(format!(
        "to read it: {{data.split_column=NAME}} with NAME {}, {{data.train_split={}}} {{{}={}}}; otherwise give the column \
         another name",
        literal(column),
        literal(train),
        setting_of(role),
        literal(other)
    ))
}

/// Classes that do not agree.
fn of_class(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::UnknownClass { class, resembles: Some(other), .. } => {
            let [_, other] = told_apart(class, other);
            return Some(Hint::new(format!("did you mean {}? Give the class one name in all splits", literal(other))));
        }
        DataError::UnknownClass { .. } => "every class needs training images; remove it or add some to train",
        DataError::OtherClasses { unknown, known, .. }
            if unknown.iter().any(|name| resembled(name, known).is_some()) =>
        {
            let pairs = unknown.iter().filter_map(|name| Some((name, resembled(name, known)?)));
            let pairs = pairs.map(|(name, other)| told_apart(name, other));
            let pairs: Vec<String> = pairs.map(|[name, other]| format!("{name} resembles {other}")).collect();
            return Some(Hint::new(format!("{}; rename the classes as the run has them", literal(pairs.join(", ")))));
        }
        DataError::OtherClasses { .. } => {
            "use data whose classes have the same names; config.toml of the run names its data"
        }
        DataError::Unfit { broken_only: true, of_masks: true, .. } => {
            "correct the masks ({@data-check} lists all), or leave these images and masks out: {data.skip_broken=true}"
        }
        DataError::Unfit { broken_only: true, .. } => {
            "replace or remove the files ({@data-check} lists all), or leave them out: {data.skip_broken=true}"
        }
        DataError::Unfit { of_masks: true, .. } => "correct the masks or the file of classes; {@data-check} lists all",
        DataError::NoneSound { .. } => "{@data-check} lists all: correct the files, or what is the same in all of them",
        DataError::Unfit { .. } => "every class needs training images: add some, or remove the class from every split",
        _ => return None,
    };
    Some(text.into())
}

/// Labelled budgets and batches.
fn of_budget(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::ClassTooSmall { available, purpose: BUDGET, .. } => {
            return Some(
                format!(
                    "ask for {{data.per_class={available}}} or less, or for a fraction with {{data.label_fraction}}"
                )
                .into(),
            );
        }
        DataError::NothingToValidate { .. } => {
            "raise the labelled budget to 2 per class, or take validation images from the rest with {data.val_per_class}"
        }
        DataError::ClassTooSmall { .. } => {
            "lower {data.val_per_class} or the labelled budget, or leave {data.val_per_class} out: a tenth of the budget is \
             then set aside"
        }
        DataError::BatchTooLarge { available, unit: "classes", .. } => {
            return Some(format!("give {{data.classes_per_batch}} of at most {available}, or leave it out").into());
        }
        DataError::BatchTooLarge { available, .. } => {
            return Some(format!("ask for {{train.batch_size={available}}} or less").into());
        }
        _ => return None,
    };
    Some(text.into())
}

/// Images and masks.
fn of_image(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::SizesDiffer { .. } => "end the transform with a crop of fixed size",
        DataError::Decode { .. } => "replace or remove the file",
        DataError::MaskUnreadable { .. } | DataError::MaskLossy { .. } => {
            "save masks as PNG, grey or with a palette, 8 bits per pixel"
        }
        DataError::MaskColors { .. } => {
            "put a file classes.txt beside the data, with a line `name,red,green,blue` for each class"
        }
        DataError::ClassFile { .. } => "save it as text in UTF-8",
        DataError::MaskNumber { deep: true, value, .. } if value % 256 == 0 || value % 257 == 0 => {
            "the values seem to be those of 8 bits, multiplied: save masks as PNG, 8 bits per pixel, with the number of the class"
        }
        DataError::MaskNumber { .. } => {
            "save the number of the class in each pixel, or put a file classes.txt beside the data; values of no class are \
             ignored by {data.ignore_index=N}"
        }
        DataError::MaskValue { found, .. } if found.starts_with("colour") => {
            "save masks without compression that changes colours, or correct the file of classes"
        }
        DataError::MaskValue { .. } => {
            "ignore the value with {data.ignore_index=N}; if masks count classes from 1: {data.first_class=1}"
        }
        DataError::MaskSize { .. } => {
            "a mask needs the size of its image as it is shown: turn or scale one of the two files"
        }
        DataError::NothingLabelled { .. } => {
            "255 is ignored unless a file of classes gives it a colour, with a line such as `object,255,255,255`; \
             other values are ignored by {data.ignore_index=N}"
        }
        DataError::SwappedMasks { .. } => "exchange the names of the two folders",
        DataError::MaskPalette { .. } => {
            "save every mask with the same palette, in the order of the file of classes, or in red, green, blue"
        }
        DataError::TwoMasks { .. } => "keep one mask for each image",
        DataError::TwoImages { .. } => "keep one image for each mask, or rename one of the two",
        DataError::NoPairs { .. } => {
            "a mask has the name of its image, perhaps with `_mask` at its end; if the folders are classes: \
             {data.layout=classes}"
        }
        _ => return None,
    };
    Some(text.into())
}
