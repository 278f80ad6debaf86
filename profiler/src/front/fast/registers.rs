//! Hints for the compiler: which case is the usual one, and which values should not be kept in
//! registers.

use std::sync::atomic::{Ordering, compiler_fence};

/// What follows is for rarer spans than the code beside it. The compiler puts it after that code, and
/// loads again what it compares, instead of using a register that the usual case would have to fill.
#[inline(always)]
pub(super) fn seldom() {
    unlikely();
    one_by_one();
}

#[cold]
#[inline]
pub(super) fn unlikely() {}

/// Keeps the compiler from loading all words before it stores the first one: that would take as many
/// registers, which would have to be saved. Orders nothing between threads.
#[inline(always)]
pub(super) fn one_by_one() {
    compiler_fence(Ordering::AcqRel);
}
