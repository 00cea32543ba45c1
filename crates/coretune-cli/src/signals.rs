//! SIGINT and SIGTERM: the first asks to stop, which saves; the second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coretune::engine::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The number of the signal received; 0 for none.
static RECEIVED: std::sync::LazyLock<Arc<AtomicUsize>> = std::sync::LazyLock::new(Arc::default);

/// From here on the first signal only asks to stop.
pub(crate) fn ask_to_stop(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order counts: the first signal finds the flag unset, sets it, and is remembered.
        flag::register_conditional_shutdown(signal, 128 + signal, stop.flag())?;
        flag::register(signal, stop.flag())?;
        flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)?;
    }
    Ok(())
}

/// The signal that asked to stop.
pub(crate) fn received() -> Option<u8> {
    u8::try_from(RECEIVED.load(Ordering::Relaxed)).ok().filter(|&signal| signal > 0)
}
