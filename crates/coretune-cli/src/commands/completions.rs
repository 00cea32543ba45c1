//! `coretune completions SHELL`: prints a script that the shell reads.

use std::io::{self, Write};

use crate::args::{self, Completions};
use crate::failure::Failure;

pub(crate) fn run(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut args::command(true), "coretune", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
