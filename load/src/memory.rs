//! How much memory the process has, as the kernel counts it.

use std::time::Duration;

/// What the process had in memory while a load was recorded, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// When the load began.
    pub begin: u64,
    /// When half of it was made: by then every part has been in use.
    pub half: u64,
    /// When it ended.
    pub end: u64,
    /// At most since the process began.
    pub peak: u64,
}

impl Memory {
    /// Looks at a load that is so far; nothing where the system does not tell.
    pub(crate) fn look(&mut self, elapsed: Duration, length: Duration) {
        let Some((now, peak)) = kib() else { return };
        if self.begin == 0 {
            self.begin = now;
        }
        if self.half == 0 && elapsed >= length / 2 {
            self.half = now;
        }
        self.end = now;
        self.peak = peak;
    }

    /// By how much it has grown in the second half.
    #[must_use]
    pub fn grown(&self) -> u64 {
        self.end.saturating_sub(self.half)
    }
}

/// Resident now, and at most so far.
fn kib() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((value("VmRSS:")?, value("VmHWM:")?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_counted() {
        let length = Duration::from_secs(4);
        let mut memory = Memory::default();
        memory.look(Duration::ZERO, length);
        memory.look(Duration::from_secs(2), length);
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        memory.look(length, length);
        drop(touched);
        assert!(memory.grown() >= 60 << 10, "{memory:?}");
        assert!(memory.peak >= memory.end, "{memory:?}");
    }
}
