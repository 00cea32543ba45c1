//! `coretune man`: prints the manual page, for `coretune man | man -l -`.

use std::io::{self, Write};

use crate::args::{self, Man};
use crate::failure::Failure;

pub(crate) fn run(arguments: &Man) -> Result<(), Failure> {
    let mut command = args::command(true);
    command.build();
    if let Some(name) = &arguments.command {
        let unknown = || Failure::refused(format!("no command is called {name}")).hint("coretune --help lists them");
        command = command.find_subcommand(name).cloned().ok_or_else(unknown)?;
        command = command.bin_name(format!("coretune {name}")).name(format!("coretune-{name}"));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(io::stdout().lock().write_all(&page)?)
}
