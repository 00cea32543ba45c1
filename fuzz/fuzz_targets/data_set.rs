//! Any bytes as a list, table or array of images.
#![no_main]

mod bodies;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::data_set(bytes));
