//! The slots of the table of open spans of a process that lives, each as it was at some moment.

use std::collections::HashSet;
use std::io;

use spandrel_ring::file::{Reader, Source};

use crate::recorder::open_spans::copied::{Copied, OpenCopy, copied};
use crate::recorder::ring_file::layout::{
    FOREIGN, OPEN_SPANS, OVERWRITES, SPILL_WORDS, SPILLS_TAKEN,
};

/// How often a slot is copied that changes while it is.
const ATTEMPTS: usize = 16;
/// Below this in the word of a buffer is how many write into it; above it, whose it is.
const WRITERS_BITS: u32 = 16;

/// What was found in a slot.
#[derive(Debug)]
pub(super) enum Found {
    Free,
    /// Given to one span after the other.
    Turned,
    /// Its span is in another slot, too: no recorder has one twice.
    Repeated,
    Open(Taken),
}

/// The words of a slot in which a span was open, and of what lies beside it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) index: usize,
    pub(super) words: Vec<u64>,
    pub(super) foreign: Vec<u64>,
    /// Those of its buffer for more fields, if it has one.
    pub(super) spilled: Option<Vec<u64>>,
    /// Nobody entered or left it meanwhile.
    pub(super) has_times: bool,
    /// Nobody was about to record a field.
    pub(super) has_fields: bool,
}

/// Slots that may have a span.
pub(super) fn used<S: Source>(reader: &mut Reader<S>) -> io::Result<Vec<usize>> {
    let mut used = Vec::new();
    reader.cells(OPEN_SPANS, 0..usize::MAX, |index, cell| {
        // One that has just changed is looked at by itself.
        if cell.is_none_or(|words| words.get(1).is_some_and(|id| *id != 0)) {
            used.push(index);
        }
    })?;
    Ok(used)
}

/// Looks at one slot. `spill_words` is how many words a buffer has, if that is known. `ids` are those that were met
/// before: of none the buffer is read again for one more slot.
pub(super) fn look<S: Source>(
    reader: &mut Reader<S>,
    index: usize,
    spill_words: Option<usize>,
    ids: &mut HashSet<u64>,
) -> io::Result<Found> {
    let mut copies = Default::default();
    let mut best: Option<Taken> = None;
    let mut own = None;
    for _ in 0..ATTEMPTS {
        let before = sequence(reader, index)?;
        if !reader.cell_twice(OPEN_SPANS, index, &mut copies)? {
            return Ok(Found::Free);
        }
        let [first, second] = &copies;
        let copy = match copied([first, second]) {
            Copied::Free => return Ok(Found::Free),
            Copied::Turned => {
                best = None;
                continue;
            }
            Copied::Open(copy) => copy,
        };
        if own != Some(copy.id) && !ids.insert(copy.id) {
            return Ok(Found::Repeated);
        }
        own = Some(copy.id);
        let mut beside = Default::default();
        reader.cell_twice(FOREIGN, index, &mut beside)?;
        let [foreign, foreign_again] = beside;
        let has_times = copy.has_times && foreign == foreign_again;
        let spilled = spilled(reader, &copy, spill_words)?;
        let has_fields = copy.has_fields
            && before.is_some()
            && sequence(reader, index)? == before
            && (spilled.is_some() || copy.spill().is_none());
        let id = copy.id;
        // Another attempt finds no more fields where no buffer can be read.
        let is_last = spill_words.is_none() && copy.spill().is_some();
        let taken = Taken {
            index,
            words: copy.words(has_times),
            foreign: foreign_again,
            spilled,
            has_times,
            has_fields,
        };
        // It was still its own when all that was copied; what lies beside it is another span's otherwise.
        if !reader.cell_twice(OPEN_SPANS, index, &mut copies)? {
            return Ok(Found::Free);
        }
        if copies[0].get(1) != Some(&id) {
            return Ok(Found::Free);
        }
        let value = |taken: &Taken| (taken.has_fields, taken.has_times);
        if best.as_ref().is_none_or(|best| value(best) <= value(&taken)) {
            best = Some(taken);
        }
        if is_last || best.as_ref().is_some_and(|best| value(best) == (true, true)) {
            break;
        }
    }
    Ok(best.map_or(Found::Turned, Found::Open))
}

/// The count of overwritten fields of a slot; `None` while one is overwritten.
fn sequence<S: Source>(reader: &mut Reader<S>, index: usize) -> io::Result<Option<u64>> {
    let word = word(reader, OVERWRITES, index)?;
    Ok(word.filter(|word| word & 1 == 0))
}

/// A cell that is one word; `None` if it is another one meanwhile.
fn word<S: Source>(reader: &mut Reader<S>, table: usize, index: usize) -> io::Result<Option<u64>> {
    let mut copies = Default::default();
    reader.cell_twice(table, index, &mut copies)?;
    let [before, after] = copies;
    Ok(before.first().copied().filter(|_| before == after))
}

/// The words of the buffer in which further fields of a span are, if it is the span's all the time.
fn spilled<S: Source>(
    reader: &mut Reader<S>,
    copy: &OpenCopy<'_>,
    words_each: Option<usize>,
) -> io::Result<Option<Vec<u64>>> {
    let Some(buffer) = copy.spill().and_then(|number| usize::from(number).checked_sub(1)) else {
        return Ok(None);
    };
    let Some(words_each) = words_each else { return Ok(None) };
    let Some(from) = buffer.checked_mul(words_each) else { return Ok(None) };
    let mut copies = Default::default();
    let mut is_mine = |reader: &mut Reader<S>| -> io::Result<bool> {
        let is_there = reader.cell_twice(SPILLS_TAKEN, buffer, &mut copies)?;
        Ok(is_there && copies.iter().flatten().all(|word| word >> WRITERS_BITS == copy.id))
    };
    if !is_mine(reader)? {
        return Ok(None);
    }
    let mut words = Vec::new();
    reader.cells(SPILL_WORDS, from..from.saturating_add(words_each), |_, word| {
        // One behind its end may change meanwhile; of those before it only one that is overwritten.
        words.push(word.and_then(|word| word.first()).copied().unwrap_or(0));
    })?;
    Ok(is_mine(reader)?.then_some(words))
}
