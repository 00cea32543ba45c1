//! Public data sets, fetched from where their authors keep them, into a folder that [`super::Dataset::open`] takes.
//!
//! ```text
//! catalogue   name -> files: addresses, length, pinned SHA-256
//! download    FILE.partial, from where an earlier attempt ended -> verified -> FILE
//! debian      the same files from an installed package, or from `apt-get download`
//! unpack      what is wanted of an archive -> .unpacking -> recorded -> moved into place
//! ```
//!
//! Nothing that a user put into the folder is ever removed or written over.

pub mod catalogue;
mod debian;
mod digest;
mod download;
mod error;
mod event;
mod record;
mod unpack;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

pub use catalogue::{CATALOGUE, DataSet, DebianPackage, Form, RemoteFile, TarGz};
pub use error::{FetchError, Missing, Tried};
pub use event::{Doing, Event, Tell};

use self::download::Client;
use self::record::Record;
use super::folder::names_in;
use super::listed::listed;
use crate::files::user_cache;

/// A data set that now lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The folder, for [`super::Dataset::open`].
    pub folder: PathBuf,
    /// Whether all of it lay there before, and was only verified.
    pub was_there: bool,
}

/// The folder in the user's cache for the data set of this name: `$XDG_CACHE_HOME/coretune/data/NAME`, else
/// `~/.cache/coretune/data/NAME`.
///
/// # Errors
/// [`FetchError::NoCache`] where neither `XDG_CACHE_HOME` nor `HOME` names an absolute folder.
pub fn default_folder(name: &str) -> Result<PathBuf, FetchError> {
    Ok(user_cache::folder("data").ok_or(FetchError::NoCache)?.join(name))
}

const LOCK: &str = ".lock";
const STAGING: &str = ".unpacking";
const SCRATCH: &str = ".package";
const CLASSES: &str = "classes.txt";

/// Brings `set` into `folder`, which is made where it is not there; what lies there already is verified and kept.
///
/// # Errors
/// [`FetchError`]. What was fetched until then stays, and another call goes on from there.
pub fn fetch(set: &DataSet<'_>, folder: &Path, tell: &mut Tell<'_>) -> Result<Fetched, FetchError> {
    refuse_foreign(set, folder)?;
    fs::create_dir_all(folder).map_err(FetchError::write(folder))?;
    let _lock = lock(folder)?;
    let was_there = match &set.form {
        Form::Files { classes } => fetch_files(set, classes, folder, tell)?,
        Form::TarGz(form) => fetch_archive(set, form, folder, tell)?,
    };
    Ok(Fetched { folder: folder.to_path_buf(), was_there })
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> Result<File, FetchError> {
    let path = folder.join(LOCK);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(FetchError::write(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FetchError::InUse { folder: folder.into() }),
        Err(TryLockError::Error(source)) => Err(FetchError::write(&path)(source)),
    }
}

/// Whether all files were there.
fn fetch_files(set: &DataSet<'_>, classes: &[&str], folder: &Path, tell: &mut Tell<'_>) -> Result<bool, FetchError> {
    let missing = missing(set, folder)?;
    if missing.is_empty() {
        return Ok(true);
    }
    obtain(set, &missing, folder, tell)?;
    // Only with files that are new here: runs on those that were there know the classes by number.
    if !classes.is_empty() {
        let path = folder.join(CLASSES);
        fs::write(&path, classes.join("\n") + "\n").map_err(FetchError::write(&path))?;
    }
    Ok(false)
}

/// Whether the archive had been unpacked before.
fn fetch_archive(set: &DataSet<'_>, form: &TarGz<'_>, folder: &Path, tell: &mut Tell<'_>) -> Result<bool, FetchError> {
    move_into_place(form, folder)?;
    if let Some(record) = Record::read(folder) {
        let now = Record::of(set.name, set.files[0].sha256, folder, &entries(form))?;
        return if record == now {
            Ok(true)
        } else {
            Err(FetchError::Changed { folder: folder.into(), name: record.name })
        };
    }
    let missing = missing(set, folder)?;
    obtain(set, &missing, folder, tell)?;
    let path = folder.join(set.files[0].name);
    stage(set, form, &path, folder, tell)?;
    move_into_place(form, folder)?;
    // An archive that its user brought stays.
    if !missing.is_empty() {
        fs::remove_file(&path).map_err(FetchError::write(&path))?;
    }
    Ok(false)
}

/// Everything that a fetch leaves in the folder, apart from the record.
fn entries<'a>(form: &TarGz<'a>) -> Vec<&'a str> {
    let titles = (!form.titles.is_empty()).then_some(CLASSES);
    form.keep.iter().copied().chain(titles).collect()
}

