//! The common case of each callback, in as few instructions as can be.
//!
//! Everything unusual is checked before anything is changed, and left to the general path in
//! [`recorder`](crate::recorder) by a call in tail position. So nothing is called in the middle, and
//! the compiler neither saves registers nor keeps values on the stack; that alone was a third of
//! the instructions. What both paths do is the same, and tested as the same: whatever happens here
//! may also happen there.
//!
//! One comparison says that a span is the first layer's of this profiler, the calling thread's own,
//! that the thread is outside it (or inside just once), that no other callback is running on it,
//! and that ticks are the time-stamp counter: the span's `head` holds the number of its owner, which
//! no other thread of the process and no other profiler has, beside whether that is inside; and
//! [`local::quick_thread`] is the thread's number only where all the rest holds. Where there is no
//! span yet, [`local::get_if_owner`] does the same; it also tells whether the ring is closed, which
//! matters to a span that begins or ends, and not to one that is entered or left.

use std::thread::panicking;

use spandrel_ring::timestamp;
use tracing_core::Metadata;
use tracing_core::span::Attributes;

use crate::counters::Kind;
use crate::fields::FIELDS_MAX;
use crate::inline_fields::InlineFields;
use crate::local::{self, Hot};
use crate::open_spans::{INSIDE, NewSpan, OpenSpan, OpenSpans, Place, first_place, plain_words};
use crate::record::{self, SLOT_WORDS, Slot, UPPER_SHIFT};
use crate::recorder::Recorder;
use crate::stats::DropReason;

/// Says whether the callback is done.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quick {
    Done,
    /// The span has fields; call [`Recorder::new_span_with_fields`].
    HasFields(Hot),
    /// Nothing was done; call the general path.
    NotDone,
}

use Quick::{Done, HasFields, NotDone};

/// The half of `head` that tells whose the span is and whether that thread is inside.
#[inline(always)]
fn owner_state(head: u64) -> u32 {
    head as u32
}

/// A thread enters the span that it used last. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn enter_quickly(spans: &[OpenSpan], key: u64) -> bool {
    enter_at(spans, local::last_place(), key)
}

/// A thread enters a span at the first place of its set: as a rule another task of the thread's than
/// the one that it was in last. Not together with [`enter_quickly`], which would pay for it.
#[inline(always)]
pub(crate) fn enter_first_place(spans: &[OpenSpan], key: u64) -> bool {
    let place = first_place(spans, key);
    let entered = enter_at(spans, place, key);
    if entered {
        local::of_owner().set_last_place(place);
    }
    entered
}

#[inline(always)]
fn enter_at(spans: &[OpenSpan], place: Place, key: u64) -> bool {
    let Some(span) = spans.get(place as usize) else { return false };
    let head = span.head();
    if !span.has_key(key)
        || owner_state(head) != local::quick_thread()
        || !span.begin_own_poll(head, timestamp::read())
    {
        return false;
    }
    local::of_owner().push_own(place, span);
    true
}

/// A thread leaves the innermost span. `spans` are those of the first layer.
#[inline(always)]
pub(crate) fn exit_quickly(spans: &[OpenSpan], key: u64) -> bool {
    let place = local::innermost_own();
    let Some(span) = spans.get(place as usize) else { return false };
    let Some(outside) = is_inside_once(span.head()) else { return false };
    if !span.has_key(key) {
        return false;
    }
    span.end_own_poll(outside, timestamp::read());
    local::of_owner().set_last_place(place);
    local::of_owner().pop_own(span);
    true
}

/// If the span is the calling thread's own and that is inside it once: its `head` with the thread
/// outside.
#[inline(always)]
fn is_inside_once(head: u64) -> Option<u64> {
    let outside = head.wrapping_sub(u64::from(INSIDE));
    (owner_state(outside) == local::quick_thread()).then_some(outside)
}

impl Recorder {
    /// A contextual span is created.
    #[inline(always)]
    pub(crate) fn new_span_quickly(&self, key: u64, attributes: &Attributes<'_>) -> Quick {
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
        let Some((place, span)) = self.open.claim_first(key) else { return NotDone };
        let root = if root == 0 { id } else { root };
        span.complete(&NewSpan { thread: hot.thread(), id, origin, root, start });
        hot.set_last_place(place);
        Done
    }

    /// A contextual span with fields is created; all words of a place may be used. Returns `false`,
    /// and has done nothing, where the general path is needed.
    ///
    /// Once the fields have been visited there is no way back, because code of the user's may have
    /// run. So what is rare is called from here then, and not left to the general path.
    #[inline(never)]
    pub(crate) fn new_span_with_fields(
        &self,
        hot: Hot,
        key: u64,
        attributes: &Attributes<'_>,
    ) -> bool {
        if attributes.metadata().fields().len() > FIELDS_MAX {
            return false;
        }
        let Some((place, span)) = self.open.claim_first(key) else { return false };
        let mut visitor = InlineFields::new(span.inline_fields(), self.field_words_max);
        attributes.record(&mut visitor);
        if !visitor.is_inline() {
            return self.complete_overflowed(hot, place, attributes, &visitor);
        }
        let words = visitor.len();
        match self.origin_quickly(hot, attributes.metadata()) {
            Some(origin) => self.complete(hot, place, span, origin, words),
            None => _ = self.complete_slowly(hot, place, attributes.metadata(), words),
        }
        true
    }

