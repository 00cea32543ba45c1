//! Folders entered with care: no folder above again, no image twice, and whatever is left out is counted.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::DataError;
use super::file_kind::{FileKind, is_in_the_cloud, is_leftover, is_recycle_bin, kind_of};
use super::left_out::{LeftOut, Reason};

/// Device and inode: the same folder or file under every name.
type Identity = (u64, u64);

/// A walk through the folders of a data set.
pub(super) struct Walk {
    root: PathBuf,
    pub(super) left_out: LeftOut,
    /// What is counted as left out, or read by others.
    settled: HashSet<PathBuf>,
}

/// What a folder holds directly, each sorted by name.
pub(super) struct Contents {
    pub(super) folders: Vec<String>,
    pub(super) images: Vec<PathBuf>,
    /// Links that lead nowhere, without an ending, as folders have none.
    pub(super) gone: Vec<PathBuf>,
}

/// The images of a class in the making.
#[derive(Default)]
struct Class {
    images: Vec<Found>,
    /// Folders that were entered.
    entered: HashSet<Identity>,
    /// Links to folders, which are followed after all other folders, and what lies above each.
    links: Vec<(PathBuf, Vec<Identity>)>,
    /// Whether the walk has come to the links.
    follows_links: bool,
}

struct Found {
    path: PathBuf,
    /// Whether a link leads to it.
    is_linked: bool,
}

/// An entry of a folder that may matter.
struct Entry {
    path: PathBuf,
    name: String,
    is_folder: bool,
    is_link: bool,
}

impl Entry {
    fn leads_nowhere(&self) -> bool {
        self.is_link && !self.path.exists()
    }
}

impl Walk {
    /// A walk that begins at `root`.
    pub(super) fn new(root: &Path) -> Self {
        Walk { root: root.to_path_buf(), left_out: LeftOut::default(), settled: HashSet::new() }
    }

    /// Does not count this file as left out: it is read for something else.
    pub(super) fn except(&mut self, path: PathBuf) {
        self.settled.insert(path);
    }

    /// What lies directly in a folder outside of the classes.
    pub(super) fn contents(&mut self, folder: &Path) -> Result<Contents, DataError> {
        let mut contents = Contents { folders: Vec::new(), images: Vec::new(), gone: Vec::new() };
        let mut above = self.above(folder)?;
        above.extend(ancestors(folder)?);
        for entry in self.entries(folder)? {
            if entry.is_folder {
                if above.contains(&identity(&entry.path)?) {
                    self.leave_out(Reason::FolderAbove, &entry.path);
                } else {
                    contents.folders.push(entry.name);
                }
                continue;
            }
            match kind_of(&entry.path) {
                FileKind::Image => contents.images.push(entry.path),
                kind => {
                    self.leave_out_file(kind, &entry);
                    if entry.leads_nowhere() && entry.path.extension().is_none() {
                        contents.gone.push(entry.path);
                    }
                }
            }
        }
        Ok(contents)
    }

    /// The images in a folder of one class and below it, sorted by name; one that several links reach counts once.
    pub(super) fn images(&mut self, folder: &Path) -> Result<Vec<PathBuf>, DataError> {
        let images = self.found_below(folder)?;
        Ok(self.each_once(images))
    }

    /// The images in a folder and below it, under each of their names.
    pub(super) fn images_by_every_name(&mut self, folder: &Path) -> Result<Vec<PathBuf>, DataError> {
        Ok(self.found_below(folder)?.into_iter().map(|image| image.path).collect())
    }

    fn found_below(&mut self, folder: &Path) -> Result<Vec<Found>, DataError> {
        let mut class = Class::default();
        self.enter(folder, &mut self.above(folder)?, &mut class)?;
        class.follows_links = true;
        while let Some((link, mut above)) = class.links.pop() {
            self.enter(&link, &mut above, &mut class)?;
        }
        Ok(class.images)
    }

    /// Adds the images of a folder and of those below it, and the links to folders that it holds; `above` are the folders
    /// that hold it.
    fn enter(&mut self, folder: &Path, above: &mut Vec<Identity>, class: &mut Class) -> Result<(), DataError> {
        let own = identity(folder)?;
        if above.contains(&own) {
            self.leave_out(Reason::FolderAbove, folder);
            return Ok(());
        }
        if !class.entered.insert(own) {
            self.leave_out(Reason::ReachedTwice, folder);
            return Ok(());
        }
        let depth = above.len();
        above.push(own);
        if folder.is_symlink() {
            above.extend(ancestors(folder)?);
        }
        for entry in self.entries(folder)? {
            if entry.is_folder && entry.is_link {
                class.links.push((entry.path, above.clone()));
                continue;
            }
            if entry.is_folder {
                self.enter(&entry.path, above, class)?;
                continue;
            }
            let is_linked = class.follows_links || entry.is_link;
            match kind_of(&entry.path) {
                FileKind::Image => class.images.push(Found { path: entry.path, is_linked }),
                kind => self.leave_out_file(kind, &entry),
            }
        }
        above.truncate(depth);
        Ok(())
    }

