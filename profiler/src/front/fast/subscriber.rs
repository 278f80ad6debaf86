//! The fast paths of our own subscriber: a span's key names its place.

use std::num::NonZeroU64;
use std::sync::Arc;

use spandrel_ring::{Table, timestamp};
use tracing_core::span::Attributes;

use super::shared::FastPath::{self, Done, Fallback, HasFields};
use super::shared::{
    enter_at, exit_at, publish_again, publish_never_entered, publish_untimed, publish_with_fields,
    was_inside_once,
};
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::open_spans::free_list::{UNRECORDED, key_of, place_of};
use crate::recorder::open_spans::{NewSpan, OpenSpans, Place, SpanSlot};
use crate::recorder::sites::{Answer, FastSites, first_probe};
use crate::recorder::{NO_ANCESTOR, Recorder, Source};

/// A thread enters a span of its own. `spans` are those of the first layer, a direct one.
#[inline(always)]
pub(crate) fn enter_indexed(spans: &Table<SpanSlot>, key: u64) -> bool {
    enter_at::<true>(spans, place_of(key), key)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn enter_indexed_untimed(spans: &Table<SpanSlot>, key: u64) -> bool {
    enter_at::<false>(spans, place_of(key), key)
}

/// A thread leaves the innermost span, its own.
#[inline(always)]
pub(crate) fn exit_indexed(spans: &Table<SpanSlot>, key: u64) -> bool {
    exit_now::<true>(spans, key)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn exit_indexed_untimed(spans: &Table<SpanSlot>, key: u64) -> bool {
    exit_now::<false>(spans, key)
}

#[inline(always)]
fn exit_now<const TIMED: bool>(spans: &Table<SpanSlot>, key: u64) -> bool {
    let place = place_of(key);
    let (_, span) = spans.wrapped(place as usize);
    if place != local::innermost_own() || !span.has_key(key) {
        return false;
    }
    exit_at::<TIMED>(span, span.head(), || {})
}

impl Recorder {
    /// A contextual span is created, and its key returned. One with fields gets a place, and is then
    /// up to [`open_with_fields`](Self::open_with_fields), which ends the change that is begun here.
    #[inline(always)]
    pub(crate) fn open_fast(
        &self,
        sites: &FastSites,
        attributes: &Attributes<'_>,
    ) -> FastPath<'_, NonZeroU64, Place> {
        let Some(token) = local::get_if_owner(self.fast_owner()) else { return Fallback };
        if !attributes.is_contextual() {
            return Fallback;
        }
        let probe = first_probe(sites, attributes.metadata());
        let Some(callsite) = probe.plain() else {
            let Some(callsite) = probe.with_fields() else { return Fallback };
            token.begin_change();
            let Some((place, span)) = token.take_place_in_change(&self.open) else {
                token.end_change();
                return Fallback;
            };
            span.set_origin(callsite);
            return HasFields(place, span);
        };
        let start = timestamp::read();
        token.begin_change();
        let opened = self.open_plain(token, callsite, start);
        token.end_change();
        opened.map_or(Fallback, Done)
    }

    /// Opens a contextual span without fields, for whoever has begun a change.
    #[inline(always)]
    fn open_plain(&self, token: ThreadToken, callsite: u64, start: u64) -> Option<NonZeroU64> {
        // An id that is not used after all does no harm.
        let id = token.next_id_of_block(start)?;
        let (parent, root) = self.kin_fast(token, id)?;
        let (place, span) = token.take_place_in_change(&self.open)?;
        let key = key_of(place, id);
        span.set_key(key.get());
        span.set_origin(parent | callsite);
        token.expect_here(span);
        span.complete(&NewSpan { head: token.fast_head(), id, root, start });
        Some(key)
    }

    /// The same once more with new ids, if that is what was missing.
    #[inline(never)]
    pub(crate) fn open_with_new_ids(
        &self,
        sites: &FastSites,
        attributes: &Attributes<'_>,
    ) -> Option<NonZeroU64> {
        if !self.renew_ids() {
            return None;
        }
        match self.open_fast(sites, attributes) {
            Done(key) => Some(key),
            HasFields(place, span) => Some(self.open_with_fields(place, span, attributes)),
            Fallback => None,
        }
    }

    /// Opens a contextual span with fields in its place. Returns its key.
    #[inline(never)]
    pub(crate) fn open_with_fields(
        &self,
        place: Place,
        span: &SpanSlot,
        attributes: &Attributes<'_>,
    ) -> NonZeroU64 {
        let id = self.fill_with_fields(local::of_owner(), span, attributes);
        let key = key_of(place, id);
        span.set_key(key.get());
        key
    }

    /// A span is created: the general case. Returns its key, or that of no span if it is dropped.
    #[inline(never)]
    pub(crate) fn open_slow(
        self: &Arc<Self>,
        layer: u16,
        attributes: &Attributes<'_>,
        answer: Answer,
    ) -> NonZeroU64 {
        let key =
            self.new_span_slow(Source::hearing_all(layer), 0, attributes, answer, NO_ANCESTOR);
        key.and_then(NonZeroU64::new).unwrap_or(UNRECORDED)
    }
}

/// A handle is dropped, of a span that never had another one and was entered once, on a thread that does
/// not unwind and has a partition of its own with room, which has none once the ring is closed: the span
/// closes. Returns its place, which is free.
#[inline(always)]
pub(crate) fn close_indexed(spans: &Table<SpanSlot>, key: u64) -> Option<Place> {
    let place = place_of(key);
    let (_, span) = spans.wrapped(place as usize);
    if !span.has_key(key) || !was_inside_once(span.head()) {
        return None;
    }
    let extra = span.extra();
    // The clock last, when there is little left that needs a register: this way saves none.
    if !publish_with_fields(local::of_owner(), span, extra, timestamp::read) {
        return None;
    }
    OpenSpans::vacate_plain(span, extra);
    Some(place)
}

/// The same for one that was entered again.
#[inline(always)]
pub(crate) fn close_indexed_again(spans: &Table<SpanSlot>, key: u64) -> Option<Place> {
    close_otherwise(spans, key, publish_again)
}

/// The same for one that nobody has entered.
#[inline(always)]
pub(crate) fn close_indexed_never_entered(spans: &Table<SpanSlot>, key: u64) -> Option<Place> {
    close_otherwise(spans, key, publish_never_entered)
}

/// The same for any, where busy time is not measured.
#[inline(always)]
pub(crate) fn close_indexed_untimed(spans: &Table<SpanSlot>, key: u64) -> Option<Place> {
    close_otherwise(spans, key, publish_untimed)
}

#[inline(always)]
fn close_otherwise(
    spans: &Table<SpanSlot>,
    key: u64,
    publish: impl FnOnce(&SpanSlot, u64) -> bool,
) -> Option<Place> {
    let place = place_of(key);
    let (_, span) = spans.wrapped(place as usize);
    let extra = span.extra();
    if !span.has_key(key) || !publish(span, extra) {
        return None;
    }
    OpenSpans::vacate_plain(span, extra);
    Some(place)
}
