//! The page about a run, on a data set and a checkpoint made on the spot.

mod page;
mod segmentation;
mod what_is_left;

use coretune::config::{Configuration, RunConfig};
use coretune::fit::prepare;
use coretune::report::{Report, Source, report};
use coretune::run_folder::RunFolder;
use coretune::runs::Prepared;
use coretune_testing::SmallWorld;

/// A name that would break a page that does not escape it.
const HOSTILE: &str = "<b>&\"";

/// Images of three classes, one of them with a hostile name.
fn hostile_world() -> SmallWorld {
    let world = SmallWorld::new(12, 6);
    for split in ["train", "test"] {
        let folder = world.data().join(split);
        std::fs::rename(folder.join("blue"), folder.join(HOSTILE)).unwrap();
    }
    world
}

/// Trains as `coretune fit` does.
fn fit(world: &SmallWorld, name: &str, settings: &[&str]) -> Source {
    let config: RunConfig = world.config(settings);
    let preparation = prepare(&config).unwrap();
    let folder = RunFolder::create(&world.path(name)).unwrap();
    folder.write_config(&preparation.task.config.to_toml()).unwrap();
    preparation.run(&folder, &mut |_| {}).unwrap();
    Source { folder: world.path(name), config }
}

fn page_of(sources: &[Source]) -> Report {
    report(sources, &mut |_| {}).unwrap()
}
