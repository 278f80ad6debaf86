//! Reads what is published in a partition of a ring file.
//!
//! The stamp of a claim's first slot says which position it is for and how many slots belong to it; stamps of older
//! laps say smaller positions, and nobody sets the stamps of the following slots. So what is published is known for
//! certain, and where it begins again behind something that is not: a claim whose owner died before he published it,
//! or a stamp that is not what its owner wrote.
//!
//! What can be found damaged: each stamp, by its position, by the stamps around it, and by the tail. What cannot: the
//! words of a record, which have no sum (its slots have no room for one, and the recorder no time); that a dropped
//! claim was dropped; and in the shared partition how long a record is behind which a claim was not published, as
//! the slots of that one may be taken for its own. Whoever knows what is in a record checks its words, and whether
//! they are as many.

use std::io;
use std::sync::atomic::{Ordering, fence};

use super::layout::partition_words;
use super::reader::read_words;
use super::{Reader, Source};
use crate::slot::{LENGTH_MAX, Published, SEQUENCE_SHIFT, published_at};

/// Bytes that are read at a time, about.
const WINDOW: usize = 1 << 16;
/// No position is as high.
const POSITION_MAX: u64 = (1 << (u64::BITS - SEQUENCE_SHIFT)) - 1;

/// What a claim has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub position: u64,
    /// The values of its slots, one behind the other.
    pub words: &'a [u64],
    /// Whether what comes behind it begins where this ends; always, while its owner lives. If not, its length may be
    /// another one, or what came behind it is lost: whoever knows what should be in it looks closely.
    pub is_certain: bool,
}

/// What one drain has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileDrained {
    /// Where to go on. To be stored together with what was drained: it decides what comes next.
    pub next: u64,
    /// Records.
    pub entries: u64,
    /// Claims that were dropped unpublished.
    pub tombstones: u64,
    /// Places where claims were not published, whose owner is dead.
    pub abandoned: u64,
    /// Slots of these; how many claims they were is not known.
    pub abandoned_slots: u64,
    /// Places where something stood that nobody can have written, or was not there.
    pub damaged: u64,
    /// Slots that were given back, and overwritten, before they were read here.
    pub missed: u64,
}

/// Some slots of a partition, as they were read.
#[derive(Debug)]
struct Window {
    words: Vec<u64>,
    stamps: Vec<u64>,
    /// The index of the first one, and how many.
    first: u64,
    slots: u64,
}

/// A partition that is being read.
struct Slots<'a, S> {
    source: &'a S,
    /// Where its slots begin, in bytes, and how many words each has.
    at: u64,
    slot_words: usize,
    capacity: u64,
    /// How many of them are in the file.
    present: u64,
    /// No position from here on is looked at, but for this one.
    end: u64,
    /// Whether something may be published while it is copied.
    is_filling: bool,
    window: Window,
}

