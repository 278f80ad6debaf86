//! The records of spans that close.
//!
//! They are published where nothing is out of the ordinary: of a span of the thread's own, which does not
//! unwind and has a partition of its own with room. There is none once the ring is closed.

use spandrel_ring::timestamp;

use super::registers::one_by_one;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{SpanSlot, owner_state, plain_words};
use crate::recorder::record::{AGAIN, ENTERED, SLOT_WORDS, Slot, UNTIMED, UPPER_SHIFT, WIDE};

/// Publishes the record of a span without fields that was entered once.
#[inline(always)]
pub(super) fn publish_plain(token: ThreadToken, span: &SpanSlot, end: u64) -> bool {
    let Some(mut lease) = token.borrow_lease() else { return false };
    let published = lease.publish_if_roomy::<1>(Kind::Span as usize, 1, |_, slot| {
        entered_once_into(slot, span, end, 0);
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
            0 => entered_once_into(slot, span, end(), words),
            // Behind the last word they are anything.
            _ => span.copy_inline_fields(slot),
        }
    });
    token.give_lease_back(lease);
    published
}

/// The same for a span that was entered again. Not together with the others, whose registers it would take.
#[inline(always)]
pub(crate) fn publish_again(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    if owner_state(head) ^ (ENTERED | AGAIN) != local::fast_thread() {
        return false;
    }
    publish_any::<2, 3>(span, extra, head | WIDE, || span.own_busy())
}

/// The same for one of which no times inside are known: where they are measured, one that nobody has entered, and where
/// they are not, any.
#[inline(always)]
pub(crate) fn publish_without_times<const TIMED: bool>(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    let (entered, kind) = if TIMED { (0, 0) } else { (ENTERED | AGAIN, UNTIMED) };
    if owner_state(head) & !entered != local::fast_thread() {
        return false;
    }
    publish_any::<1, 2>(span, extra, head | kind, || 0)
}

/// Publishes the record of a span with this header and word for its busy time, whose fields come behind the first `N`
/// slots of at most `ALL`.
#[inline(always)]
fn publish_any<const N: usize, const ALL: usize>(
    span: &SpanSlot,
    extra: u64,
    header: u64,
    busy: impl Fn() -> u64,
) -> bool {
    let Some(words) = plain_words(extra, SLOT_WORDS) else { return false };
    let token = local::of_owner();
    let end = timestamp::read();
    let Some(mut lease) = token.borrow_lease() else { return false };
    let slots = if words == 0 { N } else { ALL };
    let published =
        lease.publish_if_roomy::<ALL>(Kind::Span as usize, slots, |index, slot| match index {
            0 => {
                close_into(slot, span, header, words);
                slot[5] = end;
                one_by_one();
                slot[6] = busy();
            }
            _ if index < N => entries_into(slot, span),
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published
}

/// Writes the record of a span that was entered once, without its fields: see the module
/// [`record`](crate::recorder::record). Word by word, so that one register is enough for all.
#[inline(always)]
fn entered_once_into(slot: &mut Slot, span: &SpanSlot, end: u64, field_words: usize) {
    slot[5] = end;
    one_by_one();
    close_into(slot, span, span.head(), field_words);
    slot[6] = span.last();
}

/// The words that all records of spans have.
#[inline(always)]
fn close_into(slot: &mut Slot, span: &SpanSlot, head: u64, field_words: usize) {
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
fn entries_into(slot: &mut Slot, span: &SpanSlot) {
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
