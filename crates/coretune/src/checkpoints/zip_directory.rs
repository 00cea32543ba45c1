//! The directory of a zip of `torch.save`, where the crate `zip` does not find its beginning.
//!
//! torch writes the record of a 64-bit zip before the end of the directory, and the crate searches for that record only if
//! the end says so. Otherwise it subtracts the length of the directory from the position of the end, which is 76 bytes too
//! far: in the middle of a header, which it notices, or at the second one, if the first header has 76 bytes. That is so if
//! the name of the file has 21 letters before its ending.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipResult;

/// Bytes of the end of the directory, and of the locator of the 64-bit record before it.
const END: i64 = 22;
const LOCATOR: i64 = 20;
/// Where the end has the position of the directory.
const POSITION: i64 = 16;

/// Opens a zip that begins where its file does.
pub(super) fn open(file: File) -> ZipResult<ZipArchive<BufReader<File>>> {
    ZipArchive::with_config(Config { archive_offset: ArchiveOffset::Known(0) }, BufReader::new(file))
}

/// A copy whose end says that there is a 64-bit record, if the crate misreads the file without; for a reader that opens
/// paths.
pub(super) fn mended_copy(path: &Path) -> io::Result<Option<NamedTempFile>> {
    let is_read = ZipArchive::new(BufReader::new(File::open(path)?)).is_ok();
    if is_read || !has_record(&mut File::open(path)?)? {
        return Ok(None);
    }
    let mut copy = NamedTempFile::new()?;
    fs::copy(path, copy.path())?;
    copy.seek(SeekFrom::End(POSITION - END))?;
    copy.write_all(&u32::MAX.to_le_bytes())?;
    Ok(Some(copy))
}

/// Whether a 64-bit record is located before an end without a comment.
fn has_record(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() < (END + LOCATOR) as u64 {
        return Ok(false);
    }
    let mut last = [0; (END + LOCATOR) as usize];
    file.seek(SeekFrom::End(-END - LOCATOR))?;
    file.read_exact(&mut last)?;
    Ok(last.starts_with(b"PK\x06\x07") && last[LOCATOR as usize..].starts_with(b"PK\x05\x06"))
}
