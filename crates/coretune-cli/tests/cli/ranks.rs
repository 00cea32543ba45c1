//! Several ranks of one run, as a user starts them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use coretune::checkpoints::safetensors_file;
use coretune::engine::ranks::{Group, Place, variable};
use coretune::engine::{PairTable, World};
use coretune::losses::{Focus, nt_xent_by, own_contrastive_by, soft_label_contrastive_by, supervised_contrastive_by};
use coretune::mining::{MiningRule, mine_by};
use coretune_testing::SmallWorld;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::stderr;
use super::world::World as Folder;

/// The program as it runs outside of any launcher.
fn program(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coretune"));
    for variable in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_NUM_TASKS"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn done(arguments: &[String]) -> Output {
    let output = program(arguments).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    output
}

/// A run of so many images a step, without a probe.
fn fit(world: &Folder, run: &str, batch: &str, more: &[&str]) -> Vec<String> {
    let fixed = ["--no-probe", "--threads", "1", "--workers", "1", "--val-per-class", "1", "--amp", "off"];
    let mut arguments = world.fit(run, &[&fixed[..], more].concat());
    let place = arguments.iter().position(|argument| argument == "--batch-size").unwrap();
    arguments[place + 1] = batch.into();
    arguments
}

fn last(world: &Folder, run: &str) -> BTreeMap<String, Tensor> {
    safetensors_file::read(Path::new(&world.path(run)).join("checkpoints/last.safetensors")).unwrap().1
}

fn last_bytes(world: &Folder, run: &str) -> Vec<u8> {
    fs::read(Path::new(&world.path(run)).join("checkpoints/last.safetensors")).unwrap()
}

/// The largest difference of two states over the tensors of these names, each relative to its largest value.
fn difference(first: &BTreeMap<String, Tensor>, second: &BTreeMap<String, Tensor>, of: fn(&str) -> bool) -> f64 {
    assert!(first.keys().eq(second.keys()));
    let mut largest: f64 = 0.0;
    let mut compared = 0;
    for (name, tensor) in first.iter().filter(|(name, tensor)| tensor.numel() > 0 && of(name)) {
        let [a, b] = [tensor, &second[name]].map(|tensor| tensor.to_kind(Kind::Double));
        let scale = b.abs().max().double_value(&[]).max(1e-6);
        largest = largest.max((a - b).abs().max().double_value(&[]) / scale);
        compared += 1;
    }
    assert!(compared > 5);
    largest
}

fn all(_: &str) -> bool {
    true
}

