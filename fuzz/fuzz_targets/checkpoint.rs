//! Any bytes as a checkpoint: opened, every tensor read, a backbone looked for.
#![no_main]

use coretune::checkpoints::{Checkpoint, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    std::fs::write(&path, bytes).expect("a file");
    if let Ok(checkpoint) = Checkpoint::open(&path) {
        for name in checkpoint.tensors().keys() {
            let _ = checkpoint.read_as_stored(name);
        }
        let _ = inspect(&path, None);
    }
});
