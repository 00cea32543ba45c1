//! Any bytes as an image file.
#![no_main]

mod bodies;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::image(bytes));