/// Unpacks beside; the record is written last and says that all is there.
fn stage(
    set: &DataSet<'_>,
    form: &TarGz<'_>,
    archive: &Path,
    folder: &Path,
    tell: &mut Tell<'_>,
) -> Result<(), FetchError> {
    let staging = folder.join(STAGING);
    clear(&staging)?;
    unpack::unpack(archive, form, &staging, tell)?;
    if !form.titles.is_empty() {
        let path = staging.join(CLASSES);
        let lines: Vec<String> = form.titles.iter().map(|(class, title)| format!("{class} {title}\n")).collect();
        fs::write(&path, lines.concat()).map_err(FetchError::write(&path))?;
    }
    Record::of(set.name, set.files[0].sha256, &staging, &entries(form))?.write(&staging)
}

/// Moves what was unpacked completely to its place, the record last: where that was cut short, the next call goes on.
fn move_into_place(form: &TarGz<'_>, folder: &Path) -> Result<(), FetchError> {
    let staging = folder.join(STAGING);
    if Record::read(&staging).is_none() {
        return clear(&staging);
    }
    for name in entries(form).into_iter().chain([record::FILE]) {
        let (from, to) = (staging.join(name), folder.join(name));
        if !from.exists() {
            continue;
        }
        if to.exists() {
            return Err(FetchError::Foreign { folder: folder.into(), found: format!("`{name}`") });
        }
        fs::rename(&from, &to).map_err(FetchError::write(&to))?;
    }
    clear(&staging)
}

/// Removes a folder that only this module writes to.
fn clear(folder: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FetchError::write(folder)(error)),
        _ => Ok(()),
    }
}

/// Refuses a folder that holds other things than the files of `set`, what is on the way there, and hidden files. One
/// that the archive has been unpacked to is its user's to add to.
fn refuse_foreign(set: &DataSet<'_>, folder: &Path) -> Result<(), FetchError> {
    if !folder.exists() || Record::read(folder).or_else(|| Record::read(&folder.join(STAGING))).is_some() {
        return Ok(());
    }
    let mut names = names_in(folder).map_err(|error| FetchError::read(folder)(std::io::Error::other(error)))?;
    let is_ours =
        |name: &str| name == CLASSES || set.files.iter().any(|file| [file.name, plain(file.name)].contains(&name));
    names.retain(|name| !is_ours(name.strip_suffix(".partial").unwrap_or(name)));
    if names.is_empty() {
        return Ok(());
    }
    Err(FetchError::Foreign { folder: folder.into(), found: listed(&names) })
}

/// The name without `.gz`.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// The files that are not in the folder; one that is there must be sound.
fn missing<'s>(set: &DataSet<'s>, folder: &Path) -> Result<Vec<&'s RemoteFile<'s>>, FetchError> {
    let mut missing = Vec::new();
    for file in set.files {
        if !is_there(file, folder)? {
            missing.push(file);
        }
    }
    Ok(missing)
}

