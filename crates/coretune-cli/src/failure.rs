//! What is shown when a command fails: a sentence, its particulars, a way out.

use std::error::Error;
use std::io;

use coretune::average::AverageError;
use coretune::checkpoints::CheckpointError;
use coretune::compare::CompareError;
use coretune::config::{ConfigError, Origin};
use coretune::data::fetch::FetchError;
use coretune::export::ExportError;
use coretune::predict::PredictError;
use coretune::report::ReportError;
use coretune::run_folder::RunFolderError;
use coretune::runs::RunError;
use coretune::saved_models::SavedModelError;
use coretune::settings::Hint;
use coretune::train::TrainError;

use crate::args;
use crate::signals;
use crate::status::Status;

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    /// One sentence; empty when nothing is to be shown.
    pub(crate) sentence: String,
    /// A word and a text a line: `path`, `expected`, `found`, `cause`.
    pub(crate) details: Vec<(&'static str, String)>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// What was asked for cannot be done.
    pub(crate) fn refused(sentence: impl Into<String>) -> Self {
        Failure { status: Status::Refused, sentence: sentence.into(), details: Vec::new(), hint: None }
    }

    /// Something went wrong on the way.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Failure { status: Status::Failed, ..Failure::refused(sentence) }
    }

    /// The error's sentence, with the errors behind it as causes, and with flags for the keys of settings.
    pub(crate) fn because(status: Status, error: &(dyn Error + 'static), hint: Option<&Hint>) -> Self {
        let hint = hint.map(args::spelled);
        let mut failure = Failure { status, hint, ..Failure::refused(args::with_flags(&error.to_string())) };
        let mut source = error.source();
        while let Some(cause) = source {
            failure.details.push(("cause", args::with_flags(&cause.to_string())));
            source = cause.source();
        }
        failure
    }

    /// Whether the command was asked to stop.
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(self.status, Status::Interrupted(_))
    }

    /// The sentence with its causes, in one line.
    pub(crate) fn in_short(&self) -> String {
        let causes = self.details.iter().map(|(_, text)| text.replace('\n', " "));
        std::iter::once(self.sentence.clone()).chain(causes).collect::<Vec<_>>().join(": ")
    }

    pub(crate) fn detail(mut self, word: &'static str, text: impl Into<String>) -> Self {
        self.details.push((word, text.into()));
        self
    }

    /// The same, of work that had begun: whatever the cause, it was not refused.
    pub(crate) fn on_the_way(self) -> Self {
        if matches!(self.status, Status::Interrupted(_)) { self } else { Failure { status: Status::Failed, ..self } }
    }

    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        // The sentence names the flag already.
        let origin = error.origin().filter(|origin| !matches!(origin, Origin::Flag(_)));
        let origin = origin.map(|origin| ("in", args::origin(origin)));
        Failure {
            details: origin.into_iter().chain(error.details()).collect(),
            hint: error.hint().as_ref().map(args::spelled),
            ..Failure::refused(args::sentence(&error))
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Checkpoint(error) => error.into(),
            TrainError::RunFolder(error) => error.into(),
            error => {
                let status = match &error {
                    TrainError::Interrupted { .. } => signals::agreed().map_or(Status::Failed, Status::Interrupted),
                    error if error.is_refusal() => Status::Refused,
                    _ => Status::Failed,
                };
                Failure::because(status, &error, error.hint().as_ref())
            }
        }
    }
}

impl From<SavedModelError> for Failure {
    fn from(error: SavedModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Train(error) => error.into(),
            RunError::Config(error) => (*error).into(),
            RunError::UnderWay(error) => Failure::from(*error).on_the_way(),
            error => {
                let failure = Failure::because(Status::Refused, &error, error.hint().as_ref());
                Failure { details: [error.details(), failure.details].concat(), ..failure }
            }
        }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Run(error) => error.into(),
            CompareError::Config(error) => (*error).into(),
            CompareError::RunFolder(error) => error.into(),
            error => {
                let status = match &error {
                    CompareError::Interrupted { .. } => signals::received().map_or(Status::Failed, Status::Interrupted),
                    CompareError::Io { .. } => Status::Failed,
                    _ => Status::Refused,
                };
                let failure = Failure::because(status, &error, error.hint().as_ref());
                Failure { details: [error.details(), failure.details].concat(), ..failure }
            }
        }
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let failure = Failure::because(Status::Refused, &error, error.hint().as_ref());
        let CheckpointError::DoesNotFit { path, expected, found } = error else { return failure };
        let details = vec![("path", path.display().to_string()), ("expected", expected), ("found", found)];
        Failure { sentence: "the checkpoint does not fit the model".into(), details, ..failure }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let status = if error.is_refusal() { Status::Refused } else { Status::Failed };
        let failure = Failure::because(status, &error, error.hint().as_ref());
        let FetchError::NotObtained { tried, .. } = error else { return failure };
        tried
            .into_iter()
            .fold(failure, |failure, tried| failure.detail("tried", format!("{}\n{}", tried.source, tried.outcome)))
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Model(error) => error.into(),
            PredictError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
            error => {
                let status = if error.is_refusal() { Status::Refused } else { Status::Failed };
                Failure::because(status, &error, error.hint().as_ref())
            }
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let status = if error.is_refusal() { Status::Refused } else { Status::Failed };
        let failure = match error {
            ExportError::Model(error) => (*error).into(),
            ExportError::Checkpoint(error) => error.into(),
            error => Failure::because(status, &error, error.hint().as_ref()),
        };
        Failure { status, ..failure }
    }
}

impl From<RunFolderError> for Failure {
    fn from(error: RunFolderError) -> Self {
        Failure::because(Status::Refused, &error, error.hint().as_ref())
    }
}

impl From<AverageError> for Failure {
    fn from(error: AverageError) -> Self {
        match error {
            AverageError::RunFolder(error) => error.into(),
            AverageError::Run(error) => error.into(),
            AverageError::Train(error) => error.into(),
            error => {
                let failure = Failure::because(Status::Refused, &error, error.hint().as_ref());
                error.details().into_iter().fold(failure, |failure, (name, text)| failure.detail(name, text))
            }
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::RunFolder(error) => error.into(),
            error => {
                let refused = matches!(error, ReportError::Write { .. });
                Failure::because(if refused { Status::Refused } else { Status::Failed }, &error, error.hint().as_ref())
            }
        }
    }
}

/// Results could not be written. A reader that has gone, as in `coretune ... | head`, is not a failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure { status: Status::Done, ..Failure::refused("") };
        }
        Failure::failed("the result cannot be written").detail("cause", error.to_string())
    }
}
