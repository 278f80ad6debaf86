//! How a front end finds the slots of its spans.
//!
//! In everything else the callbacks of layer and subscriber are the same. So each is written once,
//! generic over [`FindSlot`], and compiled twice.

use std::num::NonZeroU64;
use std::sync::Arc;

use spandrel_ring::{Table, timestamp};
use tracing_core::span::Id;

use super::publish::{publish_plain, publish_with_fields};
use crate::recorder::Recorder;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::open_spans::free_list::{UNRECORDED, key_of, position_of};
use crate::recorder::open_spans::{Link, OpenSpans, SlotPosition, SpanSlot, first_slot};

/// The key of a span, by value or by reference: a key that is compared in memory needs no register.
pub(crate) trait AsKey: Copy {
    fn key(self) -> u64;
}

impl AsKey for u64 {
    #[inline(always)]
    fn key(self) -> u64 {
        self
    }
}

impl AsKey for &Id {
    #[inline(always)]
    fn key(self) -> u64 {
        self.into_u64()
    }
}

/// How a front end finds the slot of a span, and what happens to free slots.
pub(crate) trait FindSlot: 'static {
    /// Whether the front end makes up the keys of its spans, which contain the slot.
    const IS_DIRECT: bool;

    /// What is known about the key of a span before it has a slot.
    type Given: Copy;
    /// The key of a new span, unless it is given.
    type Key: Copy;

    /// Where the span that is entered or closed is in the usual case.
    fn likely(id: impl AsKey) -> SlotPosition;

    /// Where to look for it next.
    #[inline(always)]
    fn first(_: &Table<SpanSlot>, key: u64) -> SlotPosition {
        Self::likely(key)
    }

    /// The innermost span of the thread, if it is the thread's own and has this id.
    fn innermost(spans: &Table<SpanSlot>, id: impl AsKey) -> Option<(SlotPosition, &SpanSlot)>;

    /// The link to a span that its owner enters, in the slot at this position of the table.
    fn link(position: usize, id: impl AsKey) -> Link;

    /// Remembers where the thread should look first the next time.
    #[inline(always)]
    fn remember(_: ThreadToken, _: SlotPosition) {}

    /// Whether a new span's fields may be visited before its parent is looked for.
    #[inline(always)]
    fn knows_parent(_: ThreadToken) -> bool {
        true
    }

    /// Takes a slot for a new span. The caller has begun a change.
    fn claim(
        token: ThreadToken,
        open: &OpenSpans,
        given: Self::Given,
    ) -> Option<(SlotPosition, &SpanSlot)>;

    /// Gives back what [`claim`](Self::claim) has taken, in the same change.
    fn give_up(token: ThreadToken, span: &SpanSlot);

    /// Gives a new span its key.
    fn name(position: SlotPosition, span: &SpanSlot, id: u64) -> Self::Key;

    /// Publishes the record of a span that was entered once, which ends now.
    fn publish_once(token: ThreadToken, span: &SpanSlot, extra: u64) -> bool;

    /// Empties the slot of a span whose `extra` says nothing except that it may have fields.
    fn vacate(span: &SpanSlot, extra: u64);

    /// Keeps an empty slot. Always `true`, for callers that end with this.
    #[inline(always)]
    fn keep(_: &OpenSpans, _: SlotPosition) -> bool {
        true
    }

    /// A handle is dropped, or the span closes: the general case. Returns whether the span has closed.
    fn close_slow(recorder: &Arc<Recorder>, layer: u16, key: u64) -> bool;

    /// Whether this is the key of no span.
    #[inline(always)]
    fn is_none(_: u64) -> bool {
        false
    }

    /// A thread leaves a span that is not recorded. Returns whether it was the innermost one of its
    /// layer.
    #[inline(always)]
    fn exit_unrecorded(_: &Arc<Recorder>, _layer: u16, _key: u64) -> bool {
        false
    }
}

/// The spans of a layer: their keys are the registry's, and hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hashed {}

impl FindSlot for Hashed {
    const IS_DIRECT: bool = false;

    type Given = u64;
    type Key = ();

    /// The slot that the thread has used last.
    #[inline(always)]
    fn likely(_: impl AsKey) -> SlotPosition {
        local::last_position()
    }

    /// The first slot of its set. This is mostly the slot of another task than the one that the thread
    /// was in last. Not done in [`likely`](FindSlot::likely), which would become slower.
    #[inline(always)]
    fn first(spans: &Table<SpanSlot>, key: u64) -> SlotPosition {
        first_slot(spans, key).0
    }

