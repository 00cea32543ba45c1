//! Figures as SVG, drawn by `plotters`.
//!
//! Black stands for the colour of the page's text: the style sheet turns it around in the dark. The other colours are
//! those of Okabe and Ito, which stay apart for colour-blind readers, and shapes or dashes say the same once more.

mod canvas;
mod confusion;
mod lines;
mod scatter;

pub(super) use canvas::Drawing;
pub(super) use confusion::{MOST_CLASSES, confusion};
pub(super) use lines::{Axes, Line, lines};
pub(super) use scatter::{MOST_NAMED, scatter};