/// Everything but running averages, where a process has its own.
fn trained(name: &str) -> bool {
    !["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end))
}

/// The last layers. Below them rounding alone can flip the sign of an activation, and with it a gradient.
fn deep(name: &str) -> bool {
    ["layer4", "fc.", "classifier", "projection"].iter().any(|part| name.contains(part))
}

/// What one of three ranks finds.
fn one_of_three() {
    let mut place = Place::from_variables(&variable).unwrap().expect("the variables of a rank");
    let patience = Duration::from_mins(1);
    let store = Group::open_store(&mut place, patience).unwrap();
    let group = Group::join(place, store, patience).unwrap();
    let (world, rank) = (World::Ranks(group), group.place().rank as f32);
    let values = |tensor: &Tensor| Vec::<f32>::try_from(&tensor.flatten(0, -1)).unwrap();

    let mut gradients = [Tensor::from_slice(&[rank, 1.0]), Tensor::new()];
    world.sum(&mut gradients).unwrap();
    assert_eq!(values(&gradients[0]), [3.0, 3.0]);
    assert!(!gradients[1].defined());

    // One image of two views each.
    let rows = Tensor::from_slice(&[rank, 10.0 + rank]).view([2, 1]);
    let gathered = world.gather(&rows, 2).unwrap();
    assert_eq!(values(&gathered), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    assert_eq!(values(&world.own_rows(&gathered, 2)), values(&rows));
    assert_eq!(world.gather_labels(&[5, rank as i64]).unwrap(), [5, 0, 5, 1, 5, 2]);

    let some = (rank > 0.0).then(|| Tensor::ones([rank as i64, 2], (Kind::Float, tch::Device::Cpu)) * f64::from(rank));
    let uneven = world.gather_uneven(some.as_ref()).unwrap();
    assert_eq!(uneven.iter().map(values).collect::<Vec<_>>(), [vec![1.0; 2], vec![2.0; 4]]);

    let numbers: Vec<i64> = (0..rank as i64).map(|number| 10 * rank as i64 + number).collect();
    assert_eq!(world.gather_uneven_numbers(&numbers).unwrap(), [10, 20, 21]);
    assert!(world.gather_uneven_numbers(&[]).unwrap().is_empty() && world.gather_uneven(None).unwrap().is_empty());
    assert!((world.total(f64::from(rank) + 0.5).unwrap() - 4.5).abs() < 1e-12);

    // Two images each: 0, 1 | 2, 3 | 4, 5, and for each the one so many before it.
    let images = Tensor::from_slice(&[2.0 * rank, 2.0 * rank + 1.0]);
    for shift in [1, 2, 3] {
        let before = values(&world.rows_before(&images, shift).unwrap());
        let expected = [0.0, 1.0].map(|place| (2.0 * rank + place + 6.0 - shift as f32) % 6.0);
        assert_eq!(before, expected, "shift {shift}");
    }

    let running = Tensor::from_slice(&[rank + 7.0]);
    world.broadcast([&running].into_iter()).unwrap();
    assert_eq!(values(&running), [7.0]);
    assert!(world.agree(rank > 1.0).unwrap() && !world.agree(false).unwrap());
    assert_eq!(world.agree_on_both(false, rank > 0.0).unwrap(), (false, false), "only rank 0 knows the time");

    let x = Tensor::from_slice(&[rank + 1.0]).set_requires_grad(true);
    let total = world.sum_in_graph(&(&x * &x));
    assert_eq!(values(&total.detach()), [14.0]);
    (total * f64::from(rank + 1.0)).sum(Kind::Float).backward();
    // The losses of all ranks count 1 + 2 + 3 times.
    assert_eq!(values(&x.grad()), [12.0 * (rank + 1.0)]);
    // The last rank has no block of five.
    pairs_are_dealt(world, 2);
    pairs_are_dealt(world, 5);
    group.part();
}

/// Losses and mining of 8 rows, whose pairs three ranks share, are those of one process.
fn pairs_are_dealt(world: World, block: i64) {
    tch::manual_seed(3);
    let labels = [0, 1, 2, 0, 1, 2, 0, 3];
    let rows = |count| Tensor::randn([count, 4], (Kind::Float, tch::Device::Cpu));
    let unit = |rows: &Tensor| rows / rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), true);
    let (features, of_batch, mixed) = (rows(8), unit(&rows(8)), unit(&rows(24)));
    let targets = rows(24).softmax(-1, Kind::Float);
    let focus = Focus { exponent: 1.0, detached: false };
    let compare = |name: &str, rows: &Tensor, loss: &dyn Fn(PairTable, &Tensor) -> Tensor| {
        let [found, expected] = [PairTable::Dealt(world, block), PairTable::Whole].map(|table| {
            let leaf = rows.detach().set_requires_grad(true);
            let loss = loss(table, &leaf);
            (Tensor::run_backward(&[&loss], &[&leaf], false, false).remove(0), loss)
        });
        for (found, expected) in [(found.0, expected.0), (found.1, expected.1)] {
            let off = ((found - &expected).abs().max() / expected.abs().max()).double_value(&[]);
            assert!(off < 1e-5, "{name}: {off}");
        }
    };
    compare("scl", &of_batch, &|table, rows| supervised_contrastive_by(table, rows, &labels, 0.1, focus).unwrap());
    compare("own", &mixed, &|table, rows| own_contrastive_by(table, rows, &labels, 0.1, focus).unwrap());
    compare("soft", &mixed, &|table, rows| soft_label_contrastive_by(table, rows, &targets, 0.1, focus).unwrap());
    compare("nt-xent", &features, &|table, rows| nt_xent_by(table, rows, 0.1).unwrap().loss);
    let mined = |table| mine_by(table, &features, &labels, MiningRule::Published).unwrap();
    let (found, expected) = (mined(PairTable::Dealt(world, block)), mined(PairTable::Blocks(block)));
    assert_eq!(found.pairs.positive, expected.pairs.positive);
    assert_eq!(found.pairs.negative, expected.pairs.negative);
    assert_eq!(found.positive_cosines, expected.positive_cosines);
}

#[test]
fn three_processes_exchange_tensors() {
    // The test starts itself three times, with this variable.
    const RANK: &str = "CORETUNE_TEST_RANK";
    if std::env::var_os(RANK).is_some() {
        return one_of_three();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "ranks::three_processes_exchange_tensors", "--nocapture"]).env(RANK, "");
        let variables = Place::here(rank, 3, port).variables();
        command.envs(variables).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ranks: Vec<Child> = (0..3).map(start).collect();
    for rank in ranks {
        let output = rank.wait_with_output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}

#[test]
fn two_ranks_train_the_weights_of_one_process_and_local_mining_does_not() {
    let world = Folder::new();
    // 50 steps of 8 images; the positives and the hardest pairs of an image are on both ranks.
    let epochs = ["--epochs", "25", "--freeze-batch-norm"];
    let parts = ["--grad-accum-steps", "2"];
    for method in [&["--pairs", "own"][..], &["--pairs", "soft"], &["--method", "scl"]] {
        let name = method.join("");
        let (one, two, local) = (format!("one{name}"), format!("two{name}"), format!("local{name}"));
        done(&fit(&world, &one, "4", &[&epochs, method, &parts].concat()));
        done(&fit(&world, &two, "4", &[&epochs, method, &["--ranks", "2"]].concat()));
        let found = difference(&last(&world, &two), &last(&world, &one), all);
        assert!(found <= 1e-5, "{name}: {found}");
        // One pass over all images of a step rounds otherwise than passes over parts, which many steps magnify.
        let (whole, dealt) = (format!("whole{name}"), format!("dealt{name}"));
        done(&fit(&world, &whole, "18", &[&epochs[2..], method].concat()));
        done(&fit(&world, &dealt, "9", &[&epochs[2..], method, &["--ranks", "2"]].concat()));
        let found = difference(&last(&world, &dealt), &last(&world, &whole), all);
        assert!(found <= 1e-5, "{name}, one step: {found}");
        done(&fit(&world, &local, "4", &[&epochs, method, &parts, &["--accumulation", "split"]].concat()));
        let found = difference(&last(&world, &local), &last(&world, &one), all);
        assert!(found > 1e-3, "{name}, local: {found}");
    }
}

