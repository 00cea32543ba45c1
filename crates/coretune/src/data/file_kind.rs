//! Which files in a folder are images: by their endings, else by their first bytes.

use std::fs;
use std::io::Read;
use std::path::Path;

use image::ImageFormat;

use crate::files::regular_file;

/// What a file in a folder of images is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileKind {
    /// An image that can be decoded, as far as its ending or its first bytes say.
    Image,
    /// An image in a format that is not decoded; its ending.
    NotDecoded(String),
    /// An unfinished download or a backup copy.
    Temporary,
    /// No image; its ending.
    Other(String),
}

/// Endings of images that are decoded.
const IMAGES: [&str; 20] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "mpo", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff",
    "ppm", "pgm", "pbm", "pnm", "pam",
];

/// Endings of images that are not decoded. Some of them are TIFF inside and would be taken for their thumbnail.
const NOT_DECODED: [&str; 60] = [
    "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "jpf", "jpx", "jpm", "tga", "ico", "cur", "icns", "dds", "exr",
    "hdr", "qoi", "psd", "xcf", "svg", "eps", "pdf", "pcx", "sgi", "dcm", "nii", "fits", "svs", "ndpi", "scn", "dng",
    "cr2", "cr3", "crw", "nef", "nrw", "arw", "sr2", "orf", "rw2", "raf", "pef", "srw", "3fr", "fff", "iiq", "erf",
    "mef", "mos", "kdc", "dcr", "rwl", "ptx", "srf", "gpr", "raw", "lsm", "bif", "vms",
];

/// Endings of what is being downloaded or was kept as a copy.
const TEMPORARY: [&str; 13] = [
    "part",
    "partial",
    "crdownload",
    "download",
    "filepart",
    "aria2",
    "!ut",
    "tmp",
    "temp",
    "bak",
    "orig",
    "old",
    "swp",
];

/// Formats whose first bytes no text file has by chance; TIFF last.
const BY_CONTENT: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff];

/// Names that operating systems, network storage and other programs give to what they leave behind, in lower case.
const LEFTOVERS: [&str; 29] = [
    "@trash",
    "#trash",
    "@eadir",
    "@__thumb",
    "@synoresource",
    "@tmp",
    "@sharebin",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "__macosx",
    "icon\r",
    "network trash folder",
    "temporary items",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "picasa.ini",
    "zbthumbnail.info",
    "_vti_cnf",
    "_gsdata_",
    "sync.ffs_db",
    "__pycache__",
];

/// Recycle bins of earlier systems. In lower case they are words, and names of classes of waste.
const OLD_BINS: [&str; 3] = ["RECYCLER", "RECYCLED", "Recycle Bin"];

/// Recycle bins in other spellings, in lower case, which their contents tell from classes of waste.
const BINS_BY_CONTENT: [&str; 3] = ["recycled", "recycler", "recycle bin"];

/// Whether a folder or file of this name belongs to no data set.
pub(super) fn is_leftover(name: &str) -> bool {
    // In lower case the latter is a name like others.
    if OLD_BINS.contains(&name) || name == "CVS" {
        return true;
    }
    let name = name.to_lowercase();
    let is_found_by_chkdsk = name
        .strip_prefix("found.")
        .is_some_and(|number| number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit()));
    LEFTOVERS.contains(&name.as_str())
        || is_found_by_chkdsk
        || name.starts_with("thumbs.db:")
        || name.ends_with(":zone.identifier")
        || name.ends_with("@synoeastream")
        || name.ends_with("@synoresource")
        // What offices write beside an open file, and thumbnails of cameras.
        || name.starts_with("~$")
        || Path::new(&name).extension().is_some_and(|ending| ending == "thm")
}

/// Whether a folder is a recycle bin by its name and by what systems keep in one.
pub(super) fn is_recycle_bin(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let holds = |file: &str| ["desktop.ini", "info2", "INFO2", "Desktop.ini"].contains(&file) || file.starts_with("$R");
    BINS_BY_CONTENT.contains(&name.as_str())
        && fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| holds(&entry.file_name().to_string_lossy())))
        })
}

/// Whether a file stands for one that iCloud has not downloaded: `.1.jpg.icloud` for `1.jpg`.
pub(super) fn is_in_the_cloud(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".icloud")
}

/// Whether a path ends like an image, read or not.
pub(super) fn has_ending_of_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_lowercase();
    IMAGES.contains(&ending.as_str()) || NOT_DECODED.contains(&ending.as_str())
}

/// What the file is; it is opened unless its ending is that of an image that is decoded, or of an unfinished file.
pub(super) fn kind_of(path: &Path) -> FileKind {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let dotted = || if ending.is_empty() { String::new() } else { format!(".{ending}") };
    if IMAGES.contains(&ending) {
        FileKind::Image
    } else if NOT_DECODED.contains(&ending) {
        // Raw data of cameras begins as TIFF, which would be taken for its thumbnail.
        if begins_as(path, &BY_CONTENT[..4]) { FileKind::Image } else { FileKind::NotDecoded(dotted()) }
    } else if TEMPORARY.contains(&ending) || ending.ends_with("_original") || name.ends_with('~') {
        FileKind::Temporary
    } else if begins_as(path, &BY_CONTENT) {
        FileKind::Image
    } else {
        FileKind::Other(dotted())
    }
}

fn begins_as(path: &Path, formats: &[ImageFormat]) -> bool {
    let mut bytes = Vec::new();
    let read = regular_file::open(path).and_then(|file| file.take(64).read_to_end(&mut bytes));
    read.is_ok() && image::guess_format(&bytes).is_ok_and(|format| formats.contains(&format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_known_in_any_case() {
        for name in [
            "Thumbs.db",
            "@eaDir",
            "@Trash",
            "Recycle Bin",
            "CVS",
            "1.jpg@SynoEAStream",
            "~$1.jpg",
            "MVI_0001.THM",
            "$RECYCLE.BIN",
            "RECYCLER",
            "FOUND.012",
            "_vti_cnf",
            "1.jpg:Zone.Identifier",
        ] {
            assert!(is_leftover(name), "{name}");
        }
        for name in ["found.cats", "lost", "thumbs", "recycled"] {
            assert!(!is_leftover(name), "{name}");
        }
        assert!(is_in_the_cloud(".1.jpg.icloud") && !is_in_the_cloud("1.icloud"));
    }

    #[test]
    fn an_unusual_ending_is_decided_by_the_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            kind_of(&path)
        };
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 16];
        for name in ["a.JPG", "a.jfif", "a.JPE", "a.mpo", "a", "a.jpg?size=large", "a.image", "a.xyz"] {
            assert_eq!(kind(name, &jpeg), FileKind::Image, "{name}");
        }
        assert_eq!(kind("b.HEIC", b"\0\0\0\x18ftypheic"), FileKind::NotDecoded(".heic".into()));
        assert_eq!(kind("renamed.HEIC", &jpeg), FileKind::Image);
        assert_eq!(kind("b.nef", b"II*\0"), FileKind::NotDecoded(".nef".into()), "raw data that looks like TIFF");
        assert_eq!(kind("c.jpg.part", &jpeg), FileKind::Temporary);
        assert_eq!(kind("c.jpg~", &jpeg), FileKind::Temporary);
        assert_eq!(kind("d.txt", b"BM, P5 and other words"), FileKind::Other(".txt".into()));
        assert_eq!(kind("README", b"# Images"), FileKind::Other(String::new()));
        assert_eq!(kind("e.jpg", b"<html>"), FileKind::Image, "its decoder says what it is");
    }
}
