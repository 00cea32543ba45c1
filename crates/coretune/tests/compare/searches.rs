//! Which runs a comparison makes, with runs that are made up: their figures are functions of their settings.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use coretune::compare::{
    Axis, CompareError, ComparedTask, Comparison, Entry, Event, Order, Request, Tuning, compare, outlook,
};
use coretune::config::Layers;
use coretune::engine::Stop;
use coretune::run_folder::{PredictionRecord, RunFolder, Summary};
use coretune_testing::SmallWorld;

/// Runs of the entries with these axes.
pub(super) fn request(world: &SmallWorld, entries: &[&str], axes: &[&str], trials: usize) -> Request {
    let own = [
        format!("checkpoint.path={:?}", world.checkpoint().display().to_string()),
        format!("data.dir={:?}", world.data().display().to_string()),
        "data.img_size=16".into(),
        "train.batch_size=4".into(),
        "run.device=cpu".into(),
        "data.check=off".into(),
    ];
    let entry = |text: &str| Entry::parse(text).unwrap();
    Request {
        task: ComparedTask::Classification,
        layers: own.iter().fold(Layers::defaults(), |layers, text| layers.assignment(text).unwrap()),
        entries: entries.iter().map(|text| entry(text)).collect(),
        baseline: entry("cross-entropy"),
        seeds: 1,
        budgets: Vec::new(),
        tuning: Some(Tuning { axes: axes.iter().map(|text| Axis::parse(text).unwrap()).collect(), trials }),
        jobs: 1,
        deadline: None,
        output: world.path("comparison"),
    }
}

/// What a run of these settings measures: the negative log-likelihood of validation, and how many of 100 test images
/// are right.
pub(super) type Figure = dyn Fn(&str, f64, f64) -> (f64, usize) + Sync;

/// Writes the folder of a finished run.
pub(super) fn make_up(order: &Order<'_>, figure: &Figure) {
    let config = &order.run.config;
    let table = config.to_table();
    let eta = table["method"].get("eta").and_then(toml::Value::as_float).unwrap_or_default();
    let (nll, right) = figure(config.method().word(), config.train().lr, eta);
    let folder = RunFolder::create(order.folder).unwrap();
    folder.write_config(&config.to_toml()).unwrap();
    let record = |split: &str, index: usize, is_right: bool| PredictionRecord {
        split: split.into(),
        image: index.to_string(),
        label: 1,
        predicted: i64::from(is_right),
        confidence: 0.75,
        nll,
        label_name: "dog".into(),
        predicted_name: if is_right { "dog" } else { "cat" }.into(),
    };
    let test = (0..100).map(|index| record("test", index, index < right));
    folder.write_predictions(&[record("validation", 0, true)].into_iter().chain(test).collect::<Vec<_>>()).unwrap();
    let summary = serde_json::json!({
        "method": config.method().word(), "model": "resnet18", "data": "", "seed": config.train().seed, "epochs": 1, "steps": 1,
        "best": { "epoch": 1 }, "test": null, "probe": null, "temperature": 1.0, "images_per_second": 1.0,
        "wall_seconds": if config.method().word() == "linear-probe" { 10.0 } else { 100.0 }, "peak_rss_bytes": 1, "coverage": 1.0, "versions": {},
    });
    let summary: Summary = serde_json::from_value(summary).unwrap();
    folder.write_summary(&summary).unwrap();
}

/// The comparison, and the settings of every run that it made: method, then what was tuned.
fn carried_out(request: &Request, figure: &Figure) -> (Result<Comparison, CompareError>, Vec<String>) {
    let made = Mutex::new(Vec::new());
    let carry_out = |order: &Order<'_>| {
        let tuned: Vec<String> = order.run.tuned.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        made.lock().unwrap().push(format!("{}{}", order.run.entry.name, tuned.concat()));
        make_up(order, figure);
        Ok(())
    };
    let comparison = compare(request, &carry_out, &Stop::default(), &mut |_: &Event<'_>| {});
    (comparison, made.into_inner().unwrap())
}

