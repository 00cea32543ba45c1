//! `coretune fit` and `coretune pretrain`: begins, resumes or tries a run of either kind, and shows it.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use coretune::config::{Layers, Origin, SettingChange};
use coretune::engine::{Stop, World};
use coretune::runs::{self, Changes, Event, Job, Options, Resumed, RunError};
use coretune::train;

use super::lines;
use super::ranks::Ranks;
use crate::args::{self, Flags, Training};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::signals;

/// How a kind of run is shown.
pub(super) trait Shown: Job {
    /// The work whose time a dry run estimates.
    const ESTIMATED: &'static str;

    /// Settings that were given and that the method does not read, a sentence each.
    fn unused(&self, layers: &Layers) -> Vec<String>;

    /// Lines about what was found before anything is computed.
    fn show_found(printer: &Printer, prepared: &Self::Prepared);

    /// Which method to try first on this data, where the user has not chosen one.
    fn advice(_prepared: &Self::Prepared) -> Option<String> {
        None
    }

    /// Lines that come before those of training: a label and a text each.
    fn before_training(prepared: &Self::Prepared) -> Vec<(&'static str, String)>;

    /// Lines that only a dry run has.
    fn show_images(_printer: &Printer, _prepared: &Self::Prepared) {}

    /// The result of a run that has just ended, as JSON or as text.
    fn show_result(printer: &Printer, finished: &Self::Finished, root: &Path) -> Result<(), Failure>;

    /// The result of a run that had ended before, in a few words.
    fn in_short(summary: &Self::Summary) -> String;
}

/// Does what the command line says.
pub(super) fn run<J: Shown>(arguments: &Training, flags: &Flags) -> Result<(), Failure> {
    let printer = Printer::new(arguments.json);
    let given = flags.over(arguments.layers.over(Layers::defaults_of(J::KIND))?)?;
    if arguments.resuming.resume {
        let root = runs::folder_of::<J>(&given)?;
        if runs::is_begun(&root)? {
            let saved = Layers::defaults_of(J::KIND).file(&root.join("config.toml")).ok();
            let settings = saved.and_then(|saved| flags.over(arguments.layers.over(saved).ok()?).ok());
            let ranks = Ranks::join(settings.as_ref().unwrap_or(&given), false)?;
            let outcome = resume::<J>(&printer, (arguments, flags), &root, ranks.world);
            return ranks.end(outcome);
        }
        printer.say("note", format_args!("{} contains no run yet; starting one", root.display()));
    }
    let config = J::of(&given)?;
    for unused in config.unused(&given) {
        printer.say("note", args::with_flags(&unused));
    }
    let chose_method = given.origin("method.name") != Some(&Origin::Default);
    if arguments.dry_run {
        return dry_run(&printer, &config, chose_method);
    }
    let ranks = Ranks::join(&given, true)?;
    let outcome = begin(&printer, arguments, (&config, chose_method), ranks.world);
    ranks.end(outcome)
}

fn begin<J: Shown>(
    printer: &Printer,
    arguments: &Training,
    (config, chose_method): (&J, bool),
    world: World,
) -> Result<(), Failure> {
    let mut screen = Screen { world, advises: !chose_method, ..Screen::new(printer) };
    screen.stop_with_stdin(arguments);
    let finished = runs::begin(config, screen.options(), &mut |event| screen.see(event));
    let finished = screen.outcome(finished)?;
    J::show_result(printer, &finished, &screen.root)
}

fn resume<J: Shown>(
    printer: &Printer,
    (arguments, flags): (&Training, &Flags),
    root: &Path,
    world: World,
) -> Result<(), Failure> {
    let over = |saved| flags.over(arguments.layers.over(saved)?);
    let changes = Changes { over: &over, allowed: &arguments.resuming.allow_change };
    let mut screen = Screen { world, ..Screen::new(printer) };
    screen.stop_with_stdin(arguments);
    let resumed = runs::resume::<J>(root, &changes, screen.options(), &mut |event| screen.see(event));
    match screen.outcome(resumed)? {
        Resumed::Finished(finished) => J::show_result(printer, &finished, root),
        Resumed::FinishedBefore(summary) => {
            printer.json(&summary)?;
            printer.result(
                "finished",
                format_args!("{} has finished already: {}", lines::quoted(root), J::in_short(&summary)),
            )
        }
    }
}

/// What would be done, and what it would take.
fn dry_run<J: Shown>(printer: &Printer, config: &J, chose_method: bool) -> Result<(), Failure> {
    let mut screen = Screen { trial: true, advises: !chose_method, ..Screen::new(printer) };
    let estimated = runs::dry_run(config, screen.options(), &mut |event| screen.see(event));
    let (config, estimate) = screen.outcome(estimated)?;
    lines::estimate(printer, &estimate, J::ESTIMATED);
    printer.json(&serde_json::json!({ "config": config.to_table(), "estimate": estimate }))?;
    printer.line(config.to_toml().trim_end())
}

/// Shows the events of a run.
pub(super) struct Screen<'a> {
    printer: &'a Printer,
    progress: Progress,
    stop: Stop,
    /// The processes that share the run.
    world: World,
    /// Whether this is a dry run.
    trial: bool,
    /// Whether to show which method to try first.
    advises: bool,
    /// The folder of the run, once it is there.
    root: PathBuf,
    /// Lines to show when training begins.
    before_training: Vec<(&'static str, String)>,
    /// Why signals or the log do not work, if so; the run is stopped then.
    broken: Option<io::Error>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Screen {
            printer,
            progress: Progress::new(printer.clone()),
            stop: Stop::default(),
            world: World::Alone,
            trial: false,
            advises: false,
            root: PathBuf::new(),
            before_training: Vec::new(),
            broken: None,
        }
    }

