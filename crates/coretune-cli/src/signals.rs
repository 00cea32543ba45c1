//! SIGINT and SIGTERM: the first asks to stop, which saves; the second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use coretune::engine::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::printer;

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

/// The signal that asked to stop: this process, or another rank, which it agreed with.
pub(crate) fn agreed() -> Option<u8> {
    received().or_else(|| printer::rank().map(|_| SIGTERM as u8))
}

/// The signal that asked this process to stop.
pub(crate) fn received() -> Option<u8> {
    u8::try_from(RECEIVED.load(Ordering::Relaxed)).ok().filter(|&signal| signal > 0)
}