/// How far a learning rate is from 0.02 and eta from 2, in factors.
pub(super) fn distance(lr: f64, eta: f64) -> f64 {
    (lr / 0.02).ln().abs() + if eta > 0.0 { (eta / 2.0).ln().abs() } else { 0.0 }
}

#[test]
fn the_rate_comes_first_then_own_axes_then_finer_rates_with_what_is_left() {
    let world = SmallWorld::new(4, 2);
    let request = request(&world, &["cross-entropy", "core-tuning"], &["lr=0.001,0.01,0.1", "eta=0.5,2"], 6);
    let (comparison, made) = carried_out(&request, &|_, lr, eta| (distance(lr, eta), 50));
    let of = |name: &str| -> Vec<&str> {
        made.iter().filter_map(|run| run.strip_prefix(name)).map(str::trim_start).collect()
    };
    let lr = |rates: &[&str]| rates.iter().map(|rate| format!("train.lr={rate}")).collect::<Vec<_>>();
    assert_eq!(of("cross-entropy"), lr(&["0.001", "0.01", "0.1", "0.00316", "0.0316", "0.0178"]));
    let eta = |parts: &[(&str, &str)]| {
        parts.iter().map(|(eta, rate)| format!("method.eta={eta} train.lr={rate}")).collect::<Vec<_>>()
    };
    let default = "1.0";
    assert_eq!(
        of("core-tuning"),
        eta(&[
            (default, "0.001"),
            (default, "0.01"),
            (default, "0.1"),
            ("0.5", "0.01"),
            ("2.0", "0.01"),
            ("2.0", "0.00316")
        ])
    );
    let comparison = comparison.unwrap();
    assert_eq!(Comparison::read(&request.output).unwrap(), comparison);
    assert_eq!(comparison.rows[0].settings["train.lr"], "0.0178");
    assert_eq!(comparison.rows[1].settings["method.eta"], "2.0");
    assert_eq!(comparison.rows[1].remarks, ["method.eta = 2.0 is the largest value that was tried"]);
    assert_eq!(comparison.rows[0].trials, 6);
}

#[test]
fn a_choice_at_the_edge_of_the_grid_is_reported_and_failed_trials_are_not_chosen() {
    let world = SmallWorld::new(4, 2);
    let request = request(&world, &["cross-entropy"], &["lr=0.01,0.1,1"], 3);
    let carry_out = |order: &Order<'_>| {
        if order.run.config.train().lr > 0.5 {
            return Err("the loss is NaN at step 3".to_string());
        }
        make_up(order, &|_, lr, _| (1.0 / lr, 50));
        Ok(())
    };
    let row = &compare(&request, &carry_out, &Stop::default(), &mut |_| {}).unwrap().rows[0];
    assert_eq!(row.settings["train.lr"], "0.1");
    assert!(row.remarks.iter().any(|remark| remark.contains("trial train.lr=1.0 failed: the loss is NaN")), "{row:?}");
}

#[test]
fn a_method_whose_every_trial_fails_is_a_row_that_says_so_and_the_rest_goes_on() {
    let world = SmallWorld::new(4, 2);
    let request = request(&world, &["cross-entropy", "bss"], &["lr=0.01,0.1"], 2);
    let carry_out = |order: &Order<'_>| {
        if order.run.entry.name == "bss" {
            return Err("the loss is NaN at step 3".to_string());
        }
        make_up(order, &|_, lr, _| (lr, 50));
        Ok(())
    };
    let comparison = compare(&request, &carry_out, &Stop::default(), &mut |_| {}).unwrap();
    assert!(comparison.rows[0].top1.is_some());
    let expected = "all 2 trials failed, the first with: the loss is NaN at step 3";
    assert_eq!((comparison.rows[1].top1.is_none(), &comparison.rows[1].remarks[0][..]), (true, expected));
}

