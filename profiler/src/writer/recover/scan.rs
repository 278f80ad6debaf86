//! Everything that the ring file of a process that is gone still has, and what of it is sound.
//!
//! All of it is in memory at once, which is no more than the file: so every child is met before its parent is converted,
//! and what is stored piece by piece comes to the same as if it were stored at once.

use std::io;

use spandrel_ring::file::{FileDrained, Name, NamesRead, Reader, Source};

use super::check::{Check, Known};
use super::of_dead::Rules;
use super::times::{self, Times};
use crate::recorder::account::Account;
use crate::recorder::clock::{Clock, Timeline};
use crate::recorder::losses::{Drops, KINDS, PerKind, REASONS, add_drops, sane};
use crate::recorder::open_spans::left_behind::SpanLeft;
use crate::recorder::record::{FIRST_ID_MAX, Ids, SLOT_WORDS};
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::layout::{self, DROPS, anchors, drainer, drops, settings};
use crate::writer::chunks::Chunks;
use crate::writer::raw::RawBatch;

pub(in crate::writer) use super::times::no_timeline;

/// After so many records a piece may end.
const MARK_RECORDS: usize = 4_096;
/// Ids of a run are fewer than this many times what it has recorded: threads take them in blocks.
const IDS_PER_RECORD: u64 = 80;
/// No more ids than this, whatever was recorded.
const IDS_MAX: u64 = 1 << 40;

/// A place where a piece may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::writer) struct Mark {
    /// How many sound records come before it.
    pub(in crate::writer) records: usize,
    /// Of this partition everything before this position is among them, or counted.
    pub(in crate::writer) partition: u32,
    pub(in crate::writer) position: u64,
    /// Damaged records since the mark before.
    pub(in crate::writer) damaged: PerKind,
}

/// What a ring has.
#[derive(Debug)]
pub(in crate::writer) struct Scan {
    pub(in crate::writer) names: DeadNames,
    pub(in crate::writer) records: RawBatch,
    pub(in crate::writer) chunks: Chunks,
    pub(in crate::writer) marks: Vec<Mark>,
    /// Sound records, by kind.
    pub(in crate::writer) sound: PerKind,
    /// Damaged ones.
    pub(in crate::writer) damaged: PerKind,
    /// Places where claims were not published.
    pub(in crate::writer) abandoned: u64,
    /// Spans that were open, the oldest first.
    pub(in crate::writer) open: Vec<SpanLeft>,
    /// Slots of open spans that make no sense.
    pub(in crate::writer) open_damaged: u64,
    /// Pieces of the clock that make no sense.
    pub(in crate::writer) clock_damaged: u64,
    pub(in crate::writer) published: PerKind,
    pub(in crate::writer) dropped_early: Drops,
    pub(in crate::writer) account: Account,
    pub(in crate::writer) timeline: Timeline,
    /// The beginning of the run, and the name of its clock.
    pub(in crate::writer) origin_unix_ns: i64,
    pub(in crate::writer) clock: &'static str,
    pub(in crate::writer) rules: Rules,
    pub(in crate::writer) field_words_max: usize,
    /// Where ids begin, as the ring says.
    pub(in crate::writer) first_id: u64,
    /// The largest id that was met.
    pub(in crate::writer) last_id: u64,
    /// How ids of the ring become those of the profile, if they are others.
    pub(in crate::writer) ids: Option<Ids>,
    /// What files have that were the profile before the present one, as far as it is known.
    pub(in crate::writer) in_earlier: PerKind,
    /// Slots of all partitions together.
    pub(in crate::writer) slots: u64,
}

