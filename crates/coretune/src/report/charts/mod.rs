//! Figures as SVG, drawn by `plotters`.
//!
//! Black is the colour of the page's text: the style sheet inverts it in dark mode. The other colours are those of Okabe
//! and Ito, which colour-blind readers can distinguish; shapes or dashes repeat what the colours say.

mod bars;
mod canvas;
mod confusion;
mod lines;
mod scatter;

pub(super) use bars::bars;
pub(super) use canvas::Drawing;
pub(super) use confusion::{MOST_CLASSES, confusion};
pub(super) use lines::{Axes, Line, lines, lines_over_log};
pub(super) use scatter::{MOST_NAMED, scatter};
