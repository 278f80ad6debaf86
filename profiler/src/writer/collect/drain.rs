//! From a ring of another process into memory, checked, with the ids of the profile; and what its numbers mean.

use std::collections::HashSet;
use std::sync::Arc;

use super::about::{About, read_names};
use super::ids::{FreeIds, UsedUp};
use super::ring::Ring;
use super::run::{Into, Run, TICKS_END, next_of_entries};
use crate::error::Error;
use crate::recorder::entry_rules::RuleOf;
use crate::recorder::losses::{DropReason, Kind, PerKind};
use crate::recorder::record::{ID_BITS, Ids, Slot, id_of, kind, largest_id};
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::layout::OPEN_SPANS;
use crate::recorder::threads::ThreadInfo;
use crate::writer::chunks::Chunks;
use crate::writer::raw::{self, RawBatch};
use crate::writer::recover::check::{Check, Known};
use crate::writer::recover::whole::is_whole;
use crate::writer::recover::{about, loss, scan};

/// So many rows at the end may get other ids than their own, because somebody has taken those.
const ENTRIES_SPARE: u64 = 1 << 10;
/// Records of one partition that are taken for one commit.
const RECORDS_MAX: u64 = 1 << 16;

impl Ring {
    /// Takes what is published into both batches: a child's record may lie behind its parent's, in a partition that was
    /// drained before.
    pub(super) fn drain_twice(&mut self, free: &mut FreeIds) -> Result<(), Error> {
        self.drain(Into::Raw, free)?;
        // Looked at before the drain: the record of a parent that is not open any more is in the ring by then.
        let open = match self.run.as_ref().is_some_and(Run::is_to_look_for_orphans) {
            true => Some(self.open_now()?),
            false => None,
        };
        self.drain(Into::Next, free)?;
        // What was drained before a look that finds the file whole is as it was recorded; behind a cut its owner has zeros,
        // of which it may have made records.
        self.check_whole()?;
        if let (Some(run), Some(Open { ids, tails })) = (&mut self.run, open) {
            let is_all_here = run.next_at.iter().zip(&tails).all(|(at, tail)| at >= tail);
            run.part_from_parents(ids, is_all_here);
        }
        Ok(())
    }

    /// That what was read until now was as it was recorded.
    pub(super) fn check_whole(&mut self) -> Result<(), Error> {
        if !self.is_cut && is_whole(&mut self.reader, self.bytes) {
            self.published = self.seen_published;
            return Ok(());
        }
        self.is_cut = true;
        Err(about(&self.path, &"it was cut short; what was not stored of it is lost"))
    }

    /// What is open in the ring.
    fn open_now(&mut self) -> Result<Open, Error> {
        let Self { reader, run, path, .. } = self;
        let io = |error: std::io::Error| about(path, &error);
        let (mut ids, mut changing) = (Vec::new(), Vec::new());
        let id_in = |words: &[u64]| words.get(1).copied().filter(|id| *id != 0);
        let each = |index, cell: Option<&[u64]>| match cell {
            Some(words) => ids.extend(id_in(words)),
            None => changing.push(index),
        };
        reader.cells(OPEN_SPANS, 0..usize::MAX, each).map_err(io)?;
        // Others enter and leave the span in it, or it is given to another one. What was open all the time is in both.
        let mut copies = Default::default();
        for index in changing {
            if reader.cell_twice(OPEN_SPANS, index, &mut copies).map_err(io)? {
                ids.extend(copies.iter().filter_map(|words| id_in(words)));
            }
        }
        if let Some(run) = run {
            ids.iter_mut().for_each(|id| *id = run.ids.ids().of(*id));
        }
        let tails = (0..reader.partitions()).map(|partition| Ok(reader.partition(partition)?.tail));
        let tails = tails.collect::<std::io::Result<_>>().map_err(io)?;
        Ok(Open { ids, tails })
    }

