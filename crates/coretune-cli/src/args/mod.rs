//! The commands and their flags.
//!
//! Flags of settings come from [`coretune::config::settings`] (see [`settings`]); only the other
//! flags are declared here.

#[cfg(test)]
mod defaults;
mod face;
#[cfg(test)]
mod methods_page;
#[cfg(test)]
mod reference;
mod settings;
mod spelling;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use coretune::average::{Recipe, Statistics};
use coretune::config::{ConfigError, Layers, Setting, find_setting};
use coretune::data::Storage;
use coretune::engine::Amp;
use coretune::models::Family;

use self::face::Takes;
pub(crate) use self::spelling::{origin, sentence, spelled, with_flags};
use crate::failure::Failure;

/// Fine-tune contrastive checkpoints on labelled images, and measure what it gained.
#[derive(Debug, Parser)]
#[command(name = "coretune", version, disable_help_flag = true, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a checkpoint holds and which of its tensors would be loaded
    Inspect(Inspect),
    /// Measure a frozen checkpoint by kNN and linear probe
    Probe(Probe),
    /// Fine-tune a checkpoint on labelled images
    Fit(Fit),
    /// Compare methods on one data set: tuned alike, over seeds, with intervals and a recommendation
    Compare(Compare),
    /// Search settings of one method: a grid, random points, or successive halving
    Sweep(Sweep),
    /// Pre-train a contrastive checkpoint on images without labels
    Pretrain(Training),
    /// Repeat a run and compare the weights
    Reproduce(Reproduce),
    /// Evaluate a finished run on a split
    Evaluate(Evaluate),
    /// Fetch public data sets, and check labelled images before training
    #[command(subcommand)]
    Data(Data),
    /// Classify images, or map the classes of their pixels
    Predict(Predict),
    /// Export a trained model to other programs, and check the file
    Export(Export),
    /// Average the weights of runs that began alike
    Average(Average),
    /// Measure what this machine gives: steps of training, where their time goes, reading images
    Bench(Bench),
    /// Write an HTML page about one run, or several side by side
    Report(Report),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
}

/// `coretune inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Checkpoint: torch, safetensors or npz
    #[arg(value_name = "CKPT")]
    pub(crate) checkpoint: PathBuf,
    /// Encoder to use if the file holds several [default: auto]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) encoder: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Checkpoint: torch, safetensors or npz
    #[arg(value_name = "CKPT")]
    pub(crate) checkpoint: String,
    #[command(flatten)]
    pub(crate) layers: LayerFlags,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune fit`.
#[derive(Debug, Args)]
pub(crate) struct Fit {
    #[command(flatten)]
    pub(crate) training: Training,
    /// Task: classification, segmentation [default: auto (by the data)]
    #[arg(long, value_name = "NAME", default_value = "auto", hide_possible_values = true, hide_default_value = true)]
    #[arg(value_parser = ["auto", "classification", "segmentation"])]
    pub(crate) task: String,
}

/// What `coretune fit` and `coretune pretrain` share.
#[derive(Debug, Args)]
pub(crate) struct Training {
    #[command(flatten)]
    pub(crate) layers: LayerFlags,
    #[command(flatten)]
    pub(crate) resuming: ResumeFlags,
    /// Print what would be done, with memory and time, and stop
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Save and stop when standard input ends: for a program that starts this one [default: no]
    #[arg(long, hide_short_help = true)]
    pub(crate) stop_with_stdin: bool,
}

/// What the commands that carry out many runs have in common.
#[derive(Debug, Args)]
pub(crate) struct ManyRuns {
    #[command(flatten)]
    pub(crate) layers: LayerFlags,
    /// Task: classification, segmentation [default: auto (by the data)]
    #[arg(long, value_name = "NAME", default_value = "auto", hide_possible_values = true, hide_default_value = true)]
    #[arg(value_parser = ["auto", "classification", "segmentation"])]
    pub(crate) task: String,
    /// Runs at a time, each a process
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Start no run that is not expected to finish within this time [default: none]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: Option<u64>,
    /// Print how many runs there would be and how long they would take; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Folder of the runs and tables; run again, it resumes
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) runs: ManyRuns,
    /// What is compared: METHOD or METHOD:KEY=VALUE, with commas [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "all", hide_default_value = true)]
    pub(crate) methods: Vec<String>,
    /// What the others are compared with
    #[arg(long, value_name = "METHOD", default_value = "cross-entropy")]
    pub(crate) baseline: String,
    /// Seeds of each method, from --seed on
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) seeds: usize,
    /// Training labels of each class, one or several budgets with commas [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', aliases = ["labels_per_class", "per-class", "per_class"])]
    pub(crate) labels_per_class: Vec<usize>,
    /// A setting to tune, such as lr=0.01,0.1; repeatable [default: lr, at 0.1, 0.3, 1 and 3 times --lr]
    #[arg(long, value_name = "KEY=LIST")]
    pub(crate) tune: Vec<String>,
    /// Runs by which the settings of each method are chosen
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) trials: usize,
    /// Tune nothing [default: tune]
    #[arg(long, conflicts_with_all = ["tune", "trials"])]
    pub(crate) fixed: bool,
}

/// `coretune sweep`.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    pub(crate) runs: ManyRuns,
    /// A setting that varies: lr=0.01,0.1 or, not for a grid, lr=0.001..0.1; repeatable
    #[arg(long, value_name = "KEY=LIST", required = true)]
    pub(crate) tune: Vec<String>,
    /// How points are chosen: grid, random, halving
    #[arg(long, value_name = "NAME", default_value = "grid", hide_possible_values = true)]
    #[arg(value_parser = ["grid", "random", "halving"])]
    pub(crate) search: String,
    /// Points of a random search or of halving
    #[arg(long, value_name = "N", default_value_t = 9)]
    pub(crate) trials: usize,
    /// Seeds of each point, from --seed on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seeds: usize,
}

/// `coretune reproduce`.
#[derive(Debug, Args)]
pub(crate) struct Reproduce {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Folder of the repetition [default: RUN-reproduced]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune evaluate`.
#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Split to evaluate on: train, val, test
    #[arg(long, value_name = "NAME", default_value = "test", hide_possible_values = true)]
    #[arg(value_parser = ["train", "val", "validation", "test"])]
    pub(crate) split: String,
    /// New file for the logits of every image, as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Height and width of images, written as `320x240`: width first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) [i64; 2]);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=8192).contains(side));
        let sides = text.split_once('x').and_then(|(width, height)| Some([side(height)?, side(width)?]));
        sides.map(Size).ok_or_else(|| "expected width and height of 16 to 8192 pixels, such as 320x240".into())
    }
}

