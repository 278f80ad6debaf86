//! What becomes of a process whose ring file somebody else cuts short (Linux).
//!
//! A load or a store behind the end of a mapped file is SIGBUS, which ends the process. So there is a handler, from the first
//! ring file on. Where such a fault was in one of ours, it puts a page of zeros there, notes that the file was cut, and the
//! thread goes on. Zeros are a value of all that is in a ring file: a ring that is closed, slots that nobody reads, empty
//! cells.
//!
//! Two threads may fault in one page, and the handler of the second one run when the first has stored something there already.
//! So the zeros are a page of memory that was set aside with the mapping, as long as that and not touched yet, and each
//! handler maps the same page of it there: whoever comes late finds what is stored. No thread waits for another one. If
//! there was no room to set it aside, it is a new page, and what was stored in that moment is lost with all else behind
//! the cut.
//!
//! Ours is a fault of the kind `BUS_ADRERR` whose address lies in a ring file. All other signals are whose they were
//! before: the handler before this one is called as the system would have called it, with its mask and its flags; without one the
//! process ends, or goes on, as it would have. A signal that is sent (`kill -BUS`) is never ours.
//!
//! A handler that is installed after this one takes its place, as it would take any other's. This one is not put in front
//! of it again: it may call this one, and they would call each other for good. Only where the disposition is to end the
//! process, or to ignore, it is taken again: with the next ring file, and when the handler before this one has set it, as
//! that of Rust's standard library does.
//!
//! What a handler cannot do: a thread that has SIGBUS blocked is ended by the system; and where the signal was ignored, a
//! `kill -BUS` may interrupt a sleep, and a program that is executed by `exec` does not find it ignored.
//!
//! The same is done by PulseAudio (`memtrap.c`), libwayland-server (`wl_shm_buffer_begin_access`) and journald
//! (`sigbus.c`) for memory that others may cut.

#![allow(unsafe_code)] // a handler of a signal, and calls of the operating system

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
// Not those of `sync`: static tables are no part of any model.
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::fork::MAPPINGS_MAX;

/// Of a fault: there is nothing behind this address.
const BUS_ADRERR: c_int = 2;
/// Memory is broken that nobody has asked for yet: it is no fault, and may be ignored.
const BUS_MCEERR_AO: c_int = 5;

/// A mapping that is guarded.
struct Place {
    is_taken: AtomicBool,
    /// 0 while nothing is guarded here.
    first: AtomicUsize,
    len: AtomicUsize,
    /// Memory in the place of what is cut, as long as the mapping; 0 if there is none.
    spare: AtomicUsize,
    was_cut: AtomicBool,
}

static PLACES: [Place; MAPPINGS_MAX] = [const {
    Place {
        is_taken: AtomicBool::new(false),
        first: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        spare: AtomicUsize::new(0),
        was_cut: AtomicBool::new(false),
    }
}; MAPPINGS_MAX];

impl Place {
    fn has(&self, address: usize) -> bool {
        // Acquire, all of them: whoever sees the length of a later mapping sees that it is another one. A thread that faults in
        // a mapping has it from the one that has made it, and so sees what that has stored here.
        let first = self.first.load(Ordering::Acquire);
        let len = self.len.load(Ordering::Acquire);
        let is_same = self.first.load(Ordering::Acquire) == first;
        first != 0 && is_same && address.wrapping_sub(first) < len
    }
}

static PAGE: AtomicUsize = AtomicUsize::new(0);

/// What the handler before this one was: see [`Before`].
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// A mapping that is guarded as long as this is kept.
#[derive(Debug)]
pub(super) struct Guarded(usize);

impl Guarded {
    /// Guards a mapping. `None` if there are too many already, or no handler can be installed.
    pub(super) fn new(first: usize, len: usize, page: usize) -> Option<Self> {
        // Relaxed: the same for all, and as of the places.
        PAGE.store(page, Ordering::Relaxed);
        install().then_some(())?;
        // Acquire and Release: what was stored there for an earlier mapping comes before.
        let is_free = |place: &Place| !place.is_taken.swap(true, Ordering::Acquire);
        let index = PLACES.iter().position(is_free)?;
        let place = &PLACES[index];
        place.was_cut.store(false, Ordering::Relaxed);
        // Relaxed: the next ones publish it.
        place.spare.store(set_aside(len), Ordering::Relaxed);
        // Release: pairs with the loads of `has`, as the next one.
        place.len.store(len, Ordering::Release);
        place.first.store(first, Ordering::Release);
        Some(Self(index))
    }

