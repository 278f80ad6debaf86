//! The processor's counter of time: RDTSC on x86-64, the virtual counter `CNTVCT_EL0` on aarch64.
//!
//! Here, and not beside the clock that uses it, because the instruction is `unsafe` and all `unsafe`
//! code of the project lives in this crate. Whether the counter can be trusted
//! is for the caller to decide; without one, [`read`] is always zero.

/// Whether this processor architecture has a counter that [`read`] reads.
pub const AVAILABLE: bool =
    cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri), not(spandrel_loom)));

/// Ticks of the counter, 0 where there is none.
///
/// # Blocking
///
/// Never: one instruction, 10 to 20 ns. It is not ordered against the instructions around it
/// (`lfence; rdtsc` and `isb; mrs` would be, at twice the price): a reading can be off by the depth of the
/// pipeline, some 10 ns. On aarch64 the counter itself may tick but every 40 ns, and so does the system's clock.
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
    #[cfg(all(target_arch = "aarch64", not(miri), not(spandrel_loom)))]
    {
        #![allow(unsafe_code)]
        let ticks: u64;
        // SAFETY: every aarch64 processor has the register, and reading it touches neither memory nor
        // flags. That programs may read it is the kernel's to say: the clock asks for its clock source
        // first, with which Linux allows it, and answers itself where a processor's counter has a flaw.
        unsafe {
            core::arch::asm!(
                "mrs {}, cntvct_el0",
                out(reg) ticks,
                options(nomem, nostack, preserves_flags)
            );
        }
        ticks
    }
    #[cfg(not(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(miri),
        not(spandrel_loom)
    )))]
    {
        0
    }
}
