//! The quick paths of our own subscriber: a span's key names its place.

use std::num::NonZeroU64;

use spandrel_ring::timestamp;
use tracing_core::span::Attributes;

use super::Quick::{self, Done, HasFields, NotDone};
use super::{Completed, enter_at, is_inside_once, is_panicking, owner_state, words_of_one_slot};
use crate::fields::FIELDS_MAX;
use crate::local::{self, Hot};
use crate::open_spans::{NewSpan, OpenSpan, OpenSpans, Place};
use crate::places::{UNRECORDED, key_of, place_of};
use crate::recorder::Recorder;

/// A thread enters a span of its own. `spans` are those of the first layer, a direct one.
#[inline(always)]
pub(crate) fn enter_directly(spans: &[OpenSpan], key: u64) -> bool {
    enter_at(spans, place_of(key), key)
}

/// A thread leaves the innermost span, its own.
#[inline(always)]
pub(crate) fn exit_directly(spans: &[OpenSpan], key: u64) -> bool {
    let place = place_of(key);
    let Some(span) = spans.get(place as usize) else { return false };
    if place != local::innermost_own() || !span.has_key(key) {
        return false;
    }
    let Some(outside) = is_inside_once(span.head()) else { return false };
    span.end_own_poll(outside, timestamp::read());
    local::of_owner().pop_own(span);
    true
}

impl Recorder {
    /// A contextual span is created, and its key returned. One with fields: see
    /// [`open_with_fields`](Self::open_with_fields).
    #[inline(always)]
    pub(crate) fn open_quickly(&self, attributes: &Attributes<'_>) -> Quick<NonZeroU64, Hot> {
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return NotDone };
        let metadata = attributes.metadata();
        if !attributes.is_contextual() {
            return NotDone;
        }
        if !metadata.fields().is_empty() {
            return HasFields(hot);
        }
        let Some((origin, root)) = self.origin_quickly(hot, metadata) else { return NotDone };
        let start = timestamp::read();
        // An id that is not used after all does no harm.
        let Some(id) = hot.next_id_of_block(start) else { return NotDone };
        let Some((place, span)) = hot.take_place(&self.open) else { return NotDone };
        let root = if root == 0 { id } else { root };
        let key = key_of(place, id);
        span.set_key(key.get());
        span.complete(&NewSpan { thread: hot.thread(), id, origin, root, start });
        Done(key)
    }

    /// A contextual span with fields is created; all words of a place may be used. Returns its key,
    /// or that of no span if it is dropped; or `None`, and has done nothing, where the general path is
    /// needed.
    #[inline(always)]
    pub(crate) fn open_with_fields(
        &self,
        hot: Hot,
        attributes: &Attributes<'_>,
    ) -> Option<NonZeroU64> {
        if attributes.metadata().fields().len() > FIELDS_MAX {
            return None;
        }
        let (place, span) = hot.take_place(&self.open)?;
        match self.fill_with_fields(hot, place, span, attributes) {
            Completed::Open(id) => {
                let key = key_of(place, id);
                span.set_key(key.get());
                Some(key)
            }
            Completed::Dropped => Some(UNRECORDED),
            Completed::NotDone => None,
        }
    }

    /// A handle is dropped of a span that never had another one, on a thread with a partition of its
    /// own that has room: the span closes. Returns its place, which is free.
    ///
    /// One with fields closes at the moment that is returned: see
    /// [`close_directly_with_fields`](Self::close_directly_with_fields).
    #[inline(always)]
    pub(crate) fn close_directly(&self, key: u64) -> Quick<Place, u64> {
        if is_panicking() {
            return NotDone;
        }
        // As in `close_quickly`.
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return NotDone };
        let place = place_of(key);
        let Some(span) = self.open.get(place) else { return NotDone };
        let head = span.head();
        if !span.has_key(key) || owner_state(head) != local::quick_thread() {
            return NotDone;
        }
        let end = timestamp::read();
        if span.extra() != 0 {
            return HasFields(end);
        }
        if !self.publish_plain(hot, span, head, end) {
            return NotDone;
        }
        OpenSpans::vacate_plain(span);
        Done(place)
    }

    /// The same for a span with fields, if nothing else is out of the ordinary.
    #[inline(always)]
    pub(crate) fn close_directly_with_fields(&self, key: u64, end: u64) -> Option<Place> {
        let place = place_of(key);
        let span = self.open.get(place)?;
        let words = words_of_one_slot(span.extra())?;
        if !self.publish_with_fields(local::of_owner(), span, end, words) {
            return None;
        }
        OpenSpans::vacate_plain_with_fields(span);
        Some(place)
    }
}
