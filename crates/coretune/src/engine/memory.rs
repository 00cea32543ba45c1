//! Memory of this process.

/// The most memory that this process has had in RAM so far, bytes; 0 where the system does not say (outside of Linux).
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_has_some_memory() {
        assert!(super::peak_rss_bytes() > 1 << 20);
    }
}