    #[inline(always)]
    fn innermost(spans: &Table<SpanSlot>, id: impl AsKey) -> Option<(SlotPosition, &SpanSlot)> {
        // The whole link to one of these is its position.
        let position = local::innermost() as usize;
        let span = spans.get(position)?;
        // The id is read as late as possible, so that it is compared in memory.
        span.has_key(id.key()).then_some((position as SlotPosition, span))
    }

    /// The registry keeps parents open.
    #[inline(always)]
    fn link(position: usize, _: impl AsKey) -> Link {
        position as Link
    }

    #[inline(always)]
    fn remember(token: ThreadToken, position: SlotPosition) {
        token.set_last_position(position);
    }

    /// The registry cannot be asked for the parent while it creates the span.
    #[inline(always)]
    fn knows_parent(token: ThreadToken) -> bool {
        token.is_all_recorded()
    }

    #[inline(always)]
    fn claim(_: ThreadToken, open: &OpenSpans, key: u64) -> Option<(SlotPosition, &SpanSlot)> {
        open.claim_first(key)
    }

    #[inline(always)]
    fn give_up(_: ThreadToken, span: &SpanSlot) {
        span.give_up();
    }

    #[inline(always)]
    fn name(_: SlotPosition, _: &SpanSlot, _id: u64) {}

    /// Two versions: fewer instructions for spans without fields, but more code.
    #[inline(always)]
    fn publish_once(token: ThreadToken, span: &SpanSlot, extra: u64) -> bool {
        let end = timestamp::read();
        match extra {
            0 => publish_plain(token, span, end),
            _ => publish_with_fields(token, span, extra, || end),
        }
    }

    #[inline(always)]
    fn vacate(span: &SpanSlot, extra: u64) {
        OpenSpans::remove_plain(span, extra);
    }

    #[inline(always)]
    fn close_slow(recorder: &Arc<Recorder>, layer: u16, key: u64) -> bool {
        recorder.close_slow(layer, key);
        true
    }

    #[inline(always)]
    fn exit_unrecorded(recorder: &Arc<Recorder>, layer: u16, key: u64) -> bool {
        recorder.exit_unrecorded(layer, key)
    }
}

/// The spans of our own subscriber, whose keys name their slots.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Indexed {}

impl FindSlot for Indexed {
    const IS_DIRECT: bool = true;

    type Given = ();
    type Key = NonZeroU64;

    #[inline(always)]
    fn likely(id: impl AsKey) -> SlotPosition {
        position_of(id.key())
    }

    #[inline(always)]
    fn innermost(spans: &Table<SpanSlot>, id: impl AsKey) -> Option<(SlotPosition, &SpanSlot)> {
        let position = position_of(id.key());
        let (_, span) = spans.wrapped(position as usize);
        (local::innermost() == id.key() && span.has_key(id.key())).then_some((position, span))
    }

    /// The key, which contains the position.
    #[inline(always)]
    fn link(_: usize, id: impl AsKey) -> Link {
        id.key()
    }

    #[inline(always)]
    fn claim(token: ThreadToken, open: &OpenSpans, (): ()) -> Option<(SlotPosition, &SpanSlot)> {
        token.take_slot_in_change(open)
    }

    #[inline(always)]
    fn give_up(token: ThreadToken, _: &SpanSlot) {
        token.put_slot_back();
    }

    #[inline(always)]
    fn name(position: SlotPosition, span: &SpanSlot, id: u64) -> NonZeroU64 {
        let key = key_of(position, id);
        span.set_key(key.get());
        key
    }

    /// The clock is read last, when few values are still needed: this version saves no registers.
    #[inline(always)]
    fn publish_once(token: ThreadToken, span: &SpanSlot, extra: u64) -> bool {
        publish_with_fields(token, span, extra, timestamp::read)
    }

    #[inline(always)]
    fn vacate(span: &SpanSlot, extra: u64) {
        OpenSpans::vacate_plain(span, extra);
    }

    #[inline(always)]
    fn keep(open: &OpenSpans, position: SlotPosition) -> bool {
        local::of_owner().keep_slot(position) || open.give_slot_back(position)
    }

    #[inline(always)]
    fn close_slow(recorder: &Arc<Recorder>, layer: u16, key: u64) -> bool {
        recorder.drop_handle_slow(layer, key)
    }

    #[inline(always)]
    fn is_none(key: u64) -> bool {
        key == UNRECORDED.get()
    }
}
