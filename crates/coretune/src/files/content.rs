//! What a file is by its first bytes, where it is not what its name or its place promises.

/// Something that files turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    /// With its article: `a web page`.
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An image that another program has to convert.
    ImageNotRead,
    /// What a download or a copy leaves where data should be.
    Placeholder,
    Other,
}

const fn image(name: &'static str) -> Content {
    Content { name, kind: Kind::ImageNotRead }
}

const fn placeholder(name: &'static str) -> Content {
    Content { name, kind: Kind::Placeholder }
}

const fn other(name: &'static str) -> Content {
    Content { name, kind: Kind::Other }
}

/// First bytes, and what begins with them.
const SIGNATURES: &[(&[u8], Content)] = &[
    (b"\xff\x0a", image("a JPEG XL image")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", image("a JPEG XL image")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", image("a JPEG 2000 image")),
    (b"\xff\x4f\xff\x51", image("a JPEG 2000 image")),
    (b"II\xbc", image("a JPEG XR image")),
    (b"8BPS", image("a Photoshop document")),
    (b"gimp xcf ", image("a GIMP image")),
    (b"qoif", image("a QOI image")),
    (b"\x76\x2f\x31\x01", image("an OpenEXR image")),
    (b"#?RADIANCE", image("a Radiance HDR image")),
    (b"#?RGBE", image("a Radiance HDR image")),
    (b"DDS ", image("a DirectDraw surface")),
    (b"\0\0\x01\0", image("an icon (ICO)")),
    (b"icns", image("an icon (ICNS)")),
    (b"SIMPLE  =", image("a FITS image")),
    (b"%PDF-", image("a PDF document")),
    (b"%!PS", image("a PostScript document")),
    (b"\xff\xd8\xff", other("a JPEG image")),
    (b"\x89PNG\r\n\x1a\n", other("a PNG image")),
    (b"GIF8", other("a GIF image")),
    (b"II*\0", other("a TIFF image")),
    (b"MM\0*", other("a TIFF image")),
    (b"\x1f\x8b", other("compressed with gzip; unpack it first")),
    (b"BZh", other("compressed with bzip2; unpack it first")),
    (b"\xfd7zXZ\0", other("compressed with xz; unpack it first")),
    (b"\x28\xb5\x2f\xfd", other("compressed with zstd; unpack it first")),
    (b"7z\xbc\xaf\x27\x1c", other("a 7z archive; unpack it first")),
    (b"Rar!", other("a RAR archive; unpack it first")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", other("an Office document, such as an Excel workbook")),
    (b"PAR1", other("a parquet file")),
    (b"ARROW1", other("an Arrow file")),
    (b"SQLite format 3\0", other("an SQLite database")),
    (b"\x89HDF\r\n\x1a\n", other("an HDF5 file, as Keras writes")),
    (b"\x93NUMPY", other("an array of NumPy (.npy)")),
    (b"GGUF", other("a GGUF file of a quantised language model")),
    (b"\0\x05\x16\x07", other("metadata of macOS (a file named ._*)")),
    (b"\x1a\x45\xdf\xa3", other("a video")),
];

/// First characters of a text, in lower case, and what begins with them.
const BEGINNINGS: &[(&str, Content)] = &[
    ("<!doctype html", placeholder("a web page")),
    ("<html", placeholder("a web page")),
    ("<head", placeholder("a web page")),
    ("<body", placeholder("a web page")),
    ("<script", placeholder("a web page")),
    ("<!doctype svg", image("an SVG drawing")),
    ("<svg", image("an SVG drawing")),
    ("<!doctype", placeholder("a web page")),
    (
        "version https://git-lfs",
        placeholder("a Git LFS pointer, not the file it points to (`git lfs pull` fetches that)"),
    ),
    (
        "version https://hawser",
        placeholder("a Git LFS pointer, not the file it points to (`git lfs pull` fetches that)"),
    ),
    ("/annex/objects/", placeholder("a git-annex pointer, not the file it points to (`git annex get` fetches that)")),
    ("outs:\n", placeholder("a DVC pointer, not the file it points to (`dvc pull` fetches that)")),
    ("<?xml", placeholder("an XML document")),
    ("{\\rtf", other("an RTF document")),
    ("{", other("JSON, such as a configuration or an error message")),
];

/// What begins with these bytes, if it is known. At least 256 bytes should be given, or the whole file.
pub(crate) fn content_of(head: &[u8]) -> Option<Content> {
    let by_signature = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature));
    by_signature.map(|(_, content)| *content).or_else(|| in_container(head)).or_else(|| text(head)).or_else(|| {
        (head.len() >= 16 && head.iter().all(|&byte| byte == 0)).then_some(placeholder("filled with zeros"))
    })
}

