//! The records of spans that close.
//!
//! They are published here in the usual case: the span is the thread's own, the thread is not unwinding,
//! and it has a partition of its own with room. A closed ring has no room.

use spandrel_ring::timestamp;

use super::registers::one_by_one;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{SpanSlot, owner_state, plain_words};
use crate::recorder::record::{
    self, AGAIN, ENTERED, EntriesWords, SLOT_WORDS, Slot, SpanWords, UNTIMED, WIDE, id_and,
};

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

/// The same for a span that may have fields, if they fit into one slot. `extra` is the span's; `end`
/// tells when it ends, and is called when that is written.
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
            // After the last word there may be anything.
            _ => span.copy_inline_fields(slot),
        }
    });
    token.give_lease_back(lease);
    published
}

/// The same for a span that was entered again. Not merged with the others: it would take their
/// registers.
#[inline(always)]
pub(crate) fn publish_again(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    if owner_state(head) ^ (ENTERED | AGAIN) != local::fast_thread() {
        return false;
    }
    publish_any::<2, 3>(span, extra, head | WIDE, || span.own_busy())
}

/// The same for spans without known times inside: if times are measured, a span that was never entered;
/// if they are not, any span.
#[inline(always)]
pub(crate) fn publish_without_times<const TIMED: bool>(span: &SpanSlot, extra: u64) -> bool {
    let head = span.head();
    let (entered, kind) = if TIMED { (0, 0) } else { (ENTERED | AGAIN, UNTIMED) };
    if owner_state(head) & !entered != local::fast_thread() {
        return false;
    }
    publish_any::<1, 2>(span, extra, head | kind, || 0)
}

/// Publishes the record of a span with this header, and this word for its busy time. Its fields come
/// after the first `N` slots; there are at most `ALL`.
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
                let mut record = SpanWords::write(slot);
                close_into(&mut record, span, header, words);
                record.set_end(end);
                one_by_one();
                record.set_last_or_busy(busy());
            }
            _ if index < N => entries_into(slot, span),
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published
}

/// Writes the record of a span that was entered once, without its fields: see the module [`record`].
/// Word by word, so that one register is enough.
#[inline(always)]
fn entered_once_into(slot: &mut Slot, span: &SpanSlot, end: u64, field_words: usize) {
    let mut record = SpanWords::write(slot);
    record.set_end(end);
    one_by_one();
    close_into(&mut record, span, span.head(), field_words);
    record.set_last_or_busy(span.last());
}

/// The same of one that its thread was in from its beginning to its end. (Where times inside are not measured, nobody asks
/// when it was left.)
#[inline(always)]
pub(crate) fn all_entered_into(
    slot: &mut Slot,
    span: &SpanSlot,
    header: impl FnOnce() -> u64,
    end: u64,
    field_words: usize,
) {
    let mut record = SpanWords::write(slot);
    record.set_end(end);
    record.set_last_or_busy(end);
    one_by_one();
    close_into(&mut record, span, header(), field_words);
}

/// Writes the words that all records of spans have.
#[inline(always)]
fn close_into(record: &mut SpanWords<&mut Slot>, span: &SpanSlot, header: u64, field_words: usize) {
    record.set_header(header);
    one_by_one();
    record.set_id(span.id());
    one_by_one();
    record.set_origin(span.origin());
    one_by_one();
    record.set_root(id_and(span.root(), field_words as u16));
    one_by_one();
    record.set_start(span.start());
    one_by_one();
}

/// Writes the second slot of a wide record.
#[inline(always)]
fn entries_into(slot: &mut Slot, span: &SpanSlot) {
    let mut entries = EntriesWords::write(slot);
    entries.set_count(u64::from(record::upper_of(span.head())));
    one_by_one();
    entries.set_first(span.first());
    one_by_one();
    entries.set_last(span.last());
    one_by_one();
    entries.set_longest(span.own_longest());
    one_by_one();
    entries.set_thread(u64::from(record::thread(span.head())));
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::recorder::open_spans::NewSpan;
    use crate::recorder::record::{ClosingSpan, Entries, Status};

    /// A span of thread 7, which is created at 1,000.
    fn span() -> SpanSlot {
        let span = SpanSlot::default();
        span.set_origin(id_and(40, 3));
        span.complete(&NewSpan { head: 7, id: 41, root: 39, start: 1_000 });
        span
    }

    /// The record that the general path writes.
    fn closing(span: &SpanSlot, end: u64, entries: Entries) -> [Slot; 2] {
        let closing = ClosingSpan {
            head: span.head(),
            origin: span.origin(),
            status: Status::Ok,
            left_out: false,
            is_stray: false,
            inside: None,
            id: span.id(),
            root: span.root(),
            start: span.start(),
            end,
            entries,
            is_timed: true,
        };
        closing.words(5).0
    }

    #[test]
    fn a_span_that_was_entered_once_has_the_words_of_the_general_path() {
        let span = span();
        assert!(span.begin_first_entry(span.head(), 1_010));
        span.end_first_entry(1_250);
        let mut slot = Slot::default();
        entered_once_into(&mut slot, &span, 1_300, 5);
        assert_eq!(slot, closing(&span, 1_300, Entries::once(1_010, 1_250, 7))[0]);
    }

    /// Except the bits beside the flags of a wide record, and the bias of the number of its entries.
    #[test]
    fn a_span_that_was_entered_again_is_read_as_one_of_the_general_path() {
        let span = span();
        assert!(span.begin_first_entry(span.head(), 1_010));
        span.end_first_entry(1_250);
        span.begin_second_entry(span.head(), 1_260);
        assert!(span.keep_length(30));
        span.end_further_entry(1_290);
        let mut slots = [Slot::default(); 3];
        let [first, second, fields] = &mut slots;
        let mut words = SpanWords::write(first);
        close_into(&mut words, &span, span.head() | WIDE, 5);
        words.set_end(1_300);
        words.set_last_or_busy(span.own_busy());
        entries_into(second, &span);
        let entries = Entries {
            count: 2,
            busy: 270,
            first: 1_010,
            last: 1_290,
            longest: 240,
            longest_thread: 7,
        };
        let [one, two] = closing(&span, 1_300, entries);
        let general = [one, two, *fields];
        assert_eq!(record::read(slots.as_flattened()), record::read(general.as_flattened()));
        assert!(record::read(slots.as_flattened()).is_some());
    }
}