#[test]
fn methods_that_keep_rows_or_read_maps_and_mixed_images_train_the_weights_of_one_process_on_two_ranks() {
    let world = Folder::new();
    let frozen = ["--freeze-batch-norm"];
    for (name, method) in [
        ("delta", &["--method", "delta", "--delta-images", "8"][..]),
        ("bi-tuning", &["--method", "bi-tuning"]),
        ("dr-tune", &["--method", "dr-tune", "--dr-tune-bank", "12"]),
    ] {
        // Two steps: one pass over a batch rounds otherwise than two over its halves.
        let (one, two) = (format!("one-{name}"), format!("two-{name}"));
        // The channels of delta are weighed with the probe.
        let probed = |arguments: Vec<String>| {
            let is_kept = |argument: &String| name != "delta" || argument != "--no-probe";
            done(&arguments.into_iter().filter(is_kept).collect::<Vec<_>>())
        };
        probed(fit(&world, &one, "8", &[&frozen[..], method].concat()));
        probed(fit(&world, &two, "4", &[&frozen[..], method, &["--ranks", "2"]].concat()));
        let found = difference(&last(&world, &two), &last(&world, &one), all);
        assert!(found <= 1e-5, "{name}: {found}");
    }
    // With a strong pull of maps beside the loss of rows.
    let pull = ["--regulariser", "delta", "--regulariser-weight", "0.5"];
    for method in ["core-tuning", "cross-entropy"] {
        let of_method = ["--method", method];
        let run = |name: &str, batch: &str, more: &[&str]| {
            let run = format!("{name}-{method}");
            done(&fit(&world, &run, batch, &[&frozen[..], &of_method, more].concat()));
            last(&world, &run)
        };
        let one = run("pulled", "8", &pull);
        let found = difference(&run("pulled-two", "4", &[&pull[..], &["--ranks", "2"]].concat()), &one, all);
        assert!(found <= 1e-5, "{method} with delta: {found}");
        let found =
            difference(&run("free", "8", &["--regulariser", "delta", "--regulariser-weight", "1e-9"]), &one, all);
        assert!(found > 1e-3, "{method} without a pull: {found}");
    }
    let long = ["--freeze-batch-norm", "--epochs", "5"];
    for (name, accumulated, settings) in [
        ("mixed", ["2", "1"], &["--method", "cross-entropy", "--mixup", "0.5", "--cutmix", "0.5"][..]),
        ("split", ["4", "2"], &["--accumulation", "split"]),
    ] {
        let (one, two) = (format!("one-{name}"), format!("two-{name}"));
        let parts = |number| ["--grad-accum-steps", accumulated[number]];
        done(&fit(&world, &one, "4", &[&long[..], settings, &parts(0)].concat()));
        done(&fit(&world, &two, "4", &[&long[..], settings, &parts(1), &["--ranks", "2"]].concat()));
        let found = difference(&last(&world, &two), &last(&world, &one), all);
        assert!(found <= 1e-5, "{name}: {found}");
    }
}

/// Image, class and whether it was trained on, of each unlabelled image of a run.
fn pseudo_labels(world: &Folder, run: &str) -> Vec<[String; 3]> {
    let text = fs::read_to_string(Path::new(&world.path(run)).join("pseudo_labels.csv")).unwrap();
    let parts = |line: &str| line.split(',').map(String::from).collect::<Vec<_>>();
    let lines = text.lines().map(|line| <[String; 4]>::try_from(parts(line)).unwrap());
    lines.map(|[image, class, _, kept]| [image, class, kept]).collect()
}

#[test]
fn unlabelled_images_get_the_labels_of_one_process_on_two_ranks_which_train_its_weights_with_them() {
    let world = Folder::new();
    let budget = ["--per-class", "3", "--freeze-batch-norm", "--unlabelled", "rest"];
    let propagated = [&budget[..], &["--propagation-neighbours", "5"]].concat();
    let teacher = world.path("one-propagated");
    for (name, settings) in [
        ("propagated", propagated.clone()),
        ("from-a-run", [&budget[..], &["--pseudo-labels-from", &teacher]].concat()),
    ] {
        let (one, two) = (format!("one-{name}"), format!("two-{name}"));
        done(&fit(&world, &one, "8", &settings));
        done(&fit(&world, &two, "4", &[&settings[..], &["--ranks", "2"]].concat()));
        let labels = pseudo_labels(&world, &one);
        assert!(labels.iter().any(|[_, _, kept]| kept == "true"), "{name}: {labels:?}");
        assert_eq!(pseudo_labels(&world, &two), labels, "{name}");
        let found = difference(&last(&world, &two), &last(&world, &one), all);
        assert!(found <= 1e-5, "{name}: {found}");
    }
    done(&fit(&world, "again", "4", &[&propagated[..], &["--ranks", "2"]].concat()));
    assert_eq!(last_bytes(&world, "again"), last_bytes(&world, "two-propagated"));
}

