//! Open spans in the ring file of a process that is gone.
//!
//! Their words are looked at as those of the living are, but nobody vouches for them: moments beyond what a clock may
//! show are damage, and so is what does not fit the tables.

use super::bits::{FAILED, LEFT_OUT, settled_words};
use super::foreign::Foreign;
use super::{INLINE_WORDS, Seen, SlotPosition, SpanSlot, position};
use crate::recorder::record;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64};

/// Words of a slot.
const SLOT_WORDS: usize = size_of::<SpanSlot>() / size_of::<u64>();
/// Where its fields begin.
const FIELDS: usize = SLOT_WORDS - INLINE_WORDS;
/// Moments and lengths are below this, whatever the clock.
const TICKS_END: u64 = 1 << 62;
/// No span was entered as often.
const COUNT_END: u64 = 1 << 48;

/// The words of one slot, and of what lies beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotLeft<'a> {
    pub(crate) index: usize,
    pub(crate) span: &'a [u64],
    /// What other threads did with it.
    pub(crate) foreign: &'a [u64],
    /// Somebody was about to overwrite a field, or it is not known.
    pub(crate) is_torn: bool,
}

/// What was found in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanLeft {
    pub(crate) seen: Seen,
    /// Its fields were being changed when the process died: they are left out.
    pub(crate) is_torn: bool,
}

impl SlotLeft<'_> {
    /// The span that was open there. `Ok(None)` if there was none; an error if there is something that cannot be.
    ///
    /// Fields beyond the slot's own room are asked of `spilled`, by the number of a buffer and the span's id: as many
    /// words as it has. `now` is the last moment that is known.
    pub(crate) fn look(
        &self,
        now: u64,
        field_words_max: usize,
        spilled: impl FnOnce(u16, u64) -> Option<Vec<u64>>,
    ) -> Result<Option<SpanLeft>, Damaged> {
        let words: &[u64; SLOT_WORDS] = self.span.try_into().map_err(|_| Damaged)?;
        if words[1] == 0 {
            return Ok(None);
        }
        let (slot, foreign) = (slot(words)?, self.foreign()?);
        let extra = words[8];
        let (fields, is_torn) = match settled_words(extra) {
            Some(count) if !self.is_torn && count <= field_words_max => {
                let inline = &words[FIELDS..][..count.min(INLINE_WORDS)];
                let mut fields = inline.to_vec();
                if let Some(more) = count.checked_sub(INLINE_WORDS).filter(|more| *more > 0) {
                    let spill = spill_of(words[11]);
                    let rest = spilled(spill, words[1]).ok_or(Damaged)?;
                    fields.extend_from_slice(rest.get(..more).ok_or(Damaged)?);
                }
                (fields, false)
            }
            Some(count) if count > field_words_max => return Err(Damaged),
            _ => (Vec::new(), true),
        };
        let seen = Seen {
            position: SlotPosition::from(position(self.index)),
            callsite: record::callsite(words[2], words[5]),
            thread: record::thread(words[5]),
            id: words[1],
            parent: record::id_of(words[2]),
            root: words[3],
            start: words[4],
            at: now.max(words[4]),
            entries: slot.entries_seen(&foreign, now.max(words[4])),
            failed: extra & FAILED != 0,
            left_out: extra & LEFT_OUT != 0 || is_torn,
            fields,
        };
        Ok(Some(SpanLeft { seen, is_torn }))
    }

    fn foreign(&self) -> Result<Foreign, Damaged> {
        Foreign::of_words(self.foreign, TICKS_END, COUNT_END).ok_or(Damaged)
    }
}

/// Something that no recorder has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The buffer in the word that a slot has for smaller numbers.
pub(super) fn spill_of(word: u64) -> u16 {
    let bytes = word.to_ne_bytes();
    u16::from_ne_bytes([bytes[2], bytes[3]])
}

/// A slot of its own with these words.
fn slot(words: &[u64; SLOT_WORDS]) -> Result<SpanSlot, Damaged> {
    let [key, id, origin, root, start, head, first, last, extra, busy, longest, small, ..] = *words;
    // `busy` is negative while its owner is inside.
    let busy_now = busy.wrapping_add(if busy.cast_signed() < 0 { last } else { 0 });
    if [start, first, last, longest, busy_now].iter().any(|ticks| *ticks >= TICKS_END) {
        return Err(Damaged);
    }
    let bytes = small.to_ne_bytes();
    let slot = SpanSlot {
        key: AtomicU64::new(key),
        id: AtomicU64::new(id),
        origin: AtomicU64::new(origin),
        root: AtomicU64::new(root),
        start: AtomicU64::new(start),
        head: AtomicU64::new(head),
        first: AtomicU64::new(first),
        last: AtomicU64::new(last),
        extra: AtomicU64::new(extra),
        busy: AtomicU64::new(busy),
        longest: AtomicU64::new(longest),
        own_depth: AtomicU16::new(u16::from_ne_bytes([bytes[0], bytes[1]])),
        spill: AtomicU16::new(spill_of(small)),
        // Links mean something to their thread only.
        next_free: AtomicU32::new(0),
        outer: AtomicU64::new(0),
        fields: Default::default(),
    };
    Ok(slot)
}
