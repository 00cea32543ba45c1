//! Data sets, decoding and the loader.

mod bit_depth;
mod check;
mod coco;
mod damage;
mod decoding;
mod fetch;
mod folders;
mod formats;
mod joined;
mod label_files;
mod loading;
mod masks;
mod masks_check;
mod masks_hostile;
mod mutations;
mod packed;
mod published;
mod shared_data;
mod tables;
