//! Every bad input that the documentation lists, as a user meets it; the page is written from what is seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use coretune::checkpoints::safetensors_file;
use coretune::run_folder::RunFolder;
use tch::Tensor;

use super::world::World;
use super::{bad_data, bad_images, bad_labels, bad_masks, compare, coretune, stderr, stdout};

const PREFACE: &str = "\
# Bad input

What coretune prints, and its exit status, when an input is wrong. The test `bad_input` generates this page, in which `FOLDER`
is the folder of the files. Exit status 2: refused before anything was done; 1: failed while running, with everything that
was saved before intact.

Other tests cover what is not in this table: other settings on `--resume` (`resume`), images that are broken or missing
(`data_check`, `predict`), and files altered at random (`mutations`, `damage`).

| what | exit | message |
|---|---|---|
";

const FULL_DISK: &str = "a full disk while saving";

const DATA_CHECK: &str = "
## Folders and tables of images

What `coretune data check` prints. `coretune fit` refuses the rows with exit status 2, and reports the same of what is left
out.

| what | exit | output |
|---|---|---|
";

/// A case: what is wrong, the arguments, the exit status, words that the message must hold.
pub(super) struct Case {
    what: &'static str,
    arguments: Vec<String>,
    status: i32,
    words: Vec<&'static str>,
}

pub(super) fn case(what: &'static str, arguments: Vec<String>, status: i32, words: &[&'static str]) -> Case {
    Case { what, arguments, status, words: words.to_vec() }
}