/// Why a ring cannot be recovered by this program.
#[derive(Debug)]
pub(in crate::writer) enum Refused {
    /// Its records have another meaning.
    OtherBuild,
    /// It does not say whose it is.
    Nameless,
    /// It is of a process that lives, whose clock cannot be read here.
    OtherClock,
    /// Parts of it are gone.
    NotWhole,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The names, if they are in words of ours.
pub(in crate::writer) fn names<S: Source>(
    reader: &mut Reader<S>,
    is_dead: bool,
) -> Result<DeadNames, Refused> {
    names_with(reader, is_dead, |_| ()).map(|(names, _)| names)
}

/// The same for somebody who looks at them, too.
pub(in crate::writer) fn names_with<S: Source>(
    reader: &mut Reader<S>,
    is_dead: bool,
    mut each: impl FnMut(&Name<'_>),
) -> Result<(DeadNames, NamesRead), Refused> {
    let mut names = DeadNames::default();
    let read = reader.names(is_dead, |name| {
        each(&name);
        names.add(&name);
    })?;
    names.end();
    names.damaged += read.damaged;
    match &names.run {
        Some(run) if run.hash == layout::HASH && reader.value_words() == SLOT_WORDS => {
            Ok((names, read))
        }
        Some(_) => Err(Refused::OtherBuild),
        None => Err(Refused::Nameless),
    }
}

impl Scan {
    /// Looks at all of it. `from` says for each partition from where on; `ids`, how ids of the ring become those of the
    /// profile, and which one is another run's.
    pub(in crate::writer) fn of<S: Source>(
        reader: &mut Reader<S>,
        names: DeadNames,
        from: impl Fn(u32) -> u64,
        ids: Option<(Ids, u64)>,
    ) -> Result<Self, Refused> {
        let (ids, ids_end) = ids.map_or((None, None), |(ids, end)| (Some(ids), Some(end)));
        let settings = reader.settings();
        if settings[settings::HASH] != layout::HASH {
            return Err(Refused::OtherBuild);
        }
        let file_words = reader.source().len()? / 8;
        let rules = Rules::of(settings[settings::FLAGS]);
        let first_id = settings[settings::FIRST_ID].clamp(1, FIRST_ID_MAX);
        let field_words_max =
            usize::try_from(settings[settings::FIELD_WORDS_MAX].min(file_words)).unwrap_or(0);
        let (clock, anchors) = reader.clock();
        let Times { timeline, ticks, damaged: clock_damaged } = times::of(reader)?;
        let mut scan = Self {
            names,
            records: RawBatch::default(),
            chunks: Chunks::new(usize::MAX),
            marks: Vec::new(),
            sound: [0; KINDS],
            damaged: [0; KINDS],
            abandoned: 0,
            open: Vec::new(),
            open_damaged: 0,
            clock_damaged,
            published: [0; KINDS],
            dropped_early: Drops::default(),
            account: Account::of_words(&reader.counters()?).unwrap_or_default(),
            timeline,
            origin_unix_ns: i64::try_from(anchors[anchors::ORIGIN_UNIX_NS]).unwrap_or(0),
            clock: match clock {
                layout::clock::TSC => "tsc",
                layout::clock::CNTVCT => "cntvct",
                _ => "monotonic",
            },
            rules,
            field_words_max,
            first_id,
            last_id: first_id - 1,
            ids,
            in_earlier: in_earlier(reader)?,
            slots: 0,
        };
        scan.count(reader)?;
        let names = std::mem::take(&mut scan.names);
        let known = Known::of(&names);
        let most = || ids_max(&scan.published, &scan.dropped_early, scan.slots).min(IDS_MAX);
        let ids_end = ids_end.unwrap_or_else(|| first_id + most());
        // It has lived until then, though it may have recorded nothing for long.
        let here = Clock::of_another(reader.clock().0, &anchors);
        let now = here.filter(|_| reader.owner().is_of_this_boot()).map(|clock| clock.ticks());
        let alive_at = drainer::alive_at(&reader.drainer()?, now).filter(|at| ticks.contains(at));
        let mut check = Check {
            names: &names,
            known: &known,
            ids: first_id..ids_end,
            ticks,
            busy_time: rules.busy_time,
            keeps_ids: true,
            spans: Default::default(),
            events: Default::default(),
            last_ticks: alive_at.unwrap_or(0),
            has_further_threads: false,
        };
        for partition in 0..reader.partitions() {
            scan.drain(reader, partition, &from, &mut check)?;
        }
        scan.look_at_open(reader, &mut check)?;
        let met = check.spans.iter().chain(&check.events).max();
        scan.last_id = met.copied().unwrap_or(0).max(scan.last_id);
        scan.timeline.end_at(check.last_ticks);
        let has_further_threads = check.has_further_threads;
        if let Some(ids) = &scan.ids {
            scan.last_id = ids.of(scan.last_id);
            for SpanLeft { seen, .. } in &mut scan.open {
                (seen.id, seen.parent) = (ids.of(seen.id), ids.of(seen.parent));
                seen.root = ids.of(seen.root);
            }
        }
        scan.names = names;
        if has_further_threads {
            scan.names.add_further_threads();
        }
        Ok(scan)
    }

    /// What the owner has counted.
    fn count<S: Source>(&mut self, reader: &mut Reader<S>) -> io::Result<()> {
        for partition in 0..reader.partitions() {
            let seen = reader.partition(partition)?;
            self.slots = self.slots.saturating_add(seen.slots as u64);
            for (sum, n) in self.published.iter_mut().zip(seen.published) {
                *sum = sum.saturating_add(n);
            }
        }
        self.dropped_early = dropped_early(reader)?;
        Ok(())
    }

    fn drain<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        partition: usize,
        from: &impl Fn(u32) -> u64,
        check: &mut Check<'_>,
    ) -> io::Result<()> {
        let number = partition as u32;
        let mut at = from(number);
        loop {
            let mut damaged = PerKind::default();
            let Self { records, chunks, sound, ids, .. } = self;
            let drained: FileDrained =
                reader.drain(partition, at, true, MARK_RECORDS as u64, |record| {
                    match check.record(record.words) {
                        Ok(kind) => {
                            sound[kind as usize] += 1;
                            let words = records.push_words(record.words, chunks);
                            if let Some(ids) = ids {
                                ids.shift(words);
                            }
                        }
                        Err(kind) => damaged[kind as usize] += 1,
                    }
                })?;
            // What it was is not known: most are spans.
            damaged[0] += drained.damaged;
            self.abandoned += drained.abandoned;
            for (sum, n) in self.damaged.iter_mut().zip(damaged) {
                *sum += n;
            }
            let has_moved = drained.next > at || damaged != PerKind::default();
            if has_moved {
                self.marks.push(Mark {
                    records: self.records.len(),
                    partition: number,
                    position: drained.next,
                    damaged,
                });
            }
            let is_full = drained.entries + drained.tombstones >= MARK_RECORDS as u64;
            if !is_full || drained.next <= at {
                return Ok(());
            }
            at = drained.next;
        }
    }
}

fn in_earlier<S: Source>(reader: &mut Reader<S>) -> io::Result<PerKind> {
    said_of_kinds(reader, drainer::IN_EARLIER)
}

/// Counts by kind in the words of whoever drains, from this one on.
pub(in crate::writer) fn said_of_kinds<S: Source>(
    reader: &mut Reader<S>,
    first: usize,
) -> io::Result<PerKind> {
    let words = reader.drainer()?;
    let said = |kind: usize| words.get(first + kind).copied();
    Ok(std::array::from_fn(|kind| said(kind).filter(|n| *n < 1 << 48).unwrap_or(0)))
}

/// How many ids a run can have taken.
fn ids_max(published: &PerKind, dropped: &Drops, slots: u64) -> u64 {
    let dropped = dropped.as_flattened().iter();
    let recorded = published.iter().chain(dropped).fold(0_u64, |sum, n| sum.saturating_add(*n));
    // Those that are open have none of these counts yet; there are at most so many as slots.
    let others = slots.saturating_mul(2).saturating_add(1 << 20);
    recorded.saturating_add(others).saturating_mul(IDS_PER_RECORD)
}

/// Ids of the run of a ring are below this, as far as its file can be believed.
pub(in crate::writer) fn ids_end<S: Source>(reader: &mut Reader<S>) -> io::Result<u64> {
    let (mut published, mut slots) = (PerKind::default(), 0_u64);
    for partition in 0..reader.partitions() {
        let seen = reader.partition(partition)?;
        slots = slots.saturating_add(seen.slots as u64);
        for (sum, n) in published.iter_mut().zip(seen.published) {
            *sum = sum.saturating_add(n);
        }
    }
    let first_id = reader.settings()[settings::FIRST_ID].clamp(1, FIRST_ID_MAX);
    Ok(first_id.saturating_add(ids_max(&published, &dropped_early(reader)?, slots)))
}

/// What threads of the owner have dropped.
pub(in crate::writer) fn dropped_early<S: Source>(reader: &mut Reader<S>) -> io::Result<Drops> {
    const { assert!(drops::WORDS == KINDS * REASONS) };
    let mut sum = Drops::default();
    reader.cells(DROPS, 0..usize::MAX, |_, cell| {
        let Some(words) = cell.and_then(|cell| cell.get(..drops::WORDS)) else { return };
        let mut all = Drops::default();
        all.as_flattened_mut().copy_from_slice(words);
        // A count that no process reaches is no count.
        add_drops(&mut sum, &sane(&all));
    })?;
    // Nor is a sum of many.
    Ok(sane(&sum))
}