impl<S: Source> Slots<'_, S> {
    /// The words of the slot of a position, its stamp first; `None` if the file has it no more.
    #[inline]
    fn slot(&mut self, position: u64) -> io::Result<Option<&[u64]>> {
        let index = position & (self.capacity - 1);
        if index >= self.present {
            return Ok(None);
        }
        let window = &self.window;
        if index.wrapping_sub(window.first) >= window.slots {
            self.load(index, self.end.saturating_sub(position).max(1))?;
        }
        let at = (index - self.window.first) as usize * self.slot_words;
        Ok(self.window.words.get(at..at + self.slot_words))
    }

    /// Reads slots from this one on, so many if they fit.
    #[cold]
    fn load(&mut self, index: u64, wanted: u64) -> io::Result<()> {
        let most = wanted.min((WINDOW / (self.slot_words * 8)).max(1) as u64);
        let slots = most.min(self.present - index);
        let at = self.at + index * self.slot_words as u64 * 8;
        let words = slots as usize * self.slot_words;
        let window = &mut self.window;
        window.stamps.clear();
        if self.is_filling {
            // Twice: what a stamp in the first copy has published is whole in the second one.
            read_words(self.source, at, words, &mut window.words)?;
            window.stamps.extend(window.words.iter().step_by(self.slot_words));
            // Acquire: pairs with the Release of whoever publishes; what the system loads for the second copy, on
            // this thread, it loads later than the stamps.
            fence(Ordering::Acquire);
        }
        read_words(self.source, at, words, &mut window.words)?;
        (window.first, window.slots) = (index, (window.words.len() / self.slot_words) as u64);
        let slots = window.words.chunks_exact_mut(self.slot_words);
        for (slot, (stamp, index)) in slots.zip(window.stamps.iter().zip(index..)) {
            // A stamp of half a store is none either: it is whole in the second copy, if it was there at all.
            let seen = (stamp >> SEQUENCE_SHIFT).wrapping_sub(1);
            if stamp >> SEQUENCE_SHIFT != slot[0] >> SEQUENCE_SHIFT
                || seen & (self.capacity - 1) != index
            {
                slot[0] = 0;
            }
        }
        Ok(())
    }

    fn stamp(&mut self, position: u64) -> io::Result<Option<u64>> {
        Ok(self.slot(position)?.and_then(|slot| slot.first().copied()))
    }

    /// What is published at a position.
    fn published(&mut self, position: u64) -> io::Result<Option<Published>> {
        Ok(self.stamp(position)?.and_then(|stamp| published_at(position, stamp)))
    }

    /// Whether a slot may have this stamp that has not been published at this position: none, or that of an older
    /// lap.
    fn may_be_stale(&self, position: u64, stamp: u64) -> bool {
        let of = (stamp >> SEQUENCE_SHIFT).wrapping_sub(1);
        stamp == 0 || of < position && (position - of).is_multiple_of(self.capacity)
    }

    /// The first position from `at` on, before `end`, at which something is published. Steps over what a file that was
    /// cut short has lost.
    fn next_published(&mut self, mut at: u64, end: u64) -> io::Result<Option<u64>> {
        while at < end {
            if self.stamp(at)?.is_none() {
                at = (at | (self.capacity - 1)) + 1; // where the slots begin again
            } else if self.published(at)?.is_some() {
                return Ok(Some(at));
            } else {
                at += 1;
            }
        }
        Ok(None)
    }
}

