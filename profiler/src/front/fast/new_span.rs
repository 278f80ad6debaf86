//! A span is created.

use spandrel_ring::{Table, timestamp};
use tracing_core::span::Attributes;

use self::FastPath::{Done, Fallback, HasFields};
use super::find::{FindSlot, Hashed};
use crate::recorder::Recorder;
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::local::{self, ThreadToken, Within};
use crate::recorder::open_spans::{
    ASIDE, INSIDE, LONG, NewSpan, SlotPosition, SpanSlot, owner_state,
};
use crate::recorder::record::{AGAIN, CALLSITE_LOW_MAX, ENTERED, UPPER_SHIFT};
use crate::recorder::sites::{FastSites, first_probe};

/// The result of the fast path for a new span.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(crate) enum FastPath<'a, K> {
    /// The span is open. This is its key, unless the key was given.
    Done(K),
    /// It has fields, and this slot; `new_span_with_fields` has to be called.
    HasFields(SlotPosition, &'a SpanSlot),
    /// Nothing was done; call the general path.
    Fallback,
}

impl Recorder {
    /// A contextual span is created. If it has fields, it gets a slot here, and
    /// [`new_span_with_fields`](Self::new_span_with_fields) does the rest, and ends the change that
    /// begins here.
    #[inline(always)]
    pub(crate) fn new_span_fast<F: FindSlot>(
        &self,
        sites: &FastSites,
        given: F::Given,
        attributes: &Attributes<'_>,
    ) -> FastPath<'_, F::Key> {
        let Some(token) = local::get_if_owner(self.fast_owner()) else { return Fallback };
        if !attributes.is_contextual() {
            return Fallback;
        }
        let probe = first_probe(sites, attributes.metadata());
        let Some(callsite) = probe.plain() else {
            let Some(callsite) = probe.with_fields() else { return Fallback };
            // Before the fields: after their visit the registry cannot be asked any more.
            if !F::knows_parent(token) {
                return Fallback;
            }
            return self.claim_for_fields::<F>(token, callsite, given);
        };
        self.open_plain::<F>(token, callsite, given)
    }

    /// Takes a slot for a span with fields, and begins a change; the rest is done by
    /// [`new_span_with_fields`](Self::new_span_with_fields).
    #[inline(always)]
    fn claim_for_fields<F: FindSlot>(
        &self,
        token: ThreadToken,
        callsite: u64,
        given: F::Given,
    ) -> FastPath<'_, F::Key> {
        token.begin_change();
        let Some((position, span)) = F::claim(token, &self.open, given) else {
            token.end_change();
            return Fallback;
        };
        // What is done before the visit of the fields need not be saved during it.
        span.set_origin(callsite);
        F::remember(token, position);
        HasFields(position, span)
    }

    /// Opens a contextual span without fields.
    #[inline(always)]
    fn open_plain<F: FindSlot>(
        &self,
        token: ThreadToken,
        callsite: u64,
        given: F::Given,
    ) -> FastPath<'_, F::Key> {
        token.begin_change();
        let Some((position, span)) = F::claim(token, &self.open, given) else {
            token.end_change();
            return Fallback;
        };
        let start = timestamp::read();
        // An id that is not used in the end does no harm.
        let id = token.next_id_of_block(start);
        let opened =
            id.and_then(|id| self.complete_plain::<F>(token, position, span, callsite, id, start));
        match opened {
            Some(key) => Done(key),
            None => {
                F::give_up(token, span);
                token.end_change();
                Fallback
            }
        }
    }

    /// Completes a span without fields and ends the change; `None` if its parent has to be looked for.
    ///
    /// A span without a parent is its own root. The two cases end differently on purpose: if they ended
    /// alike, the compiler would merge them, which takes one register more.
    #[inline(always)]
    fn complete_plain<F: FindSlot>(
        &self,
        token: ThreadToken,
        position: SlotPosition,
        span: &SpanSlot,
        callsite: u64,
        id: u64,
        start: u64,
    ) -> Option<F::Key> {
        if token.is_outside() {
            let key = F::name(position, span, id);
            span.set_origin(callsite);
            token.expect_outside(span);
            span.complete(&NewSpan { head: token.fast_head(), id, root: id, start });
            token.end_change();
            F::remember(token, position);
            return Some(key);
        }
        let (parent_id, parent) = self.parent_fast(token)?;
        F::remember(token, position);
        let key = F::name(position, span, id);
        span.set_origin(parent_id | callsite);
        token.expect_here(span);
        span.complete(&NewSpan { head: token.fast_head(), id, root: parent.root(), start });
        token.end_change();
        Some(key)
    }

    /// Tries again after new ids were taken, if those were missing. One in 64 spans comes here; the
    /// general path would cost it much more.
    #[inline(never)]
    pub(crate) fn new_span_with_new_ids<F: FindSlot>(
        &self,
        sites: &FastSites,
        given: F::Given,
        attributes: &Attributes<'_>,
    ) -> Option<F::Key> {
        // The thread may take the fast paths, and has no ids left.
        let token = local::get_if_owner(self.fast_owner())?;
        if !token.renew_ids(self, timestamp::read()) {
            return None;
        }
        let opened = self.new_span_fast::<F>(sites, given, attributes);
        self.finish_new_span::<F>(opened, attributes)
    }

    /// A contextual span is created in a layer that has asked the registry for its parent. Opened here
    /// if the parent is the span that the thread is known to be in, or if both are none.
    #[inline(never)]
    pub(crate) fn new_span_below(
        &self,
        parent: Option<u64>,
        callsite: CallsiteNumber,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> Option<()> {
        let token = local::get_if_owner(self.fast_owner())?;
        let is_known = match parent {
            None => token.is_outside(),
            // Mostly the span is the thread's own.
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
            return None;
        }
        let callsite = u64::from(callsite) << UPPER_SHIFT;
        let opened = match fields {
            0 => self.open_plain::<Hashed>(token, callsite, key),
            _ => self.claim_for_fields::<Hashed>(token, callsite, key),
        };
        self.finish_new_span::<Hashed>(opened, attributes)
    }

    /// Visits the fields of a new span, if it has any. `None` if nothing was done.
    #[inline(always)]
    fn finish_new_span<F: FindSlot>(
        &self,
        opened: FastPath<'_, F::Key>,
        attributes: &Attributes<'_>,
    ) -> Option<F::Key> {
        match opened {
            Done(key) => Some(key),
            HasFields(position, span) => {
                Some(self.new_span_with_fields::<F>(position, span, attributes))
            }
            Fallback => None,
        }
    }

    /// Opens a contextual span with fields in its slot.
    #[inline(never)]
    pub(crate) fn new_span_with_fields<F: FindSlot>(
        &self,
        position: SlotPosition,
        span: &SpanSlot,
        attributes: &Attributes<'_>,
    ) -> F::Key {
        let id = self.fill_with_fields(local::of_owner(), span, attributes);
        F::name(position, span, id)
    }

    /// The innermost span and its id, if it is the thread's own, and open.
    #[inline(always)]
    pub(super) fn parent_fast(&self, token: ThreadToken) -> Option<(u64, &SpanSlot)> {
        parent_in(token, self.open.slots())
    }
}

/// The same for the recorder with this table.
#[inline(always)]
pub(crate) fn parent_in(token: ThreadToken, spans: &Table<SpanSlot>) -> Option<(u64, &SpanSlot)> {
    let parent = spans.get(local::innermost_own() as usize)?;
    // Compared with the thread's number: `fast_thread` is not set during a change.
    if !is_inside_once(parent.head(), token.thread()) {
        return None;
    }
    let id = parent.id();
    (id != 0).then_some((id, parent))
}

/// Whether a span whose owner is inside is this thread's own, entered once more than left.
#[inline(always)]
fn is_inside_once(head: u64, thread: u32) -> bool {
    // Of a ring file that somebody has cut it may say anything: then it is not the thread's, or is a span without an id.
    owner_state(head) & !(INSIDE | ENTERED | AGAIN | ASIDE | LONG) == thread
}