    /// Ends [`new_span_with_fields`](Self::new_span_with_fields).
    #[inline(always)]
    fn complete(&self, hot: Hot, place: Place, span: &OpenSpan, origin: (u64, u64), words: usize) {
        let start = timestamp::read();
        let id = hot.next_id(self, start);
        let (origin, root) = origin;
        let root = if root == 0 { id } else { root };
        span.set_words(words);
        span.complete(&NewSpan { thread: hot.thread(), id, origin, root, start });
        hot.set_last_place(place);
    }

    /// The same where the parent or the callsite has to be looked for. Says whether the span is
    /// open now.
    #[cold]
    #[inline(never)]
    fn complete_slowly(
        &self,
        hot: Hot,
        place: Place,
        metadata: &'static Metadata<'static>,
        words: usize,
    ) -> bool {
        let span = self.open.span(place);
        let Some(callsite) = self.callsites.number(metadata) else {
            self.open.remove(place);
            self.drop_one(Kind::Span, DropReason::CallsitesFull);
            return false;
        };
        let (parent, root) = self.parent(hot, 0);
        self.complete(hot, place, span, (record::id_and(parent, callsite), root), words);
        true
    }

    /// The same where the place has no room for all fields. Returns `false`, and has given back the
    /// place, if the thread's buffer is gone; no code of the user's has run then.
    #[cold]
    #[inline(never)]
    fn complete_overflowed(
        &self,
        hot: Hot,
        place: Place,
        attributes: &Attributes<'_>,
        visitor: &InlineFields<'_>,
    ) -> bool {
        if visitor.has_failed() {
            self.open.remove(place);
            return false;
        }
        if self.complete_slowly(hot, place, attributes.metadata(), visitor.len()) {
            local::with_cold(|cold| {
                self.open.append_fields(place, cold.fields.words());
                if cold.fields.has_left_out() {
                    self.open.span(place).set_left_out();
                }
            });
        }
        true
    }

    /// Callsite and parent, and root.
    #[inline(always)]
    fn origin_quickly(&self, hot: Hot, metadata: &'static Metadata<'static>) -> Option<(u64, u64)> {
        let callsite = self.callsites.first_probe(metadata)?;
        let (parent, root) = self.parent_quickly(hot)?;
        Some((parent | callsite, root))
    }

    /// Ids of parent and root, 0 for none, if the innermost span is the thread's own.
    #[inline(always)]
    fn parent_quickly(&self, hot: Hot) -> Option<(u64, u64)> {
        if hot.is_outside() {
            return Some((0, 0));
        }
        let span = self.open.get(local::innermost_own())?;
        is_inside_once(span.head())?;
        match span.id() {
            0 => None,
            id => Some((id, span.root())),
        }
    }

    /// The span that was used last closes, on a thread with a partition of its own that has room.
    #[inline(always)]
    pub(crate) fn close_quickly(&self, key: u64) -> bool {
        // This may call; so it comes before there is anything that would have to be kept.
        if panicking() {
            return false;
        }
        // The owner would be enough, but for a ring that is closed: the span may be in the ledger
        // as unfinished by then.
        let Some(hot) = local::get_if_owner(self.quick_owner()) else { return false };
        let Some(span) = self.open.get(local::last_place()) else { return false };
        let head = span.head();
        if !span.has_key(key) || owner_state(head) != local::quick_thread() {
            return false;
        }
        let end = timestamp::read();
        let extra = span.extra();
        if extra != 0 {
            return self.close_with_fields(hot, span, extra, end);
        }
        let class = Kind::Span as usize;
        let published = self.ring.publish_if_roomy::<1>(hot.lease(), class, |_, slot| {
            close_into(slot, span, head, end, 0);
        });
        if published {
            OpenSpans::remove_plain(span);
        }
        published
    }

    /// The same if it has fields, and nothing else is out of the ordinary.
    #[inline(never)]
    fn close_with_fields(&self, hot: Hot, span: &OpenSpan, extra: u64, end: u64) -> bool {
        let Some(words) = plain_words(extra, SLOT_WORDS) else { return false };
        let class = Kind::Span as usize;
        let published = self.ring.publish_if_roomy::<2>(hot.lease(), class, |index, slot| {
            match index {
                0 => close_into(slot, span, span.head(), end, words),
                // Behind the last word they are anything.
                _ => span.copy_inline_fields(slot),
            }
        });
        if published {
            OpenSpans::remove_plain_with_fields(span);
        }
        published
    }
}

/// Writes the record of a plain span, without its fields: see the module [`record`]. Word by word,
/// so that one register is enough for all.
#[inline(always)]
fn close_into(slot: &mut Slot, span: &OpenSpan, head: u64, end: u64, field_words: usize) {
    slot[0] = head;
    slot[1] = span.id();
    slot[2] = span.origin();
    slot[3] = span.root() | (field_words as u64) << UPPER_SHIFT;
    slot[4] = span.start();
    slot[5] = end;
    slot[6] = span.own_busy();
}
