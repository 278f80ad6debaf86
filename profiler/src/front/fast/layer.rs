//! The fast paths of a layer: its spans are found by hashing their keys.

use spandrel_ring::{Table, timestamp};
use tracing_core::span::{Attributes, Id};

use super::shared::FastPath::{self, Done, Fallback, HasFields};
use super::shared::{
    enter_at, exit_at, publish_again, publish_never_entered, publish_plain, publish_untimed,
    publish_with_fields, was_inside_once,
};
use crate::recorder::Recorder;
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::local::{self, ThreadToken, Within};
use crate::recorder::open_spans::{NewSpan, OpenSpans, Place, SpanSlot, first_place};
use crate::recorder::record::{CALLSITE_LOW_MAX, UPPER_SHIFT};
use crate::recorder::sites::{FastSites, first_probe};

/// A thread enters the span that it used last. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn enter_fast(spans: &Table<SpanSlot>, key: u64) -> bool {
    enter_at::<true>(spans, local::last_place(), key)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn enter_untimed(spans: &Table<SpanSlot>, key: u64) -> bool {
    enter_at::<false>(spans, local::last_place(), key)
}

/// A thread enters a span at the first place of its set: as a rule another task of the thread's than
/// the one that it was in last. Not together with [`enter_fast`], which would pay for it.
#[inline(always)]
pub(crate) fn enter_first_place(spans: &Table<SpanSlot>, key: u64) -> bool {
    let (place, _) = first_place(spans, key);
    let entered = enter_at::<true>(spans, place, key);
    if entered {
        local::of_owner().set_last_place(place);
    }
    entered
}

/// A thread leaves the innermost span. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn exit_fast(spans: &Table<SpanSlot>, id: &Id) -> bool {
    exit_now::<true>(spans, id)
}

/// The same where busy time is not measured.
#[inline(always)]
pub(crate) fn exit_untimed(spans: &Table<SpanSlot>, id: &Id) -> bool {
    exit_now::<false>(spans, id)
}

#[inline(always)]
fn exit_now<const TIMED: bool>(spans: &Table<SpanSlot>, id: &Id) -> bool {
    let place = local::innermost_own();
    let Some(span) = spans.get(place as usize) else { return false };
    // The id is read no sooner, so that it is compared where it lies.
    span.has_key(id.into_u64())
        && exit_at::<TIMED>(span, span.head(), || local::of_owner().set_last_place(place))
}

impl Recorder {
    /// A contextual span is created. One with fields gets a place, and is then up to
    /// [`new_span_with_fields`](Self::new_span_with_fields), which ends the change that is begun here.
    #[inline(always)]
    pub(crate) fn new_span_fast(
        &self,
        sites: &FastSites,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> FastPath<'_, (), ()> {
        let Some(token) = local::get_if_owner(self.fast_owner()) else { return Fallback };
        if !attributes.is_contextual() {
            return Fallback;
        }
        let probe = first_probe(sites, attributes.metadata());
        let Some(callsite) = probe.plain() else {
            let Some(callsite) = probe.with_fields() else { return Fallback };
            // Before the fields: the registry cannot be asked for the parent behind them.
            if !token.is_all_recorded() {
                return Fallback;
            }
            return self.claim_for_fields(token, callsite, key);
        };
        self.open_plain_hashed(token, callsite, key)
    }