fn run(arguments: &[String]) -> Output {
    coretune(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn write(path: &str, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// The first image of the world in other places: `class/name` below `root`.
fn images(world: &World, root: &str, names: &[&str]) -> String {
    let image = fs::read(world.path("data/train/dark/0.ppm")).unwrap();
    for (number, name) in names.iter().enumerate() {
        let path = world.path(&format!("{root}/{name}.ppm"));
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        let mut own = image.clone();
        // No two are equal.
        *own.last_mut().unwrap() = number as u8;
        write(&path, &own);
    }
    world.path(root)
}

/// A `torch.save` zip with this pickle.
fn torch_zip(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("a/data.pkl", pickle), ("a/version", b"3\n"), ("a/data/0", &1f32.to_le_bytes())] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `w`: a tensor of the one float, of this size (a number in pickle).
fn tensor(size: &[u8]) -> Vec<u8> {
    let head: &[u8] = b"X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
        X\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0";
    [head, size, b"\x85K\0\x85\x89ccollections\nOrderedDict\n)RtR"].concat()
}

/// One float that is said to be a million.
fn strided() -> Vec<u8> {
    torch_zip(&[&b"\x80\x02}"[..], &tensor(b"J@B\x0f\0"), b"s."].concat())
}

/// One float, as `torch.save` writes it.
fn torch_file(world: &World) -> String {
    let path = world.path("torch.pth");
    write(&path, &torch_zip(&[&b"\x80\x02}"[..], &tensor(b"K\x01"), b"s."].concat()));
    path
}

/// An object of a class of its own as the root, with the tensor inside.
fn foreign() -> Vec<u8> {
    torch_zip(&[&b"\x80\x02cmy.trainer\nTrainer\n)\x81}"[..], &tensor(b"K\x01"), b"sb."].concat())
}

/// A safetensors file of one tensor of two 8-bit floating point numbers.
fn narrow() -> Vec<u8> {
    let header = br#"{"conv1.weight":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 2]].concat()
}

/// 160 MiB of zeros.
fn bomb() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    (0..160).for_each(|_| zip.write_all(&vec![0; 1 << 20]).unwrap());
    zip.finish().unwrap().into_inner()
}

/// The world's checkpoint with one weight that is no number.
fn not_finite(world: &World) -> String {
    let (metadata, mut tensors) = safetensors_file::read(world.path("resnet.safetensors")).unwrap();
    let weight = tensors["layer1.0.conv1.weight"].copy();
    let _ = weight.view(-1).get(7).fill_(f64::NAN);
    tensors.insert("layer1.0.conv1.weight".into(), weight);
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    let path = world.path("nan.safetensors");
    safetensors_file::write(&path, &metadata, &tensors).unwrap();
    path
}

fn inspect(path: String) -> Vec<String> {
    vec!["inspect".into(), path]
}

/// `fit` with another checkpoint or other data.
fn fit_with(world: &World, run: &str, old: &str, new: &str, more: &[&str]) -> Vec<String> {
    let arguments = world.fit(run, &[&["--no-probe"], more].concat());
    arguments.into_iter().map(|argument| if argument == world.path(old) { new.into() } else { argument }).collect()
}

/// The same arguments with batches of one image.
fn one_image_at_a_time(mut arguments: Vec<String>) -> Vec<String> {
    let flag = arguments.iter().position(|argument| argument == "--batch-size").expect("the world gives a batch size");
    arguments[flag + 1] = "1".into();
    arguments
}

/// The world's checkpoint with other names of its tensors.
fn renamed(world: &World, file: &str, rename: impl Fn(&str) -> String) -> String {
    let (metadata, tensors) = safetensors_file::read(world.path("resnet.safetensors")).unwrap();
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    let path = world.path(file);
    safetensors_file::write(&path, &metadata, &tensors).unwrap();
    path
}

/// A folder of Hugging Face with an index of this text beside two shards, which hold the world's checkpoint.
fn sharded(world: &World, folder: &str, index: &str) -> String {
    let (_, tensors) = safetensors_file::read(world.path("resnet.safetensors")).unwrap();
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    let folder = world.path(folder);
    fs::create_dir(&folder).unwrap();
    for (shard, part) in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        .iter()
        .zip(tensors.chunks(tensors.len().div_ceil(2)))
    {
        safetensors_file::write(format!("{folder}/{shard}"), &BTreeMap::new(), part).unwrap();
    }
    write(&format!("{folder}/model.safetensors.index.json"), index.as_bytes());
    folder
}

/// Checkpoints whose tensors are only parts of weights, or lie in several files, or are of another network.
fn parts_of_checkpoints(world: &World) -> Vec<Case> {
    let convolutions = |end: &'static str| {
        move |name: &str| if name.contains("conv") { name.replace(".weight", end) } else { name.into() }
    };
    let of = |file: &str, end: &'static str| inspect(renamed(world, file, convolutions(end)));
    let vit = [("patch_embed.proj.weight", vec![384, 3, 16, 16]), ("blocks.0.attn.qkv.weight", vec![3, 4])];
    let vit: Vec<(String, Tensor)> =
        vit.map(|(name, shape)| (name.into(), Tensor::zeros(&shape[..], (tch::Kind::Float, tch::Device::Cpu)))).into();
    safetensors_file::write(world.path("vit.safetensors"), &BTreeMap::new(), &vit).unwrap();
    let index = |folder: &str, map: &str| inspect(sharded(world, folder, &format!("{{\"weight_map\": {{{map}}}}}")));
    let first = "model-00001-of-00002.safetensors";
    let shard = sharded(world, "hf-one", "{}") + "/" + first;
    vec![
        case(
            "an adapter that was not merged",
            of("lora.pth", ".base_layer.weight"),
            2,
            &["adapter", "merge_and_unload()"],
        ),
        case(
            "a parametrisation that was not removed",
            of("parametrised.pth", ".parametrizations.weight.original0"),
            2,
            &["parametrisation", "remove_parametrizations("],
        ),
        case("weight normalisation", of("weight-norm.pth", ".weight_g"), 2, &["remove_weight_norm("]),
        case("spectral normalisation", of("spectral-norm.pth", ".weight_orig"), 2, &["remove_spectral_norm("]),
        case("pruning that is not permanent", of("pruned.pth", ".weight_mask"), 2, &["prune.remove("]),
        case(
            "parameters that FSDP keeps flattened",
            inspect(renamed(world, "flat.pth", |name| name.replace("weight", "_flat_param"))),
            2,
            &["FSDP", "FULL_STATE_DICT"],
        ),
        case("a Vision Transformer", inspect(world.path("vit.safetensors")), 2, &["Vision Transformer of width 384"]),
        case(
            "a shard that is missing",
            index("hf-missing", r#""a": "x.safetensors""#),
            2,
            &["x.safetensors, which is missing"],
        ),
        case(
            "a shard outside the folder",
            index("hf-outside", r#""a": "../x.safetensors""#),
            2,
            &["outside its folder"],
        ),
        case(
            "a tensor that an index lists twice",
            index("hf-twice", r#""a": "x.safetensors", "a": "y.safetensors""#),
            2,
            &["it lists a twice"],
        ),
        case("a tensor that its shard lacks", index("hf-lacks", &format!("\"a\": \"{first}\"")), 2, &["lacks a"]),
        case(
            "one shard of several",
            fit_with(world, "r", "resnet.safetensors", &shard, &[]),
            2,
            &["missing", "one of several files"],
        ),
    ]
}

fn checkpoints(world: &World) -> Vec<Case> {
    let file = |name: &str, bytes: &[u8]| {
        write(&world.path(name), bytes);
        world.path(name)
    };
    let whole = torch_zip(b"\x80\x02}.");
    let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\0(X";
    let fit = |run: &str, checkpoint: &str| fit_with(world, run, "resnet.safetensors", checkpoint, &[]);
    vec![
        case("no such checkpoint", inspect(world.path("none.pth")), 2, &["cannot open", "none.pth"]),
        case("a folder for a checkpoint", inspect(world.path("data")), 2, &["it is a folder", "hint"]),
        case(
            "a web page for a checkpoint",
            inspect(file("page.pth", b"<!DOCTYPE html><html>")),
            2,
            &["web page", "hint"],
        ),
        case(
            "a Git LFS pointer for a checkpoint",
            inspect(file("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
            2,
            &["Git LFS pointer", "git lfs pull"],
        ),
        case(
            "an image for a checkpoint",
            inspect(file("photo.pth", b"\xff\xd8\xff\xe0 JFIF")),
            2,
            &["it is a JPEG image"],
        ),
        case("a configuration for a checkpoint", inspect(file("config.json", b"{\"depth\": 18}")), 2, &["it is JSON"]),
        case(
            "tensors behind an object of a foreign class",
            inspect(file("foreign.pth", &foreign())),
            2,
            &["my.trainer", "hint"],
        ),
        case("a zip that is cut off", inspect(file("cut.pth", &whole[..whole.len() - 30])), 2, &["cut.pth"]),
        case("a legacy stream that is cut off", inspect(file("legacy.pth", legacy)), 2, &["legacy.pth"]),
        case("a zip that unpacks to far more than it is", inspect(file("bomb.pth", &bomb())), 2, &["would unpack to"]),
        case(
            "a tensor whose shape and storage disagree",
            inspect(file("strided.pth", &strided())),
            2,
            &["larger than the file"],
        ),
        case("no tensor in it", inspect(file("empty.pth", &whole)), 2, &["empty.pth", "hint"]),
        case(
            "a checkpoint of another architecture",
            fit_with(world, "a", "", "", &["--model", "resnet50"]),
            2,
            &["does not fit", "expected", "found", "hint: leave out --model"],
        ),
        case(
            "weights of 8-bit floating point numbers",
            inspect(file("fp8.safetensors", &narrow())),
            2,
            &["conv1.weight", "holds F8_E4M3", "hint: use the weights as they were published in 16 or 32 bits"],
        ),
        case("NaN in the weights", fit("b", &not_finite(world)), 2, &["layer1.0.conv1.weight", "hint"]),
    ]
}

fn data(world: &World) -> Vec<Case> {
    let fit = |run: &str, data: &str, more: &[&str]| fit_with(world, run, "data", data, more);
    fs::create_dir(world.path("nothing")).unwrap();
    let one = images(world, "one", &["train/only/1", "train/only/2", "train/only/3"]);
    let more = images(world, "more", &["train/a/1", "train/a/2", "train/b/1", "train/b/2", "test/a/1", "test/c/1"]);
    let own = world.path("data");
    vec![
        case("no such data", fit("c", &world.path("none"), &[]), 2, &["none", "hint"]),
        case("an empty folder", fit("d", &world.path("nothing"), &[]), 2, &["nothing", "hint"]),
        case("one class only", fit("e", &one, &[]), 2, &["one class, only", "hint"]),
        case("a class in test that train lacks", fit("f", &more, &[]), 2, &["c (1 image)", "hint"]),
        case(
            "a batch larger than the data",
            world.fit("g", &["--no-probe", "--set", "train.grad_accum_steps=100"]),
            2,
            &["400", "hint"],
        ),
        case("a batch of 1", one_image_at_a_time(fit("h", &own, &[])), 2, &["--batch-size", "expected", "found"]),
        case("more labels than there are", fit("i", &own, &["--per-class", "500"]), 2, &["500", "hint"]),
    ]
}

/// Images without labels that a run cannot train on.
fn unlabelled(world: &World) -> Vec<Case> {
    let fit = |run: &str, more: &[&str]| world.fit(run, more);
    let (nowhere, empty, test) = (world.path("none"), world.path("nothing"), world.path("data/test"));
    vec![
        case(
            "the rest of training without a labelled budget",
            fit("unlabelled-a", &["--unlabelled", "rest"]),
            2,
            &["do not go together", "all labels are used", "hint"],
        ),
        case("no such unlabelled images", fit("unlabelled-b", &["--unlabelled", &nowhere]), 2, &["none"]),
        case("an empty folder of unlabelled images", fit("unlabelled-c", &["--unlabelled", &empty]), 2, &["nothing"]),
        case(
            "the test images as unlabelled ones",
            fit("unlabelled-d", &["--unlabelled", &test]),
            2,
            &["no unlabelled image to use", "8 with the bytes of a test image", "hint"],
        ),
        case(
            "a budget that leaves no training image over",
            fit("unlabelled-e", &["--unlabelled", "rest", "--per-class", "10"]),
            2,
            &["no unlabelled image to use", "hint"],
        ),
        case(
            "no fraction of the unlabelled images",
            fit("unlabelled-f", &["--unlabelled", &test, "--pseudo-label-fraction", "0"]),
            2,
            &["--pseudo-label-fraction", "expected", "found"],
        ),
        case(
            "a run that labels no images",
            fit("unlabelled-h", &["--pseudo-labels-from", &nowhere]),
            2,
            &["do not go together", "hint: give --unlabelled DIR too"],
        ),
        case(
            "unlabelled images in segmentation",
            fit("unlabelled-g", &["--task", "segmentation", "--unlabelled", &test]),
            2,
            &["--unlabelled", "hint"],
        ),
    ]
}

fn folders_and_settings(world: &World) -> Vec<Case> {
    let own = world.path("data");
    fs::create_dir(world.path("taken")).unwrap();
    write(&world.path("taken/notes.txt"), b"mine");
    write(&world.path("unknown.toml"), b"[train]\nlearning_rat = 0.1\n");
    write(&world.path("type.toml"), b"[train]\nlr = \"fast\"\n");
    write(&world.path("syntax.toml"), b"[train\nlr = 0.1\n");
    let config = |run: &str, file: &str| world.fit(run, &["--config", &world.path(file)]);
    vec![
        case("a run folder that is not empty", world.fit("taken", &[]), 2, &["not empty", "hint"]),
        case("two runs in one folder", world.fit("busy", &[]), 2, &["another run is writing", "hint"]),
        case(FULL_DISK, world.fit("full", &["--no-probe"]), 1, &["cannot write", "hint: the disk is full"]),
        case("an output that cannot be written", fit_with(world, "j", "j", "/proc/none/run", &[]), 2, &["/proc/none"]),
        case("an unknown key", config("k", "unknown.toml"), 2, &["learning_rat", "did you mean"]),
        case("a value of the wrong type", config("l", "type.toml"), 2, &["train.lr", "expected", "found"]),
        case("a configuration that is not TOML", config("m", "syntax.toml"), 2, &["line", "TOML"]),
        case("a flag that does not exist", world.fit("n", &["--learning-rat", "1"]), 2, &["--learning-rat", "hint"]),
        case("a folder that is not a run", vec!["evaluate".into(), own.clone()], 2, &["not a run folder", "hint"]),
        case(
            "a checkpoint from elsewhere for a run",
            vec!["predict".into(), world.path("resnet.safetensors"), own.clone()],
            2,
            &["not a coretune run", "hint"],
        ),
        case(
            "a torch file for a run",
            vec!["export".into(), torch_file(world), "--output".into(), world.path("x.onnx")],
            2,
            &["it is a torch zip file", "hint"],
        ),
        case("no image to predict", vec!["predict".into(), own, world.path("none/*.jpg")], 2, &["none/*.jpg", "hint"]),
        case("a loss that becomes NaN", world.fit("o", &["--no-probe", "--lr", "1e30"]), 1, &["step", "hint"]),
    ]
}

fn comparisons(world: &World) -> Vec<Case> {
    let compare = |output: &str, more: &[&str]| compare::arguments(world, output, more);
    let trials = ["--tune", "lr=0.01,0.03,0.1", "--trials", "2"];
    vec![
        case(
            "a comparison that chooses settings on the test images",
            compare("p", &["--val-split", "test"]),
            2,
            &["on the test images", "hint"],
        ),
        case("a comparison of an unknown method", compare("q", &["--methods", "core"]), 2, &["core", "hint"]),
        case("a grid with more values than trials", compare("r", &trials), 2, &["3 values", "hint"]),
        case("a comparison in a folder of other files", compare("taken", &["--fixed"]), 2, &["taken", "hint"]),
    ]
}

/// A limit on the size of a file refuses a write as a full disk does.
fn on_a_full_disk(arguments: &[String]) -> Output {
    let limited = "ulimit -f 200; trap '' XFSZ; exec \"$@\"";
    Command::new("bash")
        .args(["-c", limited, "bash", env!("CARGO_BIN_EXE_coretune")])
        .args(arguments)
        .output()
        .expect("bash starts")
}

/// The message on one line, with the place of the files taken out.
fn said(output: &Output, world: &World) -> String {
    let text = stderr(output);
    in_one_line(text.lines().skip_while(|line| !line.starts_with("error: ")), world)
}

/// What a check of data says: its findings, or why it could not begin.
fn said_of_data(output: &Output, world: &World) -> String {
    let text = format!("{}{}", stdout(output), stderr(output));
    let is_shown = |line: &&str| !line.ends_with("would stop a run") && !line.starts_with("hint: fit --skip-broken");
    in_one_line(text.lines().filter(is_shown), world)
}

fn in_one_line<'a>(lines: impl Iterator<Item = &'a str>, world: &World) -> String {
    let folder = world.path("");
    let folder = folder.trim_end_matches('/');
    let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("<br>").replace(folder, "FOLDER").replace('|', "\\|")
}

/// What is wrong with the answer to a case.
fn fault(Case { what, status, words, .. }: &Case, found: Option<i32>, text: &str) -> Option<String> {
    let missing = words.iter().find(|word| !text.contains(**word));
    let fault = match missing {
        _ if found != Some(*status) => format!("status {found:?} instead of {status}"),
        _ if text.contains("panicked") => "a panic".into(),
        Some(word) => format!("no {word:?}"),
        None => return None,
    };
    Some(format!("{what}: {fault} in {text}"))
}

#[test]
fn every_bad_input_ends_with_its_status_and_a_sentence() {
    let world = World::new();
    // Held until the end, as by a run that is going on.
    let _busy = RunFolder::create(Path::new(&world.path("busy"))).unwrap();
    let cases = [
        checkpoints(&world),
        parts_of_checkpoints(&world),
        data(&world),
        unlabelled(&world),
        folders_and_settings(&world),
        comparisons(&world),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let mut page = String::from(PREFACE);
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for case @ Case { what, arguments, status, .. } in &cases {
        let output = if *what == FULL_DISK { on_a_full_disk(arguments) } else { run(arguments) };
        let text = stderr(&output);
        assert_eq!(text.matches("error: ").count(), 1, "{what}: {text}");
        faults.extend(fault(case, output.status.code(), &text));
        let _ = writeln!(page, "| {what} | {status} | {} |", said(&output, &world));
        assert!(seen.insert(*what), "{what} is listed twice");
    }
    page.push_str(DATA_CHECK);
    let checks =
        [bad_data::cases(&world), bad_labels::cases(&world), bad_images::cases(&world), bad_masks::cases(&world)];
    for case @ Case { what, arguments, status, .. } in checks.iter().flatten() {
        let output = run(arguments);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        faults.extend(fault(case, output.status.code(), &text));
        let _ = writeln!(page, "| {what} | {status} | {} |", said_of_data(&output, &world));
        assert!(seen.insert(*what), "{what} is listed twice");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(fs::read(world.path("taken/notes.txt")).unwrap(), b"mine");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bad-input.md");
    if std::env::var_os("CORETUNE_UPDATE_DOCS").is_some() {
        fs::write(&committed, &page).unwrap();
    }
    let committed = fs::read_to_string(&committed).unwrap_or_default();
    assert!(committed == page, "docs/bad-input.md is old: run the tests with CORETUNE_UPDATE_DOCS=1\n{page}");
}
