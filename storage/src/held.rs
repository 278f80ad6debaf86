//! Descriptors that hold locks.
//!
//! These locks belong to the open file description, and a forked child has descriptors of the same one:
//! while the child lives they are held, even if the recorder is dead. This crate makes no system calls
//! itself, so it only tells others of such descriptors.

use std::fs::File;
use std::ops::Deref;
use std::sync::OnceLock;

/// The functions to tell.
#[derive(Debug, Clone, Copy)]
struct Listener {
    opened: fn(i32),
    closing: fn(i32),
}

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Sets two functions that are called with each descriptor on which this crate holds locks: when it has
/// been opened, before it is locked; and just before it is closed. The first call counts for the whole
/// process, and should come before any file is opened.
pub fn tell_of_locks(opened: fn(i32), closing: fn(i32)) {
    // The first caller wins.
    let _ = LISTENER.set(Listener { opened, closing });
}

/// A file that is locked, or may be.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Held {
    pub(crate) fn new(file: File) -> Self {
        let held = Self(file);
        if let (Some(listener), Some(descriptor)) = (LISTENER.get(), held.descriptor()) {
            (listener.opened)(descriptor);
        }
        held
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<i32> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.0))
    }

    #[cfg(not(unix))]
    fn descriptor(&self) -> Option<i32> {
        None
    }
}

impl Deref for Held {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(listener), Some(descriptor)) = (LISTENER.get(), self.descriptor()) {
            (listener.closing)(descriptor);
        }
    }
}