/// Whether a file is there, packed or, where its content is pinned, unpacked.
fn is_there(file: &RemoteFile<'_>, folder: &Path) -> Result<bool, FetchError> {
    let packed = folder.join(file.name);
    if packed.exists() {
        return other_than(file, &packed)?.map_or(Ok(true), Err);
    }
    let unpacked = folder.join(plain(file.name));
    let Some(content) = file.content.filter(|_| unpacked.exists()) else { return Ok(false) };
    let found = digest::of_file(&unpacked)?;
    if found == content {
        return Ok(true);
    }
    Err(FetchError::OtherFile { path: unpacked, expected: content.into(), found })
}

/// The error to report where the file at `path` is neither the pinned one nor another packing of its content.
fn other_than(file: &RemoteFile<'_>, path: &Path) -> Result<Option<FetchError>, FetchError> {
    let found = digest::of_file(path)?;
    if found == file.sha256 {
        return Ok(None);
    }
    if let Some(content) = file.content
        && digest::of_content(path).is_ok_and(|found| found == content)
    {
        return Ok(None);
    }
    Ok(Some(FetchError::OtherFile { path: path.into(), expected: file.sha256.into(), found }))
}

/// Brings the missing files into the folder: from an installed package, from their addresses, or from a package.
fn obtain(
    set: &DataSet<'_>,
    missing: &[&RemoteFile<'_>],
    folder: &Path,
    tell: &mut Tell<'_>,
) -> Result<(), FetchError> {
    let mut tried = Vec::new();
    if let Some(source) = set.package.as_ref().and_then(debian::installed)
        && copy_all(missing, &source, folder, &mut tried)?
    {
        tell(Event::Note(format!("taken from {}", source.display())));
        return Ok(());
    }
    let client = Client::new();
    for (at, file) in missing.iter().enumerate() {
        if !client.get(file, folder, &mut tried, tell)? {
            return obtain_from_package(set, &missing[at..], folder, tried, tell);
        }
    }
    Ok(())
}

/// Brings the missing files into the folder from a package that is loaded for it; `tried` came to nothing.
fn obtain_from_package(
    set: &DataSet<'_>,
    missing: &[&RemoteFile<'_>],
    folder: &Path,
    mut tried: Vec<Tried>,
    tell: &mut Tell<'_>,
) -> Result<(), FetchError> {
    if let Some(package) = &set.package {
        if let Some(last) = tried.last() {
            tell(Event::Note(format!("{}: {}", last.source, last.outcome)));
        }
        tell(Event::Note(format!("trying apt-get download {}", package.name)));
        let scratch = folder.join(SCRATCH);
        clear(&scratch)?;
        let copied = match debian::downloaded(package, &scratch)? {
            Ok(source) => copy_all(missing, &source, folder, &mut tried)?,
            Err(outcome) => {
                tried.push(outcome);
                false
            }
        };
        clear(&scratch)?;
        if copied {
            tell(Event::Note(format!("taken from the Debian package {}", package.name)));
            return Ok(());
        }
    }
    let missing = missing.iter().map(|file| Missing { name: file.name.into(), sha256: file.sha256.into() }).collect();
    Err(FetchError::NotObtained {
        name: set.name.into(),
        folder: folder.into(),
        missing,
        tried,
        package: set.package.map(|package| package.name.into()),
    })
}

/// Copies the files from another folder, each under another name until it is verified; whether all were there.
fn copy_all(
    files: &[&RemoteFile<'_>],
    source: &Path,
    folder: &Path,
    tried: &mut Vec<Tried>,
) -> Result<bool, FetchError> {
    for file in files {
        let (from, to) = (source.join(file.name), folder.join(file.name));
        let mut outcome = |outcome: String| {
            tried.push(Tried { source: source.join(file.name).display().to_string(), outcome });
            Ok(false)
        };
        if !from.is_file() {
            return outcome("there is no such file".into());
        }
        let partial = download::partial_of(&to);
        fs::copy(&from, &partial).map_err(FetchError::write(&partial))?;
        if let Some(error) = other_than(file, &partial)? {
            fs::remove_file(&partial).map_err(FetchError::write(&partial))?;
            return outcome(error.to_string());
        }
        download::keep(&partial, &to)?;
    }
    Ok(true)
}
