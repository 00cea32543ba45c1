//! Data sets, decoding and the loader.

mod data {
    mod check;
    mod decoding;
    mod formats;
    mod loading;
    mod shared_data;
}
