//! The run of a ring that is collected: what is known of it between two commits, and the batch that is being made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use spandrel_storage::{
    Batch, ErrorKind as StorageErrorKind, LateChild, Lost, MarkRow, RingId, RunAside, SpanRow,
    Store,
};

use super::about::About;
use super::ids::OwnIds;
use super::refusals::{GoesOn, Tries};
use crate::error::{Error, ErrorKind};
use crate::recorder::Recorder;
use crate::recorder::losses::{DropReason, Drops, PerKind};
use crate::recorder::record::Ids;
use crate::writer::chunks::Chunks;
use crate::writer::commit::ORPHANS_INTERVAL;
use crate::writer::convert::Converter;
use crate::writer::raw::{self, RawBatch};
use crate::writer::recover::{STORED_LOOKED_AT, began_before, loss, without_self_times};

/// Moments are below this, whatever the clock.
pub(super) const TICKS_END: u64 = 1 << 62;

/// Where records are drained into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Into {
    Raw,
    Next,
}

/// How often refused rows are taken out of one batch.
const MENDS_MAX: u32 = 3;

/// The run of a ring.
pub(super) struct Run {
    pub(super) id: i64,
    pub(super) ids: OwnIds,
    pub(super) threads_above: i64,
    pub(super) aside: Option<RunAside>,
    pub(super) converter: Converter,
    pub(super) recorder: Arc<Recorder>,
    pub(super) batch: Batch,
    pub(super) raw: RawBatch,
    pub(super) next: RawBatch,
    pub(super) chunks: Chunks,
    /// Up to where each partition is in `raw`, in `next`, and in the profile.
    pub(super) raw_at: Vec<u64>,
    pub(super) next_at: Vec<u64>,
    pub(super) committed: Vec<u64>,
    pub(super) busy_time: bool,
    pub(super) marks_stored: u64,
    /// Records that earlier profiles have, or tell to be lost.
    pub(super) in_earlier: PerKind,
    /// Those that were stored in this one, or refused by it.
    pub(super) taken: PerKind,
    /// Losses of which rows tell.
    pub(super) told: Drops,
    /// Numbers of callsites that were missing between others when the names were read last.
    pub(super) gap: Option<u32>,
    /// Children of spans that began before this moment, in ticks, may be in the profile, and in no memory.
    pub(super) resumed_at: Option<u64>,
    /// When it was looked last for children whose parents are stored.
    pub(super) last_orphans: Instant,
    /// Children of spans that are being converted, by those.
    pub(super) stored_children: HashMap<u64, Vec<LateChild>>,
    /// Of spans with smaller ids they may not be all.
    pub(super) complete_from: u64,
    /// When its recording has ended, once that is known.
    pub(super) ended_ns: Option<i64>,
}

/// Losses of which rows tell already.
pub(super) fn told_in(lost: &[Lost]) -> Drops {
    let mut told = Drops::default();
    for (reason, told) in DropReason::ALL.iter().zip(&mut told) {
        if let Some(row) = lost.iter().find(|row| row.reason == reason.as_str()) {
            *told = [row.spans, row.events, 0, row.entries, 0];
        }
    }
    told
}

impl Run {
    /// Children of spans that are converted next and that an earlier collector has stored.
    pub(super) fn add_stored_children(&mut self, store: &Store) -> Result<(), Error> {
        let Some(resumed_at) = self.resumed_at else { return Ok(()) };
        let parents: HashSet<u64> = began_before(&self.raw, resumed_at).collect();
        if parents.is_empty() {
            return Ok(());
        }
        // Those that this collector has stored are found there, too, and count once.
        parents.iter().for_each(|id| self.converter.self_times.take_children(*id));
        let found =
            store.stored_children(&parents, &self.ids.ids().in_profile(), STORED_LOOKED_AT)?;
        self.complete_from = found.complete_from;
        for child in found.children {
            self.stored_children.entry(child.parent_id).or_default().push(child);
        }
        Ok(())
    }

    /// Takes them off the self times of those spans.
    pub(super) fn take_stored_children(&mut self) {
        let complete_from = std::mem::take(&mut self.complete_from);
        without_self_times(&mut self.batch.spans, complete_from);
        if self.stored_children.is_empty() {
            return;
        }
        let Self { batch, stored_children, .. } = self;
        let is_complete = |span: &&SpanRow| span.self_ns.is_some() && span.id >= complete_from;
        for span in batch.spans.iter().filter(is_complete) {
            batch.late_children.extend(stored_children.remove(&span.id).into_iter().flatten());
        }
        // Those of one parent side by side.
        batch.late_children.sort_by_key(|child| child.parent_id);
        stored_children.clear();
    }

    /// Its recording has ended at this moment, in ticks.
    pub(super) fn end_at(&mut self, ticks: u64) {
        let timeline = &mut self.converter.timeline;
        timeline.renew();
        self.ended_ns.get_or_insert(timeline.ns(ticks).max(0));
    }

