use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::left_out::LeftOut;
use super::listed::listed;
use super::{Column, Format, LabelFile, Layout, Role};
use crate::engine::EngineError;
use crate::transforms::TransformError;

/// What can be wrong with a data set, or with reading from it.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields have the names of what they hold")]
pub enum DataError {
    /// Nothing lies at the path.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path that was given.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{} could not be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be written.
    #[error("{} could not be written", path.display())]
    Written { path: PathBuf, source: io::Error },
    /// No known layout fits.
    #[error("{} is not a data set in a known layout: it holds {found}", path.display())]
    Unrecognised {
        /// The path that was given.
        path: PathBuf,
        found: String,
    },
    /// A split that was named is not there.
    #[error("{} has no split named `{split}`, it has {found}", path.display())]
    SplitMissing {
        path: PathBuf,
        /// Name that was asked for.
        split: String,
        found: String,
    },
    /// One split is asked to serve as two.
    #[error("the split `{split}` of {} cannot be both {first} and {second}", path.display())]
    SplitTwice {
        path: PathBuf,
        /// Name of the split.
        split: String,
        first: Role,
        second: Role,
    },
    /// Two splits have names of one role.
    #[error("{} has two splits that are {role} by their names: `{first}` and `{second}`", path.display())]
    TwoSplits { path: PathBuf, role: Role, first: String, second: String },
    /// Folders without names of splits hold the same folders.
    #[error(
        "the folders {} of {} could be splits, domains or classes: {} hold {}",
        listed(folders), path.display(), if folders.len() > 2 { "all or most" } else { "both" }, listed(common)
    )]
    SplitsOrClasses {
        path: PathBuf,
        /// The folders at the top.
        folders: Vec<String>,
        /// The folders that most of them hold.
        common: Vec<String>,
        /// Where the first of them holds these, relative to `path`, if single folders lie between.
        deeper: Option<PathBuf>,
        /// With this value they are classes.
        layout: Layout,
    },
    /// Folders of classes whose names have names of splits among their words.
    #[error("the folders {} of {} are named like splits, but they would be classes", listed(folders), path.display())]
    NamedLikeSplits { path: PathBuf, folders: Vec<String> },
    /// Folders of classes whose names are one word for images and numbers.
    #[error("the folders {} of {} are named like parts of one set of images, but they would be classes", listed(folders), path.display())]
    NamedLikeParts {
        path: PathBuf,
        folders: Vec<String>,
        /// With this value they are classes.
        layout: Layout,
    },
    /// Several tables name images and labels, and no name says which is for what.
    #[error("{} holds several tables of images and labels: {}", path.display(), listed(tables))]
    SeveralTables { path: PathBuf, tables: Vec<String> },
    /// One folder holds folders with images, others hold images, or there are no others.
    #[error(
        "the classes of {} seem to lie one folder deeper: `{}` holds the folders {}{}",
        path.display(), inner.display(), listed(folders), beside(others)
    )]
    ClassesDeeper {
        /// The data set, or one of its splits.
        path: PathBuf,
        /// The folder that holds folders, relative to `path`.
        inner: PathBuf,
        /// The folders in it.
        folders: Vec<String>,
        /// The folders beside it.
        others: Vec<String>,
        /// With this value the folders of `path` are classes.
        layout: Layout,
    },
    /// A folder with the name of a split, but not of the training split, among others.
    #[error("the folders of {} could be splits or classes: `{split}` has the name of a split, {} not", path.display(), have(folders))]
    SplitAmongClasses { path: PathBuf, split: String, folders: Vec<String> },
    /// A folder beside the splits whose name does not say whether it validates or tests.
    #[error("{} has the folder `{split}` beside its splits: it could be for validation or for the test", path.display())]
    SplitOfNoRole { path: PathBuf, split: String },
    /// A split that is not published.
    #[error("{} has no split {number}, its splits are 1 to {last}", path.display())]
    SplitNumber { path: PathBuf, number: u32, last: u32 },
    /// The number of a split for data that has one split.
    #[error("{} has no split {number}: it holds {format}, which have no numbered splits", path.display())]
    SplitNumberOfOne { path: PathBuf, number: u32, format: Format },
    /// The labels are in files of MATLAB.
    #[error("{} is {name}, whose labels are in files of MATLAB, which are not read", path.display())]
    MatlabLists {
        path: PathBuf,
        name: &'static str,
        /// What makes a table of them, run in the folder.
        command: String,
    },
    /// One of several roots is not usable.
    #[error("{} joins several roots: found {found}, expected {expected}", path.display())]
    Joined { path: PathBuf, expected: String, found: String },
    /// The data set lies in a folder of the one given.
    #[error("{} is not the data set, but holds it: {}", path.display(), inner.display())]
    TooDeep { path: PathBuf, inner: PathBuf },
    /// Images of a split do not lie in folders of classes.
    #[error(
        "{} holds {images} {} and no folder of a class with images{}",
        path.display(), if *images == 1 { "image" } else { "images" }, beside(table.as_slice())
    )]
    WithoutClasses {
        path: PathBuf,
        images: usize,
        /// A file beside them that may name their classes.
        table: Option<String>,
    },
    /// A file may hold the labels of images that lie in folders, which could be classes, or in none.
    #[error("{} holds {file}", path.display())]
    LabelFile { path: PathBuf, file: Box<LabelFile> },
    /// A link in the place of a split or a class leads nowhere.
    #[error("{} is a link that leads nowhere: it points to {}", path.display(), target.display())]
    FolderGone {
        path: PathBuf,
        /// What the link names.
        target: PathBuf,
    },
    /// Images lie in one folder, and what is said of them in another.
    #[error("{} holds the images in `{images}` and files about them in `{annotations}`, as data for detection does, and no folders of classes", path.display())]
    Detection { path: PathBuf, images: String, annotations: String },
    /// A name cannot be shown or written down.
    #[error("the name of {path} is not UTF-8")]
    NotUtf8 {
        /// With the bytes that are not UTF-8 escaped.
        path: String,
    },
    /// What should be folders is in the name.
    #[error("the name of {} has backslashes, as after unpacking a zip file of Windows without its folders", path.display())]
    Backslash { path: PathBuf },
    /// A split holds no image.
    #[error("there are no images in {}{}", path.display(), instead(left_out))]
    NoImages {
        left_out: LeftOut,
        /// File or folder of the split.
        path: PathBuf,
    },
    /// A class occurs in a split, but not among the known classes.
    #[error("class `{class}` of the {split} split of {} is not among the {known} {origin}", path.display())]
    UnknownClass {
        path: PathBuf,
        /// The split that has the class.
        split: Role,
        class: String,
        known: usize,
        /// Where the known ones are from, in words.
        origin: &'static str,
        /// The known class whose name differs only by case, blanks, leading zeros, `+`, `.0` or Unicode form.
        resembles: Option<String>,
    },
    /// The data has classes that a run does not know.
    #[error(
        "{} has {} that the run does not know: {} (the run's {}: {})",
        path.display(), classes_in_words(unknown.len()), listed(unknown), known.len(), listed(known)
    )]
    OtherClasses {
        path: PathBuf,
        /// Names of the classes that the run does not know.
        unknown: Vec<String>,
        /// Names of the run's classes.
        known: Vec<String>,
    },
    /// A file does not keep to its format.
    #[error("{}: found {found}, expected {expected}", path.display())]
    Malformed {
        path: PathBuf,
        /// What the format asks for.
        expected: String,
        found: String,
    },
    /// Images with masks for a packed file.
    #[error("{} has images with masks, and a packed file holds images with one class each", path.display())]
    MasksNotPacked { path: PathBuf },
    /// Segments of COCO's panoptic format.
    #[error("{} is in COCO's panoptic format, which is not read", path.display())]
    Panoptic { path: PathBuf },
    /// A table is in an encoding that is not read.
    #[error("{} is not a table in UTF-8: {found}", path.display())]
    TableEncoding { path: PathBuf, found: String },
    /// A file of classes in an encoding that is not read, or that is not text.
    #[error("the file of classes {} is not text in UTF-8: {found}", path.display())]
    ClassFile { path: PathBuf, found: String },
    /// A file that should hold images is a web page, a pointer or the like.
    #[error("{} holds no images: {found}", path.display())]
    NotData { path: PathBuf, found: String },
    /// A file with the name of a table is something else.
    #[error("{} is not a table: {found}", path.display())]
    NotATable { path: PathBuf, found: String },
    /// A table begins with a row of images.
    #[error("{} begins without the names of its columns: `{line}`", path.display())]
    NoHeader {
        path: PathBuf,
        /// What the file begins with.
        line: String,
    },
    /// A table lacks one of the two columns, or it has an unusual name.
    #[error("no column of {} has a usual name for {column}: {}", path.display(), listed(header))]
    NoColumn { path: PathBuf, column: Column, header: Vec<String> },
    /// Several columns have usual names of one of the two.
    #[error("several columns of {} could be {column}: {}", path.display(), listed(columns))]
    ManyColumns { path: PathBuf, column: Column, columns: Vec<String> },
    /// A column that was named is not there.
    #[error("{} has no column `{name}`; it has {}", path.display(), listed(header))]
    NoSuchColumn { path: PathBuf, name: String, header: Vec<String> },
    /// One column was named for paths and labels.
    #[error("the column `{name}` of {} cannot be both the paths of the images and the labels", path.display())]
    OneColumnForBoth { path: PathBuf, name: String },
    /// A table lies beside folders of classes.
    #[error("{} holds the table `{table}` and folders of classes: either could be the data", path.display())]
    TableOrFolders { path: PathBuf, table: String },
    /// Several columns have names and values as those of splits.
    #[error("several columns of {} could be the splits: {}", path.display(), listed(columns))]
    SplitColumns { path: PathBuf, columns: Vec<String> },
    /// A column marks the rows of one split, and not what the others are.
    #[error("the column `{column}` of {} says with {} which rows are of one split, not what the others are for", path.display(), listed(values))]
    SplitMarks { path: PathBuf, column: String, values: Vec<String> },
    /// A column was named for data that is not a table.
    #[error("{} is not a table with a column `{name}`: it holds {format}", path.display())]
    ColumnOfNoTable { path: PathBuf, name: String, format: Format },
    /// A row of a table is unusable.
    #[error("{} row {row}: found {found}, expected {expected}", path.display())]
    Row {
        path: PathBuf,
        /// Row, counted from 0 without the header.
        row: u64,
        expected: String,
        found: String,
    },
    /// A line of a text file is unusable.
    #[error("{} line {line}: found {found}, expected {expected}", path.display())]
    Line {
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        expected: String,
        found: String,
    },
    /// A path in a table that is none of this machine.
    #[error("{} line {line}: found `{written}`, {what}, expected a path from the folder of the table, or an absolute one of this machine", path.display())]
    ForeignPath {
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        written: String,
        /// An address, a path of Windows, in words.
        what: &'static str,
        /// The end of it that is a file beside the table, if any.
        beside: Option<PathBuf>,
    },
    /// A value in the column of splits that is not the name of one.
    #[error("{} line {line}: found the split `{found}` in the column `{column}`, expected train, val or test, under one name each", path.display())]
    SplitValue {
        path: PathBuf,
        /// The column of splits.
        column: String,
        /// Line, counted from 1.
        line: u64,
        found: String,
    },
    /// An image that no decoder can read.
    #[error("{image} cannot be decoded: {message}")]
    Decode { image: String, message: String },
    /// A mask file that cannot be read.
    #[error("{mask} cannot be read as a mask: {message}")]
    MaskUnreadable { mask: String, message: String },
    /// A mask in a format that does not keep values.
    #[error("{mask}{} JPEG or WebP, whose compression changes the values of a mask", and_others(*others, "is a", "are"))]
    MaskLossy {
        /// The first of them.
        mask: String,
        /// Further masks in such a format, if all were read.
        others: usize,
    },
    /// Images in the place of masks.
    #[error(
        "images and masks are swapped: the image {image} has the few values of a mask, its mask {mask} is a photograph"
    )]
    SwappedMasks { image: String, mask: String },
    /// Images or masks that are all broken, and were all left out.
    #[error("{} has no image left to train on: {}", path.display(), findings.join("; "))]
    NoneSound { path: PathBuf, findings: Vec<String> },
    /// Masks whose numbers would make more classes than there can be.
    #[error("{mask}{} values up to {value}{}, expected numbers of classes from 0 to 254", and_others(*others, "has", "have"), if *deep { " (16 bits per pixel)" } else { "" })]
    MaskNumber {
        /// The first of them.
        mask: String,
        /// Further masks with such values.
        others: usize,
        /// The largest of all.
        value: u16,
        /// Whether it has 16 bits per pixel.
        deep: bool,
    },
    /// Masks without a pixel of a class.
    #[error("no pixel of the masks is labelled, all are ignored (number of masks: {masks}, the first: {first})")]
    NothingLabelled { first: String, masks: usize },
    /// A mask in colours that no file explains.
    #[error("{mask}{} colours, and no file says which classes they are", and_others(*others, "has", "have"))]
    MaskColors {
        /// The first of them.
        mask: String,
        /// Further masks with colours, if all were read.
        others: usize,
    },
    /// A palette in another order than the classes, with colours of no class.
    #[error(
        "{mask} has a palette in another order than the classes (its colour of `{class}` is at another index), and not all of its colours are those of classes: {found}"
    )]
    MaskPalette {
        mask: String,
        /// What two indices have, in words.
        found: String,
        /// A class whose colour is at the index of another.
        class: String,
    },
    /// Pixels that are neither of a class nor ignored.
    #[error("{mask}: {pixels} {} of no class, the first at column {x}, row {y}: found {found}, expected {classes}", pixels_are(*pixels))]
    MaskValue {
        mask: String,
        pixels: usize,
        x: u32,
        y: u32,
        /// What the first of them holds.
        found: String,
        /// What they may hold, in words.
        classes: String,
    },
    /// A mask of another size than its image.
    #[error(
        "{mask} is {width} x {height} pixels, its image {image} {image_width} x {image_height}{}",
        if *turned { ", turned as its EXIF data says" } else { "" }
    )]
    MaskSize {
        mask: String,
        width: u32,
        height: u32,
        image: String,
        image_width: u32,
        image_height: u32,
        /// Whether EXIF data exchange the width and height of the image.
        turned: bool,
    },
    /// Images have several masks.
    #[error("{} {} more than one mask in {}: `{stem}` has {first} and {second}", count, if *count == 1 { "image has" } else { "images have" }, path.display())]
    TwoMasks {
        path: PathBuf,
        count: usize,
        /// Name of the first image, without ending.
        stem: String,
        first: String,
        second: String,
    },
    /// A mask that could belong to either of two images.
    #[error("{count} {} belong to either of two images in {}: `{stem}` is the name of {first} and {second}", if *count == 1 { "mask could" } else { "masks could each" }, path.display())]
    TwoImages {
        path: PathBuf,
        count: usize,
        /// The first such name, without ending.
        stem: String,
        first: String,
        second: String,
    },
    /// Folders of images and masks, whose names do not match.
    #[error("none of the {images} images in {} has a mask in {}: the first image is {first_image}, the first mask {first_mask}", path.display(), masks.display())]
    NoPairs { path: PathBuf, masks: PathBuf, images: usize, first_image: String, first_mask: String },
    /// An image above [`super::PIXEL_LIMIT`].
    #[error("{image} has {width} x {height} pixels, the limit is {limit} pixels")]
    TooManyPixels { image: String, width: u64, height: u64, limit: u64 },
    /// A position beyond the end of a split.
    #[error("image {index} does not exist: the split has {images}")]
    Index {
        index: usize,
        /// Length of the split.
        images: usize,
    },
    /// Images and labels do not pair up, or a label is no class.
    #[error("{name} is {found}, expected {expected}")]
    Argument { name: &'static str, expected: String, found: String },
    /// More labels were asked for than a class has.
    #[error("class `{class}` has {available} of the {asked} images that are needed for {purpose}")]
    ClassTooSmall {
        /// Name of the class.
        class: String,
        available: usize,
        asked: usize,
        /// What for, in words.
        purpose: &'static str,
    },
    /// A labelled budget of one image per class, of which none can be set aside.
    #[error("one labelled image of each class ({images} in all) leaves none for validation")]
    NothingToValidate {
        /// Images in the budget.
        images: usize,
    },
    /// A batch needs more than there is.
    #[error("a batch of {asked} {unit} cannot be made from {available}")]
    BatchTooLarge { asked: usize, available: usize, unit: &'static str },
    /// A transform failed on an image.
    #[error("{image} cannot be transformed")]
    Transform { image: String, source: TransformError },
    /// Images of a batch came out of the transform in two sizes.
    #[error("{image} is {width} x {height} after its transform, the batch began with {batch_width} x {batch_height}")]
    SizesDiffer {
        image: String,
        width: u32,
        height: u32,
        /// Width of the first image of the batch.
        batch_width: u32,
        /// Height of the first image of the batch.
        batch_height: u32,
    },
    /// What the check of the data found stops a run.
    #[error("{} cannot be trained on: {}", path.display(), findings.join("; "))]
    Unfit {
        path: PathBuf,
        findings: Vec<String>,
        /// Whether leaving out broken images would do.
        broken_only: bool,
        /// Whether all is about masks.
        of_masks: bool,
    },
    /// A thread of the loader ended without a result.
    #[error("a thread of the loader stopped: {message}")]
    Worker {
        /// What it said last.
        message: String,
    },
    /// libtorch failed while the batch was made.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a class lacks images for.
pub(super) const BUDGET: &str = "the labelled budget";
/// What a class lacks images for, if validation images are taken from it too.
pub(super) const BUDGET_AND_VALIDATION: &str = "the labelled budget and validation";

impl DataError {
    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| match source.kind() {
            io::ErrorKind::NotFound => DataError::NotFound { path },
            _ => DataError::Read { path, source },
        }
    }

    /// The error of a link in the place of a folder.
    pub(super) fn folder_gone(link: &std::path::Path) -> Self {
        DataError::FolderGone { path: link.to_path_buf(), target: std::fs::read_link(link).unwrap_or_default() }
    }

    pub(super) fn malformed(path: &std::path::Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        DataError::Malformed { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}

fn pixels_are(pixels: usize) -> &'static str {
    if pixels == 1 { "pixel is" } else { "pixels are" }
}

/// ` is a`, or ` and 3 other masks are`: what follows the first mask in a sentence.
fn and_others(others: usize, one: &str, many: &str) -> String {
    match others {
        0 => format!(" {one}"),
        1 => format!(" and 1 other mask {many}"),
        _ => format!(" and {others} other masks {many}"),
    }
}

fn have(folders: &[String]) -> String {
    format!("{} {}", listed(folders), if folders.len() == 1 { "has" } else { "have" })
}

/// `; beside it lies `misc``
fn beside(others: &[String]) -> String {
    match others.len() {
        0 => String::new(),
        1 => format!("; beside it lies {}", listed(others)),
        _ => format!("; beside it lie {}", listed(others)),
    }
}

fn instead(left_out: &LeftOut) -> String {
    if left_out.is_empty() { String::new() } else { format!("; left out: {left_out}") }
}

fn classes_in_words(count: usize) -> String {
    if count == 1 { "a class".into() } else { format!("{count} classes") }
}
