//! Named figures: what a task measures, how each figure is read, and which epoch it selects.
//!
//! Progress, metrics and summaries carry [`Figures`], numbers by name. What a number means (its direction, its unit, its
//! labels) is a [`FigureSpec`], which the task that measures it declares. A new task brings its own specs; nothing that
//! records, compares or shows figures has to change.

mod selection;
mod spec;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

pub use selection::{Selection, UnknownFigure};
pub use spec::{Direction, FigureSpec, Unit};

/// In front of the name of a figure of the validation split, where figures of several splits meet.
const VALIDATION: &str = "val_";

/// Figures by name. One that could not be measured has a name and no value: in JSON it is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<String, Option<f64>>);

impl Figures {
    /// No figures yet.
    pub fn new() -> Self {
        Figures::default()
    }

    /// The same figures and one more; `None` is a figure that could not be measured.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Option<f64>>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a figure, or gives it another value.
    pub fn set(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a figure; `None` when there is no such figure or it could not be measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied().flatten()
    }

    /// Every figure that has a value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), (*value)?)))
    }

    /// Names of all figures, those without a value included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is no figure at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first figure whose value is NaN or infinite.
    pub fn first_not_finite(&self) -> Option<(&str, f64)> {
        self.iter().find(|(_, value)| !value.is_finite())
    }

    /// The same figures under their names beside those of other splits: `top1` of the validation split is `val_top1`.
    #[must_use]
    pub fn of_validation(&self) -> Self {
        Figures(self.0.iter().map(|(name, value)| (validation_name(name), *value)).collect())
    }

    /// Writes the figures that have a finite value: a line of `metrics.jsonl` has no others.
    pub(crate) fn serialize_finite<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().filter(|(_, value)| value.is_finite()))
    }
}

/// Collects values by name; of two with the same name the later one counts.
impl<N: Into<String>, V: Into<Option<f64>>> FromIterator<(N, V)> for Figures {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(figures: I) -> Self {
        Figures(figures.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The name of a figure of the validation split beside figures of other splits: `val_top1`.
pub fn validation_name(figure: &str) -> String {
    format!("{VALIDATION}{figure}")
}

/// The figures of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// What was measured at its end.
    #[serde(flatten)]
    pub figures: Figures,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_without_a_value_is_null_in_json_and_left_out_of_a_line_of_metrics() {
        #[derive(Serialize)]
        struct Line(#[serde(serialize_with = "Figures::serialize_finite")] Figures);
        let figures = Figures::new().with("mean_iou", 0.25).with("ratio", None);
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(text, r#"{"mean_iou":0.25,"ratio":null}"#);
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
        assert_eq!(figures.iter().collect::<Vec<_>>(), [("mean_iou", 0.25)]);
        assert_eq!(figures.names().collect::<Vec<_>>(), ["mean_iou", "ratio"]);
        let line = Line(figures.with("loss", f64::NAN));
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"mean_iou":0.25}"#);
        assert_eq!(line.0.first_not_finite().unwrap().0, "loss");
    }

    #[test]
    fn figures_of_the_validation_split_can_stand_beside_those_of_others() {
        let figures = Figures::new().with("top1", 0.5).of_validation();
        assert_eq!(figures.get("val_top1"), Some(0.5));
        assert_eq!(figures.get("top1"), None);
    }
}
