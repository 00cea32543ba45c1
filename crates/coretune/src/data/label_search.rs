//! Whether a file beside folders of images holds the labels: folders over which images were only spread are then not classes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::folder::names_in;
use super::label_file::{may_hold_labels, says_labels};
use super::{DataError, LabelFile, LabelFileKind};
use crate::files::regular_file;

/// Bytes of a file that are read.
const HEAD: u64 = 1 << 20;

/// Refuses folders that were listed as classes beside a file that may hold other labels, and images in no folder beside one that
/// may hold their labels; `images` are relative to `root`.
pub(super) fn refuse_label_file(root: &Path, classes: &[String], images: &[PathBuf]) -> Result<(), DataError> {
    let file = |(name, kind)| LabelFile { name, kind, names_images: false, column: None, folders: classes.to_vec() };
    let mut candidates = candidates(root)?.into_iter().map(file).peekable();
    if images.is_empty() || candidates.peek().is_none() {
        return Ok(());
    }
    let (images, mut by_name) = (Images::new(images, classes), None);
    for file in candidates {
        if let Some(file) = images.labelled_by(root, &file) {
            return Err(refused(root, file));
        }
        by_name = by_name.or(Some(file).filter(|file| classes.is_empty() && may_hold_labels(&file.name)));
    }
    by_name.map_or(Ok(()), |file| Err(refused(root, file)))
}

fn refused(root: &Path, file: LabelFile) -> DataError {
    DataError::LabelFile { path: root.to_path_buf(), file: Box::new(file) }
}

fn candidates(root: &Path) -> Result<Vec<(String, LabelFileKind)>, DataError> {
    let names = names_in(root)?.into_iter().filter(|name| root.join(name).is_file());
    Ok(names.filter_map(|name| LabelFileKind::of(&name).map(|kind| (name, kind))).collect())
}

/// The images by the names that a file may give them, with the number of their folder.
struct Images<'a> {
    names: HashMap<String, Option<usize>>,
    classes: &'a [String],
}

/// A line that names an image: the number of its folder, and the other values of the line.
struct Named<'a> {
    folder: usize,
    others: Vec<&'a str>,
}

impl<'a> Images<'a> {
    fn new(images: &[PathBuf], classes: &'a [String]) -> Self {
        let mut all = Images { names: HashMap::new(), classes };
        let numbers: HashMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
        for image in images {
            let folder = image.iter().next().and_then(|top| numbers.get(top.to_str()?).copied()).unwrap_or_default();
            for path in [image.as_path(), Path::new(image.file_name().unwrap_or_default())] {
                all.add(path, folder);
                let bare = path.with_extension("");
                if is_telling(&bare) {
                    all.add(&bare, folder);
                }
            }
        }
        all
    }

    /// A name that images of two folders have says nothing.
    fn add(&mut self, path: &Path, folder: usize) {
        let name = path.to_string_lossy().into_owned();
        self.names.entry(name).and_modify(|known| *known = known.filter(|one| *one == folder)).or_insert(Some(folder));
    }

    fn folder_of(&self, written: &str) -> Option<usize> {
        let plain = written.replace('\\', "/");
        *self.names.get(plain.trim_start_matches("./"))?
    }

    /// The file with what it says, if it may hold labels that are not those of the folders.
    fn labelled_by(&self, root: &Path, file: &LabelFile) -> Option<LabelFile> {
        let by_name = says_labels(&file.name);
        let text = head(&root.join(&file.name));
        match file.kind {
            LabelFileKind::Workbook => by_name.then(|| file.clone()),
            LabelFileKind::Json => {
                let strings: HashSet<&str> = text.split('"').skip(1).step_by(2).collect();
                let named = strings.iter().filter(|name| self.folder_of(name).is_some()).take(2).count();
                let agrees =
                    self.classes.len() > 1 && self.classes.iter().all(|class| strings.contains(class.as_str()));
                let names_images = named > 1;
                (!agrees && (names_images || by_name)).then(|| LabelFile { names_images, ..file.clone() })
            }
            LabelFileKind::Table | LabelFileKind::Text => {
                let separators = separators(&text, file.kind);
                let (lines, named) = self.named_in(&text, separators);
                let names_images = named.len() > 1 && 2 * named.len() >= lines;
                let labels = Labels::of(&named, self.classes.len());
                let differ = labels == Labels::Differ || (labels == Labels::Unknown && by_name);
                let column = || self.column_of_images(&text, separators);
                (names_images && differ).then(|| {
                    let column = if file.kind == LabelFileKind::Table { column() } else { None };
                    LabelFile { names_images, column, ..file.clone() }
                })
            }
        }
    }

