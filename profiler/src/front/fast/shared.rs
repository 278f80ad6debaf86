//! What the fast paths of both front ends share.

use std::sync::atomic::{Ordering, compiler_fence};
use std::thread::panicking;

use spandrel_ring::{Table, timestamp};
use tracing_core::span::Attributes;

use super::inline_fields::InlineFields;
use crate::recorder::Recorder;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{
    ASIDE, INSIDE, LONG, NewSpan, Place, SpanSlot, count_of, plain_words,
};
use crate::recorder::record::{
    AGAIN, ENTERED, SLOT_WORDS, Slot, THREAD_MAX, UNTIMED, UPPER_SHIFT, WIDE,
};

/// What a new span has come to on its fast path.
#[must_use]
#[derive(Debug, Clone, Copy)]
pub(crate) enum FastPath<'a, T, P> {
    Done(T),
    /// The span has fields, and this place; call the function for those.
    HasFields(P, &'a SpanSlot),
    /// Nothing was done; call the general path.
    Fallback,
}

/// The half of `head` that tells whose the span is and whether that thread is inside.
#[inline(always)]
pub(super) fn owner_state(head: u64) -> u32 {
    head as u32
}

/// A thread enters a span of its own that is at this place, if that is so. The place may be one of another
/// table.
///
/// Where times inside are not measured, there are paths of their own, so that the usual ones need not ask: the
/// table of the usual ones is empty then.
#[inline(always)]
pub(super) fn enter_at<const TIMED: bool>(spans: &Table<SpanSlot>, place: Place, key: u64) -> bool {
    let now = || if TIMED { timestamp::read() } else { 0 };
    let (place, span) = spans.wrapped(place as usize);
    let head = span.head();
    // Inside the same span as at its creation, or the last time.
    if !span.has_key(key) || span.outer() != local::innermost_own() {
        return false;
    }
    let place = place as Place;
    // In each of the ways below it is inside by the time that it is pushed, so that the handler of a
    // signal that enters the span is inside once more, and does not link it to itself.
    if owner_state(head) == local::fast_thread() {
        if !TIMED {
            span.begin_first_entry_untimed(head);
        } else if !span.begin_first_entry(head, now()) {
            return false;
        }
        local::of_owner().push_here(place);
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(ENTERED | AGAIN) == local::fast_thread() {
        if !span.begin_further_entry(head, now) {
            return false;
        }
        local::of_owner().push_here(place);
        one_by_one();
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(ENTERED) == local::fast_thread() {
        span.begin_second_entry(head, now());
        local::of_owner().push_here(place);
        // As `one_by_one`, and unlike it: so that this way ends otherwise than that above.
        compiler_fence(Ordering::Release);
        return true;
    }
    false
}

/// A thread leaves the innermost span, if it is its own and it is inside once. `left` is called then.
#[inline(always)]
pub(super) fn exit_at<const TIMED: bool>(span: &SpanSlot, head: u64, left: impl Fn()) -> bool {
    let now = || if TIMED { timestamp::read() } else { 0 };
    if owner_state(head).wrapping_sub(INSIDE) == local::fast_thread() {
        // While it is still inside: as in `enter_at`.
        local::of_owner().pop_own(span);
        span.end_first_entry(now());
        left();
        return true;
    }
    seldom();
    if owner_state(head).wrapping_sub(INSIDE | ENTERED | AGAIN) != local::fast_thread() {
        return false;
    }
    let entered = span.last();
    if TIMED && local::is_old(|| span.start(), entered) {
        return false;
    }
    let now = now();
    if !span.keep_length(now.wrapping_sub(entered)) {
        return false;
    }
    local::of_owner().pop_own(span);
    span.end_further_entry(now);
    left();
    one_by_one();
    true
}

/// A thread enters a span of its own that it has entered before, and whose entries may have to be recorded: one that
/// has lived long, or elsewhere than inside its parent, as a system in a frame. `recorder` is whose spans these are. `None`,
/// and nothing was done, if it is another case; else the place.
#[inline(never)]
pub(crate) fn enter_recorded(
    recorder: &Recorder,
    spans: &Table<SpanSlot>,
    place: Place,
    key: u64,
) -> Option<Place> {
    let (index, span) = spans.wrapped(place as usize);
    let (place, head) = (index as Place, span.head());
    let is_own = owner_state(head) & !LONG ^ (ENTERED | AGAIN) == local::fast_thread();
    if !span.has_key(key) || !is_own || !recorder.has_entries() {
        return None;
    }
    let token = local::of_owner();
    // As in `enter_at`.
    if span.outer() == local::innermost_own() {
        if !span.begin_long_entry(head, timestamp::read) {
            return None;
        }
        token.push_here(place);
        return Some(place);
    }
    if !recorder.open.foreign(place).is_stray() {
        return None;
    }
    let is_outside = token.is_outside();
    // Of the thread's own, and open.
    if !is_outside && spans.get(local::innermost_own() as usize)?.id() == 0 {
        return None;
    }
    if !span.begin_long_entry(head, timestamp::read) {
        return None;
    }
    if !is_outside {
        span.set_aside();
    }
    token.push_own(place, span);
    Some(place)
}

/// The end of an entry that may have to be recorded: of a span that was entered before, and is the innermost
/// one. `recorder` is whose spans these are. `None`, and nothing was done, if it is another case; else the place.
///
/// Not together with the others, whose registers it would take.
#[inline(never)]
pub(crate) fn exit_recorded(
    recorder: &Recorder,
    spans: &Table<SpanSlot>,
    key: u64,
) -> Option<Place> {
    let place = local::innermost_own();
    let span = spans.get(place as usize)?;
    let head = span.head();
    let is_aside = owner_state(head) & ASIDE != 0;
    let state = (owner_state(head) & !(ASIDE | LONG)).wrapping_sub(INSIDE | ENTERED | AGAIN);
    if !span.has_key(key) || state != local::fast_thread() {
        return None;
    }
    let token = local::of_owner();
    let around = token.around_own(spans, span)?;
    let entered = span.last();
    let now = timestamp::read().max(entered);
    let count = count_of(head);
    // Where it is entered for the first time, others may have been inside before.
    if count <= 1 {
        return None;
    }
    if let Some(entry) =
        recorder.further_entry(token, (place, span), (around, is_aside), count, (entered, now))
    {
        let mut lease = token.borrow_lease()?;
        let published = lease.has_spare(1)
            && lease
                .publish_if_roomy::<1>(Kind::Entry as usize, 1, |_, slot| *slot = entry.words());
        token.give_lease_back(lease);
        if !published {
            return None;
        }
    }
    // Not negative.
    let _ = span.keep_length(now - entered);
    token.pop_own(span);
    if is_aside {
        span.end_aside();
    }
    span.end_further_entry(now);
    if is_aside {
        token.expect_nowhere(span);
    }
    token.set_long_age(recorder.long_age());
    Some(place)
}

/// Whether a span in which its owner is, is this thread's own and that is inside it once.
#[inline(always)]
pub(super) fn is_inside_once(head: u64, thread: u32) -> bool {
    debug_assert!(owner_state(head) & INSIDE != 0 || owner_state(head) & THREAD_MAX != thread);
    owner_state(head) & !(INSIDE | ENTERED | AGAIN | ASIDE | LONG) == thread
}

impl Recorder {
    /// Takes new ids for a thread to which the fast paths are open and which has none left. Says whether
    /// that was so.
    #[inline(always)]
    pub(super) fn renew_ids(&self) -> bool {
        local::get_if_owner(self.fast_owner())
            .is_some_and(|token| token.renew_ids(self, timestamp::read()))
    }

    /// Visits the fields of a contextual span of the first layer and opens it in a place that it has
    /// taken, in which its callsite stands already, for whoever has begun a change, which ends here.
    /// Returns its id.
    ///
    /// Once the fields have been visited there is no way back, because code of the user's may have
    /// run. So what is rare is called from here, and not left to the general path. What is called is
    /// the visit, so little is to be remembered across it: the span, which the visitor knows.
    #[inline(always)]
    pub(super) fn fill_with_fields(
        &self,
        token: ThreadToken,
        span: &SpanSlot,
        attributes: &Attributes<'_>,
    ) -> u64 {
        let mut visitor = InlineFields::new(span);
        attributes.record(&mut visitor);
        let Some(words) = visitor.len_if_inline() else {
            return self.complete_overflowed(token, attributes, &visitor);
        };
        let span = visitor.span();
        let start = timestamp::read();
        let id = token.next_id_in_change(self, start);
        // Each way ends for itself: the thread's cells would have to be looked up again behind a call. And no
        // two of them alike, as in `complete_plain`.
        if token.is_outside() {
            span.set_words(words);
            token.expect_outside(span);
            span.complete(&NewSpan { head: token.fast_head(), id, root: id, start });
            token.end_change();
            return id;
        }
        let Some((_, parent)) = self.parent_fast(token) else {
            return self.complete_slow(token, span, words);
        };
        span.set_words(words);
        token.expect_here(span);
        span.set_origin(parent.id() | span.origin());
        span.complete(&NewSpan { head: token.fast_head(), id, root: parent.root(), start });
        token.end_change();
        id
    }

    /// Opens a span whose fields and callsite are in its place, where the parent has to be looked for.
    /// Returns its id.
    #[cold]
    #[inline(never)]
    fn complete_slow(&self, token: ThreadToken, span: &SpanSlot, words: usize) -> u64 {
        let id = self.complete_in_change(token, span, words);
        token.end_change();
        id
    }

    fn complete_in_change(&self, token: ThreadToken, span: &SpanSlot, words: usize) -> u64 {
        // That of a layer which is not recorded was looked for beforehand.
        let parent = token.current(&self.open, 0);
        let (parent, root) = parent.map_or((0, 0), |span| (span.id(), span.root()));
        span.set_origin(parent | span.origin());
        token.expect_inside(&self.open, parent, span);
        let start = timestamp::read();
        let id = token.next_id_in_change(self, start);
        let root = if root == 0 { id } else { root };
        span.set_words(words);
        span.complete(&NewSpan { head: token.head(), id, root, start });
        id
    }

    /// The same where the place has no room for all fields.
    #[cold]
    #[inline(never)]
    fn complete_overflowed(
        &self,
        token: ThreadToken,
        attributes: &Attributes<'_>,
        visitor: &InlineFields<'_>,
    ) -> u64 {
        // Of a thread that is ending and has no buffer any more, all fields go there.
        let words = if visitor.has_failed() { 0 } else { visitor.len() };
        let span = visitor.span();
        let id = self.complete_in_change(token, span, words);
        let append = |fields: &FieldBuffer| {
            let place = self.open.place_of(span);
            let kept = self.open.append_fields(place, id, fields.words(), fields.declared());
            fields.mark(span, kept);
        };
        if visitor.has_failed() {
            let mut fields = FieldBuffer::new(self.field_words_max);
            fields.begin(attributes.metadata().fields().len());
            token.in_user_code(|| attributes.record(&mut fields));
            append(&fields);
        } else {
            let appended = local::with_thread_state(|thread_state| append(&thread_state.fields));
            if appended.is_err() {
                span.set_left_out();
            }
        }
        token.end_change();
        id
    }

    /// Parent, or 0, and root of a new span with this id; if the innermost span is the thread's own.
    #[inline(always)]
    pub(super) fn kin_fast(&self, token: ThreadToken, id: u64) -> Option<(u64, u64)> {
        if token.is_outside() {
            return Some((0, id));
        }
        self.parent_fast(token).map(|(_, parent)| (parent.id(), parent.root()))
    }

    /// The innermost span and its id, if it is the thread's own and open.
    #[inline(always)]
    pub(super) fn parent_fast(&self, token: ThreadToken) -> Option<(u64, &SpanSlot)> {
        let parent = self.open.get(local::innermost_own())?;
        // Not the fast thread, which there is none of during a change.
        if !is_inside_once(parent.head(), token.thread()) {
            return None;
        }
        let id = parent.id();
        (id != 0).then_some((id, parent))
    }
}

/// Whether the span is the calling thread's own, which has been inside once, and left.
#[inline(always)]
pub(super) fn was_inside_once(head: u64) -> bool {
    owner_state(head) ^ ENTERED == local::fast_thread()
}

/// Publishes the record of a span without fields that was entered once, of which nothing is out of the
/// ordinary, on a thread with a partition of its own that has room.
#[inline(always)]
pub(super) fn publish_plain(token: ThreadToken, span: &SpanSlot, end: u64) -> bool {
    let Some(mut lease) = token.borrow_lease() else { return false };
    let published = lease.publish_if_roomy::<1>(Kind::Span as usize, 1, |_, slot| {
        close_once(slot, span, end, 0);
    });
    token.give_lease_back(lease);
    published
}

/// The same for one that may have fields, if they fit one slot. `extra` is the span's; `end` says
/// when it ends, and is called where that is written.
#[inline(always)]
pub(super) fn publish_with_fields(
    token: ThreadToken,
    span: &SpanSlot,
    extra: u64,
    end: impl Fn() -> u64,
) -> bool {
    let Some(words) = plain_words(extra, SLOT_WORDS) else { return false };
    let Some(mut lease) = token.borrow_lease() else { return false };
    let slots = if words == 0 { 1 } else { 2 };
    let published = lease.publish_if_roomy::<2>(Kind::Span as usize, slots, |index, slot| {
        match index {
            0 => close_once(slot, span, end(), words),
            // Behind the last word they are anything.
            _ => span.copy_inline_fields(slot),
        }
    });
    token.give_lease_back(lease);
    published
}

/// The same for a span of the calling thread's that was entered again. Not together with the others, whose
/// registers it would take.
#[inline(always)]
pub(super) fn publish_again(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    let is_again = owner_state(head) ^ (ENTERED | AGAIN) == local::fast_thread();
    let Some(words) = plain_words(extra, SLOT_WORDS).filter(|_| is_again) else { return false };
    let token = local::of_owner();
    let end = timestamp::read();
    let Some(mut lease) = token.borrow_lease() else { return false };
    let slots = if words == 0 { 2 } else { 3 };
    let published =
        lease.publish_if_roomy::<3>(Kind::Span as usize, slots, |index, slot| match index {
            0 => {
                close_into(slot, span, (head << 16 >> 16) | WIDE, words);
                slot[5] = end;
                one_by_one();
                slot[6] = span.own_busy();
            }
            1 => entries_into(slot, span),
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published
}

/// The same for one that nobody has entered.
#[inline(always)]
pub(super) fn publish_never_entered(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    let is_never = owner_state(head) == local::fast_thread();
    let Some(words) = plain_words(extra, SLOT_WORDS).filter(|_| is_never) else { return false };
    let token = local::of_owner();
    let end = timestamp::read();
    let Some(mut lease) = token.borrow_lease() else { return false };
    let slots = if words == 0 { 1 } else { 2 };
    let published =
        lease.publish_if_roomy::<2>(Kind::Span as usize, slots, |index, slot| match index {
            0 => {
                close_into(slot, span, head << 16 >> 16, words);
                slot[5] = end;
                one_by_one();
                slot[6] = 0;
            }
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published
}

/// The same where times inside are not measured.
#[inline(always)]
pub(super) fn publish_untimed(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    let is_own = owner_state(head) & !(ENTERED | AGAIN) == local::fast_thread();
    let words = plain_words(extra, SLOT_WORDS).filter(|_| is_own);
    let Some(words) = words else { return false };
    let token = local::of_owner();
    let end = timestamp::read();
    let Some(mut lease) = token.borrow_lease() else { return false };
    let slots = if words == 0 { 1 } else { 2 };
    let published =
        lease.publish_if_roomy::<2>(Kind::Span as usize, slots, |index, slot| match index {
            0 => {
                close_into(slot, span, head | UNTIMED, words);
                slot[5] = end;
                one_by_one();
                slot[6] = 0;
            }
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published
}

/// Writes the record of a span that was entered once, without its fields: see the module
/// [`record`](crate::recorder::record). Word by word, so that one register is enough for all.
#[inline(always)]
pub(super) fn close_once(slot: &mut Slot, span: &SpanSlot, end: u64, field_words: usize) {
    slot[5] = end;
    one_by_one();
    close_into(slot, span, span.head(), field_words);
    slot[6] = span.last();
}

/// The words that all records of spans have.
#[inline(always)]
pub(super) fn close_into(slot: &mut Slot, span: &SpanSlot, head: u64, field_words: usize) {
    slot[0] = head;
    one_by_one();
    slot[1] = span.id();
    one_by_one();
    slot[2] = span.origin();
    one_by_one();
    slot[3] = span.root() | (field_words as u64) << UPPER_SHIFT;
    one_by_one();
    slot[4] = span.start();
    one_by_one();
}

/// The second slot of a wide record.
#[inline(always)]
pub(super) fn entries_into(slot: &mut Slot, span: &SpanSlot) {
    slot[0] = span.head() >> UPPER_SHIFT;
    one_by_one();
    slot[1] = span.first();
    one_by_one();
    slot[2] = span.last();
    one_by_one();
    slot[3] = span.own_longest();
    one_by_one();
    slot[4] = u64::from(crate::recorder::record::thread(span.head()));
}

/// What follows is for fewer spans than what stands beside it: the compiler puts it behind that, and
/// reads anew what it compares, rather than from a register that the other way would have to fill.
#[inline(always)]
pub(super) fn seldom() {
    unlikely();
    one_by_one();
}

#[cold]
#[inline]
pub(super) fn unlikely() {}

/// Keeps the compiler from loading all words before it stores the first one, which takes as many
/// registers, and those have to be saved. Orders nothing between threads.
#[inline(always)]
pub(super) fn one_by_one() {
    compiler_fence(Ordering::AcqRel);
}

/// Whether the calling thread unwinds. This may call; so it comes before there is anything that would
/// have to be kept.
#[inline(always)]
pub(crate) fn is_panicking() -> bool {
    panicking()
}
