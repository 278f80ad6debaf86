//! Descriptors that hold locks.
//!
//! These locks belong to the open file description, and a forked child has a descriptor of the same
//! one: while it lives they are held, though the recorder is dead. What has to be done about that is
//! not for this crate, which calls no system by itself; it tells of such descriptors.

use std::fs::File;
use std::ops::Deref;
use std::sync::OnceLock;

/// Whom to tell.
#[derive(Debug, Clone, Copy)]
struct Listener {
    opened: fn(i32),
    closing: fn(i32),
}

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Names two functions that are told of each descriptor on which this crate holds locks: when it has
/// been opened, before it is locked, and just before it is closed. The first call holds for the whole
/// process, and should come before any file is opened.
pub fn tell_of_locks(opened: fn(i32), closing: fn(i32)) {
    // Whoever comes first stays.
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
