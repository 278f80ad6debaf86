//! Fields that are recorded into a span after it was made, and those for which its place has no room.

use super::bits::{PENDING_SHIFT, RESERVED, SPILLED, settled_words};
use super::{ATTEMPTS, INLINE_WORDS, OpenSpan, OpenSpans, Place};
use crate::fields::{Fields, index_of, len_of};
use crate::record::SLOT_WORDS;
use crate::sync::{AtomicU64, Ordering};

impl OpenSpans {
    /// How many more words of fields a span may have.
    pub(crate) fn field_room(&self, place: Place) -> usize {
        self.field_words_max.saturating_sub(self.span(place).field_words())
    }

    /// Records fields into a span that has some. A field that it has already, of the same length, is
    /// overwritten in its place, so that a counter can be recorded for ever; others are added.
    #[cold]
    pub(crate) fn record_fields(&self, place: Place, mut fields: &[u64]) {
        let span = self.span(place);
        while let Some(&header) = fields.first() {
            let Some((field, rest)) = fields.split_at_checked(len_of(header)) else { return };
            if !self.overwrite_field(span, field) {
                self.append_fields(span, field);
            }
            fields = rest;
        }
    }

    /// Says whether there was such a field.
    fn overwrite_field(&self, span: &OpenSpan, field: &[u64]) -> bool {
        // Acquire: pairs with the Release in `append_fields`, on whichever thread.
        let Some(end) = settled_words(span.extra.load(Ordering::Acquire)) else {
            return false; // somebody adds fields right now; this one comes behind them
        };
        let mut at = 0;
        // The last one counts; to overwrite an earlier one would change nothing.
        let mut last = None;
        while at < end {
            let header = self.field_word(span, at).load(Ordering::Relaxed);
            if index_of(header) == index_of(field[0]) {
                last = Some((at, len_of(header)));
            }
            at += len_of(header);
        }
        let Some((at, _)) = last.filter(|(_, len)| *len == field.len()) else { return false };
        // The header last: it has the value of a small number, and the length of a text.
        for (index, word) in field.iter().enumerate().rev() {
            self.field_word(span, at + index).store(*word, Ordering::Release);
        }
        true
    }

    /// Adds fields to a span. What does not fit is left out, whole fields at a time, and the span
    /// marked so.
    #[cold]
    pub(crate) fn append_fields(&self, span: &OpenSpan, fields: &[u64]) {
        for _ in 0..ATTEMPTS {
            // The flags first: to take a spill buffer sets one.
            let start = span.field_words();
            let room = self.room(span, start, fields.len());
            let kept = if fields.len() > room { whole_fields(fields, room) } else { fields };
            let (end, words) = (start + kept.len(), kept.len() as u64);
            let before = span.extra.load(Ordering::Relaxed);
            // Relaxed: divides the words among threads that record into the same span.
            if (before & RESERVED) as usize != start
                || span
                    .extra
                    .compare_exchange(
                        before,
                        before + (words | words << PENDING_SHIFT),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    )
                    .is_err()
            {
                continue;
            }
            for (index, word) in (start..end).zip(kept) {
                self.field_word(span, index).store(*word, Ordering::Release);
            }
            // Release: pairs with the Acquire in `look`; the words are complete.
            span.extra.fetch_sub(words << PENDING_SHIFT, Ordering::Release);
            if kept.len() < fields.len() {
                span.set_left_out();
            }
            return;
        }
        span.set_left_out();
    }

    /// How many of `wanted` words there is room for behind the first `start`; takes a spill buffer
    /// if they need one.
    fn room(&self, span: &OpenSpan, start: usize, wanted: usize) -> usize {
        if start + wanted <= INLINE_WORDS {
            return wanted;
        }
        if span.spill.load(Ordering::Acquire) == 0
            && let Some(spill) = self.spills.claim(span.key.load(Ordering::Relaxed))
        {
            span.mark(SPILLED);
            // AcqRel: pairs with itself on another thread that records into the same span.
            if span.spill.compare_exchange(0, spill, Ordering::AcqRel, Ordering::Acquire).is_err() {
                self.spills.release(spill);
            }
        }
        let end = match span.spill.load(Ordering::Acquire) {
            0 => INLINE_WORDS.min(self.field_words_max),
            _ => self.field_words_max,
        };
        end.saturating_sub(start)
    }

    #[inline]
    fn field_word<'a>(&'a self, span: &'a OpenSpan, index: usize) -> &'a AtomicU64 {
        match span.fields.get(index) {
            Some(word) => word,
            None => self.spills.word(span.spill.load(Ordering::Relaxed), index - INLINE_WORDS),
        }
    }

    /// The words of a span's fields from `index` on, a slot of the ring full. Behind the last word
    /// they are anything.
    #[inline]
    pub(crate) fn fields_at(&self, span: &OpenSpan, index: usize) -> [u64; SLOT_WORDS] {
        // Relaxed: nobody records into a span that closes.
        if index + SLOT_WORDS <= INLINE_WORDS {
            span.inline_fields_at(index)
        } else {
            self.spilled_fields_at(span, index)
        }
    }

    #[cold]
    pub(super) fn spilled_fields_at(&self, span: &OpenSpan, index: usize) -> [u64; SLOT_WORDS] {
        let words = span.field_words();
        std::array::from_fn(|at| match index + at {
            index if index < words => self.field_word(span, index).load(Ordering::Relaxed),
            _ => 0,
        })
    }
}

/// The longest run of whole fields in at most `room` words.
fn whole_fields(words: &[u64], room: usize) -> &[u64] {
    let mut fields = Fields::new(words);
    let mut kept = 0;
    while fields.next().is_some() {
        let end = words.len() - fields.rest().len();
        if end > room {
            break;
        }
        kept = end;
    }
    &words[..kept]
}
