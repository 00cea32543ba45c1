//! The confusion matrix as a heat map.

use plotters::prelude::*;

use super::super::ReportError;
use super::canvas::{Drawing, beginning, centred, draw, ending, shortened, units};

/// Most classes for which the matrix is drawn.
pub(in super::super) const MOST_CLASSES: usize = 60;

/// Most classes for which counts and names are written.
const NAMED: usize = 25;

/// Letters of a name.
const LETTERS: usize = 14;

/// Room for the names, units of the page.
const NAMES: u32 = 136;

/// Rows are true classes, columns predicted ones; a cell is coloured by its fraction of the row. `text` writes a count and its
/// fraction of the row.
pub(in super::super) fn confusion(
    counts: &[Vec<u64>],
    names: &[String],
    text: fn(u64, f64) -> String,
) -> Result<Drawing, ReportError> {
    let classes = counts.len() as u32;
    let named = counts.len() <= NAMED;
    let (side, margin) = if named { (40, NAMES) } else { (660 / classes.max(1), 8) };
    let extent = margin + side * classes + 8;
    draw((extent.max(240), extent), |root| {
        for (row, line) in counts.iter().enumerate() {
            let images = line.iter().sum::<u64>().max(1) as f64;
            for (column, &count) in line.iter().enumerate() {
                let share = count as f64 / images;
                let (x, y) = (units(margin + side * column as u32), units(margin + side * row as u32));
                let (right, bottom) = (x + units(side), y + units(side));
                let fill = RGBColor(0, 114, 178).mix(if count == 0 { 0.0 } else { 0.08 + 0.92 * share }).filled();
                root.draw(&Rectangle::new([(x, y), (right, bottom)], fill))?;
                if named {
                    root.draw(&Rectangle::new([(x, y), (right, bottom)], BLACK.mix(0.15)))?;
                }
                if named && count > 0 {
                    let colour = if share > 0.6 { WHITE } else { BLACK };
                    let place = (x + units(side) / 2, y + units(side) / 2);
                    root.draw(&Text::new(text(count, share), place, centred().color(&colour)))?;
                }
            }
        }
        for (index, name) in names.iter().enumerate().filter(|_| named) {
            let along = units(margin + side * index as u32 + side / 2);
            let edge = units(margin - 6);
            root.draw(&Text::new(shortened(name, LETTERS), (edge, along), ending()))?;
            let upwards = beginning().transform(FontTransform::Rotate270);
            root.draw(&Text::new(shortened(name, LETTERS), (along, edge), upwards))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_names_are_written_where_they_can_be_read() {
        let drawn = |classes: usize| {
            let names: Vec<String> = (0..classes).map(|class| format!("<{class}>")).collect();
            let counts: Vec<Vec<u64>> = (0..classes).map(|row| vec![row as u64; classes]).collect();
            confusion(&counts, &names, |count, _| count.to_string()).unwrap().content
        };
        // The first row has no images: its cells stay empty. Each name stands beside its row and above its column.
        assert_eq!(drawn(3).matches("<text").count(), 6 + 6);
        assert!(drawn(3).contains("&lt;2&gt;") && !drawn(3).contains("<2>"));
        assert_eq!(drawn(MOST_CLASSES).matches("<text").count(), 0);
        assert!(drawn(MOST_CLASSES).contains("<rect"));
    }
}
