//! Memory of this process.

/// The most memory that this process has had in RAM so far, bytes; 0 where the system does not say (outside of Linux).
pub fn peak_rss_bytes() -> u64 {
    field("/proc/self/status", "VmHWM:")
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
    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_has_some_memory() {
        assert!(super::peak_rss_bytes() > 1 << 20);
        assert!(super::available_memory_bytes() > 1 << 20);
    }
}
