//! Bars of fractions, one for each name.

use plotters::prelude::*;

use super::super::ReportError;
use super::canvas::{Drawing, beginning, colour, draw, ending, shortened, units};

/// Height of a bar with the room around it, units of the page.
const ROW: u32 = 24;

/// Room for the names and for the numbers, units of the page.
const NAMES: u32 = 150;
const NUMBERS: u32 = 70;

/// Length of a bar of 1, units of the page.
const LENGTH: u32 = 280;

/// Letters of a name.
const LETTERS: usize = 16;

/// A bar from 0 to 1 for each name; `None`: there is no figure.
pub(in super::super) fn bars(figures: &[(String, Option<f64>)]) -> Result<Drawing, ReportError> {
    draw((NAMES + LENGTH + NUMBERS, ROW * figures.len() as u32 + 8), |root| {
        for (index, (name, figure)) in figures.iter().enumerate() {
            let (top, left) = (units(4 + ROW * index as u32), units(NAMES));
            let (middle, bottom) = (top + units(ROW) / 2, top + units(ROW - 4));
            root.draw(&Text::new(shortened(name, LETTERS), (left - units(8), middle), ending()))?;
            let whole =
                Rectangle::new([(left, top + units(4)), (left + units(LENGTH), bottom)], BLACK.mix(0.06).filled());
            root.draw(&whole)?;
            let length = (f64::from(units(LENGTH)) * figure.unwrap_or(0.0).clamp(0.0, 1.0)).round() as i32;
            root.draw(&Rectangle::new([(left, top + units(4)), (left + length, bottom)], colour(0).filled()))?;
            let text = figure.map_or_else(|| "–".into(), |figure| format!("{:.1} %", 100.0 * figure));
            root.draw(&Text::new(text, (left + units(LENGTH + 8), middle), beginning()))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_bar_and_a_number() {
        let figures = [("<road>".to_string(), Some(0.914)), ("pole".to_string(), None)];
        let content = bars(&figures).unwrap().content;
        assert_eq!(content.matches("<text").count(), 4);
        assert!(content.contains("91.4 %") && content.contains("&lt;road&gt;") && !content.contains("<road>"));
    }
}
