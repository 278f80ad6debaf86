//! The quick paths of a layer: its spans are found by hashing their keys.

use spandrel_ring::{Table, timestamp};
use tracing_core::span::{Attributes, Id};

use super::Quick::{self, Done, HasFields, NotDone};
use super::{enter_at, is_inside_once, no_time, owner_state, publish_plain, publish_with_fields};
use crate::local;
use crate::open_spans::{NewSpan, OpenSpan, OpenSpans, first_place};
use crate::recorder::Recorder;
use crate::sites::{QuickSites, first_probe};

/// A thread enters the span that it used last. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn enter_quickly(spans: &Table<OpenSpan>, key: u64) -> bool {
    enter_at(spans, local::last_place(), key, timestamp::read)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn enter_untimed(spans: &Table<OpenSpan>, key: u64) -> bool {
    enter_at(spans, local::last_place(), key, no_time)
}

/// A thread enters a span at the first place of its set: as a rule another task of the thread's than
/// the one that it was in last. Not together with [`enter_quickly`], which would pay for it.
#[inline(always)]
pub(crate) fn enter_first_place(spans: &Table<OpenSpan>, key: u64) -> bool {
    let (place, _) = first_place(spans, key);
    let entered = enter_at(spans, place, key, timestamp::read);
    if entered {
        local::of_owner().set_last_place(place);
    }
    entered
}

/// A thread leaves the innermost span. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn exit_quickly(spans: &Table<OpenSpan>, id: &Id) -> bool {
    exit_now(spans, id, timestamp::read)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn exit_untimed(spans: &Table<OpenSpan>, id: &Id) -> bool {
    exit_now(spans, id, no_time)
}

#[inline(always)]
fn exit_now(spans: &Table<OpenSpan>, id: &Id, now: impl FnOnce() -> u64) -> bool {
    let place = local::innermost_own();
    let Some(span) = spans.get(place as usize) else { return false };
    let Some(outside) = is_inside_once(span.head(), local::quick_thread()) else { return false };
    // The id is read no sooner, so that it is compared where it lies.
    if !span.has_key(id.into_u64()) {
        return false;
    }
    span.end_own_poll(outside, now());
    local::of_owner().set_last_place(place);
    local::of_owner().pop_own(span);
    true
}

impl Recorder {
    /// A contextual span is created. One with fields gets a place, and is then up to
    /// [`new_span_with_fields`](Self::new_span_with_fields), which ends the change that is begun here.
    #[inline(always)]
    pub(crate) fn new_span_quickly(
        &self,
        sites: &QuickSites,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> Quick<'_, (), ()> {
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return NotDone };
        let metadata = attributes.metadata();
        if !attributes.is_contextual() {
            return NotDone;
        }
        if !metadata.fields().is_empty() {
            if !Self::has_few_fields(metadata) {
                return NotDone;
            }
            let Some(callsite) = first_probe(sites, metadata) else { return NotDone };
            let Some((place, span)) = self.open.claim_first(key) else { return NotDone };
            // What can be done before the fields are visited need not be remembered meanwhile.
            span.set_origin(callsite);
            hot.set_last_place(place);
            hot.begin_change();
            return HasFields((), span);
        }
        let start = timestamp::read();
        hot.begin_change();
        // An id that is not used after all does no harm.
        let id = hot.next_id_of_block(start);
        hot.end_change();
        let Some(id) = id else { return NotDone };
        let Some(callsite) = first_probe(sites, metadata) else { return NotDone };
        let Some((parent, root)) = self.kin_quickly(hot, id) else { return NotDone };
        let Some((place, span)) = self.open.claim_first(key) else { return NotDone };
        span.set_origin(parent | callsite);
        span.complete(&NewSpan { head: hot.head(), id, root, start });
        hot.set_last_place(place);
        Done(())
    }

    /// The same once more with new ids, if that is what was missing: one span of a block's 64 comes here,
    /// and would else pay for what the general path asks.
    #[inline(never)]
    pub(crate) fn new_span_with_new_ids(
        &self,
        sites: &QuickSites,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> bool {
        if !self.renew_ids() {
            return false;
        }
        match self.new_span_quickly(sites, key, attributes) {
            Done(()) => {}
            HasFields((), span) => self.new_span_with_fields(span, attributes),
            NotDone => return false,
        }
        true
    }

    /// Opens a contextual span with fields in its place.
    #[inline(never)]
    pub(crate) fn new_span_with_fields(&self, span: &OpenSpan, attributes: &Attributes<'_>) {
        let _id = self.fill_with_fields(local::of_owner(), span, attributes);
    }
}

/// The span that was used last closes, on a thread that does not unwind and has a partition of its own
/// with room, which has none once the ring is closed.
#[inline(always)]
pub(crate) fn close_quickly(spans: &Table<OpenSpan>, key: u64) -> bool {
    let (_, span) = spans.wrapped(local::last_place() as usize);
    if !span.has_key(key) || owner_state(span.head()) != local::quick_thread() {
        return false;
    }
    let hot = local::of_owner();
    let end = timestamp::read();
    let extra = span.extra();
    let published = match extra {
        0 => publish_plain(hot, span, end),
        _ => publish_with_fields(hot, span, extra, end),
    };
    if published {
        OpenSpans::remove_plain(span, extra);
    }
    published
}
