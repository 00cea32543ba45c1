//! Data sets, decoding and the loader.

mod data {
    mod decoding;
    mod formats;
    mod loading;
    mod shared_data;
}
