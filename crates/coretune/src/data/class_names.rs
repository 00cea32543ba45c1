//! Names of classes that say something about how the data was read.

use std::collections::HashSet;

use super::role::role_of;

/// What programs and people write where a label is missing, in lower case.
const MISSING: [&str; 14] =
    ["none", "null", "nil", "nan", "n/a", "na", "<na>", "#n/a", "?", "-", "--", "undefined", "missing", "tbd"];

/// Recycle bins of several systems, in lower case; also words for waste.
const BINS: [&str; 5] = ["recycled", "recycler", "recycle bin", "trash", "trash bin"];

/// Signs between several labels in one cell.
const BETWEEN_LABELS: [char; 7] = ['|', ';', ',', '/', '+', '&', ' '];

/// A name as a sentence shows it: in quotes if blanks begin or end it, which nobody would see.
pub fn quoted(name: &str) -> String {
    if name.trim() == name && !name.is_empty() { name.into() } else { format!("{name:?}") }
}

/// The classes, if all have names of splits: perhaps splits were read as classes.
pub(super) fn named_like_splits(classes: &[String]) -> Vec<String> {
    let all_are_splits = classes.len() > 1 && classes.iter().all(|class| role_of(class).is_some());
    if all_are_splits { classes.to_vec() } else { Vec::new() }
}

/// Classes that may be something else by their names, each with what.
pub(super) fn doubtful(classes: &[String]) -> Vec<String> {
    let known: HashSet<&str> = classes.iter().map(String::as_str).collect();
    let are_parts = are_parts(classes);
    let doubt = |class: &String| {
        let lower = class.trim().to_lowercase();
        if are_parts {
            Some("a part of the images?")
        } else if MISSING.contains(&lower.as_str()) {
            Some("a missing value?")
        } else if BINS.contains(&lower.as_str()) && *class != lower {
            Some("a recycle bin?")
        } else if class.trim() != class {
            Some("a blank by mistake?")
        } else if is_list(class) {
            Some("a list of labels?")
        } else if holds_several(class, &known) {
            Some("several labels?")
        } else {
            None
        }
    };
    classes.iter().filter_map(|class| Some(format!("{} ({})", quoted(class), doubt(class)?))).collect()
}

/// Whether the names are one word for images or parts of them with numbers, as of folders over which files were spread.
pub(super) fn are_parts(classes: &[String]) -> bool {
    const PARTS: [&str; 12] =
        ["part", "image", "img", "photo", "picture", "batch", "chunk", "shard", "archive", "dcim", "canon", "disk"];
    let without_digits = |class: &String| class.to_lowercase().replace(|letter: char| letter.is_ascii_digit(), "");
    let alike: HashSet<String> = classes.iter().map(without_digits).collect();
    let is_part = |word: &str| PARTS.contains(&word.strip_suffix('s').unwrap_or(word));
    let has_part = |class: &String| class.to_lowercase().split(|letter: char| !letter.is_alphabetic()).any(is_part);
    classes.len() > 1 && alike.len() == 1 && classes.iter().all(has_part)
}

/// Whether a name is a list as programs write it: `['cat', 'dog']`.
fn is_list(class: &str) -> bool {
    let inner = |open: char, close: char| class.trim().strip_prefix(open)?.strip_suffix(close);
    let inner = inner('[', ']').or_else(|| inner('(', ')')).or_else(|| inner('{', '}'));
    inner.is_some_and(|inner| inner.contains(',') || inner.trim().starts_with(['\'', '"']))
}

/// Whether a name consists of several labels: with `|` or `;` between them, with commas beside the name of a class, or of names
/// of other classes.
fn holds_several(class: &str, known: &HashSet<&str>) -> bool {
    let parts = |sign: char| class.split(sign).map(str::trim).collect::<Vec<_>>();
    BETWEEN_LABELS.into_iter().any(|sign| {
        let parts = parts(sign);
        let all_known = || parts.iter().all(|part| known.contains(part));
        let is_between_labels = match sign {
            '|' | ';' => true,
            ',' => parts.iter().any(|part| known.contains(part)),
            _ => all_known(),
        };
        parts.len() > 1 && parts.iter().all(|part| !part.is_empty()) && is_between_labels
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_no_classes_are_told_with_the_reason() {
        let classes = ["None", "?", "cat", "cat|dog", "dog", "cat, dog", "Recycled", "hot dog", "a|", "Pepper,_bell"];
        let found = doubtful(&classes.map(String::from));
        let expected = [
            "None (a missing value?)",
            "? (a missing value?)",
            "cat|dog (several labels?)",
            "cat, dog (several labels?)",
            "Recycled (a recycle bin?)",
        ];
        assert_eq!(found, expected);
        let several = ["dog", "dog;cat", "dog,bird", "tench, Tinca tinca"].map(String::from);
        assert_eq!(doubtful(&several), ["dog;cat (several labels?)", "dog,bird (several labels?)"]);
        let lists = ["['cat', 'dog']", "['cat']", "{\"a\", \"b\"}", "[1, 2]", "(red)", "[x]"].map(String::from);
        assert_eq!(doubtful(&lists).len(), 4, "{:?}", doubtful(&lists));
        assert_eq!(doubtful(&lists)[0], "['cat', 'dog'] (a list of labels?)");
        let parts = ["images_001", "images_002"].map(String::from);
        assert_eq!(doubtful(&parts)[1], "images_002 (a part of the images?)");
        for names in [["class_1", "class_2"], ["department 1", "department 2"], ["img1", "cat"]] {
            assert!(doubtful(&names.map(String::from)).is_empty(), "{names:?}");
        }
        for names in
            [["100CANON", "101CANON"], ["HAM10000_images_part_1", "HAM10000_images_part_2"], ["Batch1", "batch2"]]
        {
            assert!(are_parts(&names.map(String::from)), "{names:?}");
        }
        assert!(doubtful(&["recycled", "paper", "trash"].map(String::from)).is_empty(), "classes of waste");
    }

    #[test]
    fn a_name_with_blanks_at_an_end_is_quoted() {
        assert_eq!(["dog", "dog ", "\u{a0}dog", ""].map(quoted), ["dog", "\"dog \"", "\"\\u{a0}dog\"", "\"\""]);
    }
}