#[test]
fn a_run_that_panics_is_a_row_that_says_so_and_the_rest_goes_on() {
    let world = SmallWorld::new(4, 2);
    let request = request(&world, &["cross-entropy", "bss"], &["lr=0.01"], 1);
    let carry_out = |order: &Order<'_>| {
        assert!(order.run.entry.name != "bss", "a broken invariant");
        make_up(order, &|_, lr, _| (lr, 50));
        Ok(())
    };
    let comparison = compare(&request, &carry_out, &Stop::default(), &mut |_| {}).unwrap();
    assert!(comparison.rows[0].top1.is_some());
    let remarks = comparison.rows[1].remarks.join("; ");
    assert!(remarks.contains("an error in coretune itself: a broken invariant"), "{remarks}");
}

#[test]
fn what_has_finished_is_not_repeated_whatever_is_compared_next() {
    let world = SmallWorld::new(4, 2);
    let figure: &Figure = &|_, lr, eta| (distance(lr, eta), 50);
    let first = request(&world, &["cross-entropy"], &["lr=0.01,0.1"], 2);
    assert_eq!(carried_out(&first, figure).1.len(), 2);
    let (_, made) = carried_out(&request(&world, &["cross-entropy", "bss"], &["lr=0.01,0.1,1"], 3), figure);
    assert_eq!(made, ["cross-entropy train.lr=1.0", "bss train.lr=0.01", "bss train.lr=0.1", "bss train.lr=1.0"]);
    let seeds = Request { seeds: 3, ..first };
    assert_eq!(carried_out(&seeds, figure).1, ["cross-entropy train.lr=0.01", "cross-entropy train.lr=0.01"]);
}

#[test]
fn other_images_or_another_checkpoint_make_other_runs() {
    let world = SmallWorld::new(4, 2);
    let figure: &Figure = &|_, _, _| (1.0, 50);
    let fixed = Request { tuning: None, ..request(&world, &["cross-entropy"], &[], 1) };
    assert_eq!(carried_out(&fixed, figure).1.len(), 1);
    assert_eq!(carried_out(&fixed, figure).1.len(), 0);
    std::fs::copy(world.data().join("train/red/0.ppm"), world.data().join("train/red/9.ppm")).unwrap();
    assert_eq!(carried_out(&fixed, figure).1.len(), 1);
}

#[test]
fn no_run_is_begun_that_would_not_end_before_the_deadline() {
    let world = SmallWorld::new(4, 2);
    let fixed = Request { tuning: None, seeds: 2, ..request(&world, &["cross-entropy", "bss"], &[], 1) };
    // A run takes 100 s as its summary says; the first is estimated from a few steps.
    let late = Request { deadline: Some(Duration::from_secs(90)), ..fixed.clone() };
    let (comparison, made) = carried_out(&late, &|_, _, _| (1.0, 50));
    assert_eq!(made, ["cross-entropy"]);
    let comparison = comparison.unwrap();
    assert!(comparison.notes[0].contains("3 runs were not begun"), "{:?}", comparison.notes);
    assert_eq!(comparison.rows[0].remarks, ["seed 1 has not been run"]);
    assert_eq!(carried_out(&fixed, &|_, _, _| (1.0, 50)).1.len(), 3);
}

#[test]
fn a_comparison_that_is_asked_to_stop_keeps_what_has_finished() {
    let world = SmallWorld::new(4, 2);
    let fixed = Request { tuning: None, seeds: 3, ..request(&world, &["cross-entropy"], &[], 1) };
    let stop = Stop::default();
    let carry_out = |order: &Order<'_>| {
        make_up(order, &|_, _, _| (1.0, 50));
        order.stop.request();
        Ok(())
    };
    let ended = compare(&fixed, &carry_out, &stop, &mut |_| {});
    assert!(matches!(ended, Err(CompareError::Interrupted { finished: 1 })), "{ended:?}");
    assert!(Path::new(&fixed.output).join("table.json").is_file());
    assert_eq!(carried_out(&fixed, &|_, _, _| (1.0, 50)).1.len(), 2);
}

