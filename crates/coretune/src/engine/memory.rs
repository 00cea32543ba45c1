//! Memory of this process.

use std::sync::atomic::{AtomicU64, Ordering};

use coretune_native::peak_gpu_bytes;
use tch::Device;

/// The peak before the last [`reset_recent_peak`].
static EARLIER_PEAK: AtomicU64 = AtomicU64::new(0);

/// The most memory that this process has had in RAM so far, bytes; 0 where the system does not say (outside of Linux).
pub fn peak_rss_bytes() -> u64 {
    recent_peak_rss_bytes().max(EARLIER_PEAK.load(Ordering::Relaxed))
}

/// The most memory that this process has had in RAM since [`reset_recent_peak`], bytes.
pub fn recent_peak_rss_bytes() -> u64 {
    field("/proc/self/status", "VmHWM:")
}

/// Begins a new peak at the memory that the process has now, where the system can (Linux).
pub fn reset_recent_peak() {
    EARLIER_PEAK.fetch_max(recent_peak_rss_bytes(), Ordering::Relaxed);
    // Where this is refused the peak goes on, and what is measured is at most too much.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that tensors of this process have taken at one time on a GPU, bytes; `None` on the CPU.
pub fn peak_device_bytes(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(number) => peak_gpu_bytes(number),
        _ => None,
    }
}

/// The memory that the system could still give without swapping, bytes; 0 where it is unknown (outside of Linux).
pub fn available_memory_bytes() -> u64 {
    field("/proc/meminfo", "MemAvailable:")
}

/// A line `NAME 123 kB` of one of Linux's own files, in bytes.
fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_cpu_has_no_memory_of_its_own() {
        assert_eq!(super::peak_device_bytes(tch::Device::Cpu), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_has_some_memory() {
        assert!(super::peak_rss_bytes() > 1 << 20);
        assert!(super::available_memory_bytes() > 1 << 20);
        let peak = super::peak_rss_bytes();
        super::reset_recent_peak();
        assert!(super::recent_peak_rss_bytes() > 1 << 20);
        assert!(super::peak_rss_bytes() >= peak, "the peak of the whole life stays");
    }
}