    /// Now, or the end of its recording: whoever looks may come long after that.
    pub(super) fn now_ns(&self) -> i64 {
        self.ended_ns.unwrap_or_else(|| self.converter.timeline.now_ns())
    }

    /// The last moment, in ticks, of spans that are drained and not stored.
    pub(super) fn last_ticks(&self) -> u64 {
        let drained = self.raw.records().chain(self.next.records());
        drained.filter_map(|record| record.end()).max().unwrap_or(0)
    }

    /// Whether it is time to look for children that came after their parents were stored.
    pub(super) fn is_to_look_for_orphans(&self) -> bool {
        let times = &self.converter.self_times;
        let is_due = times.has_children() && self.last_orphans.elapsed() >= ORPHANS_INTERVAL;
        is_due || times.is_crowded()
    }

    /// Parts children from parents that will not come any more: see `part_from_parents` of a writer. These are open.
    pub(super) fn part_from_parents(&mut self, mut expected: Vec<u64>, is_all_here: bool) {
        self.last_orphans = Instant::now();
        let self_times = &mut self.converter.self_times;
        // A parent's record may be behind one that is not published yet.
        if !is_all_here && !self_times.is_overcrowded() {
            return;
        }
        let drained = self.raw.records().chain(self.next.records());
        expected.extend(drained.filter_map(|record| record.span_id()));
        expected.sort_unstable();
        let is_expected = |id| expected.binary_search(&id).is_ok();
        match self_times.is_crowded() {
            true => self_times.purge(is_expected),
            false => self_times.find_orphans(is_expected),
        }
    }

    /// Whatever of the ring was given back, by kind.
    pub(super) fn given_back(&self) -> PerKind {
        let mut sum = self.in_earlier;
        raw::add(&mut sum, self.taken);
        raw::add(&mut sum, self.told[DropReason::Damaged as usize]);
        sum
    }

    /// Rows for what threads have dropped since the last ones.
    pub(super) fn add_losses(&mut self, drops: &Drops, to_ns: i64) {
        for ((reason, now), told) in DropReason::ALL.iter().zip(drops).zip(&mut self.told) {
            if *reason == DropReason::Damaged {
                continue;
            }
            let new: PerKind = std::array::from_fn(|kind| now[kind].saturating_sub(told[kind]));
            let row = loss(*reason, new, to_ns);
            if row.is_some() {
                raw::add(told, new);
            }
            self.batch.losses.extend(row);
        }
    }

    /// Rows for marks that are not stored.
    pub(super) fn add_marks(&mut self, about: &mut About) {
        let timeline = &self.converter.timeline;
        let marks = about.marks.drain(..).map(|mark| MarkRow {
            id: self.ids.ids().first().saturating_add(mark.id),
            at_ns: timeline.ns(mark.at),
            until_ns: mark.until.map(|until| timeline.ns(until)),
            label: mark.label,
            fields: None,
        });
        self.batch.marks.extend(marks);
    }

    /// Gives the batch to the profile, without rows that it refuses. A refusal that may be over is waited for.
    /// `goes_on` hears of it and is asked meanwhile; once it says no, not for long.
    pub(super) fn append(
        &mut self,
        store: &mut Store,
        ring: RingId,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<(), Error> {
        self.batch.drained.extend(self.ids.rows(ring));
        if self.batch.is_empty() {
            return Ok(());
        }
        let (mut mends, mut tries) = (0, Tries::default());
        loop {
            let error: Error = match store.append(&mut self.batch) {
                Ok(_) => break,
                Err(error) => error.into(),
            };
            match error.kind() {
                ErrorKind::Storage(StorageErrorKind::InvalidBatch) if mends < MENDS_MAX => {
                    let (ids, next) = (self.ids.ids(), &mut self.converter.entry_ids);
                    let mut fresh = |above| {
                        let id = next_of_entries(ids, above).max((*next)?);
                        *next = Some(id + 2);
                        Some(id)
                    };
                    let mended = match store.mend(&mut self.batch, &mut fresh).map_err(Error::from)
                    {
                        Err(refused) if tries.again(&refused, goes_on) => continue,
                        mended => mended?,
                    };
                    mends += 1;
                    if mended.is_unchanged() {
                        return Err(error);
                    }
                    let refused =
                        [mended.spans, mended.events, mended.links, mended.entries, mended.gauges];
                    let to_ns = self.now_ns();
                    self.batch.losses.extend(loss(DropReason::RowRefused, refused, to_ns));
                    if mended.renumbered > 0 {
                        self.converter.forget_callsites();
                    }
                }
                _ if tries.again(&error, goes_on) => {}
                _ => return Err(error),
            }
        }
        tries.taken(goes_on);
        self.ids.are_stored();
        self.converter.self_times.settle(true);
        self.batch.clear();
        Ok(())
    }
}

/// The first id of an entry that is above all these.
pub(super) fn next_of_entries(ids: &Ids, last_id: u64) -> u64 {
    let above = last_id.max(ids.first());
    // Those of entries are one more than those of spans and events.
    if above.wrapping_sub(ids.first()).is_multiple_of(2) { above + 1 } else { above + 2 }
}
