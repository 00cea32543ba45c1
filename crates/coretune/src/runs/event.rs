//! What a run reports to its caller.

use std::path::Path;

use super::Job;
use crate::config::SettingChange;
use crate::run_folder::RunFolder;
use crate::train;

/// Something that the caller of a run may want to show.
pub enum Event<'a, J: Job> {
    /// A run is resumed.
    Resumed {
        /// Its folder.
        folder: &'a Path,
        /// Steps that its saved state has made; 0 when nothing is saved yet.
        step: u64,
    },
    /// A setting of a resumed run changes from here on.
    SettingChanged(&'a SettingChange),
    /// Something the user should know, in a sentence.
    Warning(&'a str),
    /// The run may write into its folder from here on, and a log of it can be kept there.
    FolderOpened(&'a RunFolder),
    /// Images were left out because they cannot be read.
    ImagesSkipped {
        /// How many.
        images: usize,
        /// The file that names them.
        list: &'a Path,
    },
    /// Images, checkpoint and machine are ready; the work begins.
    Prepared(&'a J::Prepared),
    /// How the work goes: checking images, measuring, training.
    Work(&'a train::Event),
}

/// Receives the events of a run; the library itself prints nothing.
pub type Observer<'a, J> = dyn FnMut(&Event<'_, J>) + 'a;
