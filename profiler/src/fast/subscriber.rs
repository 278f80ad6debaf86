//! The quick paths of our own subscriber: a span's key names its place.

use spandrel_ring::timestamp;
use tracing_core::span::Attributes;

use super::Completed;
use super::{enter_at, is_inside_once, is_panicking, owner_state, words_of_one_slot};
use crate::fields::FIELDS_MAX;
use crate::local::{self, Hot};
use crate::open_spans::{NewSpan, OpenSpan, OpenSpans};
use crate::places::{UNRECORDED, key_of, place_of};
use crate::recorder::Recorder;

/// What has become of a new span.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opened {
    /// It has this key.
    Open(u64),
    /// It has fields; call [`Recorder::open_with_fields`].
    HasFields(Hot),
    /// Nothing was done; call the general path.
    NotDone,
}

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
    /// A contextual span is created.
    #[inline(always)]
    pub(crate) fn open_quickly(&self, attributes: &Attributes<'_>) -> Opened {
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return Opened::NotDone };
        let metadata = attributes.metadata();
        if !attributes.is_contextual() {
            return Opened::NotDone;
        }
        if !metadata.fields().is_empty() {
            return Opened::HasFields(hot);
        }
        let Some((origin, root)) = self.origin_quickly(hot, metadata) else {
            return Opened::NotDone;
        };
        let start = timestamp::read();
        // An id that is not used after all does no harm.
        let Some(id) = hot.next_id_of_block(start) else { return Opened::NotDone };
        let Some((place, span)) = hot.take_place(&self.open) else { return Opened::NotDone };
        let root = if root == 0 { id } else { root };
        let key = key_of(place, id);
        span.set_key(key);
        span.complete(&NewSpan { thread: hot.thread(), id, origin, root, start });
        Opened::Open(key)
    }

    /// A contextual span with fields is created; all words of a place may be used. Returns its key,
    /// or that of no span if it is dropped; or `None`, and has done nothing, where the general path is
    /// needed.
    #[inline(never)]
    pub(crate) fn open_with_fields(&self, hot: Hot, attributes: &Attributes<'_>) -> Option<u64> {
        if attributes.metadata().fields().len() > FIELDS_MAX {
            return None;
        }
        let (place, span) = hot.take_place(&self.open)?;
        match self.fill_with_fields(hot, place, span, attributes) {
            Completed::Open(id) => {
                let key = key_of(place, id);
                span.set_key(key);
                Some(key)
            }
            Completed::Dropped => Some(UNRECORDED),
            Completed::NotDone => None,
        }
    }

    /// A handle is dropped of a span that never had another one, on a thread with a partition of its
    /// own that has room: the span closes.
    #[inline(always)]
    pub(crate) fn close_directly(&self, key: u64) -> bool {
        if is_panicking() {
            return false;
        }
        // As in `close_quickly`.
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return false };
        let place = place_of(key);
        let Some(span) = self.open.get(place) else { return false };
        let head = span.head();
        if !span.has_key(key) || owner_state(head) != local::quick_thread() {
            return false;
        }
        let end = timestamp::read();
        let extra = span.extra();
        if extra != 0 {
            return self.close_directly_with_fields(hot, key, extra, end);
        }
        let published = self.publish_plain(hot, span, head, end);
        if published {
            OpenSpans::vacate_plain(span);
            hot.keep_place(place, &self.open);
        }
        published
    }

    /// The same if it has fields, and nothing else is out of the ordinary.
    #[inline(never)]
    fn close_directly_with_fields(&self, hot: Hot, key: u64, extra: u64, end: u64) -> bool {
        let Some(words) = words_of_one_slot(extra) else { return false };
        let place = place_of(key);
        let Some(span) = self.open.get(place) else { return false };
        let published = self.publish_with_fields(hot, span, end, words);
        if published {
            OpenSpans::vacate_plain_with_fields(span);
            hot.keep_place(place, &self.open);
        }
        published
    }
}