#[test]
fn segmentation_on_two_ranks_trains_and_measures_what_one_process_does() {
    let world = SmallWorld::with_masks(10);
    let path = |name: &str| world.path(name).display().to_string();
    let fit = |run: &str, more: &[&str]| {
        let (checkpoint, data, output) = (path("resnet.safetensors"), path("data"), path(run));
        let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--head", "fcn"];
        let short = ["--epochs", "10", "--batch-size", "2", "--crop", "32", "--output-stride", "8", "--device", "cpu"];
        let fixed = ["--threads", "1", "--workers", "1", "--amp", "off", "--freeze-batch-norm"];
        done(&[&own[..], &short, &fixed, more].concat().iter().map(ToString::to_string).collect::<Vec<_>>());
        let folder = world.path(run);
        let state = safetensors_file::read(folder.join("checkpoints/last.safetensors")).unwrap().1;
        let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
        (state, summary)
    };
    let (one, of_one) = fit("one", &["--grad-accum-steps", "2"]);
    let (two, of_two) = fit("two", &["--ranks", "2"]);
    let found = difference(&two, &one, all);
    assert!(found <= 1e-5, "{found}");
    // Five images to validate on, and five to test on.
    for figure in ["/test/mean_iou", "/test/loss", "/probe/mean_iou", "/best/val_mean_iou"] {
        let [a, b] = [&of_one, &of_two].map(|summary| summary.pointer(figure).and_then(Value::as_f64));
        let (Some(a), Some(b)) = (a, b) else { panic!("{figure}: {of_one}") };
        assert!((a - b).abs() < 1e-4, "{figure}: {a} and {b}");
    }
    assert_eq!(of_one["probe"], of_two["probe"], "the frozen checkpoint gives the same maps");
    assert!(of_one.get("exchange").is_none() && of_two["exchange"]["bytes"].as_u64().unwrap() > 0);
}

/// As `coretune compare` starts its runs: only rank 0 has the standard input whose end stops a run.
#[test]
fn a_run_of_two_ranks_that_stops_with_its_standard_input_ends_when_it_is_done() {
    let world = Folder::new();
    let arguments = fit(&world, "two", "4", &["--ranks", "2", "--stop-with-stdin"]);
    let mut rank_0 = program(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = rank_0.stdin.take();
    let status = rank_0.wait().unwrap();
    drop(stdin);
    assert_eq!(status.code(), Some(0));
    last_bytes(&world, "two");
}

#[test]
fn images_that_do_not_fill_the_rounds_of_evaluation_are_counted_once() {
    let world = Folder::new();
    // 8 images to test on and 2 to validate on, in batches of 2: the second round of three ranks has one batch.
    let predictions = |run: &str, more: &[&str]| {
        let fixed = ["--method", "linear-probe", "--threads", "1", "--workers", "1", "--val-per-class", "1"];
        let mut arguments = world.fit(run, &[&fixed[..], more].concat());
        let place = arguments.iter().position(|argument| argument == "--batch-size").unwrap();
        arguments[place + 1] = "2".into();
        done(&arguments);
        let folder = world.path(run);
        let read = |name: &str| fs::read_to_string(Path::new(&folder).join(name)).unwrap();
        let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
        (read("predictions.csv"), summary)
    };
    let (one, of_one) = predictions("one", &[]);
    let (three, of_three) = predictions("three", &["--ranks", "3"]);
    assert_eq!(one, three);
    for figures in ["best", "test", "probe", "temperature"] {
        assert_eq!(of_one[figures], of_three[figures]);
    }
}

#[test]
fn the_same_ranks_give_the_same_bytes_and_batch_norm_over_ranks_is_that_of_one_process() {
    let world = Folder::new();
    let two = ["--ranks", "2", "--sync-bn"];
    done(&fit(&world, "first", "9", &two));
    done(&fit(&world, "second", "9", &two));
    assert!(last_bytes(&world, "first") == last_bytes(&world, "second"));
    done(&fit(&world, "one", "18", &[]));
    let found = difference(&last(&world, "first"), &last(&world, "one"), deep);
    assert!(found <= 1e-4, "{found}");
    done(&fit(&world, "local", "9", &two[..2]));
    let found = difference(&last(&world, "local"), &last(&world, "one"), deep);
    assert!(found > 1e-2, "batch norm of each rank: {found}");
    assert!(Path::new(&world.path("first")).join("log.rank-1.txt").is_file());
}

#[test]
fn ranks_share_the_negatives_and_the_queue_of_pretraining() {
    let world = Folder::new();
    let pretrain = |run: &str, more: &[&str]| {
        let (data, output) = (world.path("data"), world.path(run));
        let own = ["pretrain", "--data-dir", &data, "--output", &output, "--width", "0.125", "--img-size", "16"];
        let short = ["--threads", "1", "--workers", "1", "--probe-epochs", "1", "--device", "cpu", "--amp", "off"];
        done(&own.iter().chain(&short).chain(more).map(ToString::to_string).collect::<Vec<_>>());
        last(&world, run)
    };
    let moco = ["--method", "moco-v2", "--bn-groups", "2", "--epochs", "3"];
    let one = pretrain("moco", &[&moco[..], &["--batch-size", "8"]].concat());
    let two = pretrain("moco-two", &[&moco[..], &["--batch-size", "4", "--ranks", "2"]].concat());
    let found = difference(&two, &one, trained);
    assert!(found <= 1e-5, "MoCo: {found}");
    let simclr = ["--method", "simclr", "--epochs", "1"];
    let one = pretrain("simclr", &[&simclr[..], &["--batch-size", "20"]].concat());
    let two = pretrain("simclr-two", &[&simclr[..], &["--batch-size", "10", "--ranks", "2", "--sync-bn"]].concat());
    let found = difference(&two, &one, deep);
    assert!(found <= 1e-3, "SimCLR: {found}");
    // Two ranks with batch norm of their own make the steps of one process that accumulates two batches.
    let simclr = ["--method", "simclr", "--epochs", "3", "--batch-size", "4"];
    let one = pretrain("parts", &[&simclr[..], &["--grad-accum-steps", "2"]].concat());
    let two = pretrain("ranks", &[&simclr[..], &["--ranks", "2"]].concat());
    let found = difference(&two, &one, trained);
    assert!(found <= 1e-5, "SimCLR in parts: {found}");
}

#[test]
fn pretraining_of_two_ranks_resumes_on_one_with_the_same_steps() {
    let world = Folder::new();
    for (method, changed) in [("moco-v2", "--batch-size was 4"), ("simclr", "--grad-accum-steps was 1")] {
        let pretrain = |run: &str, more: &[&str]| {
            let (data, output) = (world.path("data"), world.path(run));
            let own = ["pretrain", "--data-dir", &data, "--output", &output, "--width", "0.125", "--img-size", "16"];
            let short =
                ["--threads", "1", "--workers", "1", "--probe-epochs", "off", "--device", "cpu", "--amp", "off"];
            let of_run = ["--method", method, "--batch-size", "4", "--epochs", "20", "--log-every", "1"];
            own.iter().chain(&short).chain(&of_run).chain(more).map(ToString::to_string).collect::<Vec<_>>()
        };
        let (whole, stopped) = (format!("{method}-whole"), format!("{method}-stopped"));
        done(&pretrain(&whole, &["--ranks", "2"]));
        let mut first = program(&pretrain(&stopped, &["--ranks", "2"])).spawn().unwrap();
        wait_for_step(&world, &stopped, &mut first);
        signal(&first.id().to_string(), "-TERM");
        assert_eq!(first.wait_with_output().unwrap().status.code(), Some(143));
        let resumed = done(&pretrain(&stopped, &["--ranks", "1", "--resume"]));
        assert!(stderr(&resumed).contains(changed), "{}", stderr(&resumed));
        let found = difference(&last(&world, &stopped), &last(&world, &whole), trained);
        assert!(found <= 1e-5, "{method}: {found}");
    }
}

#[test]
fn only_rank_0_prints_notes_and_the_lines_of_the_log_say_what_was_exchanged() {
    let world = Folder::new();
    let output = done(&fit(&world, "run", "4", &["--method", "cross-entropy", "--eta", "0.5", "--ranks", "2"]));
    let text = stderr(&output);
    assert_eq!(text.matches("--eta is not used").count(), 1, "{text}");
    let read = |name: &str| fs::read_to_string(Path::new(&world.path("run")).join(name)).unwrap();
    assert!(read("log.rank-1.txt").contains("--eta is not used"), "{}", read("log.rank-1.txt"));
    let weights: usize = last(&world, "run").values().map(Tensor::numel).sum();
    let metrics = read("metrics.jsonl");
    let step: Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    let bytes = step["exchanged_bytes"].as_u64().unwrap() as usize;
    // The gradients of the weights; the state has the weights, their momentum and running averages.
    assert!(bytes > 4 * weights / 3 && bytes < 4 * weights, "{bytes} bytes, {weights} numbers");
    assert!(step["exchange_seconds"].as_f64().unwrap() > 0.0);
}

/// The process of rank 1 that the first rank has started.
fn second_rank(first: &Child) -> String {
    children(&first.id().to_string())
}

/// The process that the main thread of a process has started, the last if there are several.
fn children(pid: &str) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of_tasks = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    of_tasks.collect::<String>().split_whitespace().last().expect("a process that it started").to_string()
}

