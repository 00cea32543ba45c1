//! Images with a mask each: the class of every pixel.
//!
//! ```text
//! pairs, voc, cityscapes, coco   which mask is that of which image
//! coco_file    outlines of objects in COCO's annotation files
//! source, drawing   a mask as a file, or as outlines that are filled
//! class_file   names and colours of the classes
//! stored       a mask as its file has it: numbers (grey, or the indices of a palette) or colours
//! swapped      folders of images and masks that have been exchanged
//! check        what is wrong with masks, and how many pixels each class has
//! coding       from stored numbers and colours to positions in `Dataset::classes`, or 255 where the pixel is ignored
//! legend       from positions in the classes back to numbers and colours
//! ```

pub(super) mod check;
mod cityscapes;
mod class_file;
mod coco;
mod coco_file;
mod coding;
mod drawing;
mod found;
mod legend;
mod open;
mod overlay;
mod pairs;
mod set;
mod source;
mod stored;
mod swapped;
mod voc;

pub use check::{ClassPixels, MaskProblem, PixelCounts};
pub use coding::MaskCoding;
pub use drawing::Drawing;
pub use legend::{MaskLegend, class_color};
pub use open::holds_masks;
pub(super) use open::read;
pub use overlay::overlay;
pub use set::Masks;
pub use source::MaskSource;
