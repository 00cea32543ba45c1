//! The command line of `coretune`: arguments in, lines and an exit status out. The work is the library's.

mod args;
mod commands;
mod failure;
mod panics;
mod printer;
mod progress;
mod signals;
mod status;
mod transfer;

use std::env;
use std::process::ExitCode;

use args::{Command, Data, Ended};
use failure::Failure;
use printer::Printer;
use status::Status;

fn main() -> ExitCode {
    coretune_native::keep_freed_memory();
    let outcome = panics::caught(run);
    let status = match &outcome {
        Ok(()) => Status::Done,
        Err(failure) => failure.status,
    };
    if let Err(failure) = &outcome {
        Printer::new(false).failure(failure);
    }
    status.into()
}

fn run() -> Result<(), Failure> {
    let (command, flags) = match args::parse(env::args_os()) {
        Ok(parsed) => parsed,
        Err(Ended::Help(text)) => return Printer::new(false).line(text.trim_end()),
        Err(Ended::Usage(failure)) => return Err(failure),
    };
    match command {
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Probe(arguments) => commands::probe::run(&arguments, &flags),
        Command::Fit(arguments) => commands::fit::run(&arguments, &flags),
        Command::Compare(arguments) => commands::compare::run(&arguments, &flags),
        Command::Sweep(arguments) => commands::sweep::run(&arguments, &flags),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments, &flags),
        Command::Reproduce(arguments) => commands::reproduce::run(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments, &flags),
        Command::Data(Data::Show(arguments)) => commands::data_show::run(&arguments, &flags),
        Command::Data(Data::Check(arguments)) => commands::data_check::run(&arguments, &flags),
        Command::Data(Data::Fetch(arguments)) => commands::data_fetch::run(&arguments),
        Command::Data(Data::Pack(arguments)) => commands::data_pack::run(&arguments, &flags),
        Command::Predict(arguments) => commands::predict::run(&arguments, &flags),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Average(arguments) => commands::average::run(&arguments, &flags),
        Command::Report(arguments) => commands::report::run(&arguments, &flags),
        Command::Completions(arguments) => commands::completions::run(&arguments),
        Command::Man(arguments) => commands::man::run(&arguments),
    }
}