    /// The folders that hold `folder`: those from the root on, and those above their real places.
    fn above(&self, folder: &Path) -> Result<Vec<Identity>, DataError> {
        if folder == self.root {
            return Ok(ancestors(folder)?.split_off(1));
        }
        let mut above = Vec::new();
        for holder in folder.ancestors().skip(1) {
            above.extend(ancestors(holder)?);
            if holder == self.root {
                break;
            }
        }
        Ok(above)
    }

    /// The entries of a folder, sorted by name, without what is hidden or left behind by other programs.
    fn entries(&mut self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let read: Result<Vec<_>, _> = fs::read_dir(folder).map_err(DataError::read(folder))?.collect();
        let mut read = read.map_err(DataError::read(folder))?;
        read.sort_unstable_by_key(fs::DirEntry::file_name);
        let mut entries = Vec::with_capacity(read.len());
        for entry in read {
            let (path, file_name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().map_err(DataError::read(&path))?;
            let is_link = kind.is_symlink();
            // A link that leads nowhere is a file that cannot be read.
            let is_folder = if is_link { path.is_dir() } else { kind.is_dir() };
            let name = file_name.to_string_lossy();
            let reason = if is_in_the_cloud(&name) {
                Some(Reason::NotDownloaded)
            } else if name.starts_with('.') {
                Some(Reason::Hidden)
            } else if is_leftover(&name) || (is_folder && is_recycle_bin(&path)) {
                Some(Reason::Leftover)
            } else {
                None
            };
            let matters = || is_folder || kind_of(&path) == FileKind::Image;
            match reason {
                Some(reason) => self.leave_out(reason, &path),
                None if file_name.to_str().is_none() && matters() => {
                    return Err(DataError::NotUtf8 { path: escaped(path.as_os_str()) });
                }
                None if name.contains('\\') && matters() => return Err(DataError::Backslash { path }),
                None => entries.push(Entry { name: name.into(), path, is_folder, is_link }),
            }
        }
        Ok(entries)
    }

    /// The images without those that a link reaches a second time, sorted by name.
    fn each_once(&mut self, mut images: Vec<Found>) -> Vec<PathBuf> {
        if images.iter().all(|image| !image.is_linked) {
            return images.into_iter().map(|image| image.path).collect();
        }
        images.sort_by(|one, other| one.path.cmp(&other.path));
        // Hard links are files of their own: among files of one inode, the real path decides.
        let inode = |image: &Found| identity(&image.path).ok();
        let mut by_inode: HashMap<Identity, usize> = HashMap::new();
        images.iter().filter_map(inode).for_each(|inode| *by_inode.entry(inode).or_default() += 1);
        let resolved = |image: &Found| match inode(image) {
            Some(inode) if by_inode.get(&inode).is_some_and(|&count| count > 1) => fs::canonicalize(&image.path).ok(),
            _ => None,
        };
        let mut seen: HashSet<PathBuf> = images.iter().filter(|image| !image.is_linked).filter_map(resolved).collect();
        let mut once = Vec::with_capacity(images.len());
        for image in images {
            if !image.is_linked || resolved(&image).is_none_or(|real| seen.insert(real)) {
                once.push(image.path);
            } else {
                self.leave_out(Reason::ReachedTwice, &image.path);
            }
        }
        once
    }

    /// Counts a file that is not an image which can be decoded.
    fn leave_out_file(&mut self, kind: FileKind, entry: &Entry) {
        let reason = match kind {
            FileKind::Image => return,
            FileKind::NotDecoded(ending) => Reason::NotDecoded { ending },
            FileKind::Temporary => Reason::Temporary,
            FileKind::Other(_) if entry.leads_nowhere() => Reason::BrokenLink,
            FileKind::Other(ending) => Reason::NotAnImage { ending },
        };
        self.leave_out(reason, &entry.path);
    }

    /// Counts something as left out, once.
    pub(super) fn leave_out(&mut self, reason: Reason, path: &Path) {
        if !self.settled.insert(path.to_path_buf()) {
            return;
        }
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        self.left_out.add(reason, escaped(name.as_os_str()));
    }
}

fn identity(path: &Path) -> Result<Identity, DataError> {
    let metadata = fs::metadata(path).map_err(DataError::read(path))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The folder and all folders above its real place.
fn ancestors(folder: &Path) -> Result<Vec<Identity>, DataError> {
    fs::canonicalize(folder).map_err(DataError::read(folder))?.ancestors().map(identity).collect()
}

/// A name with the bytes that are not UTF-8 as `\xe9`.
pub(super) fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}
