//! What a file may ask for, set by its own size: a few bytes must not cost gigabytes.
//!
//! | what | limit |
//! |---|---|
//! | a tensor, by its shape | the bytes of the file, unpacked |
//! | all tensors together | four times that (tied weights share a storage) |
//! | what a zip unpacks to | 64 times the file and 64 MiB |
//! | values in a pickle | 250,000, or one for 64 bytes of the file |
//! | names of all objects | 1 MiB, or a quarter of the file |
//! | nesting of a pickle | 1,000 levels, on a stack that holds them |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use zip::ZipArchive;

use super::TensorInfo;

/// What the limits are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    file: u64,
    /// Of a zip, what its entries unpack to; else the file.
    unpacked: u64,
}

/// The largest pickle that is looked at: as the crate that reads it.
const LARGEST_PICKLE: u64 = 100 << 20;

impl Limits {
    /// Those of a file of so many bytes that is no archive.
    pub(super) fn of_plain(bytes: u64) -> Self {
        Limits { file: bytes, unpacked: bytes }
    }

    /// Those of a zip.
    ///
    /// # Errors
    /// In words, when it unpacks to more than the file's size allows.
    pub(super) fn of_zip<R: Read + Seek>(bytes: u64, zip: &mut ZipArchive<R>) -> Result<Self, String> {
        let mut unpacked = 0u64;
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(|error| error.to_string())?;
            unpacked = unpacked.saturating_add(entry.size());
        }
        let most = bytes.saturating_mul(64).saturating_add(64 << 20);
        if unpacked > most {
            return Err(format!("{bytes} bytes would unpack to {unpacked}"));
        }
        Ok(Limits { file: bytes, unpacked: unpacked.max(bytes) })
    }

    /// Refuses tensors that claim more bytes than there are.
    pub(super) fn check_tensors(&self, tensors: &BTreeMap<String, TensorInfo>) -> Result<(), String> {
        let mut total = 0u64;
        for (name, info) in tensors {
            let elements = info.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent as u64));
            let bytes = elements.and_then(|elements| elements.checked_mul(info.element.size() as u64));
            let Some(bytes) = bytes.filter(|&bytes| bytes <= self.unpacked) else {
                let name = clipped(name);
                return Err(format!("tensor {name} of shape {:?} is larger than the file", info.shape));
            };
            total = total.saturating_add(bytes);
        }
        let most = self.unpacked.saturating_mul(4);
        if total > most { Err(format!("its tensors claim {total} bytes, {most} at most can be true")) } else { Ok(()) }
    }

    /// Refuses a pickle that makes more values than the file's size allows.
    pub(super) fn check_pickle(&self, pickle: &[u8]) -> Result<(), String> {
        let most = (self.file / 64).max(250_000);
        let values = operations(pickle, most);
        if values > most { Err(format!("its pickle makes more than {most} values")) } else { Ok(()) }
    }

    /// Refuses names that together are longer than the file's size allows.
    pub(super) fn check_names(&self, bytes: u64) -> Result<(), String> {
        let most = (self.file / 4).max(1 << 20);
        if bytes > most { Err(format!("the names of its objects take {bytes} bytes")) } else { Ok(()) }
    }
}

/// A name for a message: short, without control characters.
pub(super) fn clipped(name: &str) -> String {
    const SHOWN: usize = 80;
    let plain: String = name.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().nth(SHOWN).is_some() { plain + "..." } else { plain }
}

/// The start of a file in which the pickle of a legacy stream, or of a bare pickle, lies.
pub(super) fn leading_pickle(file: &mut File) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_PICKLE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Number of operations of the pickles that begin here, one after the other; counting ends above `most`, at the end, and
/// at what is no operation (the storages of a legacy file, or damage, which the reader will report).
fn operations(pickle: &[u8], most: u64) -> u64 {
    let (mut at, mut count) = (0, 0);
    while count <= most {
        match operation_length(&pickle[at..]) {
            Some(length) if at + length <= pickle.len() => at += length,
            _ => break,
        }
        count += 1;
    }
    count
}