/// `coretune export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Run folder (its best epoch), or a model file of coretune
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Format: safetensors, torch, onnx [default: by the ending of FILE]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    #[arg(value_parser = ["safetensors", "torch", "onnx"])]
    pub(crate) to: Option<String>,
    /// File to write; beside it FILE.parity.json, FILE.parity.safetensors and FILE.preprocess.py
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Keep the projection head in a safetensors file
    #[arg(long)]
    pub(crate) with_projection: bool,
    /// Replace existing files
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Segmentation in ONNX: size of the images, pixels [default: that of the training crops]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,
}

/// `coretune data`.
#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Find broken images, empty classes, leaks between splits, imbalance
    Check(DataCheck),
    /// Write a page of images, and masks over them, as training sees them
    Show(DataShow),
    /// Fetch a public data set, verified, and print the folder to give to --data-dir
    Fetch(DataFetch),
    /// Write labelled images as one parquet file, which runs map into memory and share
    Pack(DataPack),
}

/// `coretune data check`.
#[derive(Debug, Args)]
pub(crate) struct DataCheck {
    /// Labelled images
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Also find images that resemble each other, by a perceptual hash; --json lists all
    #[arg(long)]
    pub(crate) near_duplicates: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune data show`.
#[derive(Debug, Args)]
pub(crate) struct DataShow {
    /// Labelled images
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The page: a name that ends in .png or .jpg
    #[arg(short, long, value_name = "FILE", default_value = "sheet.png")]
    pub(crate) output: PathBuf,
    /// Images on the page
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) images: u32,
    /// Images of this split: train, val, test
    #[arg(long, value_name = "NAME", default_value = "train", hide_possible_values = true)]
    #[arg(value_parser = ["train", "val", "validation", "test"])]
    pub(crate) split: String,
    /// Seed of the choice and of the random transforms
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune data fetch`.
#[derive(Debug, Args)]
pub(crate) struct DataFetch {
    /// Name of a data set in --list: fashion-mnist, cifar10, cifar100, imagenette, ...
    #[arg(value_name = "NAME", required_unless_present = "list", conflicts_with = "list")]
    pub(crate) name: Option<String>,
    /// New or empty folder for it [default: NAME in ~/.cache/coretune/data]
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    pub(crate) output: Option<PathBuf>,
    /// List the data sets: size, classes, licence, address
    #[arg(long)]
    pub(crate) list: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune data pack`.
#[derive(Debug, Args)]
pub(crate) struct DataPack {
    /// Labelled images, in any form that --data-dir takes
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The file to write, for --data-dir: a name that ends in .parquet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How images are stored: encoded (as they are), pixels (decoded: a larger file that is read faster)
    #[arg(long, value_name = "FORM", default_value_t = Storage::Encoded)]
    pub(crate) store: Storage,
    /// DIR holds images without classes, for pretrain
    #[arg(long)]
    pub(crate) unlabelled: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune predict`.
#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Run folder, or one of its checkpoints
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Image files, folders, patterns; - for a list of paths on stdin
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<OsString>,
    /// Format of the rows: csv, jsonl
    #[arg(long, value_name = "NAME", default_value = "csv", hide_possible_values = true)]
    #[arg(value_parser = ["csv", "jsonl"])]
    pub(crate) format: String,
    /// New file for the rows [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Classes of each row
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top_k: u16,
    /// Do not calibrate the probabilities [default: calibrate with the run's temperature]
    #[arg(long)]
    pub(crate) uncalibrated: bool,
    /// Segmentation: new folder for the masks, PNG with the number of the class of each pixel
    #[arg(long, value_name = "DIR")]
    pub(crate) masks: Option<PathBuf>,
    /// Segmentation: new folder for the images with the colours of the classes over them
    #[arg(long, value_name = "DIR")]
    pub(crate) overlays: Option<PathBuf>,
}

/// `coretune average`.
#[derive(Debug, Args)]
pub(crate) struct Average {
    /// Run folders, of one checkpoint and one start of the classifier
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The folder of the average
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) output: PathBuf,
    /// Weights of the runs: uniform; greedy: those that lower the validation loss; interpolate: between two (WiSE-FT)
    #[arg(long, value_name = "NAME", default_value = "uniform", value_parser = Recipe::names())]
    pub(crate) recipe: String,
    /// Statistics of batch norm: averaged, or measured on the training images
    #[arg(long, value_name = "NAME", default_value = "averaged", value_parser = Statistics::names())]
    pub(crate) batch_norm: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The network
    #[arg(long, value_name = "NAME", default_value = "resnet18", value_parser = Family::names(), hide_possible_values = true)]
    pub(crate) model: String,
    /// First layers: imagenet; small, for small images [default: small up to 64 pixels]
    #[arg(long, value_name = "NAME", value_parser = ["imagenet", "small"], hide_possible_values = true)]
    pub(crate) stem: Option<String>,
    /// Factor on the channels of the network
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) width: f64,
    /// Height and width of the images, pixels
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(i64).range(8..=2048))]
    pub(crate) img_size: i64,
    /// Images in a step [default: doubled until throughput stops rising]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) batch_size: Option<u32>,
    /// The method: core-tuning, cross-entropy
    #[arg(long, value_name = "NAME", default_value = "core-tuning", value_parser = ["core-tuning", "cross-entropy"], hide_possible_values = true)]
    pub(crate) method: String,
    /// Classes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i64).range(2..))]
    pub(crate) classes: i64,
    /// Labelled images to read [default: reading is not measured]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda, cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: String,
    /// Use of bf16: auto, off, bf16
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = Amp::names(), hide_possible_values = true)]
    pub(crate) amp: String,
    /// Threads of the computation [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Threads that read images [default: as in training]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) workers: Option<u16>,
    /// Steps that are timed for each batch
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Run folders, or the folder of a comparison
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page [default: report.html in the first run folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `coretune completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `coretune man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Command whose page is printed [default: coretune itself]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

/// Resuming a run.
#[derive(Debug, Args)]
pub(crate) struct ResumeFlags {
    /// Resume the run in the output folder, if there is one [default: no]
    #[arg(long)]
    pub(crate) resume: bool,
    /// Setting that may change on --resume; repeatable [default: none]
    #[arg(long, value_name = "KEY", requires = "resume")]
    pub(crate) allow_change: Vec<String>,
}

/// The layers of a configuration below the flags.
#[derive(Debug, Args)]
pub(crate) struct LayerFlags {
    /// Recipe, by name or file, over the defaults [default: none]
    #[arg(long, value_name = "NAME|PATH")]
    recipe: Option<String>,
    /// Configuration over the recipe [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as train.lr=0.1; repeatable [default: none]
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl LayerFlags {
    /// The layers below the flags, merged over `layers`.
    pub(crate) fn over(&self, mut layers: Layers) -> Result<Layers, ConfigError> {
        if let Some(recipe) = &self.recipe {
            layers = layers.recipe(recipe)?;
        }
        if let Some(file) = &self.config {
            layers = layers.file(file)?;
        }
        self.set.iter().try_fold(layers, |layers, text| layers.assignment(text))
    }
}

/// Settings given as flags, with the texts given to each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Vec<(&'static Setting, Vec<String>)>);

impl Flags {
    /// Puts the flags over the lower layers.
    pub(crate) fn over(&self, layers: Layers) -> Result<Layers, ConfigError> {
        self.0.iter().try_fold(layers, |layers, (setting, texts)| {
            layers.flag(&format!("--{}", face::flag(setting)), setting, texts)
        })
    }

    /// The flags without that of this setting, if it was given this text.
    pub(crate) fn without(&self, key: &str, text: &str) -> Option<Flags> {
        let is_it = |(setting, texts): &&(&'static Setting, Vec<String>)| setting.key == key && texts == &[text];
        self.0.iter().find(is_it)?;
        Some(Flags(self.0.iter().filter(|flag| !is_it(flag)).cloned().collect()))
    }

    /// The flags and that of this setting with a text.
    pub(crate) fn with(&self, key: &str, text: String) -> Flags {
        let found = find_setting(key).map(|setting| (setting, vec![text]));
        Flags(self.0.iter().cloned().chain(found).collect())
    }
}

/// Reads the command line. `Err` is what ends the program here: help that was asked for, or a usage error.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Command, Flags), Ended> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // `coretune help fit` is `coretune fit --help`.
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    let all = arguments.iter().any(|argument| argument == "--help-all");
    for argument in arguments.iter_mut().filter(|argument| *argument == "--help-all") {
        *argument = "--help".into();
    }
    let mut command = command(all);
    let called = called(&command, &arguments);
    let ended = |error| usage::ended(&error, &called);
    let matches = command.try_get_matches_from_mut(arguments).map_err(ended)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(ended)?;
    let flags =
        takes(&line.command).map_or_else(Flags::default, |takes| Flags(settings::given(takes, innermost(&matches))));
    Ok((line.command, flags))
}

/// The arguments of the innermost command: for `data check`, those of `check`.
fn innermost(matches: &clap::ArgMatches) -> &clap::ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

/// `coretune`, with the subcommand if one was given, and the one below it.
fn called(command: &clap::Command, arguments: &[OsString]) -> String {
    let (mut command, mut called) = (command, "coretune".to_string());
    for word in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(subcommand) = command.find_subcommand(word) {
            called = format!("{called} {word}");
            command = subcommand;
        }
    }
    called
}

/// Why parsing ended the program.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Help or version, to be printed as a result.
    Help(String),
    /// The command line was not understood.
    Usage(Failure),
}

