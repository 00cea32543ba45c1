/// Progress of a fetch.
#[derive(Debug)]
pub enum Event<'a> {
    /// A piece of work advanced.
    Advanced {
        /// Which work.
        doing: Doing,
        /// On which file.
        file: &'a str,
        /// Bytes of it done.
        done: u64,
        /// Bytes of it in all.
        total: u64,
    },
    /// A download resumes where an earlier one ended.
    Resumed {
        /// Of which file.
        file: &'a str,
        /// Bytes that are there already.
        from: u64,
    },
    /// Something worth a line.
    Note(String),
}

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Bytes come from an address.
    Fetching,
    /// An archive is unpacked.
    Unpacking,
}

/// The observer of a fetch.
pub type Tell<'t> = dyn FnMut(Event<'_>) + 't;