    /// What the run is given beside its configuration.
    pub(super) fn options(&self) -> Options {
        Options { stop: self.stop.clone(), world: self.world, ..Options::default() }
    }

    /// If the command line says so, the run is stopped when standard input ends: when the program that started it closes
    /// the pipe, or dies.
    fn stop_with_stdin(&self, arguments: &Training) {
        if arguments.stop_with_stdin {
            let stop = self.stop.clone();
            thread::spawn(move || {
                // Whether it ends or cannot be read: nobody is there any more.
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                stop.request();
            });
        }
    }

    /// Shows an event.
    pub(super) fn see<J: Shown>(&mut self, event: &Event<'_, J>) {
        match event {
            Event::Work(event) => self.see_work(event),
            Event::Prepared(prepared) => self.see_prepared::<J>(prepared),
            event => {
                self.progress.clear();
                self.see_life(event);
            }
        }
    }

    /// Shows what a run reports before its work begins.
    fn see_life<J: Job>(&mut self, event: &Event<'_, J>) {
        let printer = self.printer;
        match event {
            Event::Resumed { folder, step } => {
                printer.say("resumed", format_args!("{} after step {step}", lines::quoted(folder)));
            }
            Event::SettingChanged(SettingChange { key, was, now }) => {
                printer.warn(format_args!("{key} was {was} so far and is {now} from here on"));
            }
            Event::Warning(text) => printer.warn(text),
            Event::FolderOpened(folder) => {
                self.root = folder.root().into();
                let ready = printer.log_to(&folder.log_file()).and_then(|()| signals::ask_to_stop(&self.stop));
                if let Err(error) = ready {
                    self.stop.request();
                    self.broken = Some(error);
                }
            }
            Event::ImagesSkipped { images, list } => {
                let images = lines::count(*images, "image");
                printer.say("skipped", format_args!("{images}, listed in {}", lines::quoted(list)));
            }
            Event::Prepared(_) | Event::Work(_) => {}
        }
    }

    fn see_prepared<J: Shown>(&mut self, prepared: &J::Prepared) {
        self.progress.clear();
        J::show_found(self.printer, prepared);
        self.before_training = J::before_training(prepared);
        let advice = J::advice(prepared).filter(|_| self.advises);
        self.before_training.extend(advice.map(|advice| ("advice", advice)));
        if self.trial {
            J::show_images(self.printer, prepared);
            self.show_before_training();
        }
    }

    fn see_work(&mut self, event: &train::Event) {
        if matches!(event, train::Event::EpochStarted { .. } | train::Event::Trained { .. })
            && !self.before_training.is_empty()
        {
            self.progress.clear();
            self.show_before_training();
        }
        self.progress.see(event);
    }

    fn show_before_training(&mut self) {
        for (label, text) in self.before_training.drain(..) {
            self.printer.say(label, text);
        }
    }

    /// What the run gave, or why it failed; that is in the log of the run too, if there is one.
    pub(super) fn outcome<T>(&mut self, outcome: Result<T, RunError>) -> Result<T, Failure> {
        self.progress.clear();
        if let Some(error) = self.broken.take() {
            return Err(error.into());
        }
        outcome.map_err(|error| {
            let is_under_way = matches!(error, RunError::UnderWay(_));
            let failure = Failure::from(error);
            if is_under_way {
                self.printer.log("error", &failure.sentence);
            }
            failure
        })
    }
}
