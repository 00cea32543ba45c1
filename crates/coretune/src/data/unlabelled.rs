//! Images without labels: listed whatever their folders are called, and kept apart from images that a run knows already.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::on_threads::{on_threads, processors};
use super::walk::Walk;
use super::{BitDepth, BitDepthRange, DataError, Dataset, DatasetOptions, ImageSource, LeftOut, Role, Split};

/// Images between two reports of progress.
const STRETCH: usize = 256;

/// Why an image is not used as an unlabelled one; serde writes the words that `summary.json` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exclusion {
    /// Its bytes are those of a test image.
    Test,
    /// Its bytes are those of a validation image.
    Validation,
    /// Its bytes are those of a labelled training image.
    Labelled,
    /// Its bytes are those of an unlabelled image that comes before it.
    Repeated,
    /// It cannot be read.
    Unreadable,
}

impl Exclusion {
    fn of(role: Role) -> Self {
        match role {
            Role::Train => Exclusion::Labelled,
            Role::Validation => Exclusion::Validation,
            Role::Test => Exclusion::Test,
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Exclusion::Test => "with the bytes of a test image",
            Exclusion::Validation => "with the bytes of a validation image",
            Exclusion::Labelled => "with the bytes of a labelled training image",
            Exclusion::Repeated => "with the bytes of an earlier one",
            Exclusion::Unreadable => "that cannot be read",
        })
    }
}

/// Images that may be used as unlabelled ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Separated {
    /// Positions of the images that may be used, ascending.
    pub usable: Vec<usize>,
    /// How many are left out, by reason.
    pub left_out: BTreeMap<Exclusion, usize>,
    /// The first few that cannot be read, with the reason.
    pub unreadable: Vec<String>,
}

/// All images at a path, and what lies there beside them: below a folder every image file, whatever the folders are called;
/// of another form of data its training images.
///
/// # Errors
/// Those of [`Dataset::open_unlabelled`], and [`DataError::NoImages`].
pub fn unlabelled_images(path: &Path, range: BitDepthRange) -> Result<(Vec<ImageSource>, LeftOut), DataError> {
    if path.is_dir() {
        let mut walk = Walk::new(path);
        let images = walk.images(path)?;
        if !images.is_empty() {
            return Ok((images.into_iter().map(|path| ImageSource::File(Arc::from(path))).collect(), walk.left_out));
        }
    }
    let options = DatasetOptions { bit_depth: BitDepth::Range(range), ..DatasetOptions::default() };
    let dataset = Dataset::open_unlabelled(path, &options)?;
    let images = dataset.train.as_ref().map(|split| split.images().to_vec()).unwrap_or_default();
    if images.is_empty() {
        return Err(DataError::NoImages { path: path.to_path_buf(), left_out: dataset.left_out });
    }
    Ok((images, dataset.left_out))
}

/// Leaves out of `candidates` what has the bytes of an image of the `known` splits or of an earlier candidate, and what cannot be
/// read; with `decode`, each is decoded to find that out. `progress` gets (done, total) images.
///
/// # Errors
/// A known image that cannot be read.
pub fn separate(
    candidates: &Split,
    known: &[(Role, &Split)],
    decode: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Separated, DataError> {
    let mut seen: HashMap<blake3::Hash, Exclusion> = HashMap::new();
    for (role, split) in known {
        for hash in split.content_hashes()? {
            let reason = Exclusion::of(*role);
            seen.entry(hash).and_modify(|first| *first = reason.min(*first)).or_insert(reason);
        }
    }
    let mut separated = Separated { usable: Vec::new(), left_out: BTreeMap::new(), unreadable: Vec::new() };
    let lost = |image: &ImageSource| Err(DataError::Worker { message: image.to_string() });
    let read = |image: &ImageSource| content(image, decode.then_some(candidates.bit_depth()));
    let mut position = 0;
    for stretch in candidates.images().chunks(STRETCH) {
        for content in on_threads(stretch, processors(), read, lost) {
            let reason = match content {
                Err(error) => {
                    separated.unreadable.push(error.to_string());
                    Some(Exclusion::Unreadable)
                }
                Ok(hash) => match seen.entry(hash) {
                    Entry::Occupied(known) => Some(*known.get()),
                    Entry::Vacant(place) => {
                        place.insert(Exclusion::Repeated);
                        None
                    }
                },
            };
            match reason {
                Some(reason) => *separated.left_out.entry(reason).or_default() += 1,
                None => separated.usable.push(position),
            }
            position += 1;
        }
        progress(position, candidates.len());
    }
    Ok(separated)
}

/// BLAKE3 of the stored bytes of an image, which is decoded over this range of 16-bit values, if any.
fn content(image: &ImageSource, decoded_over: Option<BitDepthRange>) -> Result<blake3::Hash, DataError> {
    let bytes = image.bytes()?;
    if let Some(range) = decoded_over {
        image.decode(&bytes, range)?;
    }
    Ok(blake3::hash(&bytes))
}
