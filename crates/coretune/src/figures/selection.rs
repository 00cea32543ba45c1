use thiserror::Error;

use super::{Direction, FigureSpec, Figures, VALIDATION, validation_name};

/// What makes an epoch the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The best value of a figure of the validation split.
    Figure {
        /// Its name among the figures of an epoch.
        name: &'static str,
        /// Which values are better.
        direction: Direction,
    },
    /// The last epoch is the best; no figure is compared.
    Last,
}

/// The figure that decides between epochs that are equal in the figure that selects.
const LOSS: &str = "loss";

/// The word for [`Selection::Last`].
const LAST: &str = "last";

/// A figure that was to select the best epoch and is not measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{found} cannot select the best epoch: expected {}", known.join(", "))]
pub struct UnknownFigure {
    /// The word given.
    pub found: String,
    /// Every word that selects.
    pub known: Vec<String>,
}

impl Selection {
    /// What a word means where the figures `specs` are measured: `last`, or `val_` and the name of a figure.
    ///
    /// # Errors
    /// [`UnknownFigure`] when `word` is neither; it lists every word that has a meaning.
    pub fn from_word(word: &str, specs: &[FigureSpec]) -> Result<Self, UnknownFigure> {
        if word == LAST {
            return Ok(Selection::Last);
        }
        let named = |spec: &&FigureSpec| word.strip_prefix(VALIDATION) == Some(spec.name);
        if let Some(FigureSpec { name, direction, .. }) = specs.iter().find(named) {
            return Ok(Selection::Figure { name, direction: *direction });
        }
        let names = specs.iter().map(|spec| validation_name(spec.name));
        Err(UnknownFigure { found: word.into(), known: names.chain([LAST.into()]).collect() })
    }

    /// Whether an epoch with the figures `new` is better than the `best` one before it. Of equals the one with the smaller
    /// loss is better, if both have one, else the first stays; so does an epoch in which the figure has a value, against
    /// one in which it has none.
    pub fn is_better(&self, new: &Figures, best: &Figures) -> bool {
        match self {
            Selection::Last => true,
            Selection::Figure { name, direction } => match (new.get(name), best.get(name)) {
                (Some(one), Some(other)) if one.total_cmp(&other).is_eq() => {
                    matches!((new.get(LOSS), best.get(LOSS)), (Some(new), Some(best)) if new < best)
                }
                (Some(new), Some(best)) => direction.is_better(new, best),
                (new, None) => new.is_some(),
                (None, Some(_)) => false,
            },
        }
    }

    /// The figures for a line of progress: the first of `specs`, the most important one, and the one that selects.
    #[must_use]
    pub fn shown(self, specs: &[FigureSpec]) -> Vec<FigureSpec> {
        let selects = |spec: &FigureSpec| matches!(self, Selection::Figure { name, .. } if name == spec.name);
        let specs = specs.iter().enumerate();
        specs.filter(|(place, spec)| *place == 0 || selects(spec)).map(|(_, spec)| *spec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: [FigureSpec; 2] = [
        FigureSpec::fraction("mean_iou", "mIoU", "mean IoU", ""),
        FigureSpec::number("boundary_error", "error", "boundary error", "", "pixels"),
    ];

    #[test]
    fn a_word_names_a_figure_of_validation_with_its_direction() {
        let of = |word| Selection::from_word(word, &SPECS);
        let direction = Direction::HigherIsBetter;
        assert_eq!(of("val_mean_iou"), Ok(Selection::Figure { name: "mean_iou", direction }));
        assert_eq!(of("last"), Ok(Selection::Last));
        for unknown in ["val_top1", "mean_iou", ""] {
            let error = of(unknown).unwrap_err();
            assert_eq!(error.known, ["val_mean_iou", "val_boundary_error", "last"]);
            assert!(error.to_string().ends_with("expected val_mean_iou, val_boundary_error, last"), "{error}");
        }
    }

    #[test]
    fn the_direction_of_the_figure_decides_and_of_equals_the_first_stays() {
        let figures = |iou: f64, error: f64| Figures::new().with("mean_iou", iou).with("boundary_error", error);
        let by = |word| Selection::from_word(word, &SPECS).unwrap();
        let (first, second) = (figures(0.5, 3.0), figures(0.6, 4.0));
        assert!(by("val_mean_iou").is_better(&second, &first) && !by("val_mean_iou").is_better(&first, &second));
        assert!(
            by("val_boundary_error").is_better(&first, &second) && !by("val_boundary_error").is_better(&second, &first)
        );
        assert!(!by("val_mean_iou").is_better(&first, &first) && !by("val_boundary_error").is_better(&first, &first));
        assert!(by("last").is_better(&first, &second) && by("last").is_better(&second, &first));
    }

    #[test]
    fn of_equals_the_one_with_the_smaller_loss_is_better() {
        let figures = |iou: f64, loss: f64| Figures::new().with("mean_iou", iou).with("loss", loss);
        let by = Selection::from_word("val_mean_iou", &SPECS).unwrap();
        assert!(
            by.is_better(&figures(0.5, 0.9), &figures(0.5, 1.0))
                && !by.is_better(&figures(0.5, 1.1), &figures(0.5, 1.0))
        );
        assert!(
            !by.is_better(&figures(0.5, 1.0), &figures(0.5, 1.0))
                && !by.is_better(&figures(0.4, 0.1), &figures(0.5, 1.0))
        );
    }

    #[test]
    fn an_epoch_without_the_figure_is_never_better() {
        let (with, without) = (Figures::new().with("mean_iou", 0.1), Figures::new().with("mean_iou", None));
        let by = Selection::from_word("val_mean_iou", &SPECS).unwrap();
        assert!(by.is_better(&with, &without) && !by.is_better(&without, &with) && !by.is_better(&without, &without));
    }
}
