//! What becomes of a process whose ring file somebody else cuts short.
//!
//! A store behind the end of a file is SIGBUS, which ends the process. So there is a handler, from the first ring file on:
//! where such a store was into one of ours, it has a page of zeros, and the thread goes on. Zeros are a value of all that
//! is there: a ring of which no claim is granted, slots that nobody reads, empty cells of tables. What is recorded
//! there from then on is lost, and whoever asks hears that the file [was cut](super::RingFile::was_cut).
//!
//! All other faults are those of whoever handled them before: his handler is called, or the signal is what it would have
//! been without this one.

#![allow(unsafe_code)] // a handler of a signal, and calls of the operating system

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
// Not those of `sync`: static tables are no part of any model.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::fork::MAPPINGS_MAX;

/// A mapping: where it begins, how long it is, and whether its file was cut. A place is free while it has no address.
struct Place {
    first: AtomicUsize,
    len: AtomicUsize,
    was_cut: AtomicBool,
}

static PLACES: [Place; MAPPINGS_MAX] = [const {
    Place { first: AtomicUsize::new(0), len: AtomicUsize::new(0), was_cut: AtomicBool::new(false) }
}; MAPPINGS_MAX];

/// What was there before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// The place of a mapping, which is guarded as long as this is kept.
#[derive(Debug)]
pub(super) struct Guarded(usize);

impl Guarded {
    /// Guards a mapping. `None` if there are too many already, or no handler.
    pub(super) fn new(first: usize, len: usize, page: usize) -> Option<Self> {
        // Relaxed, all of them: a thread that faults in a mapping has it from the one that has made it, and so what was
        // stored here before.
        PAGE.store(page, Ordering::Relaxed);
        install().then_some(())?;
        let index = PLACES.iter().position(|place| {
            place.first.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })?;
        PLACES[index].was_cut.store(false, Ordering::Relaxed);
        PLACES[index].len.store(len, Ordering::Relaxed);
        Some(Self(index))
    }

    pub(super) fn was_cut(&self) -> bool {
        // Relaxed: a fact that stays.
        PLACES[self.0].was_cut.load(Ordering::Relaxed)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        PLACES[self.0].len.store(0, Ordering::Relaxed);
        PLACES[self.0].first.store(0, Ordering::Relaxed);
    }
}

/// Has the handler called from now on. Says whether it is.
fn install() -> bool {
    static HANDLER: OnceLock<bool> = OnceLock::new();
    *HANDLER.get_or_init(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: room for the answer.
        let asked = unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), before.as_mut_ptr()) };
        // SAFETY: zeros are a value of it, and now it was written.
        let before = unsafe { before.assume_init() };
        if asked != 0 || BEFORE.set(before).is_err() {
            return false;
        }
        // SAFETY: zeros are a value of it.
        let mut ours = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
        ours.sa_sigaction = handler as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler does only what may be done in one, and stays.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) == 0 }
    })
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives whoever handles this signal what it is about.
    let about = unsafe { &*info };
    // SAFETY: of this signal it has an address.
    let address = unsafe { about.si_addr() } as usize;
    if !mend(address) {
        pass_on(signal, info, context);
    }
}

/// Has zeros where a file of ours has been cut. `false` if nothing of ours is there.
fn mend(address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let found = PLACES.iter().find(|place| {
        let first = place.first.load(Ordering::Relaxed);
        first != 0 && address.wrapping_sub(first) < place.len.load(Ordering::Relaxed)
    });
    let (Some(place), true) = (found, page.is_power_of_two()) else { return false };
    place.was_cut.store(true, Ordering::Relaxed);
    let at = std::ptr::without_provenance_mut(address & !(page - 1));
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // SAFETY: a page of a mapping of ours that nobody could read or write any more; zeros are a value of all that is there.
    // A system call that is nothing but one, though no standard names it among those for handlers.
    let mapped = unsafe { libc::mmap(at, page, protection, own, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// Does what would have been done without this handler.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    match BEFORE.get() {
        Some(before) if before.sa_sigaction > libc::SIG_IGN => {
            if before.sa_flags & libc::SA_SIGINFO == 0 {
                // SAFETY: whoever set it has said that it is one of these.
                let handler: extern "C" fn(c_int) =
                    unsafe { std::mem::transmute(before.sa_sigaction) };
                handler(signal);
            } else {
                // SAFETY: as above.
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    unsafe { std::mem::transmute(before.sa_sigaction) };
                handler(signal, info, context);
            }
        }
        _ => {
            // SAFETY: zeros are a value of it, and say what comes without a handler.
            let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
            // The fault comes again at once, and ends the process.
            // SAFETY: there is no handler from now on.
            unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
        }
    }
}