    /// Takes the place of a span with fields, and begins a change, for
    /// [`new_span_with_fields`](Self::new_span_with_fields).
    #[inline(always)]
    fn claim_for_fields(
        &self,
        token: ThreadToken,
        callsite: u64,
        key: u64,
    ) -> FastPath<'_, (), ()> {
        let Some((place, span)) = self.open.claim_first(key) else { return Fallback };
        // What can be done before the fields are visited need not be remembered meanwhile.
        span.set_origin(callsite);
        token.set_last_place(place);
        token.begin_change();
        HasFields((), span)
    }

    /// Opens a contextual span without fields.
    #[inline(always)]
    fn open_plain_hashed(
        &self,
        token: ThreadToken,
        callsite: u64,
        key: u64,
    ) -> FastPath<'_, (), ()> {
        // The place first: the processor compares and swaps by the register that the clock is read into.
        let Some((place, span)) = self.open.claim_first(key) else { return Fallback };
        let start = timestamp::read();
        token.begin_change();
        // An id that is not used after all does no harm.
        let id = token.next_id_of_block(start);
        token.end_change();
        let completed =
            id.and_then(|id| self.complete_plain(token, place, span, callsite, id, start));
        match completed {
            Some(()) => Done(()),
            None => {
                span.give_up();
                Fallback
            }
        }
    }

    /// Completes a span without fields, unless its parent has to be looked for.
    ///
    /// One without a parent is its own root: two ways, which the compiler would make one of if they ended
    /// alike, with a register more.
    #[inline(always)]
    fn complete_plain(
        &self,
        token: ThreadToken,
        place: Place,
        span: &SpanSlot,
        callsite: u64,
        id: u64,
        start: u64,
    ) -> Option<()> {
        if token.is_outside() {
            span.set_origin(callsite);
            token.expect_outside(span);
            span.complete(&NewSpan { head: token.head(), id, root: id, start });
            token.set_last_place(place);
            return Some(());
        }
        let (parent_id, parent) = self.parent_fast(token)?;
        token.set_last_place(place);
        span.set_origin(parent_id | callsite);
        token.expect_here(span);
        span.complete(&NewSpan { head: token.head(), id, root: parent.root(), start });
        Some(())
    }

    /// The same once more with new ids, if that is what was missing: one span of a block's 64 comes here,
    /// and would else pay for what the general path asks.
    #[inline(never)]
    pub(crate) fn new_span_with_new_ids(
        &self,
        sites: &FastSites,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> bool {
        if !self.renew_ids() {
            return false;
        }
        match self.new_span_fast(sites, key, attributes) {
            Done(()) => {}
            HasFields((), span) => self.new_span_with_fields(span, attributes),
            Fallback => return false,
        }
        true
    }

    /// A contextual span is created, in a layer that has asked the registry for its parent. Says whether that is
    /// the span which the thread is known to be in, or none, and it was opened.
    #[inline(never)]
    pub(crate) fn new_span_below(
        &self,
        parent: Option<u64>,
        callsite: CallsiteNumber,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> bool {
        let Some(token) = local::get_if_owner(self.fast_owner()) else { return false };
        let is_known = match parent {
            None => token.is_outside(),
            // Mostly the thread's own.
            Some(parent) => match self.open.get(local::innermost_own()) {
                Some(span) => span.has_key(parent),
                None => matches!(
                    token.within(&self.open, 0),
                    Within::Span(span) if span.has_key(parent)
                ),
            },
        };
        let fields = attributes.metadata().fields().len();
        let is_usual = callsite <= CALLSITE_LOW_MAX && fields <= FIELDS_MAX;
        if !is_known || !is_usual || self.records_all(callsite) {
            return false;
        }
        let callsite = u64::from(callsite) << UPPER_SHIFT;
        let opened = match fields {
            0 => self.open_plain_hashed(token, callsite, key),
            _ => self.claim_for_fields(token, callsite, key),
        };
        match opened {
            Done(()) => {}
            HasFields((), span) => self.new_span_with_fields(span, attributes),
            Fallback => return false,
        }
        true
    }

    /// Opens a contextual span with fields in its place.
    #[inline(never)]
    pub(crate) fn new_span_with_fields(&self, span: &SpanSlot, attributes: &Attributes<'_>) {
        let _id = self.fill_with_fields(local::of_owner(), span, attributes);
    }
}

/// The span that was used last, and entered once, closes, on a thread that does not unwind and has a
/// partition of its own with room, which has none once the ring is closed.
#[inline(always)]
pub(crate) fn close_fast(spans: &Table<SpanSlot>, key: u64) -> bool {
    let (_, span) = spans.wrapped(local::last_place() as usize);
    if !span.has_key(key) || !was_inside_once(span.head()) {
        return false;
    }
    let token = local::of_owner();
    let end = timestamp::read();
    let extra = span.extra();
    let published = match extra {
        0 => publish_plain(token, span, end),
        _ => publish_with_fields(token, span, extra, || end),
    };
    if published {
        OpenSpans::remove_plain(span, extra);
    }
    published
}

/// The same for one that was entered again.
#[inline(always)]
pub(crate) fn close_again(spans: &Table<SpanSlot>, key: u64) -> bool {
    close_otherwise(spans, key, publish_again)
}

/// The same for one that nobody has entered.
#[inline(always)]
pub(crate) fn close_never_entered(spans: &Table<SpanSlot>, key: u64) -> bool {
    close_otherwise(spans, key, publish_never_entered)
}

/// The same for any, where busy time is not measured.
#[inline(always)]
pub(crate) fn close_untimed(spans: &Table<SpanSlot>, key: u64) -> bool {
    close_otherwise(spans, key, publish_untimed)
}

#[inline(always)]
fn close_otherwise(
    spans: &Table<SpanSlot>,
    key: u64,
    publish: impl FnOnce(&SpanSlot, u64) -> bool,
) -> bool {
    let (_, span) = spans.wrapped(local::last_place() as usize);
    let extra = span.extra();
    let published = span.has_key(key) && publish(span, extra);
    if published {
        OpenSpans::remove_plain(span, extra);
    }
    published
}
