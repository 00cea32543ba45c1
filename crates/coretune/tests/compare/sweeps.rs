//! Which runs a sweep makes, and what it chooses, with runs that are made up.

use std::sync::Mutex;

use coretune::compare::{CompareError, ComparedTask, Dimension, Event, Order, Search, Sweep, SweepRequest, sweep};
use coretune::engine::Stop;
use coretune_testing::SmallWorld;

use super::searches::{distance, make_up, request};

fn sweep_request(world: &SmallWorld, search: Search, dimensions: &[&str], points: usize) -> SweepRequest {
    let layers = request(world, &["cross-entropy"], &[], 1).layers;
    SweepRequest {
        task: ComparedTask::Classification,
        layers: layers.assignment("method.name=core-tuning").unwrap().assignment("train.epochs=9").unwrap(),
        dimensions: dimensions.iter().map(|text| Dimension::parse(text).unwrap()).collect(),
        search,
        points,
        seeds: 1,
        jobs: 1,
        deadline: None,
        output: world.path("sweep"),
    }
}

/// A run that was made: its row, its epochs and its seed.
type Made = (String, usize, u64);

/// The sweep, and each run that it made.
fn carried_out(request: &SweepRequest) -> (Result<Sweep, CompareError>, Vec<Made>) {
    let made = Mutex::new(Vec::new());
    let carry_out = |order: &Order<'_>| {
        let train = order.run.config.train();
        made.lock().unwrap().push((order.run.entry.name.clone(), train.epochs, train.seed));
        make_up(order, &|_, lr, eta| (distance(lr, eta), 50));
        Ok(())
    };
    let swept = sweep(request, &carry_out, &Stop::default(), &mut |_: &Event<'_>| {});
    (swept, made.into_inner().unwrap())
}

#[test]
fn a_grid_runs_every_combination_once_and_the_lowest_validation_loss_is_best() {
    let world = SmallWorld::new(4, 2);
    let request = sweep_request(&world, Search::Grid, &["lr=0.001,0.02", "eta=0.5,2"], 0);
    let (swept, made) = carried_out(&request);
    let names: Vec<&str> = made.iter().map(|(name, ..)| &**name).collect();
    let points = [
        "core-tuning:lr=0.001:eta=0.5",
        "core-tuning:lr=0.001:eta=2.0",
        "core-tuning:lr=0.02:eta=0.5",
        "core-tuning:lr=0.02:eta=2.0",
    ];
    assert_eq!(names, [&["core-tuning"][..], &points[..]].concat());
    let swept = swept.unwrap();
    let best = swept.best.as_ref().unwrap();
    assert_eq!(best.name, points[3]);
    assert_eq!(best.settings["train.lr"], "0.02");
    assert_eq!(best.edges.len(), 2, "{:?}", best.edges);
    assert_eq!(swept.stages.len(), 1);
    assert_eq!(swept.comparison.rows.len(), 5);
    // Asked again, no run is repeated; the file holds the same.
    let (again, made) = carried_out(&request);
    assert!(made.is_empty(), "{made:?}");
    let written: Sweep =
        serde_json::from_slice(&std::fs::read(world.path("sweep").join(Sweep::FILE)).unwrap()).unwrap();
    assert_eq!(written.best, again.unwrap().best);
}

#[test]
fn random_points_are_drawn_by_the_seed_from_ranges_and_lists() {
    let world = SmallWorld::new(4, 2);
    let dimensions = ["lr=0.001..0.1", "eta=0.5,2", "rand-augment-ops=1..3"];
    let request = sweep_request(&world, Search::Random, &dimensions, 12);
    let (swept, made) = carried_out(&request);
    assert_eq!(made.len(), 13);
    let swept = swept.unwrap();
    for row in &swept.comparison.rows[1..] {
        let parts: Vec<&str> = row.method.split(':').collect();
        let lr: f64 = parts[1].strip_prefix("lr=").unwrap().parse().unwrap();
        let operations: i64 = parts[3].strip_prefix("rand_augment_ops=").unwrap().parse().unwrap();
        assert!((0.001..=0.1).contains(&lr) && (1..=3).contains(&operations), "{}", row.method);
    }
    let low = swept.comparison.rows[1..].iter().filter(|row| row.method.contains("lr=0.00")).count();
    assert!((2..=10).contains(&low), "half of the rates are below the geometric mean: {low}");
    assert!(carried_out(&request).1.is_empty(), "the same points are drawn again");
}

#[test]
fn halving_runs_the_better_third_three_times_as_long_and_the_last_over_all_seeds() {
    let world = SmallWorld::new(4, 2);
    let mut request = sweep_request(&world, Search::Halving, &["lr=0.0001..1"], 9);
    request.seeds = 2;
    let (swept, made) = carried_out(&request);
    let of = |epochs: usize| made.iter().filter(|(_, of, _)| *of == epochs).count();
    // With the row that they are compared with: 9 points, the best 3, and from 3 on no more are dropped.
    assert_eq!((of(3), of(9)), (10, 2 * 4));
    let swept = swept.unwrap();
    assert_eq!(swept.stages.iter().map(|stage| stage.epochs).collect::<Vec<_>>(), [3, 9]);
    let first = &swept.stages[0].points;
    assert!(first.windows(2).all(|pair| pair[0].validation_score <= pair[1].validation_score));
    let kept: Vec<&str> =
        first.iter().map(|point| &*point.name).filter(|name| *name != "core-tuning").take(3).collect();
    for name in kept {
        assert!(swept.comparison.rows.iter().any(|row| row.method == name), "{name}");
    }
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_run() {
    let world = SmallWorld::new(4, 2);
    let refused = |search, dimensions: &[&str]| {
        carried_out(&sweep_request(&world, search, dimensions, 4)).0.unwrap_err().to_string()
    };
    assert!(refused(Search::Grid, &["lr=0.001..0.1"]).contains("a range has no grid"));
    assert!(refused(Search::Halving, &["epochs=1,2"]).contains("successive halving sets the length"));
    assert!(refused(Search::Grid, &["coin_fraction=0.1,0.2"]).contains("coin_fraction"));
    assert!(refused(Search::Grid, &["lr=1,2", "lr=3,4"]).contains("given twice"));
    for text in ["lr=0.1..0.01", "lr=a..b", "pairs=own..soft", "method.name=scl,coin", "lr=-1..1"] {
        assert!(Dimension::parse(text).is_err(), "{text}");
    }
}