    /// The number of lines, and those that name an image.
    fn named_in<'t>(&self, text: &'t str, separators: &[char]) -> (usize, Vec<Named<'t>>) {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let named = |line: &'t str| {
            let mut others = values(line, separators);
            let at = others.iter().position(|value| self.folder_of(value).is_some())?;
            let folder = self.folder_of(others.remove(at))?;
            Some(Named { folder, others })
        };
        (lines.clone().count(), lines.filter_map(named).collect())
    }

    /// The name of the column that names images, by the first line.
    fn column_of_images(&self, text: &str, separators: &[char]) -> Option<String> {
        let mut lines = text.lines();
        let header = values(lines.next()?, separators);
        let place = |line: &str| values(line, separators).iter().position(|value| self.folder_of(value).is_some());
        header.get(lines.find_map(place)?).map(ToString::to_string)
    }
}

/// What the other values of the lines are to the folders.
#[derive(Debug, PartialEq, Eq)]
enum Labels {
    /// One of them says the folder: the labels are the same.
    Agree,
    /// One of them groups the images otherwise.
    Differ,
    /// None of them groups the images.
    Unknown,
}

impl Labels {
    fn of(named: &[Named], folders: usize) -> Self {
        let columns = named.iter().map(|line| line.others.len()).max().unwrap_or(0);
        let mut labels = Labels::Unknown;
        for column in 0..columns {
            let mut by_value: BTreeMap<&str, HashSet<usize>> = BTreeMap::new();
            for line in named {
                by_value.entry(line.others.get(column).copied().unwrap_or_default()).or_default().insert(line.folder);
            }
            let groups = by_value.len() > 1 && 2 * by_value.len() <= named.len();
            if groups && folders > 1 && by_value.values().all(|folders| folders.len() == 1) {
                return Labels::Agree;
            }
            if groups {
                labels = Labels::Differ;
            }
        }
        labels
    }
}

/// Whether a name without ending is more than a small number, which any file may hold.
fn is_telling(bare: &Path) -> bool {
    let name = bare.to_string_lossy();
    name.len() > 4 || !name.chars().all(|letter| letter.is_ascii_digit())
}

/// The signs between values: of a table the most frequent one of its first line.
fn separators(text: &str, kind: LabelFileKind) -> &'static [char] {
    const OF_TABLES: [&[char]; 4] = [&[','], &[';'], &['\t'], &['|']];
    let header = text.lines().next().unwrap_or_default();
    match kind {
        LabelFileKind::Table => {
            OF_TABLES.into_iter().max_by_key(|sign| header.matches(*sign).count()).unwrap_or(&[','])
        }
        _ => &[' ', '\t', ',', ';', '|', ':'],
    }
}

/// The values of a line; several blanks in a row count as one sign.
fn values<'t>(line: &'t str, separators: &[char]) -> Vec<&'t str> {
    let plain = |value: &'t str| value.trim().trim_matches(['"', '\'']);
    let values = line.split(separators).map(plain);
    if separators.contains(&' ') { values.filter(|value| !value.is_empty()).collect() } else { values.collect() }
}

/// What a file begins with; nothing if it cannot be read.
fn head(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = regular_file::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut bytes));
    if read.is_ok() {
        String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_string()
    } else {
        String::new()
    }
}
