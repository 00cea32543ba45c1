//! Curves over steps or epochs, and the reliability diagram.

use std::ops::Range;

use plotters::prelude::*;

use super::super::ReportError;
use super::canvas::{Area, Drawing, Drawn, Legend, colour, draw, stroke, text, units, variant};

/// A named curve.
pub(in super::super) struct Line {
    pub(in super::super) name: String,
    pub(in super::super) points: Vec<(f64, f64)>,
}

/// The axes and their names.
#[derive(Clone)]
pub(in super::super) struct Axes<'a> {
    pub(in super::super) x: &'static str,
    pub(in super::super) y: &'a str,
    /// Both axes go from 0 to 1, the canvas is square, and a diagonal marks equality.
    pub(in super::super) square: bool,
}

/// Most points of a curve that are drawn; longer curves are averaged down.
const POINTS: usize = 400;

/// Points up to which each is marked.
const MARKED: usize = 40;

/// Room for the numbers of an axis and its name, units of the page.
const LEFT: u32 = 76;
const BELOW: u32 = 50;

/// Curves in one figure; several have a legend above them.
pub(in super::super) fn lines(axes: &Axes<'_>, curves: &[Line]) -> Result<Drawing, ReportError> {
    drawn(axes, curves, number)
}

/// As [`lines`], with a logarithmic x axis; x has to be above 0.
pub(in super::super) fn lines_over_log(axes: &Axes<'_>, curves: &[Line]) -> Result<Drawing, ReportError> {
    let logarithmic = |curve: &Line| Line {
        name: curve.name.clone(),
        points: curve.points.iter().map(|(x, y)| (x.log10(), *y)).collect(),
    };
    let curves: Vec<Line> = curves.iter().map(logarithmic).collect();
    // Two digits: the marks of such an axis fall where they fall.
    drawn(axes, &curves, |exponent| {
        let value = 10f64.powf(exponent);
        number(format!("{value:.1e}").parse().unwrap_or(value))
    })
}

/// The figure, with `x_text` for the numbers of the x axis.
fn drawn(axes: &Axes<'_>, curves: &[Line], x_text: fn(f64) -> String) -> Result<Drawing, ReportError> {
    let names: Vec<String> = curves.iter().map(|curve| curve.name.clone()).collect();
    let (width, height) = if axes.square { (440, 410) } else { (500, 300) };
    let legend = Legend::new(&names, width - LEFT - 8);
    let above = if curves.len() > 1 { legend.height() + 6 } else { 0 };
    let curves: Vec<Vec<(f64, f64)>> = curves.iter().map(|curve| thinned(&curve.points)).collect();
    draw((width, height + above), |root| {
        if above > 0 {
            legend.draw(root, LEFT + 8, sample)?;
        }
        let (_, below) = root.split_vertically(units(above));
        plot(&below, axes, &curves, x_text)
    })
}

fn plot(root: &Area<'_>, axes: &Axes<'_>, curves: &[Vec<(f64, f64)>], x_text: fn(f64) -> String) -> Drawn<()> {
    let along = |pick: fn(&(f64, f64)) -> f64| curves.iter().flatten().map(pick);
    let (x, y) = if axes.square {
        (0.0..1.0, 0.0..1.0)
    } else {
        (range(along(|point| point.0), 0.0), range(along(|point| point.1), 0.06))
    };
    let mut chart = ChartBuilder::on(root)
        .margin_top(units(8))
        .margin_left(units(8))
        .margin_right(units(14))
        .x_label_area_size(units(BELOW))
        .y_label_area_size(units(LEFT))
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_labels(6)
        .y_labels(6)
        .label_style(text())
        .axis_desc_style(text())
        .axis_style(stroke(BLACK.mix(0.5), 1))
        .bold_line_style(stroke(BLACK.mix(0.12), 1))
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|value| x_text(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    if axes.square {
        chart.draw_series(DashedLineSeries::new(
            [(0.0, 0.0), (1.0, 1.0)],
            units(5),
            units(5),
            stroke(BLACK.mix(0.5), 1),
        ))?;
    }
    for (index, points) in curves.iter().enumerate() {
        let style = stroke(colour(index), 2);
        let points = points.iter().copied();
        if variant(index) == 0 {
            chart.draw_series(LineSeries::new(points.clone(), style))?;
        } else {
            chart.draw_series(DashedLineSeries::new(points.clone(), units(7), units(4), style))?;
        }
        if points.len() <= MARKED {
            chart.draw_series(points.map(|point| Circle::new(point, units(3), colour(index).filled())))?;
        }
    }
    Ok(())
}

/// A piece of curve `index`, for the legend.
fn sample(root: &Area<'_>, index: usize, (x, y): (i32, i32)) -> Drawn<()> {
    let half = units(9);
    if variant(index) == 0 {
        return root.draw(&PathElement::new([(x - half, y), (x + half, y)], stroke(colour(index), 3)));
    }
    for (from, to) in [(-half, -half / 4), (half / 4, half)] {
        root.draw(&PathElement::new([(x + from, y), (x + to, y)], stroke(colour(index), 3)))?;
    }
    Ok(())
}

/// The finite points; of many, means of neighbouring ones.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let share = finite.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    finite.chunks(share).map(mean).collect()
}

/// The smallest range that holds the values, with a margin on both sides; never empty.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = if high > low { margin * (high - low) } else { low.abs().max(1.0) * 0.05 };
    low - margin..high + margin
}

/// A number on an axis, with digits according to its size.
fn number(value: f64) -> String {
    let size = value.abs();
    let digits = |digits: usize| {
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    };
    match size {
        _ if size < 1e-12 => "0".into(),
        _ if !(1e-4..1e6).contains(&size) => format!("{value:.1e}"),
        _ if size < 0.01 => digits(5),
        _ if size < 10.0 => digits(3),
        _ => digits(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_averaged_and_gaps_left_out() {
        let points: Vec<(f64, f64)> = (0..1000).map(|step| (f64::from(step), 2.0)).chain([(5.0, f64::NAN)]).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS);
        assert!(thin.iter().all(|point| (point.1 - 2.0).abs() < 1e-12));
        assert!((thin[0].0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn axes_survive_one_point_and_none() {
        for points in [vec![], vec![(1.0, 0.0)], vec![(0.0, f64::INFINITY)]] {
            let axes = Axes { x: "step", y: "loss", square: false };
            lines(&axes, &[Line { name: "one".into(), points }]).unwrap();
        }
    }

    #[test]
    fn a_logarithmic_axis_has_the_numbers_themselves() {
        let axes = Axes { x: "labels", y: "top-1", square: false };
        let points = vec![(1.0, 0.1), (100.0, 0.2)];
        let drawing = lines_over_log(&axes, &[Line { name: "one".into(), points }]).unwrap();
        assert!(
            drawing.content.contains(">1</text>") && drawing.content.contains(">100</text>"),
            "{}",
            drawing.content
        );
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.5, 0.25, 12.0, 1500.0, 0.0005, 2.5e-7].map(number);
        assert_eq!(numbers, ["0", "0.5", "0.25", "12", "1500", "0.0005", "2.5e-7"]);
    }
}
