//! Interrupting a thread with signals.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // each call is one line, with its reason

use std::io;

/// Has `handler` called when this signal comes; the signal itself is held back meanwhile.
///
/// The handler may do little: no memory may be allocated, and no lock be waited for, that the
/// interrupted thread could be in.
pub fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: all zeros are a value of it: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the structure lives until the call returns, and the handler is for ever.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends the calling thread a signal every so many nanoseconds until it is dropped.
#[derive(Debug)]
pub struct Timer(libc::timer_t);

impl Timer {
    /// Starts it.
    pub fn start(signal: libc::c_int, interval_ns: libc::c_long) -> io::Result<Self> {
        // SAFETY: all zeros are a value of it.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        // SAFETY: no arguments, cannot fail.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = std::ptr::null_mut();
        // SAFETY: both live until the call returns.
        check(unsafe {
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
        })?;
        let timer = Self(timer);
        let interval = libc::timespec { tv_sec: 0, tv_nsec: interval_ns };
        let times = libc::itimerspec { it_interval: interval, it_value: interval };
        // SAFETY: the timer is ours, and `times` lives until the call returns.
        check(unsafe { libc::timer_settime(timer.0, 0, &raw const times, std::ptr::null_mut()) })?;
        Ok(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours.
        let _deleted = unsafe { libc::timer_delete(self.0) };
    }
}

/// Whether this processor can [`step`].
pub const CAN_STEP: bool = cfg!(target_arch = "x86_64");

/// Runs `body` so that the handler of SIGTRAP comes after each single instruction of this thread (but
/// its own, and those of the kernel).
pub fn step(body: impl FnOnce()) {
    set_trap_flag(true);
    body();
    set_trap_flag(false);
}

#[cfg(target_arch = "x86_64")]
fn set_trap_flag(on: bool) {
    const TRAP: u64 = 1 << 8;
    if on {
        // SAFETY: sets one flag, in the stack's own word; each instruction ends in the handler then.
        unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP) }
    } else {
        // SAFETY: as above, back again.
        unsafe {
            std::arch::asm!("pushfq", "and qword ptr [rsp], {}", "popfq", const !(TRAP as i32))
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn set_trap_flag(_on: bool) {}