fn signal(pid: &str, name: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

fn wait_for_step(world: &Folder, run: &str, first: &mut Child) {
    let metrics = Path::new(&world.path(run)).join("metrics.jsonl");
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it had made three steps");
        sleep(Duration::from_millis(5));
    }
}

const LONG: [&str; 6] = ["--ranks", "2", "--epochs", "40", "--freeze-batch-norm", "--rank-timeout=8"];

#[test]
fn a_rank_that_is_killed_or_stopped_is_named_and_the_run_resumes_on_one() {
    let world = Folder::new();
    done(&fit(&world, "whole", "4", &LONG));
    for (name, of_signal) in [("killed", "-KILL"), ("stopped", "-STOP")] {
        let mut first = program(&fit(&world, name, "4", &LONG)).spawn().unwrap();
        wait_for_step(&world, name, &mut first);
        signal(&second_rank(&first), of_signal);
        let output = first.wait_with_output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error: rank 1 of 2 did not answer at step"), "{text}");
        assert!(text.contains("the run resumes after step"), "{text}");
        done(&fit(&world, name, "4", &[&["--ranks", "1"], &LONG[2..], &["--resume"]].concat()));
        let found = difference(&last(&world, name), &last(&world, "whole"), all);
        assert!(found <= 1e-5, "{name}: {found}");
    }
}

/// Its memory ends as under a limit of the system: in an error of libtorch, or in the end of the process.
#[test]
fn a_rank_whose_memory_is_used_up_is_named() {
    let world = Folder::new();
    let mut first = program(&fit(&world, "run", "4", &LONG)).spawn().unwrap();
    wait_for_step(&world, "run", &mut first);
    let rank = second_rank(&first);
    let limited = Command::new("prlimit").args(["--pid", &rank, "--as=1000000"]).status();
    assert!(limited.expect("prlimit of util-linux").success());
    let output = first.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let is_named =
        text.contains("error: rank 1 of 2 did not answer at step") || text.contains("rank 1 of 2 ended at step");
    assert!(is_named && text.contains("the run resumes after step"), "{text}");
}

