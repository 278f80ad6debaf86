//! What Linux says of this process: processor time, memory, threads and open files.
//!
//! Files of `/proc/self` are read on the thread of the gauges, once an interval. Elsewhere nothing is said.

use std::fs;
use std::time::Instant;

use super::samples::Samples;

/// A second of processor time in `/proc/self/stat`, whatever the kernel's own ticks are.
const TICKS_PER_SECOND: f64 = 100.0;

/// Knows what was used before.
#[derive(Debug, Default)]
pub(super) struct ProcessSampler {
    /// When it looked last, and the processor time by then, in ticks.
    last: Option<(Instant, u64)>,
}

impl ProcessSampler {
    pub(super) fn sample(&mut self, gauges: &mut Samples<'_>) {
        let now = Instant::now();
        let used = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(ticks_used);
        if let Some(used) = used
            && let Some((then, before)) = self.last.replace((now, used))
        {
            let seconds = now.duration_since(then).as_secs_f64();
            let busy = used.saturating_sub(before) as f64 / TICKS_PER_SECOND;
            if seconds > 0.0 {
                gauges.set("process.cpu_percent", 100.0 * busy / seconds);
            }
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            if let Some(kib) = number_after(&status, "VmRSS:") {
                gauges.set("process.resident_bytes", kib * 1_024);
            }
            if let Some(threads) = number_after(&status, "Threads:") {
                gauges.set("process.threads", threads);
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // Without that of the folder itself.
            gauges.set("process.open_files", open.count().saturating_sub(1));
        }
    }
}

/// Ticks of the processors, in the program and for it in the kernel.
fn ticks_used(stat: &str) -> Option<u64> {
    // The name is in parentheses, and may have any of them in it.
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let [user, system] = [fields.next()?, fields.next()?];
    user.parse::<u64>().ok()?.checked_add(system.parse().ok()?)
}

/// The number in the line that begins so.
fn number_after(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 95 0 0 0 12 34 5 6 20 0 3 0 100 1000 200";
        assert_eq!(ticks_used(stat), Some(46));
        assert_eq!((ticks_used("7 (a) S 1"), ticks_used("")), (None, None));
        let status = "Name:\ta\nVmRSS:\t    1204 kB\nThreads:\t3\n";
        assert_eq!(number_after(status, "VmRSS:"), Some(1_204));
        assert_eq!(number_after(status, "Threads:"), Some(3));
        assert_eq!(number_after(status, "VmSwap:"), None);
    }
}
