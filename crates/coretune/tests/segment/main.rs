//! Runs that segment images: what they train, how they are resumed, what they refuse.

mod accumulation;
mod learning;
mod probe;
mod refusals;
mod resume;
mod settings;

use std::fs;
use std::path::Path;

use coretune::config::{Configuration, SegmentationConfig};
use coretune::engine::Stop;
use coretune::run_folder::RunFolder;
use coretune::runs::{Job, Options, Prepared, RunError};
use coretune::segment::SegmentationFinished;
use coretune::train::Event;

/// Runs in `folder` until the event after which `stops` says so, or to the end.
fn run(
    folder: &RunFolder,
    config: &SegmentationConfig,
    stops: impl Fn(&Event) -> bool,
) -> Result<SegmentationFinished, RunError> {
    let stop = Stop::default();
    let options = Options { stop: stop.clone(), ..Options::default() };
    let preparation = config.prepare(options, &mut |_| {})?;
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    let mut observer = |event: &Event| {
        if stops(event) {
            stop.request();
        }
    };
    preparation.run(folder, &mut observer)
}

fn checkpoints(root: &Path) -> [Vec<u8>; 2] {
    ["last", "best"].map(|name| fs::read(root.join(format!("checkpoints/{name}.safetensors"))).unwrap())
}
