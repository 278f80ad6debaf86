//! Whether the process that records is alive, and whether this one should end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use spandrel_storage::Run;

/// Whether the process of a run is surely gone: known on this host only, and a number can be another
/// process's by now.
pub(crate) fn is_gone(run: &Run) -> bool {
    #[cfg(unix)]
    {
        let here = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let here = here.as_deref().map(str::trim);
        let pid = i32::try_from(run.info.pid).ok().and_then(rustix::process::Pid::from_raw);
        here == Some(run.info.host.as_str())
            && pid.is_some_and(|pid| {
                rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            })
    }
    #[cfg(not(unix))]
    {
        let _unknown = run;
        false
    }
}

/// The wish to end, by Ctrl-C and its like.
#[derive(Debug)]
pub(super) struct Interrupt {
    set: Arc<AtomicBool>,
    #[cfg(unix)]
    _guard: crate::signals::Guard,
}

impl Interrupt {
    pub(super) fn listen() -> io::Result<Self> {
        let set = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        {
            let (flag, waiting) = (set.clone(), thread::current());
            let _guard = crate::signals::guard(move |wish| {
                // A second one ends the program at once.
                if flag.swap(true, Ordering::Relaxed) {
                    crate::signals::give_in(wish);
                }
                waiting.unpark();
            })?;
            Ok(Self { set, _guard })
        }
        #[cfg(not(unix))]
        Ok(Self { set })
    }

    pub(super) fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Waits, but not if it is set.
    pub(super) fn wait(&self, time: Duration) {
        if !self.is_set() {
            thread::park_timeout(time);
        }
    }
}
