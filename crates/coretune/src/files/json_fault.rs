//! What is wrong with a JSON file, in plain words instead of those of its parser.

use serde_json::Error;
use serde_json::error::Category;

/// Words of the parser for the types of this program, and what a reader of JSON calls them.
const TYPES: [(&str, &str); 11] = [
    ("a string", "a text"),
    ("string ", "the text "),
    ("a sequence", "a list"),
    ("sequence", "a list"),
    ("a map", "an object"),
    ("map", "an object"),
    ("u32", "a whole number"),
    ("i64", "a whole number"),
    ("f32", "a number"),
    ("boolean ", "the value "),
    ("integer ", "the number "),
];

/// What was found instead of the JSON that was expected, with its line: `an early end in line 3`.
pub(crate) fn json_fault(error: &Error) -> String {
    let line = error.line();
    match error.classify() {
        Category::Io | Category::Eof => format!("an early end in line {line}"),
        Category::Syntax => format!("text that is not JSON in line {line}"),
        Category::Data => {
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            format!("{} in line {line}", in_words(text))
        }
    }
}

fn in_words(report: &str) -> String {
    if let Some(field) = report.strip_prefix("missing field ") {
        return format!("an object without {field}");
    }
    let kinds = ["invalid type: ", "invalid value: ", "invalid length: "];
    let pair = kinds.iter().find_map(|kind| report.strip_prefix(kind)?.split_once(", expected "));
    let Some((found, expected)) = pair else { return report.to_string() };
    let expected = if expected.starts_with("struct ") { "an object" } else { expected };
    format!("{} in the place of {}", plain(found), plain(expected))
}

fn plain(words: &str) -> String {
    let known = TYPES.iter().find(|(theirs, _)| words.starts_with(theirs));
    known.map_or_else(|| words.to_string(), |(theirs, ours)| words.replacen(theirs, ours, 1))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only parsed")]
    struct File {
        images: Vec<u32>,
    }

    #[test]
    fn faults_are_reported_without_the_words_of_the_parser() {
        for (text, expected) in [
            ("{\"images\": [1,", "an early end in line 1"),
            ("{\n\"images\": [1;2]}", "text that is not JSON in line 2"),
            ("{\"image\": []}", "an object without `images` in line 1"),
            ("{\"images\": \"x\"}", "the text \"x\" in the place of a list in line 1"),
            ("{\"images\": [\"x\"]}", "the text \"x\" in the place of a whole number in line 1"),
            ("7", "the number `7` in the place of an object in line 1"),
        ] {
            let error = serde_json::from_str::<File>(text).unwrap_err();
            assert_eq!(json_fault(&error), expected, "{error}");
        }
    }
}
