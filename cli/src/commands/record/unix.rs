//! Signals between a terminal, this program, and the one that it runs.
//!
//! A terminal tells both programs of Ctrl-C, so that only what we alone have heard of is passed on. The
//! first request to end is left to the program, so that it can close its recording; a second Ctrl-C kills
//! it.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::signals::{self, Wish};

/// The program that signals are passed on to.
#[derive(Debug)]
enum Recipient {
    /// It has not started yet; these signals are to be passed on then.
    Coming(Vec<Signal>),
    /// It is running; or it has ended, but keeps its id until somebody waits for it.
    Here(Pid),
    /// Its id may belong to another process.
    Gone,
}

#[derive(Debug)]
struct Messenger {
    recipient: Mutex<Recipient>,
}

impl Messenger {
    fn tell(&self, signal: Signal) {
        match &mut *self.recipient() {
            Recipient::Coming(signals) => signals.push(signal),
            Recipient::Here(pid) => send(*pid, signal),
            Recipient::Gone => {}
        }
    }

    fn arrived(&self, pid: Pid) {
        let mut recipient = self.recipient();
        if let Recipient::Coming(signals) = &*recipient {
            signals.iter().for_each(|signal| send(pid, *signal));
        }
        *recipient = Recipient::Here(pid);
    }

    fn left(&self) {
        *self.recipient() = Recipient::Gone;
    }

    fn recipient(&self) -> MutexGuard<'_, Recipient> {
        self.recipient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(pid: Pid, signal: Signal) {
    // It may have become another user's program, to which we must not send signals.
    let _refused = kill_process(pid, signal);
}

/// What a request to end means for the program.
fn pass_on(wish: Wish, interrupts: &mut u32, messenger: &Messenger) {
    *interrupts += u32::from(wish.is_interrupt());
    if wish.is_interrupt() && *interrupts > 1 {
        messenger.tell(Signal::KILL);
    } else if wish.for_us_alone
        && let Some(signal) = Signal::from_named_raw(wish.signal)
    {
        messenger.tell(signal);
    }
}

/// Runs the program to its end.
pub(super) fn attend(command: &mut Command) -> io::Result<ExitStatus> {
    let recipient = Mutex::new(Recipient::Coming(Vec::new()));
    let messenger = Arc::new(Messenger { recipient });
    let on_wish = Arc::clone(&messenger);
    let mut interrupts = 0;
    let _guard = signals::guard(move |wish| pass_on(wish, &mut interrupts, &on_wish))?;
    let mut child = command.spawn()?;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        messenger.arrived(pid);
        // Then it has ended, but keeps its id until nobody can send it a signal any more.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), ended) {}
        messenger.left();
    }
    child.wait()
}
