//! How far a run has come, and which epoch was the best.

use serde::{Deserialize, Serialize};

use crate::figures::{EpochFigures, Selection};

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates made.
    pub step: u64,
    /// Epochs trained to their end.
    pub epochs: u64,
    /// The best epoch so far, with its figures on the validation split.
    pub best: Option<EpochFigures>,
    /// Epochs since then.
    pub epochs_without_better: u64,
}

impl Progress {
    /// Records an epoch that was trained to its end, and returns whether it is the best so far. Of epochs that are equal
    /// in loss too the first stays, but epoch 0, the start, gives way to a trained one.
    pub fn note(&mut self, epoch: EpochFigures, selection: &Selection) -> bool {
        self.epochs = epoch.epoch;
        let better = match &self.best {
            None => true,
            Some(best) if best.epoch == 0 => !selection.is_better(&best.figures, &epoch.figures),
            Some(best) => selection.is_better(&epoch.figures, &best.figures),
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
    use crate::figures::{Direction, Figures};

    const BY_TOP1: Selection = Selection::Figure { name: "top1", direction: Direction::HigherIsBetter };
    const BY_LOSS: Selection = Selection::Figure { name: "loss", direction: Direction::LowerIsBetter };

    fn epoch(epoch: u64, top1: f64, loss: f64) -> EpochFigures {
        EpochFigures { epoch, figures: Figures::new().with("top1", top1).with("loss", loss) }
    }

    #[test]
    fn the_start_stays_the_best_only_if_every_epoch_is_worse() {
        let mut progress = Progress::default();
        assert!(progress.note(epoch(0, 0.7, 1.0), &BY_TOP1));
        assert!(!progress.note(epoch(1, 0.6, 0.5), &BY_TOP1));
        assert!(progress.note(epoch(2, 0.7, 0.9), &BY_TOP1) && !progress.note(epoch(3, 0.7, 0.9), &BY_TOP1));
        assert_eq!(progress.best.unwrap().epoch, 2);
    }

    #[test]
    fn of_equal_epochs_the_smaller_loss_is_the_best_and_then_the_first() {
        let mut progress = Progress::default();
        assert!(progress.note(epoch(1, 0.5, 1.0), &BY_TOP1));
        assert!(progress.note(epoch(2, 0.5, 0.5), &BY_TOP1));
        assert!(progress.note(epoch(3, 0.6, 2.0), &BY_TOP1));
        assert!(!progress.note(epoch(4, 0.1, 2.0), &BY_TOP1));
        assert!(!progress.note(epoch(5, 0.6, 2.0), &BY_TOP1));
        assert_eq!((progress.best.unwrap().epoch, progress.epochs_without_better, progress.epochs), (3, 2, 5));
    }

    /// Numbers once lost their last bit in the file.
    #[test]
    fn figures_are_read_back_as_they_were_written() {
        let best = Some(epoch(3, 0.1 + 0.2, 0.393_353_259_535_047_63));
        let progress = Progress { step: 12, epochs: 3, best, epochs_without_better: 0 };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }

    #[test]
    fn the_state_of_a_run_by_an_older_version_is_read() {
        let text = r#"{"step":12,"epochs":3,"best":{"epoch":2,"top1":0.75,"loss":0.5},"epochs_without_better":1}"#;
        let expected = Progress { step: 12, epochs: 3, best: Some(epoch(2, 0.75, 0.5)), epochs_without_better: 1 };
        assert_eq!(serde_json::from_str::<Progress>(text).unwrap(), expected);
        let text = r#"{"step":6,"epochs":1,"best":null,"epochs_without_better":0}"#;
        assert_eq!(serde_json::from_str::<Progress>(text).unwrap().best, None);
    }

    #[test]
    fn the_figure_that_selects_can_be_the_loss_or_nothing() {
        let mut by_loss = Progress::default();
        by_loss.note(epoch(1, 0.9, 1.0), &BY_LOSS);
        assert!(by_loss.note(epoch(2, 0.1, 0.9), &BY_LOSS));
        let mut last = Progress::default();
        last.note(epoch(1, 0.9, 1.0), &Selection::Last);
        assert!(last.note(epoch(2, 0.1, 9.0), &Selection::Last));
    }
}
