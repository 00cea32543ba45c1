//! What a user can do about folders that could be read in several ways.

use std::path::Path;

use super::listed::listed;
use super::resemblance::plain;
use super::role::role_of;
use super::{DataError, LabelFile, LabelFileKind, Layout, Role};
use crate::settings::{Hint, literal};

/// Which folders are splits, and which are classes.
pub(super) fn of_layout(error: &DataError) -> Option<Hint> {
    let text = match error {
        DataError::SplitMissing { split, found, .. }
            if found.split('`').any(|name| name != split && plain(name) == plain(split)) =>
        {
            let meant = found.split('`').find(|name| *name != split && plain(name) == plain(split));
            return Some(Hint::new(format!("did you mean {}?", literal(meant.unwrap_or_default()))));
        }
        DataError::SplitMissing { split, found, .. } if split.contains("aug") && found.contains("train") => {
            "the download of PASCAL VOC has no list of augmented images: put such a list into ImageSets/Segmentation and its masks \
             into SegmentationClassAug, or train on the images of VOC itself: {data.train_split=train}"
        }
        DataError::SplitMissing { .. } | DataError::SplitTwice { .. } => {
            "name the splits with {data.train_split}, {data.val_split} and {data.test_split}"
        }
        DataError::SplitOfNoRole { split, .. } => {
            let split = literal(split);
            return Some(Hint::new(format!(
                "for validation: {{data.val_split=NAME}}, for the test: {{data.test_split=NAME}}, with NAME {split}; to leave it \
                 out, name the training split: {{data.train_split=NAME}}"
            )));
        }
        DataError::TwoSplits { role, .. } => {
            let name = setting_of(*role);
            return Some(format!("merge or rename one of them, or name the one that is meant: {{{name}=NAME}}").into());
        }
        DataError::SplitsOrClasses { layout: Layout::Splits, path, .. } => {
            return Some(Hint::new(format!(
                "if they are classes: {{data.layout=splits}}, with which the folders of a split are its classes, whatever \
                 they hold; if they are splits: give {} as the data, with {{data.train_split=NAME}}; domains are not read \
                 yet: give one of them as the data",
                literal(path.display())
            )));
        }
        DataError::SplitsOrClasses { common, .. } if common.iter().any(|name| role_of(name).is_some()) => {
            "if the folders are classes, put the splits above them: train/<class>/*; to train on all images, splits \
             included: {data.layout=classes}"
        }
        DataError::SplitsOrClasses { common, .. } if common.iter().any(|name| name.to_lowercase() == "masks") => {
            "if they are classes, move the folders `masks` elsewhere, as a mask does not show a class; then: \
             {data.layout=classes}"
        }
        DataError::SplitsOrClasses { deeper, .. } => {
            let such =
                deeper.as_ref().map(|core| format!(" (NAME with the folders between: {})", literal(core.display())));
            return Some(Hint::new(format!(
                "if they are splits: {{data.train_split=NAME}}, and {{data.val_split=NAME}} if one validates{}; if they \
                 are classes: {{data.layout=classes}}; domains are not read yet: give one of them as the data",
                such.unwrap_or_default()
            )));
        }
        DataError::Panoptic { .. } => {
            "outlines of the same images are read: annotations/instances_<split>.json; so are masks in files, a class for each \
             pixel, in the folders masks/<split> beside images/<split>"
        }
        DataError::NamedLikeSplits { folders, .. } if folders.iter().any(|folder| ends_with_year(folder)) => {
            "if they are COCO's images: its annotations lie beside them, in annotations/instances_train2017.json; if they are \
             splits with folders of classes in them: {data.train_split=NAME}, and {data.val_split=NAME} if one validates; if \
             they are classes: {data.layout=classes}"
        }
        DataError::NamedLikeSplits { .. } => {
            "if they are splits with folders of classes in them: {data.train_split=NAME}, and {data.val_split=NAME} if one \
             validates; if a table has the labels, name its file as the data; if they are classes: {data.layout=classes}"
        }
        DataError::NamedLikeParts { layout, .. } => {
            return Some(Hint::new(format!(
                "if a table has the labels, name its file as the data; if none has, put each image into a folder of its class; \
                 if the folders are classes: {{data.layout={}}}",
                layout.name()
            )));
        }
        DataError::SeveralTables { .. } => {
            "name the file of one table as the data, or call the tables train.csv, val.csv and test.csv; to read the folders \
             as classes: {data.layout=classes}"
        }
        DataError::SplitAmongClasses { .. } => {
            "if they are splits: {data.train_split=NAME} names the training images; if they are classes: \
             {data.layout=classes}"
        }
        DataError::TooDeep { inner, .. } => {
            return Some(Hint::new(format!(
                "did you mean {}? To read the folders of the one given as classes: {{data.layout=classes}}",
                literal(inner.display())
            )));
        }
        DataError::ClassesDeeper { inner, layout: Layout::Splits, folders, .. }
            if folders.iter().any(|folder| role_of(folder).is_some()) =>
        {
            return Some(Hint::new(format!(
                "splits lie above the classes: move the images to <split>/<class>/*; if all images in {} are of one class: \
                 {{data.layout=splits}}",
                literal(inner.display())
            )));
        }
        DataError::ClassesDeeper { path, inner, folders, others, layout }
            if folders.iter().any(|folder| others.contains(folder)) =>
        {
            return Some(classes_beside(path, inner, folders, *layout));
        }
        DataError::ClassesDeeper { path, inner, layout, .. } => return Some(classes_deeper(path, inner, *layout)),
        DataError::LabelFile { path, file } => return Some(label_file(path, file)),
        DataError::FolderGone { .. } => "mount or restore what it points to, or remove the link",
        DataError::Detection { .. } => {
            "boxes are not read: put each image into a folder of its class, or write a table with the columns \
             image_path,label"
        }
        DataError::WithoutClasses { table: Some(_), .. } => {
            "if that file names the classes, write a table of it, train.csv (and val.csv, test.csv) beside the folders, with \
             the columns image_path,label and paths such as train/1.jpg; else put each image into a folder of its class, \
             <split>/<class>/*"
        }
        DataError::WithoutClasses { .. } => {
            "put each image into a folder of its class, <split>/<class>/*; if the folders beside are the classes: \
             {data.layout=classes}; images without labels are for {@predict}: move the folder elsewhere"
        }
        _ => return None,
    };
    Some(text.into())
}

