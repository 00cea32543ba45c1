//! What the tests of several targets and crates share: a small world to run in, and files altered at random.
#![allow(clippy::missing_panics_doc, reason = "a test that cannot make its files fails")]

mod mutation;
mod small_world;

pub use mutation::alter;
pub use small_world::SmallWorld;

/// Prints the documentation at the head of a program's `source` if `--help` was asked for; returns whether it was.
pub fn prints_help(source: &str) -> bool {
    let asked = std::env::args().any(|argument| argument == "--help" || argument == "-h");
    for line in head(source).filter(|_| asked) {
        println!("{line}");
    }
    asked
}

/// The lines of documentation with which a source begins.
fn head(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line))
}
