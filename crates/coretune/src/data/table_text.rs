//! The text of a table, whatever program wrote it: UTF-8, or UTF-16 with its byte order mark.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::string::FromUtf8Error;

use super::DataError;
use crate::files::{Content, content_of, regular_file};

/// Bytes that a table may have.
const LARGEST_FILE: u64 = 1 << 30;

/// What is said of a file without text.
pub(super) const EMPTY: &str = "it is empty";

pub(super) fn text_of(path: &Path) -> Result<String, DataError> {
    let file = regular_file::open(path).map_err(DataError::read(path))?;
    let length = file.metadata().map_err(DataError::read(path))?.len();
    if length > LARGEST_FILE {
        let found = format!("{length} bytes");
        return Err(DataError::malformed(path, format!("a table of at most {LARGEST_FILE} bytes"), found));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(DataError::read(path))?;
    if bytes.trim_ascii().is_empty() {
        return Err(DataError::NotATable { path: path.into(), found: EMPTY.into() });
    }
    decoded(bytes).map_err(|found| match found {
        NotText::Encoding(found) => DataError::TableEncoding { path: path.into(), found },
        NotText::Content(found) => DataError::NotATable { path: path.into(), found },
    })
}

/// The text without blanks between a separator, or the beginning of a line, and the quote behind them: to CSV such a quote would
/// be a part of the value.
pub(super) fn without_blanks_before_quotes(text: &str, separator: char) -> Cow<'_, str> {
    if !text.contains(" \"") {
        return Cow::Borrowed(text);
    }
    let (mut plain, mut is_quoted, mut begins, mut was_closed) =
        (String::with_capacity(text.len()), false, true, false);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let behind = rest.trim_start_matches(' ');
        if !is_quoted && begins && letter == ' ' && behind.starts_with('"') {
            rest = behind;
            continue;
        }
        let is_quote = letter == '"';
        (is_quoted, was_closed) =
            if is_quoted { (!is_quote, is_quote) } else { (is_quote && (begins || was_closed), false) };
        begins = !is_quoted && (letter == separator || letter == '\n' || letter == '\r');
        plain.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    Cow::Owned(plain)
}

/// Why bytes are not the text of a table.
#[derive(Debug, PartialEq, Eq)]
enum NotText {
    /// They are in another encoding.
    Encoding(String),
    /// They are no text.
    Content(String),
}

fn decoded(bytes: Vec<u8>) -> Result<String, NotText> {
    match bytes[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err(NotText::Encoding("it is in UTF-32".into())),
        [0xff, 0xfe, ref text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, ref text @ ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => utf8(bytes).map(|text| text.trim_start_matches('\u{feff}').to_string()),
        _ => utf8(bytes),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NotText> {
    let (pairs, rest) = bytes.as_chunks();
    let units = pairs.iter().map(|&pair| unit(pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty()).ok_or_else(|| NotText::Encoding("it begins as UTF-16 and is damaged".into()))
}

fn utf8(bytes: Vec<u8>) -> Result<String, NotText> {
    let head = &bytes[..bytes.len().min(512)];
    if head.contains(&0) {
        return Err(with_zeros(head));
    }
    String::from_utf8(bytes).map_err(|error| {
        let name = |content: Content| NotText::Content(format!("it is {}", content.name));
        content_of(error.as_bytes()).map_or_else(|| not_utf8(&error), name)
    })
}

/// The line where text stops being UTF-8.
fn not_utf8(error: &FromUtf8Error) -> NotText {
    let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
    let line = 1 + before.filter(|&&byte| byte == b'\n').count();
    NotText::Encoding(format!("line {line} has bytes that are not UTF-8"))
}

/// What bytes are among which there are zeros: no text in UTF-8 has them.
fn with_zeros(head: &[u8]) -> NotText {
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|&&byte| byte == 0).count();
    match (content_of(head), zeros(0), zeros(1)) {
        (Some(content), ..) => NotText::Content(format!("it is {}", content.name)),
        (None, even, odd) if 8 * even.max(odd) > 3 * head.len() && 16 * even.min(odd) <= head.len() => {
            NotText::Encoding("it looks like UTF-16 without its byte order mark".into())
        }
        _ => NotText::Content("it is not text".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16_bytes(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn text_is_read_in_utf_8_and_in_utf_16_with_its_mark() {
        let text = "image_path,label\nä.png,Bär\n";
        let marked = format!("\u{feff}{text}");
        assert_eq!(decoded(text.as_bytes().to_vec()).unwrap(), text);
        assert_eq!(decoded(marked.as_bytes().to_vec()).unwrap(), text);
        assert_eq!(decoded(utf16_bytes(&marked, u16::to_le_bytes)).unwrap(), text);
        assert_eq!(decoded(utf16_bytes(&marked, u16::to_be_bytes)).unwrap(), text);
    }

    #[test]
    fn blanks_before_quotes_go_and_all_others_stay() {
        let plain = |text: &str| without_blanks_before_quotes(text, ',').into_owned();
        assert_eq!(plain("\"a\", \"b, \"\"c\"\"\",  \"d\"\n \"e\", f g"), "\"a\",\"b, \"\"c\"\"\",\"d\"\n\"e\", f g");
        for text in ["a, b\n", "5 \"inch\", x", "\"he, \"\"hi\"\"\",1", "\"two\n \"\"lines\"\"\""] {
            assert_eq!(plain(text), text);
        }
        assert_eq!(without_blanks_before_quotes("a; \"b\"", ';'), "a;\"b\"");
    }

    #[test]
    fn other_encodings_are_named() {
        let found = |bytes: &[u8]| match decoded(bytes.to_vec()).unwrap_err() {
            NotText::Encoding(found) | NotText::Content(found) => found,
        };
        let text = "image_path,label\na.png,cat\n";
        assert!(found(&utf16_bytes(text, u16::to_le_bytes)).contains("without its byte order mark"));
        assert!(found(&utf16_bytes(text, u16::to_be_bytes)).contains("without its byte order mark"));
        let mut cut = utf16_bytes("\u{feff}a,b", u16::to_le_bytes);
        cut.pop();
        assert!(found(&cut).contains("damaged"));
        assert!(found(b"\xff\xfe\0\0a\0\0\0").contains("UTF-32"));
        assert_eq!(found(b"image_path,label\na.png,cat\nb.png,B\xe4r\n"), "line 3 has bytes that are not UTF-8");
        assert_eq!(found(b"\xff\xd8\xff\xe0\0\x10JFIF"), "it is a JPEG image");
        assert_eq!(found(&[7, 0, 9, 1, 200, 0, 3, 0, 0, 0]), "it is not text");
    }
}
