//! Results go to stdout, words to stderr; colour only on a terminal and without `NO_COLOR`.

use std::cell::RefCell;
use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::args;
use crate::failure::Failure;
use crate::status::Status;

/// Width of the first column of a line: `data         flowers: 720 train`.
const LABEL_WIDTH: usize = 13;

/// The rank of this process, if it is one of several.
static RANK: OnceLock<usize> = OnceLock::new();

/// Whether the ranks have joined.
static JOINED: AtomicBool = AtomicBool::new(false);

/// From here on this process is a rank: only rank 0 speaks, the others write their logs, and all say why they fail.
pub(crate) fn speak_as_rank(rank: usize) {
    let _ = RANK.set(rank);
}

/// From here on rank 0 speaks for all: what one of them is refused, it is refused too.
pub(crate) fn speak_for_all() {
    JOINED.store(true, Ordering::Relaxed);
}

/// The rank of this process, if it is one of several.
pub(crate) fn rank() -> Option<usize> {
    RANK.get().copied()
}

/// Whether this process is a rank that leaves the speaking to rank 0.
fn is_silent() -> bool {
    rank().is_some_and(|rank| rank > 0)
}

/// Where the lines of a command go. Clones share the log.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    results: Results,
    colour_on_stdout: bool,
    colour_on_stderr: bool,
    log: Rc<RefCell<Log>>,
}

/// In which form results go to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Results {
    InWords,
    AsJson,
    LeftOut,
}

/// The lines of stderr, without colour: kept until there is a file for them.
#[derive(Debug, Default)]
struct Log {
    kept: String,
    file: Option<File>,
}

impl Log {
    /// Adds a line. A log that cannot be written does not end a run.
    fn add(&mut self, line: &str) {
        match &mut self.file {
            Some(file) => drop(writeln!(file, "{line}")),
            None => self.kept.extend([line, "\n"]),
        }
    }
}

impl Printer {
    /// With `json`, stdout carries nothing but JSON, and results as text are left out.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer {
            results: if json { Results::AsJson } else { Results::InWords },
            colour_on_stdout: wanted && io::stdout().is_terminal(),
            colour_on_stderr: wanted && io::stderr().is_terminal(),
            log: Rc::default(),
        }
    }

    /// The same without results: for work that is only a part of what was asked for.
    pub(crate) fn words_only(&self) -> Self {
        Printer { results: Results::LeftOut, ..self.clone() }
    }

    /// Writes the lines of stderr to a file too, those before this call included.
    pub(crate) fn log_to(&self, path: &Path) -> io::Result<()> {
        let mut log = self.log.borrow_mut();
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(std::mem::take(&mut log.kept).as_bytes())?;
        log.file = Some(file);
        Ok(())
    }

    /// A line for the log alone: what a bar shows on a terminal.
    pub(crate) fn log(&self, label: &str, text: impl Display) {
        self.log.borrow_mut().add(&format!("{}{text}", padded(label)));
    }

    /// Whether stderr is a terminal, on which a bar can be drawn.
    pub(crate) fn shows_bars() -> bool {
        io::stderr().is_terminal() && !is_silent()
    }

    /// Whether words may be coloured.
    pub(crate) fn colours_words(&self) -> bool {
        self.colour_on_stderr
    }

    /// A line of progress, on stderr and in the log.
    pub(crate) fn say(&self, label: &str, text: impl Display) {
        self.words(BOLD, &padded(label), &text.to_string());
    }

    /// A warning, on stderr and in the log, with flags for the keys of settings.
    pub(crate) fn warn(&self, text: impl Display) {
        self.words(YELLOW, "warning: ", &args::with_flags(&text.to_string()));
    }

    /// A labelled line of the result as text, on stdout and in the log; with JSON, in the log alone.
    pub(crate) fn result(&self, label: &str, text: impl Display) -> Result<(), Failure> {
        let text = shown(&text.to_string()).replace('\n', "\\n");
        if self.results != Results::LeftOut {
            self.log(label, &text);
        }
        self.line(&format!("{}{text}", paint(self.colour_on_stdout, BOLD, &padded(label))))
    }

    /// A line of the result as text, on stdout.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        if self.results != Results::InWords || is_silent() {
            return Ok(());
        }
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// The result as JSON, on stdout; nothing unless JSON was asked for.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        if self.results != Results::AsJson || is_silent() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, value).map_err(io::Error::from)?;
        Ok(writeln!(stdout)?)
    }

    /// Why the command ended: the sentence, its particulars, an empty line, the hint.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.sentence.is_empty() {
            return;
        }
        if is_silent() {
            let is_of_all = failure.status == Status::Refused || failure.is_interrupted();
            if is_of_all && JOINED.load(Ordering::Relaxed) {
                // Rank 0 is refused or stopped too, or says why this one was.
                return;
            }
            // One line, as several ranks write to one terminal.
            let (rank, text) = (rank().unwrap_or_default(), failure.in_short());
            let names_itself = text.starts_with(&format!("rank {rank} of "));
            let name = if names_itself { String::new() } else { format!("rank {rank}: ") };
            let _ = writeln!(io::stderr().lock(), "error: {name}{text}");
            return;
        }
        self.words(RED, "error: ", &failure.sentence);
        for (word, text) in &failure.details {
            self.words(PLAIN, "", &format!("  {word:<10} {}", text.trim_end().replace('\n', "\n             ")));
        }
        if let Some(hint) = &failure.hint {
            self.words(PLAIN, "", "");
            self.words(CYAN, "hint: ", hint);
        }
    }

    /// A line on stderr and in the log; one that cannot be written is lost, as there is nowhere to say so.
    fn words(&self, style: &str, label: &str, text: &str) {
        let text = shown(text);
        if !is_silent() {
            let _ = writeln!(io::stderr().lock(), "{}{text}", paint(self.colour_on_stderr, style, label));
        }
        self.log.borrow_mut().add(&format!("{label}{text}"));
    }
}

/// The text without what would steer a terminal or turn the direction of writing, as names of files may hold it.
fn shown(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

fn padded(label: &str) -> String {
    format!("{label:<LABEL_WIDTH$}")
}

const PLAIN: &str = "0";
const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

fn paint(colour: bool, style: &str, text: &str) -> String {
    if colour && style != PLAIN { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_string() }
}
