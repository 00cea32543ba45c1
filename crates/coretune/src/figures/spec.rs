/// Which of two values of a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// An accuracy, for instance.
    HigherIsBetter,
    /// A loss, for instance.
    LowerIsBetter,
}

impl Direction {
    /// Whether `value` is better than `other`; of equals neither is.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        match self {
            Direction::HigherIsBetter => value > other,
            Direction::LowerIsBetter => value < other,
        }
    }
}

/// What the number of a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A fraction of a whole, in [0, 1]; shown as a percentage.
    Fraction,
    /// Any other number, with the word for what it counts, such as `nats`; empty when the figure has no unit.
    Number(&'static str),
}

/// What there is to know about a figure in order to compare and show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FigureSpec {
    /// Its name in files, such as `knn_top1`.
    pub name: &'static str,
    /// Its short name, for a line of progress or the head of a column, such as `kNN`.
    pub label: &'static str,
    /// Its full name, for a title, such as `nearest neighbours`.
    pub title: &'static str,
    /// What it measures, in a sentence or two.
    pub about: &'static str,
    /// Which values are better.
    pub direction: Direction,
    /// What its number counts.
    pub unit: Unit,
    /// The largest value it can have here, where that helps to read it: a rank cannot exceed the number of features.
    pub most: Option<i64>,
}

impl FigureSpec {
    /// A fraction of which more is better, shown as a percentage.
    pub const fn fraction(name: &'static str, label: &'static str, title: &'static str, about: &'static str) -> Self {
        let (direction, unit) = (Direction::HigherIsBetter, Unit::Fraction);
        FigureSpec { name, label, title, about, direction, unit, most: None }
    }

    /// A number with its unit, of which less is better.
    pub const fn number(
        name: &'static str,
        label: &'static str,
        title: &'static str,
        about: &'static str,
        unit: &'static str,
    ) -> Self {
        let (direction, unit) = (Direction::LowerIsBetter, Unit::Number(unit));
        FigureSpec { name, label, title, about, direction, unit, most: None }
    }

    /// The same figure, of which more is better.
    #[must_use]
    pub const fn higher_is_better(self) -> Self {
        FigureSpec { direction: Direction::HigherIsBetter, ..self }
    }

    /// A value as text: `74.1 %`, `0.831`, `83.4 of 512`.
    pub fn show(&self, value: f64) -> String {
        let value = match self.unit {
            Unit::Fraction => return format!("{:.1} %", 100.0 * value),
            Unit::Number(_) => three_digits(value),
        };
        match self.most {
            Some(most) => format!("{value} of {most}"),
            None => value,
        }
    }

    /// A value with the short name in front: `top-1 74.1 %`.
    pub fn labelled(&self, value: f64) -> String {
        format!("{} {}", self.label, self.show(value))
    }
}

/// Three significant digits, or all digits before the point.
fn three_digits(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = match size {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        _ if size == 0.0 => 0,
        _ => 5,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_unit() {
        let accuracy = FigureSpec::fraction("top1", "top-1", "top-1", "");
        assert_eq!(accuracy.labelled(0.7414), "top-1 74.1 %");
        let loss = FigureSpec::number("loss", "loss", "loss", "", "nats");
        assert_eq!(
            [0.0, 0.001_234, 0.0731, 0.831, 2.314, 83.44, 512.3, 1.0e-5, f64::NAN].map(|value| loss.show(value)),
            ["0", "0.00123", "0.0731", "0.831", "2.31", "83.4", "512", "1.00e-5", "NaN"]
        );
        assert_eq!(FigureSpec { most: Some(512), ..loss }.show(83.44), "83.4 of 512");
        assert_eq!(loss.show(-2.314), "-2.31");
    }
}