    pub(super) fn was_cut(&self) -> bool {
        // Acquire: pairs with the Release of `mend`.
        PLACES[self.0].was_cut.load(Ordering::Acquire)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let place = &PLACES[self.0];
        // Release: pairs with the loads of `has`, and with whoever takes the place.
        place.first.store(0, Ordering::Release);
        let (spare, len) =
            (place.spare.swap(0, Ordering::Relaxed), place.len.load(Ordering::Relaxed));
        if spare != 0 {
            // SAFETY: it was made for this mapping, in which nobody faults any more; what is mapped there of it stays.
            unsafe { libc::munmap(std::ptr::without_provenance_mut(spare), len) };
        }
        place.is_taken.store(false, Ordering::Release);
    }
}

/// Sets so much memory aside that nobody has touched; 0 if there is no room.
///
/// Nobody can read or write it there: so a process that has all of its memory locked (`mlockall`) is not given it at once.
fn set_aside(len: usize) -> usize {
    let kind = libc::MAP_SHARED | libc::MAP_ANON | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, wherever there is room.
    let spare = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, kind, -1, 0) };
    if spare == libc::MAP_FAILED { 0 } else { spare.addr() }
}

/// How a signal was dealt with, in one word: the address of the handler, and two of its flags. The mask and the other flags are
/// those of the handler here, so that the system heeds them.
#[derive(Clone, Copy)]
struct Before {
    handler: usize,
    takes_info: bool,
    is_once: bool,
}

impl Before {
    fn of(action: &libc::sigaction) -> Self {
        Self {
            handler: action.sa_sigaction,
            takes_info: action.sa_flags & libc::SA_SIGINFO != 0,
            is_once: action.sa_flags & libc::SA_RESETHAND != 0,
        }
    }

    /// None of an address that no user's code has.
    fn word(self) -> Option<u64> {
        let address = self.handler as u64;
        let flags = u64::from(self.takes_info) | u64::from(self.is_once) << 1;
        (address >> 62 == 0).then_some(address << 2 | flags)
    }

    fn from(word: u64) -> Self {
        let takes_info = word & 1 != 0;
        Self { handler: (word >> 2) as usize, takes_info, is_once: word & 2 != 0 }
    }

    fn is_handler(self) -> bool {
        ![libc::SIG_DFL, libc::SIG_IGN].contains(&self.handler)
    }
}

/// An address of a handler.
fn ours() -> usize {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    handler as usize
}

/// Sets how the signal is dealt with, if that is given. Returns how it was.
fn set(action: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    let action = action.map_or(std::ptr::null(), std::ptr::from_ref);
    let mut was = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: an action whose handler stays, or none, and room for the answer.
    let done = unsafe { libc::sigaction(libc::SIGBUS, action, was.as_mut_ptr()) };
    // SAFETY: zeros are a value of it, and now it was written.
    (done == 0).then(|| unsafe { was.assume_init() })
}

fn zeroed() -> libc::sigaction {
    // SAFETY: zeros are a value of it: what comes without a handler, and an empty mask.
    unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() }
}

/// Has the handler called from now on. Says whether it is, unless somebody else's takes its place.
fn install() -> bool {
    static FIRST: OnceLock<bool> = OnceLock::new();
    let is_installed = *FIRST.get_or_init(|| set(None).is_some_and(|before| put_before(&before)));
    stay();
    is_installed
}

/// Puts the handler in front of this one.
fn put_before(action: &libc::sigaction) -> bool {
    let before = Before::of(action);
    let Some(word) = before.word() else { return false };
    // Relaxed, here and in the handler: a word that means the same whenever it is read.
    BEFORE.store(word, Ordering::Relaxed);
    let mut own = zeroed();
    own.sa_sigaction = ours();
    own.sa_flags = libc::SA_SIGINFO;
    if before.is_handler() {
        own.sa_flags |= action.sa_flags & (libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART);
        own.sa_mask = action.sa_mask;
    } else {
        own.sa_flags |= libc::SA_ONSTACK | libc::SA_RESTART;
    }
    let Some(was) = set(Some(&own)) else { return false };
    if was.sa_sigaction != action.sa_sigaction
        && was.sa_sigaction != ours()
        && let Some(word) = Before::of(&was).word()
    {
        // Another thread has installed one meanwhile.
        BEFORE.store(word, Ordering::Relaxed);
    }
    true
}

/// Takes the place again of whoever has none of his own there.
fn stay() {
    if let Some(now) = set(None)
        && !Before::of(&now).is_handler()
    {
        put_before(&now);
    }
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives whoever handles this signal what it is about.
    let about = unsafe { &*info };
    // SAFETY: of a fault it has an address; of other signals it is something else, and not used.
    let address = unsafe { about.si_addr() } as usize;
    if about.si_code != BUS_ADRERR || !keeping_errno(|| mend(address)) {
        pass_on(signal, about.si_code, info, context);
    }
}

