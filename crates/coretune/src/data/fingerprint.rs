//! What a packed file says of its content, to be recognised when it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The entry of a packed file's footer that holds a [`PackedNote`].
pub(super) const PACKED: &str = "coretune.packed";

/// What `coretune data pack` writes beside images and labels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedNote {
    /// The [`Fingerprint`] of the file, in hexadecimal.
    pub(super) content: String,
    /// Names to show, by name of the class.
    #[serde(default)]
    pub(super) titles: BTreeMap<String, String>,
}

/// BLAKE3 of the names of the classes, and of the images, labels and splits of all rows in order.
#[derive(Debug)]
pub(super) struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    pub(super) fn new(classes: &[String], titles: &BTreeMap<String, String>) -> Self {
        let mut fingerprint = Fingerprint(blake3::Hasher::new());
        fingerprint.0.update(&(classes.len() as u64).to_le_bytes());
        for name in classes.iter().chain(titles.iter().flat_map(|(class, title)| [class, title])) {
            fingerprint.add_text(name);
        }
        fingerprint
    }

    /// Begins a split of so many rows.
    pub(super) fn begin_split(&mut self, name: &str, rows: usize) {
        self.add_text(name);
        self.0.update(&(rows as u64).to_le_bytes());
    }

    /// Adds a row of the split.
    pub(super) fn add_row(&mut self, image: &blake3::Hash, label: i64) {
        self.0.update(image.as_bytes()).update(&label.to_le_bytes());
    }

    pub(super) fn to_hex(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }

    fn add_text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
}
