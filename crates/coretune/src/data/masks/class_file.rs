//! Files that say the names of the classes of masks and, perhaps, their colours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::table_text::{EMPTY, text_of};

/// A class as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedClass {
    pub(super) name: String,
    pub(super) color: Option<[u8; 3]>,
}

/// The names that the file may have, in the order in which they are searched.
const NAMES: [&str; 6] =
    ["classes.txt", "classes.csv", "class_dict.csv", "labelmap.txt", "label_colors.txt", "class_names.txt"];

/// What the file holds.
const EXPECTED: &str = "a line for each class";

/// The file of classes in a folder, if it has one.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Reads a line for each class, in the order of their numbers: `name`, `name,r,g,b`, `name r g b`, `r g b name`, or
/// `name:r,g,b:parts:actions`. Lines that begin with `#` and a header are left out.
///
/// # Errors
/// [`DataError::Line`] for an invalid colour, and for names and colours that occur twice; [`DataError::Malformed`]
/// without classes, or when only some have colours; [`DataError::ClassFile`] in an encoding that is not read.
pub(super) fn read(path: &Path) -> Result<Vec<NamedClass>, DataError> {
    let text = text_of(path).map_err(|error| match error {
        DataError::NotATable { path, found } if found == EMPTY => DataError::malformed(&path, EXPECTED, "none"),
        DataError::NotATable { path, found } | DataError::TableEncoding { path, found } => {
            DataError::ClassFile { path, found }
        }
        error => error,
    })?;
    let (mut classes, mut lines) = (Vec::new(), HashMap::new());
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') || (classes.is_empty() && is_header(content)) {
            continue;
        }
        let refused = |expected: &str, found: String| DataError::Line {
            path: path.to_path_buf(),
            line,
            expected: expected.into(),
            found,
        };
        let class = parse(content)
            .ok_or_else(|| refused("a name, or a name and red, green, blue from 0 to 255", format!("`{content}`")))?;
        let keys = [Some(class.name.clone()), class.color.map(|color| format!("the colour {color:?}"))];
        for key in keys.into_iter().flatten() {
            if let Some(first) = lines.insert(key.clone(), line) {
                return Err(refused("every class once", format!("{key}, which line {first} has")));
            }
        }
        classes.push(class);
    }
    let colored = classes.iter().filter(|class| class.color.is_some()).count();
    match (classes.len(), colored) {
        (0, _) => Err(DataError::malformed(path, EXPECTED, "none")),
        (all, some) if some != 0 && some != all => {
            Err(DataError::malformed(path, "colours for all classes or for none", format!("{some} of {all}")))
        }
        _ => Ok(classes),
    }
}

fn is_header(line: &str) -> bool {
    let mut words = line.split([',', '\t', ';']).map(|word| word.trim().to_lowercase());
    let first = words.next().unwrap_or_default();
    ["name", "class", "label", "class_name"].contains(&first.as_str())
        && words.next().is_some_and(|second| second.parse::<u8>().is_err())
}

/// A class from its line; `None` if numbers beside the name are no colour.
fn parse(line: &str) -> Option<NamedClass> {
    if let Some((name, rest)) = line.split_once(':') {
        let color = rest.split(':').next().unwrap_or_default();
        return with_color(name, &color.split(',').collect::<Vec<_>>());
    }
    let separator: &[char] = if line.contains(';') {
        &[';']
    } else if line.contains(',') {
        &[',']
    } else {
        &[]
    };
    if !separator.is_empty() {
        let mut fields = line.split(separator);
        let name = fields.next().unwrap_or_default();
        return with_color(name, &fields.collect::<Vec<_>>());
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_number = |word: &&str| word.parse::<u16>().is_ok();
    match &words[..] {
        [name @ .., r, g, b] | [r, g, b, name @ ..] if !name.is_empty() && [r, g, b].into_iter().all(is_number) => {
            with_color(&name.join(" "), &[r, g, b])
        }
        _ => with_color(&words.join(" "), &[]),
    }
}

fn with_color(name: &str, numbers: &[&str]) -> Option<NamedClass> {
    let name = name.trim().trim_matches('"').to_string();
    let numbers: Vec<&str> = numbers.iter().map(|number| number.trim()).collect();
    let color = match numbers[..] {
        _ if numbers.iter().all(|number| number.is_empty()) => None,
        [r, g, b] => Some([r.parse().ok()?, g.parse().ok()?, b.parse().ok()?]),
        _ => return None,
    };
    (!name.is_empty()).then_some(NamedClass { name, color })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Classes = Vec<(String, Option<[u8; 3]>)>;

    fn read_text(text: &str) -> Result<Classes, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.txt");
        std::fs::write(&path, text).unwrap();
        let classes = read(&path).map_err(|error| error.to_string())?;
        Ok(classes.into_iter().map(|class| (class.name, class.color)).collect())
    }

    #[test]
    fn the_usual_forms_are_read() {
        let two = |color| Ok(vec![("sky".to_string(), color), ("traffic light".to_string(), Some([1, 2, 255]))]);
        let with = |text| assert_eq!(read_text(text), two(Some([0, 0, 0])), "{text}");
        with("name,r,g,b\nsky,0,0,0\ntraffic light,1,2,255\n");
        with("\u{feff}sky 0 0 0\r\ntraffic light 1 2 255\r\n");
        with("0 0 0\tsky\n1 2 255\ttraffic light\n");
        with("# label:color_rgb:parts:actions\nsky:0,0,0::\ntraffic light:1,2,255::\n");
        with("sky;0;0;0\ntraffic light;1;2;255");
        let names = vec![("sky".to_string(), None), ("traffic light".to_string(), None)];
        assert_eq!(read_text("sky\ntraffic light\n"), Ok(names));
    }

    #[test]
    fn other_encodings_are_read_or_refused_as_in_tables() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.txt");
        let utf16: Vec<u8> = "\u{feff}Himmel\r\nStraße\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        std::fs::write(&path, utf16).unwrap();
        let names: Vec<String> = read(&path).unwrap().into_iter().map(|class| class.name).collect();
        assert_eq!(names, ["Himmel", "Straße"]);
        std::fs::write(&path, b"Himmel\nStra\xdfe\n").unwrap();
        let refused = read(&path).unwrap_err().to_string();
        assert!(
            refused.ends_with("classes.txt is not text in UTF-8: line 2 has bytes that are not UTF-8"),
            "{refused}"
        );
        std::fs::write(&path, b"\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("expected a line for each class"));
    }

    #[test]
    fn what_is_no_class_is_refused_with_its_line() {
        let refused = |text: &str| read_text(text).unwrap_err();
        assert!(refused("sky,0,0,0\ncar,1,2\n").contains("line 2: found `car,1,2`"));
        assert!(refused("sky,0,0,256\n").contains("line 1"));
        assert!(refused("sky\ncar\nsky\n").contains("line 3: found sky, which line 1 has"));
        assert!(refused("sky,1,1,1\ncar,1,1,1\n").contains("the colour [1, 1, 1], which line 1 has"));
        assert!(refused("sky,1,1,1\ncar\n").contains("1 of 2"));
        assert!(refused("\n# nothing\n").contains("found none"));
    }
}
