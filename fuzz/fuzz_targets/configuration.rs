//! Any text as a configuration.
#![no_main]

mod bodies;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| bodies::configuration(text));
