//! What all figures share: the canvas, colours, text, and the legend.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::ReportError;

/// A figure of the page.
pub(in super::super) struct Drawing {
    /// Width and height in the units of `content`.
    pub(in super::super) size: (u32, u32),
    /// Width on a page that has room for it, pixels.
    pub(in super::super) width: u32,
    /// What the `svg` element holds.
    pub(in super::super) content: String,
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<T> = Result<T, DrawingAreaErrorKind<io::Error>>;

/// Units of the drawing for one unit of the page: the library places things at whole units only.
const FINE: u32 = 4;

/// Size of the text, in units of the page.
const TEXT: u32 = 15;

/// Okabe and Ito's colours; black, which the page turns around in the dark, and yellow, pale in the light, come last.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    BLACK,
    RGBColor(240, 228, 66),
];

/// The colour of series or class `index`.
pub(super) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// Number of the shape or dash that goes with the colour of `index`.
pub(super) fn variant(index: usize) -> usize {
    index / COLOURS.len()
}

/// A length of the page in units of the drawing.
pub(super) fn units(length: u32) -> i32 {
    (length * FINE) as i32
}

/// Draws on a canvas of `width` x `height` units of the page.
pub(super) fn draw(
    (width, height): (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Drawn<()>,
) -> Result<Drawing, ReportError> {
    let size = (width * FINE, height * FINE);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&root)
            .and_then(|()| root.present())
            .map_err(|error| ReportError::Figure { message: error.to_string() })?;
    }
    let content = svg.split_once('>').map_or("", |(_, rest)| rest).trim().trim_end_matches("</svg>");
    Ok(Drawing { size, width: width * 11 / 10, content: content.replace("\n</text>", "</text>").replace(">\n", ">") })
}

/// Text of the usual size.
pub(super) fn text() -> TextStyle<'static> {
    // The library divides the size by 1.24 when it writes SVG.
    ("sans-serif", 1.24 * f64::from(TEXT * FINE)).into_text_style(&(1, 1)).color(&BLACK)
}

/// Text that is placed by its middle.
pub(super) fn centred() -> TextStyle<'static> {
    text().pos(Pos::new(HPos::Center, VPos::Center))
}

/// Text that ends where it is placed.
pub(super) fn ending() -> TextStyle<'static> {
    text().pos(Pos::new(HPos::Right, VPos::Center))
}

/// Text that begins where it is placed.
pub(super) fn beginning() -> TextStyle<'static> {
    text().pos(Pos::new(HPos::Left, VPos::Center))
}

/// A line of this width in units of the page.
pub(super) fn stroke(colour: impl Into<RGBAColor>, width: u32) -> ShapeStyle {
    ShapeStyle { color: colour.into(), filled: false, stroke_width: width * FINE }
}

/// The name, cut if it is long.
pub(super) fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_string();
    }
    name.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// How entries of a legend are laid out in a width: rows of columns.
pub(super) struct Legend<'a> {
    names: &'a [String],
    columns: usize,
    column_width: u32,
}

/// Height of a row of a legend, units of the page.
const ROW: u32 = 21;

/// Room for the mark before a name.
const MARK: u32 = 24;

/// Letters of a name in a legend.
const LETTERS: usize = 40;

impl<'a> Legend<'a> {
    pub(super) fn new(names: &'a [String], width: u32) -> Self {
        let longest = names.iter().map(|name| name.chars().count().min(LETTERS)).max().unwrap_or(0) as u32;
        let column_width = (MARK + 8 + longest * TEXT * 6 / 10).min(width);
        Legend { names, columns: (width / column_width).max(1) as usize, column_width }
    }

    pub(super) fn height(&self) -> u32 {
        self.names.len().div_ceil(self.columns) as u32 * ROW
    }

    /// Writes the names from `left` on; `mark` draws the mark before the name at a place.
    pub(super) fn draw(
        &self,
        root: &Area<'_>,
        left: u32,
        mark: impl Fn(&Area<'_>, usize, (i32, i32)) -> Drawn<()>,
    ) -> Drawn<()> {
        for (index, name) in self.names.iter().enumerate() {
            let (row, column) = (index / self.columns, index % self.columns);
            let x = units(left + column as u32 * self.column_width);
            let y = units(row as u32 * ROW + ROW / 2);
            mark(root, index, (x + units(MARK / 2 - 2), y))?;
            root.draw(&Text::new(shortened(name, LETTERS), (x + units(MARK), y), beginning()))?;
        }
        Ok(())
    }
}