impl<S: Source> Reader<S> {
    /// Hands what is published in a partition to `read`, from the position `from` on, which is that up to which the
    /// caller has stored everything; at most `entries_max` claims.
    ///
    /// Of an owner that lives it stops at the first claim that is not published; of a dead one it goes on behind it.
    /// What is drained stays the caller's until he [gives it back](Self::give_back).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn drain(
        &mut self,
        partition: usize,
        from: u64,
        owner_is_dead: bool,
        entries_max: u64,
        mut read: impl FnMut(Record<'_>),
    ) -> io::Result<FileDrained> {
        let mut drained = FileDrained { next: from, ..FileDrained::default() };
        if partition >= self.partitions() {
            return Ok(drained);
        }
        let seen = self.partition(partition)?;
        let (first, capacity) = self.layout.partition(partition);
        let is_shared = partition == self.layout.sizes.leased;
        let slot_words = self.layout.slot_bytes() / 8;
        let value_words = self.value_words();
        let slots_at = (first + partition_words::SLOTS) as u64;
        let there = self.source.len()?.saturating_sub(slots_at) / (slot_words as u64 * 8);
        let capacity = capacity as u64;
        if there < capacity {
            self.set_cut();
        }
        // What was given back may be overwritten; of a dead owner's it is not, where its stamps say so.
        let given_back = seen.given_back.unwrap_or(from).max(from);
        let (mut at, mut end) = (from, given_back.saturating_add(capacity));
        if given_back - from > capacity || !owner_is_dead && given_back > from {
            drained.missed = given_back - from;
            at = given_back;
        }
        if end > POSITION_MAX {
            drained.damaged += 1;
            return Ok(drained);
        }
        if !owner_is_dead {
            // What is before the tail that was seen just now. In a leased partition all of that is published: one copy of it
            // is whole.
            end = end.min(at + capacity).min(seen.tail.max(at));
            // Acquire: pairs with the Release of whoever moves the tail; the system loads the slots for us after it.
            fence(Ordering::Acquire);
        }
        let mut slots = Slots {
            source: &self.source,
            at: slots_at,
            slot_words,
            capacity,
            present: there.min(capacity),
            end,
            is_filling: !owner_is_dead && is_shared,
            window: Window {
                words: std::mem::take(&mut self.buffer),
                stamps: Vec::new(),
                first: 0,
                slots: 0,
            },
        };
        let mut record = Vec::new();
        while at < end && drained.entries + drained.tombstones < entries_max {
            // Nearly all are like this, and are read where they are.
            if !owner_is_dead
                && let Some([stamp, words @ ..]) = slots.slot(at)?
                && let Some(Published { slots: 1, tombstone: false }) = published_at(at, *stamp)
                && let Some(words) = words.get(..value_words)
            {
                read(Record { position: at, words, is_certain: true });
                drained.entries += 1;
                at += 1;
                continue;
            }
            let found = slots.published(at)?;
            let Some(claim) = found else {
                if !owner_is_dead {
                    break;
                }
                let next = slots.next_published(at, end)?;
                let gap = next.unwrap_or_else(|| seen.tail.clamp(at, end));
                drained.count_gap(&mut slots, at, gap, given_back, is_shared)?;
                let Some(next) = next else { break };
                at = next;
                continue;
            };
            let behind = at + claim.slots as u64;
            record.clear();
            let is_whole = claim.slots > 0
                && claim.slots <= LENGTH_MAX
                && behind <= end
                && claim.slots as u64 <= capacity
                && slots.copy(at, claim.slots, value_words, &mut record)?;
            if !is_whole {
                drained.damaged += 1;
                match slots.next_published(at + 1, end)? {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            }
            if claim.tombstone {
                drained.tombstones += 1;
            } else {
                let is_certain = !owner_is_dead
                    || behind < end && slots.published(behind)?.is_some()
                    || behind == seen.tail
                    || !is_shared && at == seen.tail;
                drained.entries += 1;
                read(Record { position: at, words: &record, is_certain });
            }
            at = behind;
        }
        drained.next = at;
        self.buffer = slots.window.words;
        Ok(drained)
    }
}

impl<S: Source> Slots<'_, S> {
    /// Copies the values of a claim. `false` if it is not what its first stamp says: another one begins in it, or the
    /// file has it no more.
    fn copy(&mut self, at: u64, slots: usize, words: usize, to: &mut Vec<u64>) -> io::Result<bool> {
        let len = slots.checked_mul(words).ok_or(io::ErrorKind::OutOfMemory)?;
        to.try_reserve(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        for position in at..at + slots as u64 {
            let Some(slot) = self.slot(position)? else { return Ok(false) };
            if position > at && published_at(position, slot[0]).is_some() {
                return Ok(false);
            }
            to.extend_from_slice(&slot[1..=words]);
        }
        Ok(true)
    }
}

impl FileDrained {
    /// Counts that nothing is published from `at` to `end`, by a dead owner.
    fn count_gap<S: Source>(
        &mut self,
        slots: &mut Slots<'_, S>,
        at: u64,
        end: u64,
        given_back: u64,
        is_shared: bool,
    ) -> io::Result<()> {
        let (mut is_odd, mut is_cut) = (false, false);
        let mut position = at;
        while position < end {
            match slots.stamp(position)? {
                // Given back, and overwritten since.
                Some(_) if position < given_back => self.missed += 1,
                Some(stamp) => is_odd |= !slots.may_be_stale(position, stamp),
                None => {
                    is_cut = true;
                    position |= slots.capacity - 1;
                }
            }
            position += 1;
        }
        // The first slot says what is wrong there also where it is the end, as the tail has it.
        if at == end
            && let Some(stamp) = slots.stamp(at)?
        {
            is_odd = at >= given_back && !slots.may_be_stale(at, stamp);
        }
        let is_claimed = end > at.max(given_back);
        // The only producer of a leased partition moves its tail when it has published.
        if is_odd || is_cut || is_claimed && !is_shared {
            self.damaged += 1;
        } else if is_claimed {
            self.abandoned += 1;
            self.abandoned_slots += end - at.max(given_back);
        }
        Ok(())
    }
}