    /// Takes what is published.
    fn drain(&mut self, into: Into, free: &mut FreeIds) -> Result<(), Error> {
        let Self { reader, run, names, known, path, .. } = self;
        let io = |error: std::io::Error| about(path, &error);
        let Some(run) = run else { return Ok(()) };
        let mut damaged = PerKind::default();
        let mut unknown: Vec<Vec<u64>> = Vec::new();
        let mut check_known = check((names, known), run.ids.covered(), run.busy_time);
        let (raw, at) = match into {
            Into::Raw => (&mut run.raw, &mut run.raw_at),
            Into::Next => (&mut run.next, &mut run.next_at),
        };
        let mut push = Push { ids: run.ids.ids(), raw, chunks: &mut run.chunks, last: 0 };
        for (partition, at) in at.iter_mut().enumerate() {
            let drained = reader.drain(partition, *at, false, RECORDS_MAX, |record| {
                if let Ok(slot) = <&Slot>::try_from(record.words)
                    && check_known.is_plain_span(slot)
                {
                    return push.push_span(slot);
                }
                match check_known.record(record.words) {
                    Ok(_) => push.push(record.words),
                    // Perhaps its callsite or thread has come since the names were read, or the run needs more ids.
                    Err(_) => unknown.push(record.words.to_vec()),
                }
            });
            let drained = drained.map_err(io)?;
            damaged[0] += drained.damaged + drained.missed;
            *at = drained.next;
        }
        let (mut last, mut has_further_threads) = (push.last, check_known.has_further_threads);
        if let Into::Raw = into {
            run.next_at.copy_from_slice(&run.raw_at);
        }
        if !unknown.is_empty() || self.has_new_names()? {
            self.learn_names()?;
        }
        if !unknown.is_empty() {
            let of_unknown = self.take_unknown(&unknown, into, &mut damaged, free)?;
            last = last.max(of_unknown.last);
            has_further_threads |= of_unknown.has_further_threads;
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        if has_further_threads {
            run.recorder.threads.learn(ThreadInfo::further());
        }
        if let Some(next) = &mut run.converter.entry_ids {
            *next = (*next).max(next_of_entries(run.ids.ids(), last));
        }
        let to_ns = run.now_ns();
        run.batch.losses.extend(loss(DropReason::Damaged, damaged, to_ns));
        raw::add(&mut run.told[DropReason::Damaged as usize], damaged);
        Ok(())
    }

    /// Takes those of these records that make sense with the names that are known now, and counts the others.
    fn take_unknown(
        &mut self,
        records: &[Vec<u64>],
        into: Into,
        damaged: &mut PerKind,
        free: &mut FreeIds,
    ) -> Result<Taken, Error> {
        let mut taken = Taken { last: 0, has_further_threads: false };
        let ids_end = self.plausible_end()?;
        let Some(run) = &mut self.run else { return Ok(taken) };
        let mut check = check((&self.names, &self.known), ids_end, run.busy_time);
        let mut sound = Vec::new();
        for words in records {
            match check.record(words) {
                Ok(_) => sound.push(words),
                Err(kind) => damaged[kind as usize] += 1,
            }
        }
        taken.has_further_threads = check.has_further_threads;
        let largest = sound.iter().map(|words| largest_id(words)).max().unwrap_or(0);
        run.ids.cover(largest, free).map_err(|used_up| used_up.about(&self.path))?;
        let raw = match into {
            Into::Raw => &mut run.raw,
            Into::Next => &mut run.next,
        };
        let mut push = Push { ids: run.ids.ids(), raw, chunks: &mut run.chunks, last: 0 };
        sound.iter().for_each(|words| push.push(words));
        taken.last = push.last;
        Ok(taken)
    }

    /// Ids of the ring are below this: they have one in the profile, or its file says that there are so many.
    fn plausible_end(&mut self) -> Result<u64, Error> {
        let end = scan::ids_end(&mut self.reader).map_err(|error| about(&self.path, &error))?;
        let covered = self.run.as_ref().map_or(1, |run| run.ids.covered());
        Ok(end.clamp(covered, covered.max(1 << ID_BITS)))
    }

    /// Gives the run enough ids for what is left of a ring of which nothing more will come. Says where the first one is
    /// that no record of it has.
    pub(super) fn cover_the_rest(&mut self, free: &mut FreeIds) -> Result<u64, Error> {
        let ids_end = self.plausible_end()?;
        let Self { reader, run, path, .. } = self;
        let io = |error: std::io::Error| about(path, &error);
        let Some(run) = run else { return Ok(1) };
        let (mut largest, mut entries) = (0, 0_u64);
        let mut see = |words: &[u64]| {
            largest = largest.max(Some(largest_id(words)).filter(|id| *id < ids_end).unwrap_or(0));
            entries += u64::from(matches!(kind(words), Some(Kind::Entry)));
        };
        for (partition, at) in run.committed.iter().enumerate() {
            let each = |record: spandrel_ring::file::Record<'_>| see(record.words);
            reader.drain(partition, *at, true, u64::MAX, each).map_err(io)?;
        }
        // Of an open span they are where those of a record are.
        reader
            .cells(OPEN_SPANS, 0..usize::MAX, |_, cell| {
                let ids = cell.and_then(|words| words.get(1..4)).unwrap_or_default();
                let ids = ids.iter().map(|word| id_of(*word)).filter(|id| *id < ids_end);
                largest = ids.fold(largest, u64::max);
            })
            .map_err(io)?;
        let used_up = |used_up: UsedUp| used_up.about(path);
        run.ids.cover(largest, free).map_err(used_up)?;
        let above = run.ids.ids().of(largest) + 1;
        let next = run.converter.entry_ids.unwrap_or(above).max(above);
        run.ids.numbers(next, entries + ENTRIES_SPARE, free).map_err(used_up)
    }

    /// Reads the names again.
    pub(super) fn learn_names(&mut self) -> Result<(), Error> {
        let Some(run) = &mut self.run else { return Ok(()) };
        // Before they are read: what comes meanwhile is read once more.
        let hint = self.reader.names_hint().map_err(|error| about(&self.path, &error))?;
        let (names, about, is_whole) = read_names(&mut self.reader, &self.path, run.marks_stored)?;
        // One that was claimed, and not published yet, is read the next time.
        self.names_read = if is_whole { hint } else { u64::MAX };
        for (number, thread) in &names.threads {
            if !self.names.threads.contains_key(number) {
                run.recorder.threads.learn(thread.clone());
            }
        }
        // In the order of numbers. One that is missing may be on its way; if it is still missing the next time, its
        // thread has died over it.
        let end = names.callsites.keys().max().map_or(0, |last| last + 1);
        let mut number = run.recorder.callsites.len() as u32;
        while number < end {
            let rule = names.callsites.get(&number).map(|site| site.entries());
            if rule.is_none() && run.gap != Some(number) {
                run.gap = Some(number);
                break;
            }
            run.recorder.callsites.learn([rule.unwrap_or(RuleOf::OFF)]);
            number += 1;
        }
        self.about = About { info: self.about.info.take(), ..about };
        self.known = Known::of(&names);
        self.names = Arc::new(names);
        run.converter.set_names(Arc::clone(&self.names));
        Ok(())
    }
}

fn check<'a>(
    (names, known): (&'a DeadNames, &'a Known),
    ids_end: u64,
    busy_time: bool,
) -> Check<'a> {
    Check {
        names,
        known,
        ids: 1..ids_end,
        ticks: 0..=TICKS_END,
        busy_time,
        keeps_ids: false,
        spans: HashSet::new(),
        events: HashSet::new(),
        last_ticks: 0,
        has_further_threads: false,
    }
}

/// What was taken of records that were unknown.
struct Taken {
    /// The largest id, in the profile.
    last: u64,
    has_further_threads: bool,
}

/// Spans that were open at a moment, and where the partitions ended after it.
struct Open {
    ids: Vec<u64>,
    tails: Vec<u64>,
}

/// Takes records with ids of the profile.
struct Push<'a> {
    ids: &'a Ids,
    raw: &'a mut RawBatch,
    chunks: &'a mut Chunks,
    /// The largest id of all, in the profile.
    last: u64,
}

impl Push<'_> {
    fn push(&mut self, words: &[u64]) {
        let words = self.raw.push_words(words, self.chunks);
        self.ids.shift(words);
        // Of spans and events their own id; of others one that is smaller.
        self.last = self.last.max(words.get(1).copied().unwrap_or(0));
    }

    #[inline(always)]
    fn push_span(&mut self, span: &Slot) {
        let span = self.raw.push_span(span, self.chunks);
        self.ids.shift_span(span);
        self.last = self.last.max(span[1]);
    }
}
