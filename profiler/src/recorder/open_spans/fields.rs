//! Fields that are recorded into a span after it was made, and those for which its slot has no room.
//!
//! To record a value, a thread needs the [right](super::overwrites) to, which one thread at a time can
//! have for a span: it overwrites the last value of the field, or adds one behind all others. If another
//! thread is just recording the same field, that one is the later: there is nothing to do. If another
//! thread is recording another field, the thread waits for some steps, and then adds its value where
//! nobody else writes. So a value is stored as it was recorded, or in part and marked as such, or not at
//! all; and the last value of a field counts.
//!
//! A field that is recorded again and again gets twice as many words when it needs more, and what it
//! does not use is padding: so it is added a few times at most, however often it is recorded.

use super::bits::{PENDING, PENDING_SHIFT, RESERVED, SPILLED, settled_words};
use super::overwrites::Refused;
use super::{ATTEMPTS, INLINE_WORDS, OpenSpans, PATIENCE, SlotPosition, SpanSlot};
use crate::recorder::field_room::{Came, Shares};
#[cfg(feature = "opentelemetry")]
use crate::recorder::fields::GivenIds;
use crate::recorder::fields::{Piece, has_given_ids, index_of, is_padding, len_of, padding};
use crate::recorder::record::SLOT_WORDS;
use crate::sync::{AtomicU64, Ordering};

/// How often other threads may be faster before the pending words are given up: the span's fields are
/// incomplete then.
const SETTLE_ATTEMPTS: usize = 64;

/// The span into which something is recorded.
#[derive(Clone, Copy)]
struct Target<'a> {
    position: SlotPosition,
    span: &'a SpanSlot,
    id: u64,
    /// It is being created, and its id is not visible yet.
    is_new: bool,
}

impl Target<'_> {
    /// Whether the span has closed: its id was kept for too long, and its slot may belong to another
    /// one.
    fn is_gone(self) -> bool {
        !self.is_new && self.span.id() != self.id
    }
}

/// How much of a value was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// All of it; or there is nothing to do any more.
    Whole,
    /// A part; or only that there was a value.
    Part,
    Nothing,
}

impl Kept {
    fn of(is_there: bool, is_whole: bool) -> Self {
        match (is_there, is_whole) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Part,
            (true, true) => Self::Whole,
        }
    }
}

/// The fields that a span has.
#[derive(Debug, Default)]
struct Survey {
    words: usize,
    came: Came,
    /// The words of the last value of the field that is to be recorded.
    slot: Option<Slot>,
}

/// The words of one value, with the padding behind it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    words: usize,
}

impl OpenSpans {
    /// Records fields into the span in this slot, if it has this id; its callsite has `declared` fields.
    /// Values without room are cut, or noted as missing. Returns whether everything was recorded.
    #[cold]
    pub(crate) fn record_fields(
        &self,
        position: SlotPosition,
        id: u64,
        fields: &[u64],
        declared: usize,
    ) -> bool {
        let target = Target { position, span: self.span(position), id, is_new: false };
        self.record_into(target, fields, declared)
    }

    /// Adds the fields of a span that is being created, for which its slot has no room. Returns whether
    /// everything was recorded.
    #[cold]
    pub(crate) fn append_fields(
        &self,
        position: SlotPosition,
        id: u64,
        fields: &[u64],
        declared: usize,
    ) -> bool {
        let target = Target { position, span: self.span(position), id, is_new: true };
        let start = target.span.field_words();
        if self.room(target, start, fields.len()) >= fields.len()
            && self.add(target, start, fields.len(), fields.iter().copied()).is_some()
        {
            return true;
        }
        self.record_into(target, fields, declared)
    }

    /// Adds the ids of the span in this slot, if that has this id and there is room.
    #[cfg(feature = "opentelemetry")]
    #[cold]
    pub(crate) fn add_given_ids(&self, position: SlotPosition, id: u64, ids: GivenIds) -> bool {
        let target = Target { position, span: self.span(position), id, is_new: false };
        let added = (0..ATTEMPTS).find_map(|_| {
            let start = target.span.field_words();
            if target.is_gone() || self.room(target, start, GivenIds::WORDS) < GivenIds::WORDS {
                return Some(false);
            }
            self.add(target, start, GivenIds::WORDS, ids.words().into_iter())
        });
        added.unwrap_or(false)
    }

