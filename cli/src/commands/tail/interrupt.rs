//! Whether this process should end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The request to end, by Ctrl-C or another signal.
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

    /// Waits so long; returns at once if it is set.
    pub(super) fn wait(&self, time: Duration) {
        if !self.is_set() {
            thread::park_timeout(time);
        }
    }
}
