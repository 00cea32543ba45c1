//! From what lies in a folder to batches of images.
//!
//! ```text
//! Dataset::open(folder) -> Split (images not yet decoded, labels)
//!   .budget(..), carve_validation(..)      which labels may be used
//!   sampler::{shuffle, balanced, ..}       which samples make a batch
//!   Loader (threads: decode, transform)    Batch { images u8 [n, h, w, 3], labels or masks u8 [n, h, w], indices }
//! ```
//!
//! Recognised: image folders, CSV, CIFAR binary, parquet (Hugging Face), idx (MNIST family), public data sets in the layout of
//! their authors; see [`Format`].

mod assemble;
mod assembly;
mod bare_names;
mod bit_depth;
mod budget;
pub mod check;
mod cifar;
mod class_names;
mod column;
mod columns;
mod contact_sheet;
mod csv_list;
mod dataset;
mod decode;
mod decoder_report;
mod description;
mod error;
mod error_hint;
pub mod fetch;
mod file_kind;
mod finding;
mod fingerprint;
mod folder;
mod format;
mod format_hint;
mod found;
mod idx;
mod image_cache;
mod image_folder;
mod image_source;
mod joined;
mod jpeg_holes;
mod jpeg_restarts;
mod jpeg_scans;
mod label_file;
mod label_search;
mod layout;
mod layout_hint;
mod left_out;
mod listed;
mod loader;
mod masks;
mod near_duplicates;
mod on_threads;
mod open;
mod options;
mod pack;
mod parquet_file;
mod published;
mod read_columns;
mod resemblance;
mod role;
mod same_bytes;
pub mod sampler;
mod split;
mod split_names;
mod table;
mod table_path;
mod table_text;
mod tiff_strips;
mod unlabelled;
mod walk;

pub use assemble::UnknownClass;
pub use bit_depth::BitDepthRange;
pub(crate) use budget::{Broken, carve_validation_without};
pub use budget::{Budget, ValidationFrom, carve_validation};
pub use class_names::quoted;
pub use column::Column;
pub use contact_sheet::ContactSheet;
pub use dataset::Dataset;
pub use decode::{PIXEL_LIMIT, decode};
pub use description::{ClassCount, Description, SplitDescription};
pub use error::DataError;
pub use format::Format;
pub(crate) use image_folder::images_below;
pub use image_source::{ImageSource, RawImage, RawLayout};
pub(crate) use joined::absolute_roots;
pub use label_file::{LabelFile, LabelFileKind};
pub use left_out::{LeftOut, Omission, Reason};
pub(crate) use listed::listed;
pub(crate) use loader::stack_images;
pub use loader::{Batch, IMAGES_AHEAD, Loader, LoaderOptions};
pub use masks::{
    ClassPixels, Drawing, MaskCoding, MaskLegend, MaskProblem, MaskSource, Masks, PixelCounts, class_color,
    holds_masks, overlay,
};
pub(crate) use on_threads::on_threads;
pub use options::{BitDepth, DatasetOptions, Layout, MaskOptions};
pub use pack::{Packed, Storage, pack};
pub use read_columns::ReadColumns;
pub use role::Role;
pub use split::Split;
pub use unlabelled::{Exclusion, Separated, separate, unlabelled_images};
