use std::fmt;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// `coretune fit`.
    FineTuning,
    /// `coretune pretrain`.
    Pretraining,
    /// `coretune fit --task segmentation`.
    Segmentation,
}

impl RunKind {
    /// Every kind: settings that all of them read.
    pub const ALL: &'static [RunKind] = &[RunKind::FineTuning, RunKind::Pretraining, RunKind::Segmentation];

    /// The kinds that train on labels, with a method of fine-tuning.
    pub const LABELLED: &'static [RunKind] = &[RunKind::FineTuning, RunKind::Segmentation];

    /// The kinds that see whole images as one row each.
    pub const OF_IMAGES: &'static [RunKind] = &[RunKind::FineTuning, RunKind::Pretraining];

    /// The name that a hint has for starting such a run; see [`super::Hint`].
    pub(crate) fn action(self) -> &'static str {
        match self {
            RunKind::FineTuning | RunKind::Segmentation => "{@fit}",
            RunKind::Pretraining => "{@pretrain}",
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunKind::FineTuning => "coretune fit",
            RunKind::Pretraining => "coretune pretrain",
            RunKind::Segmentation => "coretune fit for segmentation",
        })
    }
}
