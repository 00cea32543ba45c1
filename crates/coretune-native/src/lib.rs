//! The one place with `unsafe` code; each use states why it is sound.
#![deny(unsafe_op_in_unsafe_fn)]

use std::path::Path;

/// Loads a shared library, makes its symbols visible to every other one, and keeps it for the life of the process.
///
/// # Errors
/// The loader's own words, which name the first library that it could not find.
#[cfg(unix)]
pub fn load_for_good(library: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    #[expect(unsafe_code, reason = "loading a library runs its initialisers, of which the compiler knows nothing")]
    // SAFETY: the caller names libtorch's own CUDA library, beside the libtorch that this process already runs; its
    // initialisers only register kernels and hooks with libtorch's registries, which are made for that and locked.
    // It is never unloaded, so nothing registered can dangle.
    let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
    match loaded {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(innermost(&error)),
    }
}

/// Fails: this platform has no libtorch with CUDA that could be loaded later.
#[cfg(not(unix))]
pub fn load_for_good(library: &Path) -> Result<(), String> {
    Err(format!("{} cannot be loaded on this platform", library.display()))
}

/// The words of the loader itself, without those of the wrapper around them.
#[cfg(unix)]
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_is_named() {
        let error = load_for_good(Path::new("/nowhere/libmissing.so")).unwrap_err();
        assert!(error.contains("/nowhere/libmissing.so"), "{error}");
    }
}