#[test]
fn without_rank_0_the_others_say_where_the_run_resumes() {
    let world = Folder::new();
    let endless = [&LONG[..], &["--save-steps", "1"]].concat();
    let mut first = program(&fit(&world, "run", "4", &endless)).spawn().unwrap();
    wait_for_step(&world, "run", &mut first);
    signal(&first.id().to_string(), "-KILL");
    // The pipe closes when rank 1 has ended too.
    let text = stderr(&first.wait_with_output().unwrap());
    assert!(text.contains("error: rank 1: "), "{text}");
    assert!(text.contains("rank 0 of 2 did not answer") || text.contains("the store at 127.0.0.1"), "{text}");
    assert!(text.contains("the run resumes after step"), "{text}");
    // c10d would write where in its code it noticed.
    assert!(!text.contains("frame #") && !text.contains("[c10d]"), "{text}");
}

#[test]
fn a_sigterm_to_all_ranks_saves_once_and_one_after_the_death_of_a_rank_does_not_hide_it() {
    let world = Folder::new();
    let mut first = program(&fit(&world, "run", "4", &LONG)).spawn().unwrap();
    wait_for_step(&world, "run", &mut first);
    let ranks = [first.id().to_string(), second_rank(&first)];
    for rank in &ranks {
        signal(rank, "-TERM");
    }
    let output = first.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(143), "{text}");
    assert_eq!(text.matches("the state is saved in").count(), 1, "{text}");
    assert!(!text.contains("did not answer"), "{text}");

    // As torchrun does when a rank has died.
    let mut first = program(&fit(&world, "lost", "4", &LONG)).spawn().unwrap();
    wait_for_step(&world, "lost", &mut first);
    signal(&second_rank(&first), "-KILL");
    signal(&first.id().to_string(), "-TERM");
    let output = first.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: rank 1 of 2 did not answer at step"), "{text}");
}

#[test]
fn rank_0_that_cannot_read_its_images_names_itself_and_the_step_and_the_run_resumes() {
    let world = Folder::new();
    // From the disk each time.
    let long = [&LONG[..], &["--cache", "off"]].concat();
    done(&fit(&world, "whole", "4", &long));
    let copies = ["copy", "intact"].map(|name| world.path(name));
    for copy in &copies {
        assert!(Command::new("cp").args(["-r", &world.path("data"), copy]).status().unwrap().success());
    }
    let arguments = fit(&world, "run", "4", &long[2..]);
    let mut ranks = starting([&with_images(&arguments, &copies[0]), &arguments]);
    wait_for_step(&world, "run", &mut ranks[0]);
    rewrite(&copies[0], |length| vec![0; length]);
    let [(first, of_first), (second, of_second)] = ended(ranks);
    assert_eq!((first, second), (Some(1), Some(1)), "{of_first}\n{of_second}");
    assert!(of_first.contains("error: rank 0 of 2 ended at step ") && of_first.contains("copy/train/"), "{of_first}");
    assert!(of_second.contains("rank 0 of 2 ended at step ") && of_second.contains("copy/train/"), "{of_second}");
    let number = |text: &str, before: &str| -> u64 {
        let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("{before}: {text}"));
        rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let (failed, saved) = (number(&of_first, "ended at step "), number(&of_first, "the run resumes after step "));
    // Validation after a step reads images too.
    assert!((saved..=saved + 1).contains(&failed) && saved > 1, "the last finished step is saved: {of_first}");
    done(&fit(&world, "run", "4", &[&long[..], &["--resume"]].concat()));
    assert!(last_bytes(&world, "run") == last_bytes(&world, "whole"));
}

/// Under torchrun the store outlives the ranks, and the keys of each start have the number of restarts before them.
#[test]
fn ranks_that_a_launcher_restarts_resume_by_themselves_in_the_same_store() {
    let world = Folder::new();
    done(&fit(&world, "whole", "4", &LONG));
    // The launcher is this test: it holds the store.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _store = Group::open_store(&mut Place::here(0, 2, port), Duration::from_mins(1)).unwrap();
    let arguments = fit(&world, "run", "4", &[&LONG[2..], &["--resume"]].concat());
    let start = |restart: &str| {
        ["0", "1"].map(|rank| {
            let variables = Place::here(rank.parse().unwrap(), 2, port).variables();
            let elastic = [("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", restart)];
            program(&arguments).envs(variables).envs(elastic).spawn().unwrap()
        })
    };
    let mut ranks = start("0");
    wait_for_step(&world, "run", &mut ranks[0]);
    signal(&ranks[1].id().to_string(), "-KILL");
    let [(first, text), (second, _)] = ended(ranks);
    assert_eq!((first, second), (Some(1), None), "{text}");
    assert!(text.contains("error: rank 1 of 2 did not answer at step"), "{text}");
    for (status, text) in ended(start("1")) {
        assert_eq!(status, Some(0), "{text}");
    }
    assert!(last_bytes(&world, "run") == last_bytes(&world, "whole"));
}

