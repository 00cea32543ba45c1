//! Any text as a configuration file, and as an assignment.
#![no_main]

use coretune::config::Typed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    if let Ok(typed) = Typed::defaults().file(&path) {
        let _ = typed.validate();
    }
    let _ = Typed::defaults().assignment(text);
});
