//! Which part of the backbone is trained.

use crate::checkpoints::NamePattern;

/// Which weights of the backbone are trained. The heads always are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trainable {
    /// All.
    All,
    /// Weights and biases of the batch norms, whose statistics stay.
    Norms,
    /// Those of the last so many stages; the others stay, statistics included.
    Last(usize),
    /// None.
    Head,
    /// Those whose names fit one of the patterns; a batch norm of which no name does keeps its statistics.
    Named(Vec<String>),
}

impl Trainable {
    /// What a value of `model.trainable` means: `all`, `norms`, `head`, `last:2`, or patterns with commas between them.
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Trainable::All),
            "norms" => Some(Trainable::Norms),
            "head" => Some(Trainable::Head),
            _ => Trainable::last(text).or_else(|| Trainable::named(text)),
        }
    }

    /// `last:2`.
    fn last(text: &str) -> Option<Self> {
        let stages = text.strip_prefix("last:")?.parse().ok()?;
        (stages > 0).then_some(Trainable::Last(stages))
    }

    /// Patterns with commas between them. A word without a dot or a star is not a tensor's name, but another word mistyped.
    fn named(text: &str) -> Option<Self> {
        let patterns: Vec<String> = text.split(',').map(|pattern| pattern.trim().to_string()).collect();
        patterns.iter().all(|pattern| pattern.contains(['.', '*'])).then_some(Trainable::Named(patterns))
    }

    /// Whether a tensor of this name fits one of `patterns`.
    pub fn fits(patterns: &[String], name: &str) -> bool {
        patterns.iter().any(|pattern| NamePattern::from(pattern.as_str()).matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_of_stages_and_patterns_are_read_and_typing_errors_are_not() {
        let named = |patterns: &[&str]| Some(Trainable::Named(patterns.iter().map(ToString::to_string).collect()));
        assert_eq!(Trainable::of("norms"), Some(Trainable::Norms));
        assert_eq!(Trainable::of("last:2"), Some(Trainable::Last(2)));
        assert_eq!(Trainable::of("layer4.*,bn1.weight"), named(&["layer4.*", "bn1.weight"]));
        for wrong in ["", "norm", "last:", "last:0", "last:two", "layer4", "heads"] {
            assert_eq!(Trainable::of(wrong), None, "{wrong}");
        }
    }
}
