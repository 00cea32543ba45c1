//! What a file may ask for, set by its own size: a few bytes must not cost gigabytes.
//!
//! | what | limit |
//! |---|---|
//! | a tensor, by its shape | the bytes of the file, unpacked |
//! | all tensors together | four times that (tied weights share a storage) |
//! | what a zip unpacks to | 64 times the file and 64 MiB |
//! | values in the pickles, copies included | 250,000, or one for 64 bytes of the file |
//! | text in the pickles, copies included | 4 MiB and twice the file |
//! | names of all objects | 1 MiB, or a quarter of the file |
//! | nesting of a pickle | 1,000 levels, on a stack that holds them |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use zip::ZipArchive;

use super::contents::TensorInfo;
use super::pickle_scan::{Allowance, scan};

/// What the limits are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    file: u64,
    /// Of a zip, what its entries unpack to; else the file.
    unpacked: u64,
}

/// Dimensions of a tensor: as torch.
pub(super) const MOST_DIMENSIONS: usize = 64;

impl Limits {
    /// The limits of a file of so many bytes that is not an archive.
    pub(super) fn of_plain(bytes: u64) -> Self {
        Limits { file: bytes, unpacked: bytes }
    }

    /// The limits of a zip.
    ///
    /// # Errors
    /// As text, when it unpacks to more than the file's size allows.
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
            if info.shape.len() > MOST_DIMENSIONS {
                return Err(format!("tensor {} has {} dimensions", clipped(name), info.shape.len()));
            }
            let elements = info.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent as u64));
            let bytes = elements.and_then(|elements| elements.checked_mul(info.element.size() as u64));
            let Some(bytes) = bytes.filter(|&bytes| bytes <= self.unpacked) else {
                let name = clipped(name);
                let shape = clipped(&format!("{:?}", info.shape));
                return Err(format!("tensor {name} of shape {shape} is larger than the file"));
            };
            total = total.saturating_add(bytes);
        }
        let most = self.unpacked.saturating_mul(4);
        if total > most {
            Err(format!("its tensors claim {total} bytes, more than the {most} that its size allows"))
        } else {
            Ok(())
        }
    }

    /// What all pickles of the file together may take.
    pub(super) fn allowance(&self) -> Allowance {
        Allowance {
            values: (self.file / 64).max(250_000),
            text: self.file.saturating_mul(2).saturating_add(4 << 20),
            names: (self.file / 4).max(1 << 20),
        }
    }
}

/// Refuses pickles, one after the other, that make more than the file's size allows.
pub(super) fn check_pickles(reader: &mut impl BufRead, count: usize, allowance: &mut Allowance) -> Result<(), String> {
    (0..count).try_for_each(|_| scan(reader, allowance).map(drop))
}

/// Refuses a zip with such a pickle, under whatever folder the reader will look for it.
pub(super) fn check_zip<R: Read + Seek>(zip: &mut ZipArchive<R>, allowance: &mut Allowance) -> Result<(), String> {
    let is_pickle = |name: &str| name.ends_with("data.pkl");
    for index in 0..zip.len() {
        if zip.by_index_raw(index).is_ok_and(|entry| entry.name().is_ok_and(|name| is_pickle(&name))) {
            let entry = zip.by_index(index).map_err(|error| error.to_string())?;
            check_pickles(&mut BufReader::new(entry), 1, allowance)?;
        }
    }
    Ok(())
}

/// A name for a message: short, without control characters.
pub(super) fn clipped(name: &str) -> String {
    const SHOWN: usize = 80;
    let plain: String = name.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().nth(SHOWN).is_some() { plain + "..." } else { plain }
}

const BLOCK: u64 = 512;

/// Refuses a tar whose entries are anything but files and folders, or longer than the file (a sparse one unpacks to any
/// size), or whose pickles make more than the file's size allows.
pub(super) fn check_tar(file: &mut File, bytes: u64, allowance: &mut Allowance) -> Result<(), String> {
    let mut at = 0;
    let mut header = [0u8; BLOCK as usize];
    while at + BLOCK <= bytes {
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut header)).map_err(|error| error.to_string())?;
        at += BLOCK;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let field =
            |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim_matches(['\0', ' ']).to_string();
        let size = u64::from_str_radix(&field(124, 136), 8).map_err(|_| "an entry has no size")?;
        if size > bytes {
            return Err(format!("one of its entries claims {size} bytes"));
        }
        let mut content = BufReader::new((&mut *file).take(size));
        match header[156] {
            0 | b'0' | b'5' | b'7' => check_table(field(0, 100).trim_start_matches("./"), &mut content, allowance)?,
            b'x' | b'g' => check_attributes(&mut content)?,
            other => return Err(format!("an entry of it is not a file (type {:?})", char::from(other))),
        }
        at += size.next_multiple_of(BLOCK);
    }
    Ok(())
}

/// Refuses attributes that give the next entry another length or name than its header, which is what is checked.
fn check_attributes(content: &mut impl Read) -> Result<(), String> {
    let mut text = Vec::new();
    content.take(1 << 16).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let says = |word: &[u8]| text.windows(word.len()).any(|bytes| bytes == word);
    let changed = text.len() == 1 << 16 || says(b"size") || says(b"path") || says(b"sparse");
    if changed { Err("an attribute changes the length or name of an entry".into()) } else { Ok(()) }
}

/// The pickles in an entry that torch reads; between them lie numbers and storages.
fn check_table(name: &str, content: &mut impl BufRead, allowance: &mut Allowance) -> Result<(), String> {
    match name {
        "sys_info" | "pickle" => check_pickles(content, 1, allowance),
        "tensors" => {
            let count = scan(content, allowance)?.int.unwrap_or_default();
            (0..count).try_for_each(|_| {
                scan(content, allowance)?;
                let (rank, _) = (number::<4>(content)?, number::<4>(content)?);
                // Sizes, strides and the offset.
                skip(content, (rank.min(64) * 2 + 1) * 8)
            })
        }
        "storages" => {
            let count = scan(content, allowance)?.int.unwrap_or_default();
            (0..count).try_for_each(|_| {
                let class = scan(content, allowance)?.class;
                let elements = number::<8>(content)?;
                skip(content, elements.saturating_mul(element_size(&class)))
            })?;
            // Views.
            check_pickles(content, 1, allowance)
        }
        _ => Ok(()),
    }
}

/// Bytes of an element of a storage class.
fn element_size(class: &str) -> u64 {
    match class {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        _ => 1,
    }
}

fn number<const N: usize>(reader: &mut impl Read) -> Result<u64, String> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes[..N]).map_err(|error| error.to_string())?;
    Ok(u64::from_le_bytes(bytes))
}

fn skip(reader: &mut impl Read, bytes: u64) -> Result<(), String> {
    let skipped = io::copy(&mut reader.take(bytes), &mut io::sink()).map_err(|error| error.to_string())?;
    if skipped == bytes { Ok(()) } else { Err("one of its tables ends too early".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::Element;

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