/// What follows the frame that several formats share.
fn in_container(head: &[u8]) -> Option<Content> {
    let at = |from: usize, to: usize| head.get(from..to).unwrap_or_default();
    if head.starts_with(b"RIFF") {
        return match at(8, 12) {
            b"WEBP" => Some(other("a WebP image")),
            b"AVI " => Some(other("a video")),
            _ => None,
        };
    }
    if head.starts_with(b"PK\x03\x04") {
        let is_workbook = head.windows(3).any(|bytes| bytes == b"xl/") || at(30, 49) == b"[Content_Types].xml";
        let is_of_arrays = head.windows(4).any(|bytes| bytes == b".npy");
        return Some(other(match (is_workbook, is_of_arrays) {
            (true, _) => "an Excel workbook",
            (_, true) => "an archive of NumPy arrays (.npz)",
            _ => "a zip archive; unpack it first",
        }));
    }
    if at(4, 8) == b"ftyp" {
        let length = head.first_chunk::<4>().map_or(0, |&length| u32::from_be_bytes(length) as usize);
        let brands = at(8, length.clamp(12, head.len().max(12)));
        let has = |wanted: &[&[u8]]| brands.chunks(4).any(|brand| wanted.contains(&brand));
        return if has(&[b"avif", b"avis"]) {
            Some(image("an AVIF image"))
        } else if has(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"]) {
            Some(image("a HEIC image"))
        } else if has(&[b"crx "]) {
            Some(image("a raw image of a camera (CR3)"))
        } else {
            has(&[b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V ", b"3gp4", b"3gp5"])
                .then_some(other("a video"))
        };
    }
    (at(128, 132) == b"DICM").then_some(image("a DICOM image"))
}

fn text(head: &[u8]) -> Option<Content> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}').to_lowercase();
    let mut rest = text.as_str();
    // Comments stand before the first element of some pages.
    while let Some((_, after)) = rest.strip_prefix("<!--").and_then(|comment| comment.split_once("-->")) {
        rest = after.trim_start();
    }
    if let Some((_, after)) = rest.strip_prefix("<?xml").and_then(|prolog| prolog.split_once("?>")) {
        let inner = text_of_xml(after.trim_start());
        return Some(inner.unwrap_or(placeholder("an XML document")));
    }
    BEGINNINGS.iter().find(|(beginning, _)| rest.starts_with(beginning)).map(|(_, content)| *content)
}

/// What the first element of an XML document says.
fn text_of_xml(rest: &str) -> Option<Content> {
    if rest.starts_with("<error") {
        return Some(placeholder("an error message of a server, in XML"));
    }
    // Other declarations and comments may stand before the drawing.
    if rest.contains("<svg") {
        return Some(image("an SVG drawing"));
    }
    BEGINNINGS.iter().find(|(beginning, _)| rest.starts_with(beginning)).map(|(_, content)| *content)
}

impl Content {
    /// Whether it is what a download or a copy leaves where data should be, and data in no format.
    pub(crate) fn is_placeholder(self) -> bool {
        self.kind == Kind::Placeholder
    }

    /// As a sentence about a file that should be an image: `it is a HEIC image: convert it to JPEG or PNG`.
    pub(crate) fn instead_of_image(self) -> String {
        let advice = if self.kind == Kind::ImageNotRead { ": convert it to JPEG or PNG" } else { "" };
        format!("it is {}{advice}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_their_first_bytes_say() {
        for (head, name) in [
            (&b"<!DOCTYPE html><html>"[..], "a web page"),
            (b"\xef\xbb\xbf\r\n <HTML lang=en>", "a web page"),
            (b"<!-- saved from -->\n<html>", "a web page"),
            (b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC", "a web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "an error message of a server, in XML"),
            (b"<?xml version=\"1.0\"?><!-- x --><svg width=\"1\">", "an SVG drawing"),
            (b"<?xml version=\"1.0\"?><annotation>", "an XML document"),
            (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "an AVIF image"),
            (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP image"),
            (b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0[Content_Types].xml", "an Excel workbook"),
            (
                b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0images.npy",
                "an archive of NumPy arrays (.npz)",
            ),
            (&[0; 32], "filled with zeros"),
        ] {
            assert_eq!(content_of(head).map(|content| content.name), Some(name), "{head:?}");
        }
        let pointer = content_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n").unwrap();
        assert!(pointer.instead_of_image().starts_with("it is a Git LFS pointer, not the file"));
        assert_eq!(
            content_of(b"\xff\x0a\0\0").unwrap().instead_of_image(),
            "it is a JPEG XL image: convert it to JPEG or PNG"
        );
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        for head in [&b""[..], b"image_path,label\na.png,cat\n", b"\0\0", b"some words", b"\0\0\0\x1cftypxxxx"] {
            assert_eq!(content_of(head), None, "{head:?}");
        }
    }
}