#[test]
fn the_recommendation_follows_the_figures() {
    let verdict = |bss: usize, l2_sp: usize, seeds| {
        let world = SmallWorld::new(4, 2);
        let fixed = Request { tuning: None, seeds, ..request(&world, &["cross-entropy", "bss", "l2-sp"], &[], 1) };
        let right = move |method: &str, _, _| match method {
            "bss" => (1.0, bss),
            "l2-sp" => (1.0, l2_sp),
            _ => (1.0, 60),
        };
        let comparison = carried_out(&fixed, &right).0.unwrap();
        assert_eq!(comparison.verdict.len(), 1);
        comparison.verdict[0].clone()
    };
    let clear = verdict(90, 85, 3);
    assert!(clear.starts_with("use bss: its top-1 differs from cross-entropy by +30.00 points"), "{clear}");
    let open = verdict(61, 59, 1);
    let start =
        "open: 1 seed and 100 images do not tell these methods apart; the highest in top-1 is bss, +1.00 points (";
    assert!(open.starts_with(start), "{open}");
    assert!(open.contains("give three or more") && open.ends_with("use bss: none of these is cheaper."), "{open}");
    let lower = verdict(59, 20, 1);
    let start = "open: 1 seed and 100 images do not tell bss and cross-entropy apart; the highest in top-1 is cross-entropy, then bss, -1";
    assert!(lower.starts_with(start), "{lower}");
    let worse = verdict(30, 20, 2);
    assert!(
        worse.starts_with("use cross-entropy: every other row is below it; the best of them is bss: its top-1"),
        "{worse}"
    );
}

/// Test images of 100 that are right: the three methods differ by chance, and the probe takes a tenth of the time.
fn by_chance(method: &str, _: f64, _: f64) -> (f64, usize) {
    (
        1.0,
        match method {
            "bss" => 61,
            "linear-probe" => 59,
            _ => 60,
        },
    )
}

#[test]
fn what_is_undecided_is_recommended_for_its_cost_and_its_run_is_linked() {
    let world = SmallWorld::new(4, 2);
    let entries = ["cross-entropy", "linear-probe", "bss"];
    let of_seeds = |seeds| Request { tuning: None, seeds, ..request(&world, &entries, &[], 1) };
    let two = carried_out(&of_seeds(2), &by_chance).0.unwrap();
    let verdict = &two.verdict[0];
    assert!(verdict.contains("the highest in top-1 is bss, +1.00 points ("), "{verdict}");
    assert!(verdict.ends_with("for cost use linear-probe: 10.0 s a run against 100.0 s."), "{verdict}");
    let output = of_seeds(2).output;
    assert_eq!(two.best_run.as_ref(), two.rows[1].runs.first());
    assert_eq!(two.best_folder(&output), Some(output.join("best")));
    assert_eq!(std::fs::read_link(output.join("best")).unwrap(), Path::new("runs").join(&two.rows[1].runs[0]));
    std::fs::remove_file(output.join("best")).unwrap();
    assert_eq!(two.best_folder(&output), Some(output.join("runs").join(&two.rows[1].runs[0])));

    // Two seeds have no interval that says anything, and neither have three that agree.
    let three = carried_out(&of_seeds(3), &by_chance).0.unwrap();
    for (comparison, note) in [
        (&two, "Two seeds are too few for an interval over seeds."),
        (&three, "Seeds that all show the same difference have no interval over seeds."),
    ] {
        assert_eq!(comparison.notes, [note]);
        let (headings, rows) = comparison.cells();
        for heading in ["t over seeds", "smallest visible difference"] {
            let column = headings.iter().position(|found| *found == heading).unwrap();
            assert!(rows.iter().all(|row| row[column] == "-"), "{heading}: {rows:?}");
        }
        assert!(comparison.rows[1].t_interval.is_some() && comparison.rows[1].detectable.is_some());
    }
}

