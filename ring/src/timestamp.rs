//! The processor's time-stamp counter.
//!
//! Here, and not beside the clock that uses it, because the instruction is an `unsafe` intrinsic
//! and all `unsafe` code of the project lives in this crate. Whether the counter can be trusted
//! is for the caller to decide; without one, [`read`] is always zero.

/// Whether this processor architecture has a counter that [`read`] reads.
pub const AVAILABLE: bool = cfg!(all(target_arch = "x86_64", not(miri), not(spandrel_loom)));

/// Ticks of the time-stamp counter, 0 where there is none.
///
/// # Blocking
///
/// Never: one instruction, 10 to 20 ns. It is not ordered against the instructions around it
/// (`lfence; rdtsc` would be, at twice the price): a reading can be off by the depth of the
/// pipeline, some 10 ns.
#[inline(always)]
#[must_use]
pub fn read() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri), not(spandrel_loom)))]
    {
        #![allow(unsafe_code)]
        // SAFETY: every x86-64 processor has RDTSC; it reads no memory. A kernel that forbids it
        // in user mode (`prctl(PR_SET_TSC)`) has said so by then: the clock asks the kernel first.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(spandrel_loom))))]
    {
        0
    }
}