#[test]
fn a_rank_without_a_store_says_so_in_one_sentence() {
    let world = Folder::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let arguments = fit(&world, "run", "4", &["--rank-timeout", "2"]);
    for host in ["127.0.0.1", "no-such-host.invalid"] {
        let variables = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", host), ("MASTER_PORT", &free)];
        let output = program(&arguments).envs(variables).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let sentence = format!("error: rank 1: rank 0 did not open its store at {host}:{free} within 2 s");
        assert!(text.starts_with(&sentence) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn more_ranks_than_the_images_fill_are_refused_with_the_numbers() {
    let world = Folder::new();
    let output = program(&fit(&world, "run", "4", &["--ranks", "5"])).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("a step on 5 ranks takes 20 images, more than the 18 to train on"), "{text}");
    assert!(text.contains("the number of ranks times --batch-size"), "{text}");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
}

#[test]
fn a_run_of_two_resumes_on_one_and_a_signal_to_any_rank_stops_all() {
    let world = Folder::new();
    done(&fit(&world, "whole", "4", &LONG));
    let mut first = program(&fit(&world, "run", "4", &LONG)).spawn().unwrap();
    wait_for_step(&world, "run", &mut first);
    signal(&second_rank(&first), "-TERM");
    let output = first.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(143), "{text}");
    assert!(text.contains("the state is saved in"), "{text}");
    let alone = [&["--ranks", "1"], &LONG[2..], &["--resume"]].concat();
    let resumed = done(&fit(&world, "run", "4", &alone));
    assert!(stderr(&resumed).contains("--ranks was 2 so far and is 1 from here on"), "{}", stderr(&resumed));
    let found = difference(&last(&world, "run"), &last(&world, "whole"), all);
    assert!(found <= 1e-5, "{found}");
    let three = [&["--ranks", "3"], &LONG[2..], &["--resume"]].concat();
    let refused = program(&fit(&world, "run", "4", &three)).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("numbers of ranks: 1, 2"), "{}", stderr(&refused));
}

