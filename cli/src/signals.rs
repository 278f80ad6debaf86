//! What is done when somebody asks this program to end: Ctrl-C, a closed terminal, `kill`.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::{Cause, Origin};

/// One such request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) signal: i32,
    /// Sent to this process alone; a terminal tells all programs that run in it.
    pub(crate) for_us_alone: bool,
}

impl Wish {
    fn new(origin: &Origin) -> Self {
        let signal = origin.signal;
        let for_us_alone = match origin.cause {
            Cause::Sent(_) => true,
            // The terminal.
            Cause::Kernel => false,
            // Some systems do not say; these two hardly come from a terminal.
            _ => [SIGTERM, SIGHUP].contains(&signal),
        };
        Self { signal, for_us_alone }
    }

    /// Whether somebody has pressed Ctrl-C, or as good as.
    pub(crate) fn is_interrupt(self) -> bool {
        self.signal == SIGINT
    }
}

/// While this lives, the signals that end programs do not end this one.
#[derive(Debug)]
pub(crate) struct Guard {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

/// Calls `act` on a thread of its own for each request from now on.
pub(crate) fn guard(mut act: impl FnMut(Wish) + Send + 'static) -> io::Result<Guard> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    let handle = signals.handle();
    let listen = move || signals.forever().for_each(|origin| act(Wish::new(&origin)));
    let thread = thread::Builder::new().name("signals".into()).spawn(listen)?;
    Ok(Guard { handle, thread: Some(thread) })
}

/// Ends this program as the signal would have.
pub(crate) fn give_in(wish: Wish) {
    // Where even that fails, the program goes on and ends by itself.
    let _lives = signal_hook::low_level::emulate_default_handler(wish.signal);
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ended = thread.join();
        }
    }
}
