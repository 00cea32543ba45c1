//! Points of classes in the plane.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::super::ReportError;
use super::canvas::{Area, Drawing, Drawn, Legend, colour, draw, stroke, units, variant};

/// Side of the picture, units of the page.
const SIDE: u32 = 440;

/// Half the size of a mark.
const MARK: u32 = 3;

/// Classes up to which each has a mark of its own and a name in the legend.
pub(in super::super) const MOST_NAMED: usize = 32;

/// `classes[i]` is the class of `points[i]`; the legend names each class if there are at most [`MOST_NAMED`].
pub(in super::super) fn scatter(
    points: &[(f64, f64)],
    classes: &[usize],
    names: &[String],
) -> Result<Drawing, ReportError> {
    let named = if names.len() <= MOST_NAMED { names } else { &[] };
    let legend = Legend::new(named, SIDE);
    let (x, y) = (square_range(points.iter().map(|p| p.0)), square_range(points.iter().map(|p| p.1)));
    draw((SIDE, SIDE + legend.height() + 8), |root| {
        let (above, below) = root.split_vertically(units(SIDE));
        let mut chart = ChartBuilder::on(&above).margin(units(4)).build_cartesian_2d(x, y)?;
        chart.configure_mesh().disable_mesh().set_all_tick_mark_size(0).axis_style(stroke(BLACK.mix(0.3), 1)).draw()?;
        for (&point, &class) in points.iter().zip(classes) {
            mark(chart.plotting_area(), class, point)?;
        }
        let (_, below) = below.split_vertically(units(8));
        legend.draw(&below, 4, legend_mark)
    })
}

type Plane<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn mark(area: &Plane<'_>, class: usize, point: (f64, f64)) -> Drawn<()> {
    let (size, filled, open) = (units(MARK), colour(class).mix(0.8).filled(), stroke(colour(class).mix(0.9), 1));
    match shape(class) {
        Shape::Disc => area.draw(&Circle::new(point, size, filled)),
        Shape::Triangle => area.draw(&TriangleMarker::new(point, size + units(1), filled)),
        Shape::Cross => area.draw(&Cross::new(point, size, stroke(colour(class), 2))),
        Shape::Ring => area.draw(&Circle::new(point, size, open)),
    }
}

fn legend_mark(area: &Area<'_>, class: usize, point: (i32, i32)) -> Drawn<()> {
    let (size, filled) = (units(MARK + 1), colour(class).filled());
    match shape(class) {
        Shape::Disc => area.draw(&Circle::new(point, size, filled)),
        Shape::Triangle => area.draw(&TriangleMarker::new(point, size + units(1), filled)),
        Shape::Cross => area.draw(&Cross::new(point, size, stroke(colour(class), 2))),
        Shape::Ring => area.draw(&Circle::new(point, size, stroke(colour(class), 1))),
    }
}

enum Shape {
    Disc,
    Triangle,
    Cross,
    Ring,
}

/// Neighbouring classes differ in shape, and so do those of one colour.
fn shape(class: usize) -> Shape {
    match (class + variant(class)) % 4 {
        0 => Shape::Disc,
        1 => Shape::Triangle,
        2 => Shape::Cross,
        _ => Shape::Ring,
    }
}

fn square_range(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return 0.0..1.0;
    }
    let margin = (0.04 * (high - low)).max(1e-6);
    low - margin..high + margin
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_named_class_has_a_mark_of_its_own() {
        let marks: BTreeSet<_> = (0..MOST_NAMED).map(|class| (colour(class).rgb(), shape(class) as u8)).collect();
        assert_eq!(marks.len(), MOST_NAMED);
    }

    #[test]
    fn a_legend_is_left_out_where_it_would_be_larger_than_the_picture() {
        let points: Vec<(f64, f64)> = (0..200).map(|image| (f64::from(image), f64::from(image % 7))).collect();
        let texts = |classes: usize| {
            let names: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
            let classes: Vec<usize> = (0..200).map(|image| image % classes).collect();
            scatter(&points, &classes, &names).unwrap().content.matches("<text").count()
        };
        assert_eq!((texts(10), texts(100)), (10, 0));
    }
}