    /// Whether a span has ids, or something is just being added.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn has_given_ids(&self, span: &SpanSlot) -> bool {
        // Acquire: as in `survey`.
        let Some(words) = settled_words(span.extra.load(Ordering::Acquire)) else { return true };
        let mut at = 0;
        while at < words {
            // Relaxed: they were settled.
            let word = self.field_word(span, at);
            let Some(header) = word.map(|word| word.load(Ordering::Relaxed)) else { return true };
            if has_given_ids(header) {
                return true;
            }
            at += len_of(header);
        }
        false
    }

    fn record_into(&self, target: Target<'_>, mut fields: &[u64], declared: usize) -> bool {
        let shares = Shares::new(self.field_words_max, declared);
        let mut are_whole = true;
        while let Some(&header) = fields.first() {
            let Some((value, rest)) = fields.split_at_checked(len_of(header)) else { break };
            let recorded = (0..PATIENCE + ATTEMPTS).find_map(|attempt| {
                if target.is_gone() {
                    return Some(Kept::Whole);
                }
                self.try_record(target, value, &shares, attempt < PATIENCE)
            });
            let recorded = recorded.unwrap_or(Kept::Nothing);
            if recorded == Kept::Nothing && !target.is_gone() {
                target.span.set_left_out();
            }
            are_whole &= recorded == Kept::Whole;
            fields = rest;
        }
        are_whole
    }

    /// Returns how much of the value was recorded. `None` if other threads were faster; a `patient`
    /// caller does not go on before it knows which fields there are.
    fn try_record(
        &self,
        target: Target<'_>,
        value: &[u64],
        shares: &Shares,
        patient: bool,
    ) -> Option<Kept> {
        let index = index_of(*value.first()?);
        let right = match self.overwrites.begin(super::index(target.position), index) {
            Ok(right) => Some(right),
            Err(Refused::SameField) => return Some(Kept::Whole),
            Err(Refused::Busy) => None,
        };
        let survey = right.as_ref().and_then(|_| self.survey(target.span, index));
        if survey.is_none() && patient {
            drop(right);
            std::hint::spin_loop();
            return None;
        }
        let words = survey.as_ref().map_or_else(|| target.span.field_words(), |known| known.words);
        let Survey { mut came, slot, .. } = survey.unwrap_or_default();
        let slot_words = slot.map_or(0, |slot| slot.words);
        if let Some(slot) = slot.filter(|slot| value.len() <= slot.words) {
            return Some(self.overwrite(target, slot, value));
        }
        came.add(index);
        let share = shares.of_value(words, came.count());
        // A field that comes again gets more than it needs now.
        let wanted = if slot_words > 0 { value.len().next_power_of_two() } else { value.len() };
        let mut room = self.room(target, words, wanted.min(share));
        if room < wanted.min(share) {
            // There is no buffer: only the words of the slot are shared out.
            let shares = shares.with_room(INLINE_WORDS.min(self.field_words_max));
            room = room.min(shares.of_value(words, came.count()));
        }
        if let Some(slot) = slot.filter(|slot| room < value.len() && room <= slot.words) {
            return Some(self.overwrite(target, slot, value));
        }
        let Some(piece) = Piece::of(value, room) else { return Some(Kept::Nothing) };
        let spare = wanted.min(room).saturating_sub(piece.len());
        let padding = (spare > 0).then(|| padding(spare));
        let added = self.add(target, words, piece.len() + spare, piece.words().chain(padding))?;
        Some(Kept::of(added, value.len() <= room))
    }

    /// The fields of a span, unless others are adding some. The caller has the right.
    fn survey(&self, span: &SpanSlot, index: u8) -> Option<Survey> {
        // Acquire: pairs with the Release in `add`, on whichever thread.
        let words = settled_words(span.extra.load(Ordering::Acquire))?;
        let mut survey = Survey { words, ..Survey::default() };
        let mut last_index = None;
        let mut at = 0;
        while at < words {
            // Relaxed: the thread that had the right before has given it back with Release.
            let header = self.field_word(span, at)?.load(Ordering::Relaxed);
            let len = len_of(header);
            if !is_padding(header) {
                survey.came.add(index_of(header));
                last_index = Some(index_of(header));
                if last_index == Some(index) {
                    survey.slot = Some(Slot { at, words: len });
                }
            } else if has_given_ids(header) {
                last_index = None;
            } else if let (true, Some(slot)) = (last_index == Some(index), &mut survey.slot) {
                slot.words += len;
            }
            at += len;
        }
        Some(survey)
    }

    /// Overwrites a value with as much of a new one as there is room for. The caller has the right.
    fn overwrite(&self, target: Target<'_>, slot: Slot, value: &[u64]) -> Kept {
        let span = target.span;
        let end = slot.at + slot.words;
        let spill = span.spill.load(Ordering::Acquire);
        if target.is_gone() || end > INLINE_WORDS && !self.spills.enter(spill, target.id) {
            return Kept::Nothing;
        }
        if let Some(piece) = Piece::of(value, slot.words) {
            let spare = slot.words - piece.len();
            let padding = (spare > 0).then(|| padding(spare));
            for (at, word) in (slot.at..end).zip(piece.words().chain(padding)) {
                if let Some(to) = self.word(span, spill, at) {
                    // Release: for the sequences, of the table and of `overwrites`.
                    to.store(word, Ordering::Release);
                }
            }
        }
        if end > INLINE_WORDS {
            self.spills.leave(spill);
        }
        Kept::of(true, value.len() <= slot.words)
    }

    /// Adds words behind the first `start`; there has to be [room](Self::room). `None` if there are more
    /// than `start` already; `false` if they have no buffer.
    fn add(
        &self,
        target: Target<'_>,
        start: usize,
        words: usize,
        what: impl Iterator<Item = u64>,
    ) -> Option<bool> {
        let (span, end) = (target.span, start + words);
        let spill = span.spill.load(Ordering::Acquire);
        let spills = end > INLINE_WORDS;
        if spills && !self.spills.enter(spill, target.id) {
            return Some(false);
        }
        let added = self.reserve(target, start, words);
        if added.is_some() {
            for (index, word) in (start..end).zip(what) {
                if let Some(to) = self.word(span, spill, index) {
                    // Release: for the sequence lock.
                    to.store(word, Ordering::Release);
                }
            }
            self.settle(target, words);
        }
        if spills {
            self.spills.leave(spill);
        }
        added.map(|()| true)
    }

    /// Reserves words behind the first `start`.
    fn reserve(&self, target: Target<'_>, start: usize, words: usize) -> Option<()> {
        let extra = &target.span.extra;
        let before = extra.load(Ordering::Relaxed);
        if (before & RESERVED) as usize != start || target.is_gone() {
            return None;
        }
        let after = before + (words as u64 | (words as u64) << PENDING_SHIFT);
        // Relaxed: divides the words among threads that record into the same span.
        extra.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        if target.is_gone() {
            // It belongs to another span now. Whether or not its words have changed meanwhile, it is not
            // ours.
            let _undone =
                extra.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
            return None;
        }
        Some(())
    }

    /// The words are written.
    ///
    /// If the span has closed meanwhile, its slot may belong to another one with fewer pending words: no
    /// more than those are subtracted, or the flags above would change.
    fn settle(&self, target: Target<'_>, words: usize) {
        let extra = &target.span.extra;
        let words = (words as u64) << PENDING_SHIFT;
        let mut before = extra.load(Ordering::Relaxed);
        // It fails only if others are changing the same span.
        for _ in 0..SETTLE_ATTEMPTS {
            if before & PENDING < words {
                return;
            }
            // Release: pairs with the Acquire in `look` and `survey`; the words are complete.
            let settled = extra.compare_exchange(
                before,
                before - words,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match settled {
                Ok(_) => return,
                Err(changed) => before = changed,
            }
        }
    }

    /// For how many of `wanted` words there is room behind the first `start`. Takes a spill buffer if
    /// they need one.
    fn room(&self, target: Target<'_>, start: usize, wanted: usize) -> usize {
        let span = target.span;
        if start + wanted <= INLINE_WORDS.min(self.field_words_max) {
            return wanted;
        }
        if span.spill.load(Ordering::Acquire) == 0
            && !target.is_gone()
            && let Some(spill) = self.spills.claim(target.id)
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
        end.saturating_sub(start).min(wanted)
    }

    /// A word of a span's fields. Those for which its slot has no room are in this buffer.
    #[inline]
    pub(super) fn word<'a>(
        &'a self,
        span: &'a SpanSlot,
        spill: u16,
        index: usize,
    ) -> Option<&'a AtomicU64> {
        match span.fields.get(index) {
            Some(word) => Some(word),
            None => self.spills.word(spill, index - INLINE_WORDS),
        }
    }

    #[inline]
    fn field_word<'a>(&'a self, span: &'a SpanSlot, index: usize) -> Option<&'a AtomicU64> {
        self.word(span, span.spill.load(Ordering::Relaxed), index)
    }

    /// The words of a span's fields from `index` on, as many as a slot of the ring holds. Behind the
    /// last one there may be anything.
    #[inline]
    pub(crate) fn fields_at(&self, span: &SpanSlot, index: usize) -> [u64; SLOT_WORDS] {
        // Relaxed: nobody records into a span that closes.
        if index + SLOT_WORDS <= INLINE_WORDS {
            span.inline_fields_at(index)
        } else {
            self.spilled_fields_at(span, index)
        }
    }

    #[cold]
    pub(super) fn spilled_fields_at(&self, span: &SpanSlot, index: usize) -> [u64; SLOT_WORDS] {
        let words = span.field_words();
        std::array::from_fn(|at| match self.field_word(span, index + at) {
            Some(word) if index + at < words => word.load(Ordering::Relaxed),
            _ => 0,
        })
    }
}
