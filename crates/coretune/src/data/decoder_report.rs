//! What decoders report of a file, as a sentence about it.

/// Of PNG and TIFF.
pub(super) const WRONG_CHECKSUM: &str = "it is damaged: a checksum does not fit its data";
pub(super) const ENDS_EARLY: &str = "it ends early";
const DAMAGED: &str = "it is damaged";

/// Words with which decoders report that a file ends early, in lower case.
const ENDS: [&str; 7] =
    ["unexpected end", "eof", "insufficient", "truncated", "not enough", "failed to fill", "exhausted data"];

/// A sentence with no more of the report than the part that comes last.
pub(super) fn in_words(report: &str) -> String {
    let report = report.trim().trim_matches('"').trim_end_matches('.');
    let lower = report.to_lowercase();
    if lower.contains("crc error") {
        WRONG_CHECKSUM.into()
    } else if ENDS.iter().any(|words| lower.contains(words)) {
        ENDS_EARLY.into()
    } else {
        let detail = report.rsplit(": ").next().unwrap_or(report).trim_matches(['"', '\'']);
        format!("{DAMAGED} ({detail})")
    }
}

/// The same of the headers of the file.
pub(super) fn of_headers(sentence: &str) -> String {
    match sentence.strip_prefix(DAMAGED) {
        Some(detail) => format!("its headers are damaged{detail}"),
        None if sentence == ENDS_EARLY => "its headers end early".into(),
        None => sentence.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_become_sentences() {
        for (report, sentence) in [
            ("Format error decoding Png: Unexpected end of data within a chunk.", ENDS_EARLY),
            ("I/O errors Not enough bytes, expected 1 but found 0", ENDS_EARLY),
            ("CRC error: expected 0x1 have 0x2 while decoding ChunkType", WRONG_CHECKSUM),
            ("Format error decoding Png: Invalid bit depth (3)", "it is damaged (Invalid bit depth (3))"),
            ("\"No more bytes\"\n", "it is damaged (No more bytes)"),
        ] {
            assert_eq!(in_words(report), sentence);
        }
        assert_eq!(of_headers(ENDS_EARLY), "its headers end early");
        assert_eq!(of_headers("it is damaged (x)"), "its headers are damaged (x)");
        assert_eq!(of_headers("it is empty"), "it is empty");
    }
}
