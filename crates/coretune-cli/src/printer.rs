//! Results go to stdout, words to stderr; colour only on a terminal and without `NO_COLOR`.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Width of the first column of a line: `data         flowers: 720 train`.
const LABEL_WIDTH: usize = 13;

/// Where the lines of a command go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
    colour_on_stdout: bool,
    colour_on_stderr: bool,
}

impl Printer {
    /// With `json`, stdout carries nothing but JSON, and what would be results in words is left out.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer {
            json,
            colour_on_stdout: wanted && io::stdout().is_terminal(),
            colour_on_stderr: wanted && io::stderr().is_terminal(),
        }
    }

    /// Whether stderr is a terminal, on which a bar can be drawn.
    pub(crate) fn shows_bars(self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether words may be coloured.
    pub(crate) fn colours_words(self) -> bool {
        self.colour_on_stderr
    }

    /// A line of what is going on, on stderr.
    pub(crate) fn say(self, label: &str, text: impl Display) {
        self.words(format_args!("{}{text}", paint(self.colour_on_stderr, BOLD, &padded(label))));
    }

    /// A warning, on stderr.
    pub(crate) fn warn(self, text: impl Display) {
        self.words(format_args!("{} {text}", paint(self.colour_on_stderr, YELLOW, "warning:")));
    }

    /// A line of the result in words, on stdout.
    pub(crate) fn result(self, label: &str, text: impl Display) -> Result<(), Failure> {
        self.line(&format!("{}{text}", paint(self.colour_on_stdout, BOLD, &padded(label))))
    }

    /// A line of the result in words as it is, on stdout.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// The result as JSON, on stdout; nothing unless JSON was asked for.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, value).map_err(io::Error::from)?;
        Ok(writeln!(stdout)?)
    }

    /// Why the command ended: the sentence, its particulars, an empty line, the hint.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.sentence.is_empty() {
            return;
        }
        let paint = |style, text| paint(self.colour_on_stderr, style, text);
        self.words(format_args!("{} {}", paint(RED, "error:"), failure.sentence));
        for (word, text) in &failure.details {
            self.words(format_args!("  {word:<10} {}", text.trim_end().replace('\n', "\n             ")));
        }
        if let Some(hint) = &failure.hint {
            self.words(format_args!("\n{} {hint}", paint(CYAN, "hint:")));
        }
    }

    /// A line on stderr; one that cannot be written is lost, as there is nowhere to say so.
    fn words(self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

fn padded(label: &str) -> String {
    format!("{label:<LABEL_WIDTH$}")
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

fn paint(colour: bool, style: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_string() }
}
