//! A comparison of runs that segment images, each carried out.

use std::path::Path;

use coretune::compare::{
    CompareError, ComparedTask, Comparison, Entry, Event, Request, Row, all_entries, compare, in_this_process,
};
use coretune::config::{Layers, RunKind};
use coretune::engine::Stop;
use coretune::evaluate::figure::{FREQUENCY_WEIGHTED_IOU, MEAN_IOU, MEAN_PIXEL_ACCURACY};
use coretune::run_folder::{RunFolder, SegmentationSummary};
use coretune_testing::SmallWorld;

fn request(world: &SmallWorld, entries: &[&str]) -> Request {
    let own = [
        format!("checkpoint.path={:?}", world.checkpoint().display().to_string()),
        format!("data.dir={:?}", world.data().display().to_string()),
        "segmentation.head=fcn".into(),
        "segmentation.crop=32".into(),
        "train.batch_size=4".into(),
        "train.epochs=1".into(),
        "run.device=cpu".into(),
        "run.threads=1".into(),
        "data.check=off".into(),
    ];
    let layers = Layers::defaults_of(RunKind::Segmentation);
    Request {
        task: ComparedTask::Segmentation,
        layers: own.iter().fold(layers, |layers, text| layers.assignment(text).unwrap()),
        entries: entries.iter().map(|text| Entry::parse(text).unwrap()).collect(),
        baseline: Entry::parse("cross-entropy").unwrap(),
        seeds: 2,
        budgets: Vec::new(),
        tuning: None,
        jobs: 1,
        deadline: None,
        output: world.path("comparison"),
    }
}

fn carried_out(request: &Request) -> Result<Comparison, CompareError> {
    compare(request, &in_this_process, &Stop::default(), &mut |_: &Event<'_>| {})
}

/// The summaries of the runs of a row, seed by seed.
fn summaries(output: &Path, row: &Row) -> Vec<SegmentationSummary> {
    let summary = |run: &String| {
        RunFolder::open(&output.join("runs").join(run)).unwrap().read_summary::<SegmentationSummary>().unwrap().unwrap()
    };
    row.runs.iter().map(summary).collect()
}

#[test]
fn the_table_has_the_figures_of_the_runs_with_random_weights_and_the_probe_as_rows() {
    let world = SmallWorld::with_masks(8);
    let request = request(&world, &["random-init", "cross-entropy", "lp-ft", "linear-probe"]);
    let comparison = carried_out(&request).unwrap();
    assert_eq!(comparison.rows.len(), 4);
    assert_eq!((comparison.images, &comparison.split[..]), (4, "test"));
    for row in &comparison.rows {
        assert_eq!(row.seeds, [0, 1], "{}: {:?}", row.method, row.remarks);
        let summaries = summaries(&request.output, row);
        for (spread, figure) in [
            (&row.mean_iou, MEAN_IOU),
            (&row.mean_pixel_accuracy, MEAN_PIXEL_ACCURACY),
            (&row.frequency_weighted_iou, FREQUENCY_WEIGHTED_IOU),
        ] {
            for (found, summary) in spread.as_ref().unwrap().of_seeds.iter().zip(&summaries) {
                let expected = summary.test.as_ref().unwrap().get(figure.name).unwrap();
                assert!((found - expected).abs() < 1e-12, "{}: {found}, in the summary {expected}", row.method);
            }
        }
        let (is_random, is_probe) = (row.method == "random-init", row.method == "linear-probe");
        for summary in &summaries {
            assert_eq!(summary.coverage == 0.0, is_random, "{}", row.method);
            assert_eq!(summary.steps == 0, is_probe, "{}", row.method);
            assert_eq!(summary.head, if is_probe { "linear" } else { "fcn" });
        }
        if row.method == "cross-entropy" {
            assert!(row.difference.is_none() && row.other_differences.is_empty());
        } else {
            assert_eq!(row.other_differences.len(), 3);
            let half = row.t_interval.map(|interval| (interval.high - interval.low) / 2.0);
            assert_eq!(row.detectable, half);
        }
        assert!(row.top1.is_none() && row.calibration.is_empty());
    }
    let text = comparison.to_text();
    for heading in ["mean IoU %", "mean pixel accuracy %", "weighted IoU %", "smallest visible difference"] {
        assert!(text.contains(heading), "{text}");
    }
    assert!(!text.contains("top-1") && !text.contains("ECE"), "{text}");
    assert!(comparison.verdict[0].contains("mean IoU"), "{:?}", comparison.verdict);
    let probe = &summaries(&request.output, &comparison.rows[3])[0];
    let (iou, of_probe) = (probe.test.as_ref().unwrap(), probe.probe.as_ref().unwrap());
    assert_eq!(iou.get(MEAN_IOU.name), of_probe.get(MEAN_IOU.name), "the row is the probe");
}

#[test]
fn settings_are_chosen_by_the_mean_iou_of_the_validation_images() {
    let world = SmallWorld::with_masks(8);
    let axis = coretune::compare::Axis::parse("lr=1e-9,0.05").unwrap();
    let tuning = Some(coretune::compare::Tuning { axes: vec![axis], trials: 2 });
    let request = Request { tuning, seeds: 1, ..request(&world, &["cross-entropy"]) };
    let comparison = carried_out(&request).unwrap();
    let runs = std::fs::read_dir(request.output.join("runs")).unwrap().flatten().map(|entry| entry.path());
    let best = runs
        .filter(|path| path.is_dir())
        .map(|path| {
            let folder = RunFolder::open(&path).unwrap();
            let summary: SegmentationSummary = folder.read_summary().unwrap().unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (summary.best.figures.get("val_mean_iou").unwrap(), name)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    assert_eq!(comparison.rows[0].runs, [best.1]);
    assert_eq!(comparison.rows[0].trials, 2);
}

#[test]
fn a_method_that_reads_more_than_rows_and_labels_is_refused_before_anything_is_run() {
    let world = SmallWorld::with_masks(4);
    let error = carried_out(&request(&world, &["delta"])).unwrap_err().to_string();
    assert!(error.contains("delta") && error.contains("the maps of each stage"), "{error}");
    let all = all_entries(ComparedTask::Segmentation);
    assert!(all.contains(&"core-tuning") && all.contains(&"lp-ft") && !all.contains(&"delta"), "{all:?}");
}