fn takes(command: &Command) -> Option<Takes> {
    match command {
        Command::Probe(_) => Some(Takes::Probe),
        Command::Fit(_) => Some(Takes::Fit),
        Command::Compare(_) => Some(Takes::Compare),
        Command::Sweep(_) => Some(Takes::Sweep),
        Command::Pretrain(_) => Some(Takes::Pretrain),
        Command::Evaluate(_) | Command::Report(_) | Command::Average(_) => Some(Takes::Evaluate),
        Command::Predict(_) => Some(Takes::Predict),
        Command::Data(Data::Check(_)) => Some(Takes::DataCheck),
        Command::Data(Data::Show(_)) => Some(Takes::DataShow),
        Command::Data(Data::Pack(_)) => Some(Takes::DataPack),
        Command::Inspect(_)
        | Command::Reproduce(_)
        | Command::Data(Data::Fetch(_))
        | Command::Export(_)
        | Command::Bench(_)
        | Command::Completions(_)
        | Command::Man(_) => None,
    }
}

/// The commands with all their flags; with `all`, also those that `--help` leaves to `--help-all`.
pub(crate) fn command(all: bool) -> clap::Command {
    let taking = [
        ("probe", Takes::Probe),
        ("fit", Takes::Fit),
        ("compare", Takes::Compare),
        ("sweep", Takes::Sweep),
        ("pretrain", Takes::Pretrain),
        ("evaluate", Takes::Evaluate),
        ("predict", Takes::Predict),
        ("average", Takes::Evaluate),
        ("report", Takes::Evaluate),
    ];
    let command = taking.into_iter().fold(CommandLine::command(), |command, (name, takes)| {
        command.mut_subcommand(name, |subcommand| subcommand.args(settings::arguments(takes, all)))
    });
    let command = command.mut_subcommand("data", |data| {
        data.disable_help_subcommand(true)
            .mut_subcommand("check", |check| check.args(settings::arguments(Takes::DataCheck, all)))
            .mut_subcommand("show", |show| show.args(settings::arguments(Takes::DataShow, all)))
            .mut_subcommand("pack", |pack| pack.args(settings::arguments(Takes::DataPack, all)))
    });
    usage::with_help(command, all)
}
