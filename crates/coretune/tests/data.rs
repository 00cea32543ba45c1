//! Data sets, decoding and the loader.

#[path = "mutation/mod.rs"]
mod mutation;

mod data {
    mod check;
    mod decoding;
    mod fetch;
    mod formats;
    mod loading;
    mod mutations;
    mod shared_data;
}
