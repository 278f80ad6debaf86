//! Hints for the compiler: which way is the usual one, and that a value is not worth a register.

use std::sync::atomic::{Ordering, compiler_fence};

/// What follows is for fewer spans than what stands beside it: the compiler puts it behind that, and
/// reads anew what it compares, rather than from a register that the other way would have to fill.
#[inline(always)]
pub(super) fn seldom() {
    unlikely();
    one_by_one();
}

#[cold]
#[inline]
pub(super) fn unlikely() {}

/// Keeps the compiler from loading all words before it stores the first one, which takes as many
/// registers, and those have to be saved. Orders nothing between threads.
#[inline(always)]
pub(super) fn one_by_one() {
    compiler_fence(Ordering::AcqRel);
}
