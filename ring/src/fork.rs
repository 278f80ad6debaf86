//! What a forked child must not keep open.
//!
//! A lock of a file that belongs to an open file description (`flock`, and `F_OFD_SETLK`) lives as long
//! as any descriptor of it, and `fork` copies descriptors. A child that lives on would keep the files of
//! its parent locked when that is dead. So the child gets others under the same numbers, of `/dev/null`,
//! before `fork` returns there: whoever owns them closes them as if nothing had happened.
//!
//! The handler runs in the child between `fork` and what comes after it, where only what is safe in a
//! signal handler may be called: it reads a table of a fixed length and calls `dup2` and `fcntl`.
//! Children that are made without handlers (`vfork`, `posix_spawn`, a bare system call) go on to `exec`,
//! which closes all descriptors of this project.

/// Descriptors that can be known at the same time. A recording has two or three.
#[cfg(all(unix, not(miri)))]
const DESCRIPTORS_MAX: usize = 1_024;

/// From now on a forked child does not have this descriptor, which has to be the caller's own. Beyond
/// some thousand of them it does.
pub fn close_in_child(descriptor: i32) {
    system::close_in_child(descriptor);
}

/// Takes it back; to be called before the descriptor is closed, as its number may come again.
pub fn keep_in_child(descriptor: i32) {
    system::keep_in_child(descriptor);
}

#[cfg(all(unix, not(miri)))]
#[allow(unsafe_code)] // calls of the operating system
mod system {
    use std::ffi::c_int;
    use std::fs::File;
    use std::os::fd::IntoRawFd;
    use std::sync::OnceLock;
    // Not those of `sync`: a static table is no part of any model.
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::DESCRIPTORS_MAX;

    const NONE: i32 = -1;
    const F_SETFD: c_int = 2;
    const FD_CLOEXEC: c_int = 1;

    // Relaxed, all of them: the child is a copy of one thread, and of memory as that thread sees it; what
    // another thread is about to change while it forks may come before or after.
    static DESCRIPTORS: [AtomicI32; DESCRIPTORS_MAX] =
        [const { AtomicI32::new(NONE) }; DESCRIPTORS_MAX];
    static NULL: AtomicI32 = AtomicI32::new(NONE);

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
        fn dup2(from: c_int, to: c_int) -> c_int;
        fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    }

    pub(super) fn close_in_child(descriptor: i32) {
        static HANDLER: OnceLock<()> = OnceLock::new();
        HANDLER.get_or_init(|| {
            // Without it children keep what they have, as without this module.
            if let Ok(null) = File::open("/dev/null") {
                NULL.store(null.into_raw_fd(), Ordering::Relaxed);
                // SAFETY: the handler only calls what may be called in a forked child, and stays.
                unsafe { pthread_atfork(None, None, Some(in_child)) };
            }
        });
        for place in &DESCRIPTORS {
            let taken =
                place.compare_exchange(NONE, descriptor, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                return;
            }
        }
    }

    pub(super) fn keep_in_child(descriptor: i32) {
        for place in &DESCRIPTORS {
            let found =
                place.compare_exchange(descriptor, NONE, Ordering::Relaxed, Ordering::Relaxed);
            if found.is_ok() {
                return;
            }
        }
    }

    extern "C" fn in_child() {
        let null = NULL.load(Ordering::Relaxed);
        for place in &DESCRIPTORS {
            let descriptor = place.swap(NONE, Ordering::Relaxed);
            if descriptor == NONE {
                continue;
            }
            // SAFETY: two descriptors of our own; if it fails, the child keeps what it has.
            unsafe { dup2(null, descriptor) };
            // SAFETY: a descriptor of our own, and a command with one number.
            unsafe { fcntl(descriptor, F_SETFD, FD_CLOEXEC) };
        }
    }
}

#[cfg(not(all(unix, not(miri))))]
mod system {
    pub(super) fn close_in_child(_descriptor: i32) {}

    pub(super) fn keep_in_child(_descriptor: i32) {}
}