/// Bytes of the operation at the start, its argument included; none where it is no operation or is cut off.
fn operation_length(bytes: &[u8]) -> Option<usize> {
    let little_endian = |width: usize| -> Option<usize> {
        let mut value = [0; 8];
        value[..width].copy_from_slice(bytes.get(1..=width)?);
        usize::try_from(u64::from_le_bytes(value)).ok()
    };
    let counted = |width: usize| little_endian(width)?.checked_add(1 + width);
    let lines = |count: usize| {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(place, _)| place + 1).nth(count - 1)
    };
    match bytes.first()? {
        b'('
        | b'.'
        | b'0'
        | b'1'
        | b'2'
        | b'N'
        | b'R'
        | b'Q'
        | b'a'
        | b'b'
        | b'd'
        | b'e'
        | b's'
        | b'u'
        | b't'
        | b'l'
        | b'o'
        | b'}'
        | b']'
        | b')'
        | 0x81
        | 0x85..=0x89
        | 0x8f..=0x94
        | 0x97
        | 0x98 => Some(1),
        b'K' | b'h' | b'q' | 0x80 | 0x82 => Some(2),
        b'M' | 0x83 => Some(3),
        b'J' | b'j' | b'r' | 0x84 => Some(5),
        b'G' | 0x95 => Some(9),
        b'U' | b'C' | 0x8a | 0x8c => counted(1),
        b'T' | b'X' | b'B' | 0x8b => counted(4),
        0x8d | 0x8e | 0x96 => counted(8),
        b'I' | b'L' | b'F' | b'S' | b'V' | b'p' | b'g' | b'P' => lines(1),
        b'c' | b'i' => lines(2),
        _ => None,
    }
}

/// Refuses a tar whose entries are anything but files and folders, or longer than the file (a sparse one unpacks to any
/// size).
pub(super) fn check_tar(file: &mut File, bytes: u64) -> Result<(), String> {
    const BLOCK: u64 = 512;
    let mut at = 0;
    let mut header = [0u8; BLOCK as usize];
    while at + BLOCK <= bytes {
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut header)).map_err(|error| error.to_string())?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        if !matches!(header[156], 0 | b'0' | b'5' | b'7' | b'L' | b'K' | b'x' | b'g') {
            return Err(format!("an entry of it is no file (type {:?})", char::from(header[156])));
        }
        let size = String::from_utf8_lossy(&header[124..136]);
        let size = u64::from_str_radix(size.trim_matches(['\0', ' ']), 8).map_err(|_| "an entry has no size")?;
        if size > bytes {
            return Err(format!("an entry of it claims {size} bytes"));
        }
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::Element;

    #[test]
    fn operations_are_counted_with_their_arguments() {
        // Protocol, frame, a dictionary with one string of three bytes, stop; then bytes that are none.
        let pickle = b"\x80\x04\x95\x0c\0\0\0\0\0\0\0}\x8c\x03abcK\x07s.\xff\xff";
        assert_eq!(operations(pickle, 100), 7);
        assert_eq!(operations(b"cos\nsystem\n(S'x'\ntR.", 100), 6);
        assert_eq!(operations(b"X\xff\xff\xff\xffabc", 100), 0);
        let many = Limits::of_plain(1000);
        assert!(many.check_pickle(&vec![b'N'; 200_000]).is_ok() && many.check_pickle(&vec![b'N'; 300_000]).is_err());
    }

    #[test]
    fn tensors_must_fit_into_the_file_one_by_one_and_together() {
        let info = |shape: &[i64]| TensorInfo { element: Element::Float32, shape: shape.to_vec() };
        let limits = Limits::of_plain(400);
        let check = |tensors: &[(&str, TensorInfo)]| {
            limits.check_tensors(&tensors.iter().map(|(name, info)| ((*name).to_string(), info.clone())).collect())
        };
        assert!(check(&[("a", info(&[10, 10]))]).is_ok());
        assert!(check(&[("a", info(&[10, 11]))]).is_err());
        assert!(check(&[("a", info(&[i64::MAX, 4, 4]))]).is_err());
        let tied = ["a", "b", "c", "d", "e"].map(|name| (name, info(&[100])));
        assert!(check(&tied[..4]).is_ok() && check(&tied).is_err());
    }

    #[test]
    fn names_in_messages_are_short_and_plain() {
        assert_eq!(clipped("layer1.0\u{1b}[31m"), "layer1.0?[31m");
        assert_eq!(clipped(&"x".repeat(200)).len(), 83);
    }
}
