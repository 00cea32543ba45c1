//! Files in memory without a copy.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The bytes of a file, which the system reads when they are used and which all processes that map the file share.
///
/// The file must not be changed while it is mapped: replace it as a whole, under its name. If it is cut off, the process ends
/// where it reads what is missing.
///
/// # Errors
/// What the system reports.
pub fn map_file(file: &File) -> io::Result<Mmap> {
    #[expect(unsafe_code, reason = "another program could change the file, of which the compiler knows nothing")]
    // SAFETY: the map is private and for reading, and nothing of this program writes to a file under its own name: files are
    // written beside it and renamed. Every reader takes the bytes as those of a stranger, so that a change by another program
    // gives other values or an error.
    unsafe {
        Mmap::map(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_mapped_file_outlives_its_name() {
        let path = std::env::temp_dir().join(format!("coretune-mapped-{}", std::process::id()));
        File::create(&path).unwrap().write_all(b"twelve bytes").unwrap();
        let mapped = map_file(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&mapped[..], b"twelve bytes");
    }
}
