//! Data sets, decoding and the loader.

mod bit_depth;
mod check;
mod damage;
mod decoding;
mod fetch;
mod folders;
mod formats;
mod loading;
mod masks;
mod masks_check;
mod masks_hostile;
mod mutations;
mod shared_data;
mod tables;
