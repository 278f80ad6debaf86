//! The common case of each callback, in as few instructions as can be.
//!
//! Everything unusual is checked before anything is changed, and left to the general path in
//! [`recorder`](crate::recorder) by a call in tail position. So nothing is called in the middle, and
//! the compiler neither saves registers nor keeps values on the stack; that alone was a third of
//! the instructions. What both paths do is the same, and tested as the same: whatever happens here
//! may also happen there.

use std::sync::Arc;

use tracing_core::span::Attributes;

use crate::counters::Kind;
use crate::local;
use crate::open_spans::NewSpan;
use crate::record::{SLOT_WORDS, slots};
use crate::recorder::{Recorder, closing};

impl Recorder {
    /// A span is created.
    #[inline]
    pub(crate) fn new_span(
        self: &Arc<Self>,
        layer: u16,
        key: u64,
        attributes: &Attributes<'_>,
        ancestor: impl Fn() -> Option<u64>,
    ) {
        if !self.new_span_quickly(layer, key, attributes) {
            self.new_span_slowly(layer, key, attributes, &ancestor);
        }
    }

    /// A contextual span without fields.
    #[inline(always)]
    fn new_span_quickly(&self, layer: u16, key: u64, attributes: &Attributes<'_>) -> bool {
        let metadata = attributes.metadata();
        if !metadata.fields().is_empty() || !attributes.is_contextual() {
            return false;
        }
        let Some(hot) = local::get_if_set_up(self) else { return false };
        let Some(callsite) = self.callsites.first_probe(metadata) else { return false };
        let (parent, root) = match hot.innermost() {
            None => (0, 0),
            Some(entered) => match self.open.get(entered.place) {
                Some(span) if entered.layer == layer && span.is(layer, entered.key) => {
                    (span.id(), span.root())
                }
                _ => return false,
            },
        };
        let Some(start) = self.clock.tsc_ticks() else { return false };
        let Some(id) = hot.next_id_of_block(start) else { return false };
        if self.ring.is_closed() {
            return false;
        }
        let root = if root == 0 { id } else { root };
        let thread = hot.thread();
        let new = NewSpan { layer, callsite, thread, id, parent, root, start, left_out: false };
        let Some(place) = self.open.insert(key, &new, &[]) else { return false };
        hot.set_last_place(place);
        true
    }

    /// A thread enters a span.
    #[inline]
    pub(crate) fn enter(self: &Arc<Self>, layer: u16, key: u64) {
        if !self.enter_quickly(layer, key) {
            self.enter_slowly(layer, key);
        }
    }

    /// The span that was used last, by its owner, from outside.
    #[inline(always)]
    fn enter_quickly(&self, layer: u16, key: u64) -> bool {
        let Some(hot) = local::get_if_set_up(self) else { return false };
        let place = hot.last_place();
        let Some(span) = self.open.get(place) else { return false };
        if !span.is_owned(layer, key, hot.thread()) || span.own_since() != 0 {
            return false;
        }
        let Some(now) = self.clock.tsc_ticks() else { return false };
        if !hot.push_own(key, place, layer) {
            return false;
        }
        span.begin_own_poll(now);
        true
    }

    /// A thread leaves a span.
    #[inline]
    pub(crate) fn exit(self: &Arc<Self>, layer: u16, key: u64) {
        if !self.exit_quickly(layer, key) {
            self.exit_slowly(layer, key);
        }
    }

    /// The innermost span, entered once, by its owner.
    #[inline(always)]
    fn exit_quickly(&self, layer: u16, key: u64) -> bool {
        let Some(hot) = local::get_if_set_up(self) else { return false };
        // If the owner is inside the span that has this place now, the entry is that span's: one
        // of an earlier span would lie further out.
        let Some(place) = hot.innermost_place() else { return false };
        let Some(span) = self.open.get(place) else { return false };
        if !span.is_owned(layer, key, hot.thread()) {
            return false;
        }
        let since = span.own_since();
        if since == 0 || span.is_nested() {
            return false;
        }
        let Some(now) = self.clock.tsc_ticks() else { return false };
        let Some(busy) = now.checked_sub(since) else { return false };
        span.end_own_poll(busy);
        hot.set_last_place(place);
        hot.pop_shallow();
        true
    }

    /// A span closes.
    #[inline]
    pub(crate) fn close_span(self: &Arc<Self>, layer: u16, key: u64) {
        if !self.close_quickly(layer, key) {
            self.close_slowly(layer, key);
        }
    }

    /// The span that was used last, on a thread with a partition of its own that has room.
    #[inline(always)]
    fn close_quickly(&self, layer: u16, key: u64) -> bool {
        let Some(hot) = local::get_if_set_up(self) else { return false };
        let place = hot.last_place();
        let Some(span) = self.open.get(place) else { return false };
        if !span.is(layer, key) || span.has_spilled() {
            return false;
        }
        let Some(end) = self.clock.tsc_ticks() else { return false };
        // All in one closure, or what it needs would be carried over on the stack.
        let published = local::with_lease(|lease| {
            let closing = closing(span, end);
            if closing.is_wide() {
                return false;
            }
            let counter = self.counters.partition(lease.partition());
            let words = span.field_words();
            let n = if words == 0 { 1 } else { 1 + slots(words) };
            lease.publish_if_roomy(n, |index| match index {
                0 => {
                    // Before the record is visible, see the module `counters`.
                    counter.publish_exclusive(Kind::Span);
                    closing.narrow(words)
                }
                index => span.inline_fields_at((index - 1) * SLOT_WORDS),
            })
        });
        if published {
            self.open.remove(place, span);
        }
        published
    }
}
