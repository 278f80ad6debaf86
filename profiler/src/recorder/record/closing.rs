//! The record of a span that closes.

use super::entries::Entries;
use super::layout::{
    CALLSITE_HIGH, ENTERED, EntriesWords, LEFT_OUT_SHIFT, SAYS_INSIDE_SHIFT, SLOT_WORDS,
    SPAN_WORDS, SPAN_WORDS_WIDE, STATUS_SHIFT, STRAY_SHIFT, Slot, SpanWords, THREAD_MAX, UNTIMED,
    UNTIMED_ENTRIES_MAX, UPPER_SHIFT, WAIT_MAX, WIDE, id_and, thread,
};
use super::status::Status;

/// What is written into the record of a span that closes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClosingSpan {
    /// The span's `head`: thread, and the upper part of the callsite's number.
    pub(crate) head: u64,
    /// Callsite and parent.
    pub(crate) origin: u64,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    /// Whether it was entered elsewhere than inside its parent.
    pub(crate) is_stray: bool,
    /// As in a [`SpanHead`](super::SpanHead).
    pub(crate) inside: Option<u64>,
    pub(crate) id: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) entries: Entries,
    /// Whether times inside are measured.
    pub(crate) is_timed: bool,
}

impl ClosingSpan {
    /// The slots before the fields, and how many of their words count.
    pub(crate) fn words(&self, field_words: usize) -> ([Slot; 2], usize) {
        let Entries { count, busy, first, last, longest, longest_thread } = self.entries;
        let wait = first.wrapping_sub(self.start);
        let is_once = count == 1 && wait <= WAIT_MAX && longest_thread == thread(self.head);
        let narrow = match self.is_timed {
            true if count == 0 => Some((0, 0)),
            true => is_once.then_some((u64::from(ENTERED) | wait << UPPER_SHIFT, last)),
            false => (count <= UNTIMED_ENTRIES_MAX).then_some((UNTIMED | count << UPPER_SHIFT, 0)),
        };
        let says_inside = narrow.is_none() && self.inside.is_some();
        let kind = if self.is_timed { 0 } else { UNTIMED };
        let (flags, word) = narrow.unwrap_or((WIDE | kind, busy));
        let header = self.head & (THREAD_MAX as u64 | CALLSITE_HIGH)
            | (self.status as u64) << STATUS_SHIFT
            | u64::from(self.left_out) << LEFT_OUT_SHIFT
            | u64::from(self.is_stray) << STRAY_SHIFT
            | u64::from(says_inside) << SAYS_INSIDE_SHIFT
            | flags;
        let mut slots = [[0; SLOT_WORDS]; 2];
        let [first_slot, second_slot] = &mut slots;
        let mut span = SpanWords::write(first_slot);
        span.set_header(header);
        span.set_id(self.id);
        span.set_origin(self.origin);
        span.set_root(id_and(self.root, field_words as u16));
        span.set_start(self.start);
        span.set_end(self.end);
        span.set_last_or_busy(word);
        if narrow.is_some() {
            return (slots, SPAN_WORDS);
        }
        let mut entries = EntriesWords::write(second_slot);
        entries.set_count(count);
        entries.set_first(first);
        entries.set_last(last);
        entries.set_longest(longest);
        entries.set_thread(u64::from(longest_thread));
        entries.set_inside(self.inside.unwrap_or(0));
        (slots, SPAN_WORDS_WIDE)
    }
}