#[test]
fn an_environment_that_names_no_whole_rank_is_refused_and_ranks_that_never_start_are_named() {
    let world = Folder::new();
    let arguments = fit(&world, "run", "4", &["--rank-timeout", "2"]);
    let with = |variables: &[(&str, &str)]| {
        let output = program(&arguments).envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (status, text) = with(&[("RANK", "0")]);
    assert!(status == Some(2) && text.contains("RANK is set, but WORLD_SIZE is not"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let rank = |port: &str| {
        [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port)]
            .map(|(name, value)| (name, value.to_string()))
    };
    let of = |port: &str| {
        let variables = rank(port);
        with(&variables.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    let (status, text) = of(&port);
    assert!(status == Some(2) && text.contains(&format!("port {port} of 127.0.0.1 is in use")), "{text}");
    drop(taken);
    let (status, text) = of(&port);
    assert!(status == Some(1) && text.contains("rank 1 of 2 did not start within 2 s"), "{text}");
    let weighted = ["--method", "bi-tuning", "--class-weights", "balanced", "--ranks", "2"];
    let output = program(&fit(&world, "refused", "4", &weighted)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--class-weights with the method bi-tuning cannot be computed by several ranks"),
        "{}",
        stderr(&output)
    );
    assert!(!Path::new(&world.path("refused")).exists());
}

/// Two ranks as a launcher on two machines starts them, each with arguments of its own.
fn starting(of_ranks: [&[String]; 2]) -> [Child; 2] {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let start = |rank: &str, arguments: &[String]| {
        let variables = [("RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_RANK", rank), ("MASTER_ADDR", "127.0.0.1")];
        program(arguments).envs(variables).env("MASTER_PORT", &free).spawn().unwrap()
    };
    let second = start("1", of_ranks[1]);
    let first = start("0", of_ranks[0]);
    [first, second]
}

/// Exit status and standard error of two ranks.
fn ended(ranks: [Child; 2]) -> [(Option<i32>, String); 2] {
    ranks.map(|child| {
        let output = child.wait_with_output().unwrap();
        (output.status.code(), stderr(&output))
    })
}

fn launched(of_ranks: [&[String]; 2]) -> [(Option<i32>, String); 2] {
    ended(starting(of_ranks))
}

/// The arguments with other images.
fn with_images(arguments: &[String], folder: &str) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    let place = arguments.iter().position(|argument| argument == "--data-dir").unwrap();
    arguments[place + 1] = folder.into();
    arguments
}

/// Replaces the bytes of every training image of a folder.
fn rewrite(folder: &str, bytes: impl Fn(usize) -> Vec<u8>) {
    for class in ["dark", "light"] {
        for file in fs::read_dir(format!("{folder}/train/{class}")).unwrap() {
            let path = file.unwrap().path();
            fs::write(&path, bytes(fs::metadata(&path).unwrap().len() as usize)).unwrap();
        }
    }
}

#[test]
fn rank_0_checks_the_images_and_all_end_with_its_verdict() {
    let world = Folder::new();
    fs::write(world.path("data/train/dark/broken.ppm"), "P6 16 16 255\n").unwrap();
    let arguments = fit(&world, "run", "4", &[]);
    // Rank 0 prints for all.
    let [(first, text), (second, _)] = launched([&arguments, &arguments]);
    assert_eq!((first, second), (Some(2), Some(2)), "{text}");
    assert!(text.contains("cannot be trained on: 1 image of train cannot be read"), "{text}");
    assert!(text.contains("broken.ppm"), "{text}");
    // What rank 0 leaves out, the others leave out as well, also where they name the folder otherwise.
    let skipping = fit(&world, "skipping", "4", &["--skip-broken"]);
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    let folder = format!("{up}{}", world.path("data").trim_start_matches('/'));
    let relative = with_images(&skipping, &folder);
    let other = fit(&world, "other-names", "4", &["--skip-broken"]);
    let mixed = launched([&other, &with_images(&other, &folder)]);
    for (status, text) in launched([&relative, &relative]).into_iter().chain(mixed) {
        assert_eq!(status, Some(0), "{text}");
    }
}

#[test]
fn a_rank_with_other_files_is_refused_and_one_that_cannot_read_its_images_is_named() {
    let world = Folder::new();
    let copy = world.path("copy");
    let copied = Command::new("cp").args(["-r", &world.path("data"), &copy]).status().unwrap();
    assert!(copied.success());
    // Of the same names and sizes: only rank 0 reads images before the first step.
    rewrite(&copy, |length| vec![0; length]);
    let arguments = fit(&world, "run", "4", &["--rank-timeout=20"]);
    let [(first, of_first), (second, of_second)] = launched([&arguments, &with_images(&arguments, &copy)]);
    assert_eq!((first, second), (Some(1), Some(1)), "{of_first}\n{of_second}");
    assert!(of_first.contains("rank 1 of 2 ended at step 1: ") && of_first.contains("copy/train/"), "{of_first}");
    assert!(of_second.contains("copy/train/"), "{of_second}");
    rewrite(&copy, |length| vec![0; length - 1]);
    let arguments = fit(&world, "other", "4", &[]);
    let [(first, of_first), (second, of_second)] = launched([&arguments, &with_images(&arguments, &copy)]);
    assert_eq!((first, second), (Some(2), Some(2)), "{of_first}\n{of_second}");
    assert!(of_first.contains("rank 1 has another list of train files than rank 0"), "{of_first}");
}

#[test]
fn batch_norm_keeps_its_running_averages_while_the_projection_head_is_trained_alone() {
    let (world, masked) = (Folder::new(), SmallWorld::with_masks(8));
    let path = |name: &str| masked.path(name).display().to_string();
    let (checkpoint, data, output) = (path("resnet.safetensors"), path("data"), path("run"));
    // Steps after the first part are none.
    let first = ["--projection-first", "0.9"];
    let own = ["fit", "--pretrained-path", &checkpoint, "--data-dir", &data, "--output", &output, "--head", "fcn"];
    let short = ["--epochs", "1", "--batch-size", "4", "--crop", "32", "--device", "cpu", "--no-probe", "--amp", "off"];
    done(&[&own[..], &short, &first].concat().iter().map(ToString::to_string).collect::<Vec<_>>());
    let two = [&first[..], &["--ranks", "2"]].concat();
    done(&fit(&world, "ranks", "4", &two));
    done(&fit(&world, "parts", "4", &[&first[..], &["--grad-accum-steps", "2"]].concat()));
    done(&fit(&world, "delta", "8", &[&first[..], &["--regulariser", "delta"]].concat()));
    let folders =
        [masked.path("run"), world.path("ranks").into(), world.path("parts").into(), world.path("delta").into()];
    let checkpoints = [masked.path("resnet.safetensors"), world.path("resnet.safetensors").into()];
    for (number, folder) in folders.iter().enumerate() {
        let began = safetensors_file::read(&checkpoints[number.min(1)]).unwrap().1;
        let ended = safetensors_file::read(folder.join("checkpoints/last.safetensors")).unwrap().1;
        let (_, running) = ended.iter().find(|(name, _)| name.ends_with("layer1.0.bn1.running_mean")).unwrap();
        let (_, expected) = began.iter().find(|(name, _)| name.ends_with("layer1.0.bn1.running_mean")).unwrap();
        assert!(running.equal(expected), "{}", folder.display());
    }
}

#[test]
fn a_rate_is_searched_by_runs_on_ranks_and_all_ranks_train_at_it() {
    let world = Folder::new();
    let auto = ["--lr", "auto", "--ranks", "2", "--epochs", "5", "--method", "cross-entropy"];
    done(&fit(&world, "run", "4", &auto));
    let search = fs::read_to_string(Path::new(&world.path("run")).join("lr_search.json")).unwrap();
    let search: Value = serde_json::from_str(&search).unwrap();
    let best = search["best"]["settings"]["train.lr"].as_str().unwrap_or("0.03").to_string();
    // Ranks with other settings would have been refused.
    let config: toml::Table =
        fs::read_to_string(format!("{}/config.toml", world.path("run"))).unwrap().parse().unwrap();
    assert_eq!(config["train"]["lr"].as_float(), best.parse().ok());
    assert_eq!(config["train"]["ranks"].as_integer(), Some(2));
    // Resumed by the same command line, it does not search.
    let again = done(&fit(&world, "run", "4", &[&auto[..], &["--resume"]].concat()));
    assert!(stderr(&again).contains("nothing is searched"), "{}", stderr(&again));
}

#[test]
fn a_rank_that_dies_in_a_search_for_the_rate_ends_the_search_and_the_same_command_resumes_it() {
    let world = Folder::new();
    let auto = ["--lr", "auto", "--epochs", "60", "--method", "cross-entropy"];
    let arguments = fit(&world, "run", "4", &[&auto[..], &["--ranks", "2", "--rank-timeout=8"]].concat());
    let mut searching = program(&arguments).spawn().unwrap();
    let runs = world.path("run-lr/runs");
    let has_begun = || {
        let folders = fs::read_dir(&runs).into_iter().flatten().flatten().map(|entry| entry.path());
        folders
            .into_iter()
            .any(|run| fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() > 2))
    };
    while !has_begun() {
        assert!(searching.try_wait().unwrap().is_none(), "it ended before a run had made three steps");
        sleep(Duration::from_millis(5));
    }
    let of_run = children(&searching.id().to_string());
    signal(&children(&of_run), "-KILL");
    let output = searching.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("error: the search for the learning rate ended: rank 1 of 2 did not answer at step"),
        "{text}"
    );
    assert!(!Path::new(&world.path("run")).exists());
    done(&arguments);
    assert!(Path::new(&world.path("run/summary.json")).is_file());
}
