//! A thread's own spans close.

use std::thread::panicking;

use spandrel_ring::Table;

use super::find::FindSlot;
use crate::recorder::local;
use crate::recorder::open_spans::{SlotPosition, SpanSlot, owner_state};
use crate::recorder::record::ENTERED;

/// A span that was entered once closes. Returns its slot, which is empty then.
#[inline(always)]
pub(crate) fn close_once<F: FindSlot>(spans: &Table<SpanSlot>, key: u64) -> Option<SlotPosition> {
    let (position, span) = spans.wrapped(F::likely(key) as usize);
    // It is the calling thread's own, which has entered it once, and left.
    if !span.has_key(key) || owner_state(span.head()) ^ ENTERED != local::fast_thread() {
        return None;
    }
    let extra = span.extra();
    if !F::publish_once(local::of_owner(), span, extra) {
        return None;
    }
    F::vacate(span, extra);
    Some(position as SlotPosition)
}

/// The same for any other span; `publish` [publishes](super::publish) its record.
#[inline(always)]
pub(crate) fn close_with<F: FindSlot>(
    spans: &Table<SpanSlot>,
    key: u64,
    publish: impl FnOnce(&SpanSlot, u64) -> bool,
) -> Option<SlotPosition> {
    let (position, span) = spans.wrapped(F::likely(key) as usize);
    let extra = span.extra();
    if !span.has_key(key) || !publish(span, extra) {
        return None;
    }
    F::vacate(span, extra);
    Some(position as SlotPosition)
}

/// Whether the calling thread is unwinding. This may be a call, so it has to come before there are
/// values to be saved.
#[inline(always)]
pub(crate) fn is_panicking() -> bool {
    panicking()
}
