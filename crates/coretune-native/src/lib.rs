//! The one place with `unsafe` code; each use states why it is sound.
#![deny(unsafe_op_in_unsafe_fn)]

mod bridge;
mod mapped;
mod ranks;
mod recomputed;
mod slots;
mod wide;

use bridge::page_locked;
pub use bridge::{
    CopyToHost, SgdStep, add_one_to_each, add_scaled, dispatcher_calls, fused_sgd, is_page_locked, is_same_order,
    peak_gpu_bytes, scale_each,
};
pub use mapped::map_file;
pub use ranks::{Group, Membership, Store};
pub use recomputed::{Work, recomputed};
pub use slots::Slots;
pub use wide::{Loop, byte, byte_of_double, run_wide};

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
///
/// # Errors
/// Always.
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

/// Lets glibc keep the memory that a training step frees for the next step. Call it before the first thread starts.
///
/// By default glibc gives large blocks back to the kernel, which hands them out again zeroed, page by page: a third of a
/// MobileNet step at 32 pixels (`docs/benchmarks.md`). The step allocates in the main arena, which this concerns; other
/// threads keep arenas of their own, since threads that read images would wait for each other in one. Elsewhere than on
/// glibc this does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MOST: libc::c_int = 1 << 30;
        let settings = [(libc::M_MMAP_THRESHOLD, MOST), (libc::M_TRIM_THRESHOLD, MOST)];
        for (parameter, value) in settings {
            #[expect(unsafe_code, reason = "mallopt is a C function")]
            // SAFETY: mallopt takes two integers by value and no pointer; it locks the allocator itself. A setting that
            // it does not take it leaves as it was, which costs time and nothing else.
            let _ = unsafe { libc::mallopt(parameter, value) };
        }
    }
}

/// Seconds that the processor has worked for all threads of this process, ended ones too, in user and kernel mode; 0
/// where the system does not say.
pub fn processor_seconds() -> f64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        #[expect(unsafe_code, reason = "clock_gettime is a C function")]
        // SAFETY: `time` is a timespec that outlives the call, which writes it or nothing.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
        if result == 0 {
            return time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64;
        }
    }
    0.0
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
