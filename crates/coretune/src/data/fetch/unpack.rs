//! A gzipped tar, unpacked so that nothing in it can reach outside or fill the disk.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{Doing, Event, FetchError, TarGz, Tell};

/// Entries of an archive; the largest of the catalogue has some 13,400.
const ENTRIES: u64 = 200_000;
/// What an archive may unpack to, per byte of its own, and a little for small ones.
const UNPACKED_PER_BYTE: u64 = 64;
const UNPACKED_ALWAYS: u64 = 64 << 20;

/// What `form` takes of `archive`, in the folder `into`, which is made.
pub(super) fn unpack(archive: &Path, form: &TarGz<'_>, into: &Path, tell: &mut Tell<'_>) -> Result<(), FetchError> {
    let file = File::open(archive).map_err(FetchError::read(archive))?;
    let total = file.metadata().map_err(FetchError::read(archive))?.len();
    let done = Cell::new(0);
    let counted = Counted { file, done: &done };
    let mut tar = Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, counted)));
    let bad = |message: String| FetchError::Unpack { archive: archive.to_path_buf(), message };
    let broken = |error: io::Error| bad(error.to_string());
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let mut room = total.saturating_mul(UNPACKED_PER_BYTE).saturating_add(UNPACKED_ALWAYS);
    fs::create_dir_all(into).map_err(FetchError::write(into))?;
    for (count, entry) in (1..).zip(tar.entries().map_err(broken)?) {
        let mut entry = entry.map_err(broken)?;
        if count > ENTRIES {
            return Err(bad(format!("it has more than {ENTRIES} entries")));
        }
        // What is skipped is unpacked too while it is read over.
        room = room
            .checked_sub(entry.size())
            .ok_or_else(|| bad("it would unpack to far more than its size allows".into()))?;
        if let Some(path) = place(&entry, form).map_err(bad)? {
            write(&mut entry, &into.join(path), broken)?;
        }
        tell(Event::Advanced { doing: Doing::Unpacking, file: &name, done: done.get(), total });
    }
    complete(form, into).map_err(bad)
}

/// Where a file of the archive goes, relative; none for what is not taken.
fn place<R: Read>(entry: &Entry<'_, R>, form: &TarGz<'_>) -> Result<Option<PathBuf>, String> {
    let path = entry.path().map_err(|error| error.to_string())?;
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            _ => return Err(format!("{} would be outside its folder", path.display())),
        }
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(None),
        other => return Err(format!("{} is not a file but of type {other:?}", path.display())),
    }
    let Ok(inside) = inside.strip_prefix(form.top) else { return Ok(None) };
    let is_hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
    let taken = inside.iter().next().is_some_and(|first| form.keep.iter().any(|keep| first == *keep));
    Ok((taken && !inside.iter().any(is_hidden)).then(|| inside.to_path_buf()))
}

/// Writes one file, which must be new.
fn write<R: Read>(
    entry: &mut Entry<'_, R>,
    path: &Path,
    broken: impl FnOnce(io::Error) -> FetchError,
) -> Result<(), FetchError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(FetchError::write(folder))?;
    }
    let mut file = File::create_new(path).map_err(FetchError::write(path))?;
    let expected = entry.size();
    let mut chunk = vec![0; 1 << 16];
    let mut written = 0;
    loop {
        // Reading and writing are kept apart, as the one speaks of the archive and the other of the disk.
        let read = match entry.read(&mut chunk) {
            Ok(read) => read,
            Err(error) => return Err(broken(error)),
        };
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, &chunk[..read]).map_err(FetchError::write(path))?;
        written += read as u64;
    }
    if written == expected {
        return Ok(());
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}

/// Everything that should be there is there.
fn complete(form: &TarGz<'_>, into: &Path) -> Result<(), String> {
    match form.keep.iter().find(|name| !into.join(name).exists()) {
        Some(name) => Err(format!("it does not contain {}/{name}", form.top)),
        None => Ok(()),
    }
}

/// A file that says how far it has been read.
struct Counted<'a> {
    file: File,
    done: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done.set(self.done.get() + read as u64);
        Ok(read)
    }
}
