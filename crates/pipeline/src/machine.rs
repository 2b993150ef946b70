//! What the operating system says of memory. Linux only by its `/proc`; elsewhere the figures are 0 and callers say so.
use std::fs;

fn field(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Largest resident set of this process so far, in bytes; 0 where it cannot be read.
pub fn peak_memory() -> u64 {
    field("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// Resident set of this process now, in bytes; 0 where it cannot be read.
pub fn resident_memory() -> u64 {
    field("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// Memory that this process may use, in bytes: what is free, or the cgroup's limit where that is lower; 0 where it cannot be read.
pub fn available_memory() -> u64 {
    let free = field("/proc/meminfo", "MemAvailable:").unwrap_or(0);
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    match limit {
        Some(limit) if free > 0 => free.min(limit),
        Some(limit) => limit,
        None => free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_grows_with_what_is_touched() {
        let before = peak_memory();
        let block = vec![1u8; 64 << 20];
        assert!(block.iter().map(|&b| u64::from(b)).sum::<u64>() == 64 << 20);
        assert!(resident_memory() > 0 && resident_memory() <= peak_memory());
        assert!(before > 0 && peak_memory() >= before && peak_memory() >= 64 << 20);
        assert!(available_memory() > 0);
    }
}
