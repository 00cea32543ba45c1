use std::fmt;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// `coretune fit`.
    FineTuning,
    /// `coretune pretrain`.
    Pretraining,
}

impl RunKind {
    /// Every kind: settings that all of them read.
    pub const ALL: &'static [RunKind] = &[RunKind::FineTuning, RunKind::Pretraining];

    /// The name that a hint has for starting such a run; see [`super::Hint`].
    pub(crate) fn action(self) -> &'static str {
        match self {
            RunKind::FineTuning => "{@fit}",
            RunKind::Pretraining => "{@pretrain}",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            RunKind::FineTuning => RunKind::Pretraining,
            RunKind::Pretraining => RunKind::FineTuning,
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunKind::FineTuning => "coretune fit",
            RunKind::Pretraining => "coretune pretrain",
        })
    }
}
