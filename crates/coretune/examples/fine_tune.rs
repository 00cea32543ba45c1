//! What `coretune fit` does, as a program: fine-tunes a checkpoint, and resumes the run if it was begun before.
//!
//! `cargo run --release --example fine_tune CHECKPOINT DATA RUN [KEY=VALUE...]`

use std::error::Error;
use std::path::Path;

use coretune::config::{Layers, RunConfig};
use coretune::evaluate::figure::TOP1;
use coretune::runs::{self, Changes, Event, Options, Resumed};
use coretune::train;

fn main() -> Result<(), Box<dyn Error>> {
    fine_tune(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// What `main` does, with the arguments of the command line.
pub(crate) fn fine_tune(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [checkpoint, data, run, more @ ..] = arguments else { return Err("CHECKPOINT DATA RUN [KEY=VALUE...]".into()) };
    let named = [("checkpoint.path", checkpoint), ("data.dir", data), ("run.output", run)];
    let settings = named.iter().map(|(key, value)| format!("{key}={value}")).chain(more.iter().cloned());
    let show = &mut |event: &Event<'_, RunConfig>| {
        if let Event::Work(train::Event::Evaluated(epoch)) = event {
            println!("epoch {}: {:?}", epoch.epoch, epoch.figures.get(TOP1.name));
        }
    };
    let summary = if runs::is_begun(Path::new(run))? {
        match runs::resume(Path::new(run), &Changes::none(), Options::default(), show)? {
            Resumed::Finished(finished) => finished.summary,
            Resumed::FinishedBefore(summary) => summary,
        }
    } else {
        let layers =
            settings.into_iter().try_fold(Layers::defaults(), |layers, setting| layers.assignment(&setting))?;
        runs::begin(&layers.validate()?, Options::default(), show)?.summary
    };
    println!("test accuracy: {:?}, linear probe before: {:?}", summary.test, summary.probe);
    Ok(())
}
