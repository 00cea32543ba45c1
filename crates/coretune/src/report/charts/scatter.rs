//! Points of classes in the plane.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::super::ReportError;
use super::canvas::{Area, Drawing, Drawn, Legend, colour, draw, stroke, units, variant};

/// Side of the picture, units of the page.
const SIDE: u32 = 440;

/// Half the size of a mark.
const MARK: u32 = 3;

/// `classes[i]` is the class of `points[i]`; the legend names each class.
pub(in super::super) fn scatter(
    points: &[(f64, f64)],
    classes: &[usize],
    names: &[String],
) -> Result<Drawing, ReportError> {
    let legend = Legend::new(names, SIDE);
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