#[test]
fn finished_rows_that_a_table_has_no_longer_are_named() {
    let world = SmallWorld::new(4, 2);
    let with = |entries: &[&str], axis: &[&str]| carried_out(&request(&world, entries, axis, 2), &by_chance).0.unwrap();
    let axis = ["lr=0.01,0.1"];
    assert!(with(&["cross-entropy", "bss"], &axis).left_out.is_empty());
    assert_eq!(with(&["cross-entropy"], &axis).left_out, ["bss"]);
    assert_eq!(with(&["cross-entropy", "l2-sp"], &axis).left_out, ["bss"], "an earlier table is remembered");
    assert_eq!(
        with(&["cross-entropy"], &["lr=0.02"]).left_out,
        [""; 0],
        "with these settings nothing else is finished"
    );
}

#[test]
fn the_runs_are_counted_in_advance_and_one_by_one() {
    let world = SmallWorld::new(4, 2);
    let asked = Request { seeds: 2, ..request(&world, &["cross-entropy", "linear-probe"], &["lr=0.01,0.1"], 3) };
    let before = outlook(&asked, &Stop::default(), &mut |_| {}).unwrap();
    // Three trials and another seed; the probe has nothing to tune.
    assert_eq!((before.rows, before.seeds, before.runs, before.finished, before.at_most), (2, 2, 6, 0, true));
    assert!(before.seconds.unwrap() > 0.0);
    assert!(!asked.output.exists(), "a folder was made");

    let (mut planned, mut places, mut left) = (None, Vec::new(), Vec::new());
    let carry_out = |order: &Order<'_>| {
        make_up(order, &by_chance);
        Ok(())
    };
    let comparison = compare(&asked, &carry_out, &Stop::default(), &mut |event| match event {
        Event::Planned(outlook) => planned = Some(outlook.runs),
        Event::Started(_, place) => places.push((place.number, place.of)),
        Event::Finished(_, end) => left.push((end.figure, end.left.unwrap())),
        _ => {}
    });
    assert_eq!(comparison.unwrap().runs, 6);
    assert_eq!(planned, Some(6));
    assert_eq!(places, [1, 2, 3, 4, 5, 6].map(|number| (number, 6)));
    assert_eq!(left.last(), Some(&(1.0, 0.0)), "the one validation image is right, and nothing is left");
    assert!(left.windows(2).all(|pair| pair[0].1 > pair[1].1), "{left:?}");

    let after = outlook(&asked, &Stop::default(), &mut |_| {}).unwrap();
    assert_eq!((after.runs, after.finished, after.seconds, after.at_most), (6, 6, Some(0.0), false));
}

#[test]
fn a_comparison_that_is_refused_leaves_nothing() {
    let world = SmallWorld::new(4, 2);
    let asked = Request { tuning: None, ..request(&world, &["cross-entropy"], &[], 1) };
    let layers = asked.layers.clone().assignment("train.batch_size=1000").unwrap();
    let refused = carried_out(&Request { layers, ..asked.clone() }, &by_chance);
    assert!(refused.0.is_err() && refused.1.is_empty(), "{refused:?}");
    assert!(!asked.output.exists(), "a folder was left");
}

#[test]
fn a_method_that_cannot_be_computed_in_parts_is_refused_before_anything_is_run() {
    let world = SmallWorld::new(4, 2);
    let asked = Request { tuning: None, ..request(&world, &["cross-entropy", "bi-tuning"], &[], 1) };
    let layers = ["train.batch_size=2", "train.grad_accum_steps=2", "train.accumulation=split", "run.threads=1"];
    let layers = layers.iter().fold(asked.layers.clone(), |layers, set| layers.assignment(set).unwrap());
    let (ended, run) = carried_out(&Request { layers: layers.clone(), ..asked.clone() }, &by_chance);
    let sentence = ended.unwrap_err().to_string();
    assert!(sentence.contains("bi-tuning cannot compute a batch in parts") && run.is_empty(), "{sentence}, {run:?}");
    assert!(!asked.output.exists(), "a folder was left");

    let whole = request(&world, &["cross-entropy", "bi-tuning:batch-size=4:grad-accum-steps=1"], &[], 1);
    let (ended, _) = carried_out(&Request { tuning: None, layers, ..whole }, &by_chance);
    assert_eq!(ended.unwrap().rows.len(), 2);
}
