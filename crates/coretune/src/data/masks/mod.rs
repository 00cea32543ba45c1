//! Images with a mask each: the class of every pixel.
//!
//! ```text
//! pairs, voc   which file is the mask of which image
//! class_file   names and colours of the classes
//! stored       a mask as its file has it: numbers (grey, or the indices of a palette) or colours
//! coding       from stored numbers and colours to positions in `Dataset::classes`, or 255 where the pixel is ignored
//! ```

mod class_file;
mod coding;
mod found;
mod open;
mod pairs;
mod set;
mod stored;

pub use coding::{MaskCoding, class_color};
pub(super) use open::read;
pub use set::Masks;
