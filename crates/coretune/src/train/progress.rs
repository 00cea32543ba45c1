//! How far a run has come, and which epoch was the best.

use serde::{Deserialize, Serialize};

use crate::config::Select;

/// Figures of an epoch on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Top-1 accuracy, a fraction.
    pub top1: f64,
    /// Mean cross-entropy, nats.
    pub loss: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates made.
    pub step: u64,
    /// Epochs trained to their end.
    pub epochs: u64,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Epochs since then.
    pub epochs_without_better: u64,
}

impl Progress {
    /// Takes note of an epoch that was trained to its end; says whether it is the best so far. Of equals the first stays.
    pub fn note(&mut self, epoch: Best, select: Select) -> bool {
        self.epochs = epoch.epoch;
        let better = match (&self.best, select) {
            (None, _) | (_, Select::Last) => true,
            (Some(best), Select::ValTop1) => epoch.top1 > best.top1,
            (Some(best), Select::ValLoss) => epoch.loss < best.loss,
        };
        if better {
            self.best = Some(epoch);
            self.epochs_without_better = 0;
        } else {
            self.epochs_without_better += 1;
        }
        better
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u64, top1: f64, loss: f64) -> Best {
        Best { epoch, top1, loss }
    }

    #[test]
    fn the_first_of_equal_epochs_stays_the_best() {
        let mut progress = Progress::default();
        assert!(progress.note(epoch(1, 0.5, 1.0), Select::ValTop1));
        assert!(!progress.note(epoch(2, 0.5, 0.5), Select::ValTop1));
        assert!(progress.note(epoch(3, 0.6, 2.0), Select::ValTop1));
        assert!(!progress.note(epoch(4, 0.1, 2.0), Select::ValTop1));
        assert_eq!((progress.best.unwrap().epoch, progress.epochs_without_better, progress.epochs), (3, 1, 4));
    }

    /// A loss that came back one bit off, before numbers were read to the last one.
    #[test]
    fn figures_are_read_back_as_they_were_written() {
        let best = Some(epoch(3, 0.1 + 0.2, 0.393_353_259_535_047_63));
        let progress = Progress { step: 12, epochs: 3, best, epochs_without_better: 0 };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }

    #[test]
    fn the_figure_that_selects_can_be_the_loss_or_nothing() {
        let mut by_loss = Progress::default();
        by_loss.note(epoch(1, 0.9, 1.0), Select::ValLoss);
        assert!(by_loss.note(epoch(2, 0.1, 0.9), Select::ValLoss));
        let mut last = Progress::default();
        last.note(epoch(1, 0.9, 1.0), Select::Last);
        assert!(last.note(epoch(2, 0.1, 9.0), Select::Last));
    }
}
