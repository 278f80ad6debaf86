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

//!
//! The same for memory that other processes have, too: a child has zeros of its own in the place of it.

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

/// Mappings that can be known at the same time.
#[cfg(all(
    feature = "mapped",
    any(target_os = "linux", target_os = "macos"),
    not(any(spandrel_loom, miri))
))]
pub(crate) const MAPPINGS_MAX: usize = 64;

/// From now on a forked child has zeros of its own where this mapping is, whole pages of the caller's. `false`, and
/// nothing is changed, if there are too many already.
#[cfg(all(
    feature = "mapped",
    any(target_os = "linux", target_os = "macos"),
    not(any(spandrel_loom, miri))
))]
pub(crate) fn zero_in_child(first: usize, len: usize) -> bool {
    system::zero_in_child(first, len)
}

/// From now on a forked child calls this function, once the mappings are zero there: for what its only thread knows
/// of them. It runs where only what is safe in a signal handler may be called. The first function stays the only one.
#[cfg(feature = "mapped")]
pub fn call_in_child(function: fn()) {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    system::call_in_child(function);
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    {
        _ = function;
    }
}

/// Takes it back; to be called before the mapping ends.
#[cfg(all(
    feature = "mapped",
    any(target_os = "linux", target_os = "macos"),
    not(any(spandrel_loom, miri))
))]
pub(crate) fn share_with_child(first: usize) {
    system::share_with_child(first);
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

    /// Has the handler called from now on. Says whether it is.
    fn install() -> bool {
        static HANDLER: OnceLock<bool> = OnceLock::new();
        *HANDLER.get_or_init(|| {
            // Without it children keep what they have, as without this module.
            let Ok(null) = File::open("/dev/null") else { return false };
            NULL.store(null.into_raw_fd(), Ordering::Relaxed);
            // SAFETY: the handler only calls what may be called in a forked child, and stays.
            unsafe { pthread_atfork(None, None, Some(in_child)) == 0 }
        })
    }

    pub(super) fn close_in_child(descriptor: i32) {
        install();
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

    #[cfg(all(
        feature = "mapped",
        any(target_os = "linux", target_os = "macos"),
        not(any(spandrel_loom, miri))
    ))]
    pub(super) use mappings::{call_in_child, share_with_child, zero_in_child};

    #[cfg(all(
        feature = "mapped",
        any(target_os = "linux", target_os = "macos"),
        not(any(spandrel_loom, miri))
    ))]
    mod mappings {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicUsize, Ordering};

        use super::super::MAPPINGS_MAX;

        static CALLED: OnceLock<fn()> = OnceLock::new();

        pub(in super::super) fn call_in_child(function: fn()) {
            super::install();
            CALLED.get_or_init(|| function);
        }

        // A place is free while it has no address; whoever takes it says the length last, and the child leaves alone
        // what has none. Acquire and Release: the length that was there before it was free must not come behind the
        // new one. Else relaxed: as of the descriptors.
        static FIRST: [AtomicUsize; MAPPINGS_MAX] = [const { AtomicUsize::new(0) }; MAPPINGS_MAX];
        static LEN: [AtomicUsize; MAPPINGS_MAX] = [const { AtomicUsize::new(0) }; MAPPINGS_MAX];

        pub(in super::super) fn zero_in_child(first: usize, len: usize) -> bool {
            super::install()
                && FIRST.iter().zip(&LEN).any(|(place, its_len)| {
                    let taken =
                        place.compare_exchange(0, first, Ordering::Acquire, Ordering::Relaxed);
                    if taken.is_ok() {
                        its_len.store(len, Ordering::Relaxed);
                    }
                    taken.is_ok()
                })
        }

        pub(in super::super) fn share_with_child(first: usize) {
            for (place, len) in FIRST.iter().zip(&LEN) {
                // Relaxed: it is this caller's place, or has another address.
                if place.load(Ordering::Relaxed) == first {
                    len.store(0, Ordering::Relaxed);
                    place.store(0, Ordering::Release);
                    return;
                }
            }
        }

        pub(super) fn zero_all() {
            for (first, len) in FIRST.iter().zip(&LEN) {
                let (first, len) =
                    (first.swap(0, Ordering::Relaxed), len.swap(0, Ordering::Relaxed));
                if len > 0 {
                    let at = std::ptr::without_provenance_mut(first);
                    let protection = libc::PROT_READ | libc::PROT_WRITE;
                    let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
                    // If the system refuses, nothing better can be done here.
                    // SAFETY: pages of a mapping of ours, of which this is a copy that no other thread has. Zeros are
                    // a value of all that is in them.
                    unsafe { libc::mmap(at, len, protection, own, -1, 0) };
                }
            }
            // A load, and no lock: it was set long ago, or is not there.
            if let Some(function) = CALLED.get() {
                function();
            }
        }
    }

    extern "C" fn in_child() {
        #[cfg(all(
            feature = "mapped",
            any(target_os = "linux", target_os = "macos"),
            not(any(spandrel_loom, miri))
        ))]
        mappings::zero_all();
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
