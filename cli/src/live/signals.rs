//! Signals, as the loop looks at them: flags.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(unix)]
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

/// What came since the last look.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// The number of the one that ends us; 0: none.
    end: Arc<AtomicUsize>,
    suspend: Arc<AtomicBool>,
    resumed: Arc<AtomicBool>,
}

// Relaxed throughout: a flag says nothing of other memory.
impl Signals {
    /// From now on these signals only set flags.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_usize(signal, signals.end.clone(), number)?;
        }
        signal_hook::flag::register(SIGTSTP, signals.suspend.clone())?;
        signal_hook::flag::register(SIGCONT, signals.resumed.clone())?;
        Ok(signals)
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// The signal that ends us.
    pub(crate) fn end(&self) -> Option<i32> {
        i32::try_from(self.end.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }

    /// Whether somebody wants us to stop for a while.
    pub(crate) fn is_suspend(&self) -> bool {
        self.suspend.swap(false, Ordering::Relaxed)
    }

    /// Whether we were stopped, and go on.
    pub(crate) fn has_resumed(&self) -> bool {
        self.resumed.swap(false, Ordering::Relaxed)
    }
}

/// Stops this process until somebody lets it go on.
pub(crate) fn stop() {
    #[cfg(unix)]
    {
        // Where it cannot be stopped, it goes on.
        let _goes_on = signal_hook::low_level::emulate_default_handler(SIGTSTP);
    }
}

/// Ends as the signal would have; returns where that fails.
pub(crate) fn end_by(signal: i32) {
    #[cfg(unix)]
    {
        let _lives = signal_hook::low_level::emulate_default_handler(signal);
    }
    #[cfg(not(unix))]
    {
        let _none = signal;
    }
}
