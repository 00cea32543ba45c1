//! How figures are written.

use crate::evaluate::bootstrap::{Comparison, Interval};
use crate::figures::FigureSpec;

/// `79.2 %`, with a space that does not break.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * fraction)
}

/// A figure in its unit, with spaces that do not break: `79.2 %`, `0.831`.
pub(super) fn figure(spec: &FigureSpec, value: f64) -> String {
    spec.show(value).replace(' ', "\u{a0}")
}

/// The text with a capital letter at its start.
pub(super) fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `95 %: 73.8 to 84.0`, in percent of a fraction.
pub(super) fn interval(interval: &Interval) -> String {
    format!("95 %: {:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high)
}

/// `+1.4 points (95 %: 0.5 to 2.3)`
pub(super) fn difference(comparison: &Comparison) -> String {
    format!("{:+.1} points ({})", 100.0 * comparison.difference, interval(&comparison.interval))
}

/// Whether fine-tuning was worth it, in a sentence.
pub(super) fn verdict(comparison: &Comparison, images: usize) -> String {
    let (points, range) = (100.0 * comparison.difference.abs(), interval(&comparison.interval));
    if comparison.first_is_better() {
        format!(
            "Fine-tuning beats the linear probe by {points:.1} points, statistically significant on {images} images ({range})."
        )
    } else if comparison.interval.high < 0.0 {
        format!(
            "The linear probe beats fine-tuning by {points:.1} points, statistically significant on {images} images ({range})."
        )
    } else {
        format!(
            "Fine-tuning and the linear probe differ by {points:.1} points, not statistically significant on {images} images ({range})."
        )
    }
}

/// `12 s`, `8 min 46 s`, `2 h 05 min`
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1.1 GB`, `640 MB`
pub(super) fn bytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 { format!("{megabytes:.0} MB") } else { format!("{:.1} GB", megabytes / 1000.0) }
}

/// The figure, or a dash without one.
pub(super) fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "–".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_follows_the_interval() {
        let verdict_of = |difference, low, high| {
            let interval = Interval { low, high };
            verdict(&Comparison { difference, interval, only_first: 0, only_second: 0 }, 100)
        };
        assert!(verdict_of(0.02, 0.01, 0.03).starts_with("Fine-tuning beats the linear probe by 2.0 points"));
        assert!(verdict_of(-0.02, -0.03, -0.01).starts_with("The linear probe beats fine-tuning by 2.0 points"));
        assert!(verdict_of(0.01, 0.0, 0.02).contains("not statistically significant on 100 images"));
    }

    #[test]
    fn durations_and_sizes_have_a_unit_that_fits() {
        assert_eq!([12.4, 526.0, 7500.0].map(duration), ["12 s", "8 min 46 s", "2 h 05 min"]);
        assert_eq!([640_000_000, 1_104_666_624].map(bytes), ["640 MB", "1.1 GB"]);
    }
}