/// Does something that the thread is not to see.
fn keeping_errno<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the address of a number of this thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { errno.read() };
    let done = work();
    // SAFETY: as above.
    unsafe { errno.write(before) };
    done
}

/// Has zeros where a file of ours has been cut. `false` if nothing of ours is there.
fn mend(address: usize) -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    let found = PLACES.iter().find(|place| place.has(address));
    let (Some(place), true) = (found, page.is_power_of_two()) else { return false };
    // Release, and before any zero can be seen: whoever reads none of them afterwards has read what was recorded.
    place.was_cut.store(true, Ordering::Release);
    let at = address & !(page - 1);
    put_spare(place, at, page) || put_new(at, page)
}

/// Maps the page that was set aside for this one. Says whether it could.
fn put_spare(place: &Place, at: usize, page: usize) -> bool {
    // Relaxed: `has` has read the address, which was stored after these.
    let [first, len, spare] =
        [&place.first, &place.len, &place.spare].map(|word| word.load(Ordering::Relaxed));
    if spare == 0 {
        return false;
    }
    let from = spare + (at - first);
    let protection = libc::c_long::from(libc::PROT_READ | libc::PROT_WRITE);
    // The system calls themselves: see below.
    // SAFETY: memory that is only for this, and that nobody has a reference to.
    if unsafe { libc::syscall(libc::SYS_mprotect, spare, len, protection) } != 0 {
        return false;
    }
    let fixed = libc::c_long::from(libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED);
    // Of a length of 0: what is mapped at `from` is mapped here, too, and stays there.
    // SAFETY: a page of a mapping of ours that nobody can read or write, or this very one; zeros, and what was stored since,
    // are a value of all that is there.
    let put = unsafe { libc::syscall(libc::SYS_mremap, from, 0_usize, page, fixed, at) };
    put != -1
}

/// Maps a new page there. Says whether it could.
fn put_new(at: usize, page: usize) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // The system call itself: it is safe here, though no standard names the function among those for handlers, and tools
    // that watch over memory take what the function does for a write.
    #[cfg(target_pointer_width = "64")]
    // SAFETY: a page of a mapping of ours that nobody can read or write; zeros are a value of all that is there.
    let failed = unsafe { libc::syscall(libc::SYS_mmap, at, page, protection, own, -1, 0) } == -1;
    #[cfg(not(target_pointer_width = "64"))]
    let failed = {
        let at = std::ptr::without_provenance_mut(at);
        // SAFETY: as above.
        unsafe { libc::mmap(at, page, protection, own, -1, 0) == libc::MAP_FAILED }
    };
    !failed
}

/// Does what would have been done without this handler.
fn pass_on(signal: c_int, code: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // So the kernel sends the one about memory that is broken, too.
    let was_sent = code <= 0 || code == BUS_MCEERR_AO;
    let before = loop {
        let word = BEFORE.load(Ordering::Relaxed);
        let before = Before::from(word);
        if !before.is_handler() {
            // A fault cannot be ignored.
            if before.handler == libc::SIG_DFL || !was_sent {
                keeping_errno(|| end(signal, was_sent, info));
            }
            return;
        }
        let default = libc::SIG_DFL as u64;
        if !before.is_once
            || BEFORE.compare_exchange(word, default, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            break before;
        }
    };
    if before.takes_info {
        // SAFETY: whoever set it has said that it is one of these.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(before.handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(before.handler) };
        handler(signal);
    }
    keeping_errno(stay);
}

/// The process ends by this signal, as it does without a handler.
fn end(signal: c_int, was_sent: bool, info: *mut libc::siginfo_t) {
    // SAFETY: a number out.
    let pid = unsafe { libc::getpid() };
    if was_sent && pid == 1 {
        // The first process of a namespace is ended by no signal that it has no handler for.
        return;
    }
    set(Some(&zeroed()));
    // SAFETY: a number out.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    // It comes when this handler has returned, or at once if it may. A fault that comes again does the same.
    // SAFETY: the thread itself, and what it was given.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, thread, signal, info) };
}

#[cfg(test)]
mod tests {
    use super::super::{FileSettings, RingFile};
    use super::*;

    #[test]
    fn a_thread_that_comes_late_finds_what_another_one_has_stored() {
        let folder = format!("/dev/shm/spandrel-late-{}", std::process::id());
        let path = std::path::Path::new(&folder).join("a.ring");
        let file = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let word = &file.drainer()[0];
        // One thread touches it, has zeros, and stores.
        word.store(7, Ordering::Relaxed);
        // Another one had faulted there before, and its handler runs now.
        assert!(mend(std::ptr::from_ref(word).addr()));
        assert_eq!(
            (word.load(Ordering::Relaxed), file.drainer()[1].load(Ordering::Relaxed)),
            (7, 0)
        );
        drop(file);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
