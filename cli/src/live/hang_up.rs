//! A terminal that disappears: its window was closed, or its connection ended.
//!
//! A program that waits for keys never notices, nor does it get the signal that comes with it: crossterm
//! (0.29) takes the end of the input for a pause, and reads again at once, for ever. So a separate
//! thread waits for the end. There is no terminal left to be restored.

use std::io;

/// Ends the process, as SIGHUP does, once the terminal of the standard input is gone.
#[cfg(unix)]
pub(crate) fn watch() -> io::Result<()> {
    let watch = || {
        if wait(&io::stdin()) {
            super::signals::end_by(signal_hook::consts::SIGHUP);
            // The process lives on if the signal is blocked.
            std::process::exit(128 + signal_hook::consts::SIGHUP);
        }
    };
    std::thread::Builder::new().name("spandrel-hang-up".into()).spawn(watch).map(drop)
}

#[cfg(not(unix))]
pub(crate) fn watch() -> io::Result<()> {
    Ok(())
}

/// Returns when the terminal is gone; `false` where the system cannot tell.
#[cfg(unix)]
fn wait(terminal: &impl std::os::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};

    loop {
        // A hang-up is reported even if no event is asked for.
        let mut polled = [PollFd::new(terminal, PollFlags::empty())];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return polled[0].revents().contains(PollFlags::HUP),
            Err(_) => return false,
        }
    }
}
