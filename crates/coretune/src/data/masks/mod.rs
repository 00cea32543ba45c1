//! Images with a mask each: the class of every pixel.
//!
//! ```text
//! pairs, voc, cityscapes   which file is the mask of which image
//! class_file   names and colours of the classes
//! stored       a mask as its file has it: numbers (grey, or the indices of a palette) or colours
//! swapped      folders of images and masks that have been exchanged
//! check        what is wrong with masks, and how many pixels each class has
//! coding       from stored numbers and colours to positions in `Dataset::classes`, or 255 where the pixel is ignored
//! ```

pub(super) mod check;
mod cityscapes;
mod class_file;
mod coding;
mod found;
mod open;
mod overlay;
mod pairs;
mod set;
mod stored;
mod swapped;
mod voc;

pub use check::{ClassPixels, MaskProblem, PixelCounts};
pub use coding::{MaskCoding, class_color};
pub use open::holds_masks;
pub(super) use open::read;
pub use overlay::overlay;
pub use set::Masks;