/// The setting that names the split of a role.
pub(super) fn setting_of(role: Role) -> &'static str {
    match role {
        Role::Train => "data.train_split",
        Role::Validation => "data.val_split",
        Role::Test => "data.test_split",
    }
}

/// The folder that was perhaps meant, by the flag that gives it: a split is named with the folders in it.
fn classes_deeper(path: &Path, inner: &Path, layout: Layout) -> Hint {
    let (meant, given) = (literal(path.join(inner).display()), literal(path.display()));
    let settled = format!("if the folders of {given} are classes: {{data.layout={}}}", layout.name());
    let name = path.file_name().map(|split| literal(Path::new(split).join(inner).display()));
    Hint::new(match (layout, name) {
        (Layout::Splits, Some(name)) => {
            let role = path.file_name().and_then(|split| role_of(split.to_str()?)).unwrap_or(Role::Train);
            let named = format!("{{{}=NAME}}, with NAME {name}", setting_of(role));
            format!("did you mean {meant}? Name it: {named}; {settled}")
        }
        _ => format!("did you mean {meant}? I{}", &settled[1..]),
    })
}

/// What to do about a folder that holds folders named like the classes beside it: a copy of them, or another split.
fn classes_beside(path: &Path, inner: &Path, folders: &[String], layout: Layout) -> Hint {
    let (moved, given) = (literal(path.join(inner).display()), literal(path.display()));
    let role = inner.file_name().and_then(|name| role_of(name.to_str()?));
    let to = match (role, layout, path.parent()) {
        (Some(role), Layout::Splits, Some(above)) => {
            format!("if it is the {role} split, move it out of {given} into {}", literal(above.display()))
        }
        (Some(role), ..) => format!("if it is the {role} split, put the classes beside it into a folder train"),
        (None, ..) => format!("if it is a copy, move it out of {given}"),
    };
    Hint::new(format!(
        "{moved} holds folders named like the classes beside it ({}): {to}; if its images are of one class: \
         {{data.layout={}}}",
        literal(listed(folders)),
        layout.name()
    ))
}

/// How the labels of a file are read, and the folders beside it.
fn label_file(path: &Path, LabelFile { name, kind, column, folders, .. }: &LabelFile) -> Hint {
    let columns = "with the columns image_path,label, and give that file as the data";
    let labels = match (kind, column) {
        (LabelFileKind::Table, Some(column)) => format!(
            "give {} as the data, with {{data.image_column={}}} and {{data.label_column=NAME}}",
            literal(path.join(name).display()),
            literal(column)
        ),
        (LabelFileKind::Table, None) => format!(
            "give {} as the data, with {{data.image_column=NAME}} and {{data.label_column=NAME}}",
            literal(path.join(name).display())
        ),
        (LabelFileKind::Workbook, _) => {
            format!("save the workbook as CSV (in the program: save as, CSV UTF-8), {columns}")
        }
        (LabelFileKind::Text | LabelFileKind::Json, _) => format!("write a table of them, labels.csv, {columns}"),
    };
    let folders = if folders.is_empty() {
        "else put each image into a folder of its class"
    } else {
        "to read the folders as classes: {data.layout=classes}"
    };
    Hint::new(format!("to read the labels of the file, {labels}; {folders}"))
}

/// `train2017`
fn ends_with_year(folder: &str) -> bool {
    folder.len() > 4 && folder.bytes().rev().take(4).all(|byte| byte.is_ascii_digit())
}
