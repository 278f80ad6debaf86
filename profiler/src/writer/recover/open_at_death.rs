//! Spans that were open when their process died, as the ring file has them.

use std::io;

use spandrel_ring::file::{Reader, Source};

use super::check::Check;
use super::scan::Scan;
use crate::recorder::open_spans::left_behind::SlotLeft;
use crate::recorder::record::THREAD_MAX;
use crate::recorder::ring_file::layout::{
    FOREIGN, OPEN_SPANS, OVERWRITES, SPILL_WORDS, SPILLS_TAKEN, settings,
};

/// How many words each buffer for more fields has. `None` if the file says something that its tables are not made for:
/// then a slot might have all of a table read, and so might each of the others.
pub(super) fn spill_words_each<S: Source>(reader: &Reader<S>) -> Option<usize> {
    let said = usize::try_from(reader.settings()[settings::SPILL_WORDS_EACH]).ok()?;
    let words = |table: usize| {
        let sizes = reader.tables().get(table)?;
        (sizes.cell == size_of::<u64>()).then_some(sizes.cells)
    };
    let (buffers, all) = (words(SPILLS_TAKEN)?, words(SPILL_WORDS)?);
    (buffers.checked_mul(said) == Some(all)).then_some(said)
}

impl Scan {
    /// What was open when the process died.
    pub(super) fn look_at_open<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        check: &mut Check<'_>,
    ) -> io::Result<()> {
        // The tables beside that of the spans are read where a span is.
        let mut slots: Vec<(usize, Vec<u64>)> = Vec::new();
        let mut torn_reads = 0;
        reader.cells(OPEN_SPANS, 0..usize::MAX, |index, cell| match cell {
            Some(words) if words.get(1).is_some_and(|id| *id != 0) => {
                slots.push((index, words.to_vec()));
            }
            Some(_) => {}
            None => torn_reads += 1,
        })?;
        self.open_damaged += torn_reads;
        let cell = |reader: &mut Reader<S>, table, index: usize| {
            let mut found = None;
            reader.cells(table, index..index + 1, |_, words| found = words.map(<[u64]>::to_vec))?;
            io::Result::Ok(found)
        };
        let each = spill_words_each(reader);
        self.open_damaged += u64::from(each.is_none());
        let mut ids = std::collections::HashSet::new();
        // Whoever is inside of one was so when the next one began, too.
        let starts = slots.iter().filter_map(|(_, words)| words.get(4).copied());
        let now = starts.filter(|start| check.is_moment(*start)).max().unwrap_or(0);
        let now = now.max(check.last_ticks);
        for (index, words) in slots {
            // No recorder has a span twice. Its buffer would be read again for each of them.
            if !ids.insert(words[1]) {
                self.open_damaged += 1;
                continue;
            }
            let foreign = cell(reader, FOREIGN, index)?;
            let overwrites = cell(reader, OVERWRITES, index)?;
            let is_torn = overwrites.is_none_or(|words| words.first().is_none_or(|it| it & 1 != 0));
            let slot = SlotLeft {
                index,
                span: &words,
                foreign: foreign.as_deref().unwrap_or_default(),
                is_torn,
            };
            let mut failed = Ok(());
            let spilled = |number: u16, id: u64| {
                let (buffer, each) = (usize::from(number).checked_sub(1)?, each?);
                let mut read = || -> io::Result<Option<Vec<u64>>> {
                    let taken = cell(reader, SPILLS_TAKEN, buffer)?;
                    let is_mine = taken.is_some_and(|words| words.first() == Some(&(id << 16)));
                    let Some(from) = buffer.checked_mul(each).filter(|_| is_mine) else {
                        return Ok(None);
                    };
                    let mut all = Vec::new();
                    reader.cells(SPILL_WORDS, from..from.saturating_add(each), |_, word| {
                        all.extend_from_slice(word.unwrap_or_default());
                    })?;
                    Ok(Some(all))
                };
                match read() {
                    Ok(found) => found,
                    Err(error) => {
                        failed = Err(error);
                        None
                    }
                }
            };
            let found = slot.look(now, self.field_words_max, spilled);
            failed?;
            match found {
                // Its record is there as well: it has closed, and was about to leave the table.
                Ok(Some(left)) if check.spans.contains(&left.seen.id) => {}
                Ok(Some(left)) if check.is_open_span(&left) => {
                    self.last_id = self.last_id.max(left.seen.id);
                    check.has_further_threads |= left.seen.thread == THREAD_MAX;
                    self.open.push(left);
                }
                Ok(None) => {}
                _ => self.open_damaged += 1,
            }
        }
        let last = self.open.iter().map(|left| left.seen.start).max().unwrap_or(0);
        check.last_ticks = check.last_ticks.max(last);
        self.open.sort_by_key(|left| (left.seen.start, left.seen.id));
        Ok(())
    }
}
