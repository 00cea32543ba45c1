//! SHA-256 of files, and of what they unpack to.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::FetchError;

/// Bytes that a `.gz` may unpack to while it is checked: as many as the reader of idx files takes.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// SHA-256 of a file, 64 hexadecimal digits.
pub(super) fn of_file(path: &Path) -> Result<String, FetchError> {
    let file = File::open(path).map_err(FetchError::read(path))?;
    of_reader(file).map_err(FetchError::read(path))
}

/// SHA-256 of what a gzipped file unpacks to; of one that is none, an error in words.
pub(super) fn of_content(path: &Path) -> Result<String, FetchError> {
    let file = File::open(path).map_err(FetchError::read(path))?;
    of_reader(MultiGzDecoder::new(BufReader::new(file)).take(UNPACKED_LIMIT)).map_err(FetchError::read(path))
}

fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut reader, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}
