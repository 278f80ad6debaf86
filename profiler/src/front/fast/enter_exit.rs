//! Threads enter their own spans and leave them.
//!
//! If times inside are not measured, there are separate versions, so that the usual ones need no check:
//! `TIMED` tells which, and the table of the other version is empty.

use std::sync::atomic::{Ordering, compiler_fence};

use spandrel_ring::{Table, timestamp};

use super::find::{AsKey, FindSlot};
use super::registers::{one_by_one, seldom};
use crate::recorder::Recorder;
use crate::recorder::local;
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{
    ASIDE, INSIDE, LONG, SlotPosition, SpanSlot, count_of, owner_state,
};
use crate::recorder::record::{AGAIN, ENTERED};

/// A thread enters a span, if that is its own and at this position. The position may come from another
/// table.
#[inline(always)]
pub(crate) fn enter_at<F: FindSlot, const TIMED: bool>(
    spans: &Table<SpanSlot>,
    position: SlotPosition,
    id: impl AsKey,
) -> bool {
    let now = || if TIMED { timestamp::read() } else { 0 };
    let (position, span) = spans.wrapped(position as usize);
    let head = span.head();
    // The thread is in the same span as when this one was created, or last entered.
    if !span.has_key(id.key()) || span.outer() != local::innermost() {
        return false;
    }
    let link = F::link(position, id);
    // In each case below, the slot says that the thread is inside before the span is pushed. So if a
    // signal handler enters the span, it is inside once more, and does not link the span to itself.
    if owner_state(head) == local::fast_thread() {
        if !TIMED {
            span.begin_first_entry_untimed(head);
        } else if !span.begin_first_entry(head, now()) {
            return false;
        }
        local::of_owner().push_here(link);
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(ENTERED | AGAIN) == local::fast_thread() {
        if !span.begin_further_entry(head, now) {
            return false;
        }
        local::of_owner().push_here(link);
        one_by_one();
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(ENTERED) == local::fast_thread() {
        span.begin_second_entry(head, now());
        local::of_owner().push_here(link);
        // Works like `one_by_one`, but is another instruction: so the compiler does not merge this case
        // with the one above.
        compiler_fence(Ordering::Release);
        return true;
    }
    false
}

/// A thread leaves its innermost span, if that is its own and was entered once more than left.
#[inline(always)]
pub(crate) fn exit_innermost<F: FindSlot, const TIMED: bool>(
    spans: &Table<SpanSlot>,
    id: impl AsKey,
) -> bool {
    let Some((position, span)) = F::innermost(spans, id) else { return false };
    let head = span.head();
    let now = || if TIMED { timestamp::read() } else { 0 };
    if owner_state(head).wrapping_sub(INSIDE) == local::fast_thread() {
        // While the slot says that the thread is inside, as in `enter_at`.
        local::of_owner().pop_own(span);
        span.end_first_entry(now());
        F::remember(local::of_owner(), position);
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(INSIDE | ENTERED | AGAIN) != local::fast_thread() {
        return false;
    }
    let entered = span.last();
    if TIMED && local::is_old(|| span.start(), entered) {
        return false;
    }
    let now = now();
    if !span.keep_length(now.wrapping_sub(entered)) {
        return false;
    }
    local::of_owner().pop_own(span);
    span.end_further_entry(now);
    F::remember(local::of_owner(), position);
    one_by_one();
    true
}

/// A thread enters its own span again, and this entry may have to be recorded: the span is long-lived,
/// or the thread is elsewhere than inside the parent, as with systems in a frame. The spans are those of
/// `recorder`. Returns the span's position; in all other cases, does nothing and returns `None`.
#[inline(never)]
pub(crate) fn enter_recorded<F: FindSlot>(
    recorder: &Recorder,
    spans: &Table<SpanSlot>,
    position: SlotPosition,
    key: u64,
) -> Option<SlotPosition> {
    let (index, span) = spans.wrapped(position as usize);
    let (position, head) = (index as SlotPosition, span.head());
    let is_own = owner_state(head) & !LONG ^ (ENTERED | AGAIN) == local::fast_thread();
    if !span.has_key(key) || !is_own || !recorder.has_entries() {
        return None;
    }
    let token = local::of_owner();
    // As in `enter_at`. The key is read again where it is needed, to spare a register.
    if span.outer() == local::innermost() {
        if !span.begin_long_entry(head, timestamp::read) {
            return None;
        }
        token.push_here(F::link(index, span.key()));
        return Some(position);
    }
    // Otherwise it first has to be noted what the thread has done inside the parent so far.
    if !recorder.open.foreign(position).is_looked_at() {
        return None;
    }
    let is_outside = token.is_outside();
    // The span around it is the thread's own, and open.
    if !is_outside && spans.get(local::innermost_own() as usize)?.id() == 0 {
        return None;
    }
    if !span.begin_long_entry(head, timestamp::read) {
        return None;
    }
    if !is_outside {
        span.set_aside();
    }
    token.expect_here(span);
    token.push_here(F::link(index, span.key()));
    Some(position)
}

/// A thread leaves its innermost span, which it had entered before, and this entry may have to be
/// recorded. The spans are those of `recorder`. Returns the span's position; in all other cases, does
/// nothing and returns `None`.
///
/// Not merged with the other functions: it would take their registers.
#[inline(never)]
pub(crate) fn exit_recorded<F: FindSlot>(
    recorder: &Recorder,
    spans: &Table<SpanSlot>,
    key: u64,
) -> Option<SlotPosition> {
    let (position, span) = F::innermost(spans, key)?;
    let head = span.head();
    let is_aside = owner_state(head) & ASIDE != 0;
    let state = (owner_state(head) & !(ASIDE | LONG)).wrapping_sub(INSIDE | ENTERED | AGAIN);
    if state != local::fast_thread() {
        return None;
    }
    let token = local::of_owner();
    let around = token.around_own(spans, span)?;
    let entered = span.last();
    let now = timestamp::read().max(entered);
    let count = count_of(head);
    // Other threads may have been inside before the owner's first entry.
    if count <= 1 {
        return None;
    }
    if let Some(entry) =
        recorder.further_entry((position, span), (around, is_aside), count, (entered, now))
    {
        let mut lease = token.borrow_lease()?;
        let published = lease.has_spare(1)
            && lease
                .publish_if_roomy::<1>(Kind::Entry as usize, 1, |_, slot| *slot = entry.words());
        token.give_lease_back(lease);
        if !published {
            return None;
        }
    }
    // Not negative.
    let _ = span.keep_length(now - entered);
    token.pop_own(span);
    if is_aside {
        span.end_aside();
    }
    span.end_further_entry(now);
    if is_aside {
        token.expect_nowhere(span);
    }
    token.set_long_age(recorder.long_age());
    Some(position)
}
