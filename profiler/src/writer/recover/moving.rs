//! From what a ring file has to rows, batch by batch, and to the end of its run.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use spandrel_ring::file::State;
use spandrel_storage::{
    Batch, DrainedRow, ErrorKind as StorageErrorKind, LateChild, LossRow, Resumed, RingId, RunInfo,
    SpanRow, Status, Store,
};

use super::ledger::Told;
use super::of_dead;
use super::recovery::Recovery;
use super::scan::{self, Scan};
use super::{FIRST_ID_LATEST, about};
use crate::error::Error;
use crate::recorder::Recorder;
use crate::recorder::losses::{DropReason, KINDS, PerKind};
use crate::recorder::record::{FIRST_ID_MAX, Ids, Record};
use crate::writer::convert::Converter;
use crate::writer::raw::{self, RawBatch};
use crate::writer::self_time::SelfTimes;

/// So many records become a batch.
const BATCH_RECORDS: usize = 16_384;
/// At so many stored spans a recovery looks to find children of those that it stores, some 0.5 s.
pub(in crate::writer) const STORED_LOOKED_AT: u64 = 2_000_000;
/// How often refused rows are taken out of one batch.
const MENDS_MAX: u32 = 3;
/// Of a ring that has so many damaged records and no sound one, more is wrong than some records.
const DAMAGED_MUCH: u64 = 16;

/// How a recording has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::writer) enum End {
    /// Its process has died.
    Crashed,
    /// It was closed, so many nanoseconds after it had begun.
    Closed { after_ns: i64, marks_dropped: u64, callsites: [u64; 2] },
}

/// What whoever has collected from the process knows of children that are stored.
#[derive(Debug)]
pub(in crate::writer) struct KnownChildren {
    pub(in crate::writer) self_times: SelfTimes,
    /// Of spans that began before this moment, in ticks, it does not know all.
    pub(in crate::writer) since: u64,
}

/// A recovery that has begun.
pub(in crate::writer) struct Recover<'a> {
    store: &'a mut Store,
    ring: RingId,
    pub(super) scan: Scan,
    pub(super) converter: Converter,
    recorder: Arc<Recorder>,
    resumed: Resumed,
    /// Children that the dead writer had stored, by their parents.
    stored_children: HashMap<u64, Vec<LateChild>>,
    /// Of spans with smaller ids they may not be all.
    complete_from: u64,
    batch: Batch,
    recovery: Recovery,
    /// Stored here.
    stored: PerKind,
    /// Refused by the profile, as their ids were there.
    refused: PerKind,
    /// Damaged ones of which a row of this recovery tells.
    damaged_told: PerKind,
    end: End,
    /// Whether to try again what the profile refuses. Whoever only begins to record does not wait for that.
    again: Option<&'a mut dyn FnMut(&Error) -> bool>,
}

impl<'a> Recover<'a> {
    pub(in crate::writer) fn begin(
        store: &'a mut Store,
        path: &Path,
        ring: (RingId, &str),
        scan: Scan,
        threads_above: Option<i64>,
        end: End,
    ) -> Result<Self, Error> {
        Self::begin_with(store, path, ring, scan, threads_above, end, None)
    }

    /// The same for somebody who knows of children.
    pub(in crate::writer) fn begin_with(
        store: &'a mut Store,
        path: &Path,
        (ring, uuid): (RingId, &str),
        mut scan: Scan,
        threads_above: Option<i64>,
        end: End,
        known: Option<KnownChildren>,
    ) -> Result<Self, Error> {
        if scan.last_id.saturating_add(1) >= FIRST_ID_MAX {
            // Whoever records next would find no ids above.
            return Err(about(path, &"it has ids that no recording can reach; remove it"));
        }
        let mut recovery = scan.told(path);
        let above = threads_above.unwrap_or_else(|| store.thread_id(0));
        let resumed = match store.resume_run(uuid, above)? {
            Some(resumed) if scan.ids.is_none() && resumed.first_id != scan.first_id => {
                return Err(about(
                    path,
                    &"its ids do not begin where those of its run do; it was not recovered",
                ));
            }
            Some(resumed) => resumed,
            None if scan.ids.is_none() && scan.first_id > FIRST_ID_LATEST => {
                return Err(about(
                    path,
                    &"its ids leave no room for those of other runs; it was not recovered",
                ));
            }
            // Somebody has taken the profile away, or the row out of it.
            None => {
                store.begin_run(&scan.run_info(uuid))?;
                let resumed = store.resume_run(uuid, store.thread_id(0))?;
                resumed.ok_or_else(|| about(path, &"its run cannot be gone on with"))?
            }
        };
        recovery.run_id = Some(resumed.run_id);
        recovery.was_closed = end != End::Crashed;
        let above = scan.last_id.max(resumed.last_id).saturating_add(1);
        // Where ids of the ring are shifted, other runs may be above.
        let first_id = if scan.ids.is_some() { above } else { store.next_id().max(above) };
        if first_id >= FIRST_ID_MAX {
            return Err(Error::damaged_ids(store.path()));
        }
        let names = std::mem::take(&mut scan.names);
        let recorder = of_dead::recorder(&names, scan.rules, first_id);
        let recorder = recorder.map_err(|refused| about(path, &refused.source))?;
        let timeline = std::mem::replace(&mut scan.timeline, scan::no_timeline());
        let redaction = names.redaction();
        let open_spans_max = scan.slots.min(1 << 20) as usize;
        let mut converter =
            Converter::new(Arc::clone(&recorder), timeline, open_spans_max, redaction)
                .with_names(Arc::new(names));
        let since = known.as_ref().map_or(u64::MAX, |known| known.since);
        let parents: HashSet<u64> = began_before(&scan.records, since).collect();
        if let Some(KnownChildren { mut self_times, .. }) = known {
            // All of these are found in the profile.
            parents.iter().for_each(|id| self_times.take_children(*id));
            converter.self_times = self_times;
        }
        let mut stored_children: HashMap<u64, Vec<LateChild>> = HashMap::new();
        let own = scan.ids.as_ref().map(Ids::in_profile);
        let own = own.unwrap_or_else(|| vec![resumed.first_id..=u64::MAX]);
        let found = store.stored_children(&parents, &own, STORED_LOOKED_AT)?;
        let complete_from = found.complete_from;
        for child in found.children {
            stored_children.entry(child.parent_id).or_default().push(child);
        }
        Ok(Self {
            store,
            ring,
            scan,
            converter,
            recorder,
            resumed,
            stored_children,
            complete_from,
            batch: Batch::default(),
            recovery,
            stored: [0; KINDS],
            refused: [0; KINDS],
            damaged_told: [0; KINDS],
            end,
            again: None,
        })
    }

    /// The same for somebody who can wait while the profile refuses what is stored.
    #[cfg(feature = "collected")]
    pub(in crate::writer) fn trying(self, again: &'a mut dyn FnMut(&Error) -> bool) -> Self {
        Self { again: Some(again), ..self }
    }

    /// Whether to try again what was refused so.
    fn is_tried_again(&mut self, refused: &Error) -> bool {
        self.again.as_mut().is_some_and(|again| again(refused))
    }

    pub(in crate::writer) fn run(mut self) -> Result<Recovery, Error> {
        let mut none = RawBatch::default();
        self.converter.count_late_children(&mut self.scan.records, &mut none, |_| ());
        let marks = std::mem::take(&mut self.scan.marks);
        let mut rest = marks.as_slice();
        while let Some(first) = rest.first() {
            let begun = self.scan.records.piece(0).start;
            // As many marks as make a batch, and at least one.
            let fits = |mark: &scan::Mark| mark.records - begun <= BATCH_RECORDS;
            let count = rest.iter().take_while(|mark| fits(mark)).count().max(1);
            let (these, behind) = rest.split_at(count);
            let end = these.last().unwrap_or(first).records;
            self.store_piece(begun..end, these)?;
            rest = behind;
        }
        self.store_the_end()?;
        Ok(self.recovery)
    }

    /// Records up to these marks, with the marks.
    pub(super) fn store_piece(
        &mut self,
        piece: std::ops::Range<usize>,
        marks: &[scan::Mark],
    ) -> Result<(), Error> {
        let Self { converter, scan, store, batch, stored_children, .. } = self;
        converter.convert(&scan.records, piece.clone(), store, batch, || ());
        converter.put_contexts(batch);
        without_self_times(&mut batch.spans, self.complete_from);
        let is_complete = |span: &&SpanRow| span.self_ns.is_some() && span.id >= self.complete_from;
        for span in batch.spans.iter().filter(is_complete) {
            batch.late_children.extend(stored_children.remove(&span.id).into_iter().flatten());
        }
        // Those of one parent side by side.
        batch.late_children.sort_by_key(|child| child.parent_id);
        let counts = scan.records.take(piece, &mut scan.chunks);
        let mut damaged = PerKind::default();
        for mark in marks {
            raw::add(&mut damaged, mark.damaged);
            batch.drained.push(DrainedRow {
                ring: self.ring,
                partition: Some(mark.partition),
                position: mark.position,
            });
        }
        let to_ns = converter.timeline.now_ns();
        batch.losses.extend(loss(DropReason::Damaged, damaged, to_ns));
        raw::add(&mut self.damaged_told, damaged);
        self.append(counts)
    }

    /// What was open, the ledger, and that nothing more is needed: together, or not at all.
    fn store_the_end(&mut self) -> Result<(), Error> {
        let ids = self.scan.open.iter().map(|left| left.seen.id);
        let stored: HashSet<u64> = self.store.stored_spans(ids)?.into_iter().collect();
        self.scan.open.retain(|left| !stored.contains(&left.seen.id));
        let open: Vec<_> = self.scan.open.iter().map(|left| &left.seen).collect();
        let open_ids: HashSet<u64> = open.iter().map(|seen| seen.id).collect();
        let crashed = open.len() as u64;
        let Self { converter, store, batch, .. } = self;
        let status = match self.end {
            End::Crashed => Status::Crashed,
            End::Closed { .. } => Status::Unfinished,
        };
        let rows = converter.unfinished(open, true, status, store, &mut batch.text);
        batch.spans.extend(rows);
        converter.self_times.end(|id| open_ids.contains(&id));
        converter.tell_late(store, batch);
        converter.put_contexts(batch);
        batch.open_spans = Some(Vec::new());
        // A run that was closed has an end in the profile, which says the same.
        if self.end == End::Crashed {
            batch.drained.push(DrainedRow { ring: self.ring, partition: None, position: 1 });
        }
        self.recovery.crashed = crashed;
        self.recovery.torn = self.scan.open.iter().filter(|left| left.is_torn).count() as u64;
        let told = Told::of(&self.resumed, &self.scan, self.stored, self.refused, crashed);
        let to_ns = self.converter.timeline.now_ns();
        let losses = told.losses_untold(&self.resumed, (self.damaged_told, self.refused), to_ns);
        // Its last sign of life may be later than all that it has recorded: so long it was in what was open.
        self.batch.until_ns = Some(to_ns);
        self.recovery.damaged = told.damaged() + self.scan.clock_damaged;
        (self.recovery.ledger, self.recovery.events_ledger) = (told.spans(), told.events());
        self.recovery.elsewhere = told.spans_elsewhere();
        match self.end {
            End::Crashed => {
                self.batch.losses.extend(losses);
                let report = told.report(unix_ns());
                self.batch.report = Some(self.with_what_it_said(report)?);
                self.append([0; KINDS])
            }
            End::Closed { after_ns, marks_dropped, callsites } => {
                self.append([0; KINDS])?;
                let ended = self.resumed.info.started_unix_ns.saturating_add(after_ns.max(to_ns));
                let report =
                    self.with_what_it_said(told.closed_report(marks_dropped, callsites))?;
                loop {
                    let stored = self.store.end_run_with_losses(ended, &report, &losses);
                    match stored.map_err(Error::from) {
                        Err(error) if self.is_tried_again(&error) => {}
                        stored => return stored,
                    }
                }
            }
        }
    }

    /// What the process has said of itself stays: nobody else knows what memory it took, and what was wrong.
    fn with_what_it_said(&self, report: String) -> Result<String, Error> {
        Ok(self.store.report_with(report, self.resumed.report.as_deref())?)
    }

    /// Gives the batch to the store, without rows that it refuses.
    fn append(&mut self, counts: PerKind) -> Result<(), Error> {
        let mut mends = 0;
        let mut lost = PerKind::default();
        loop {
            match self.store.append(&mut self.batch) {
                Ok(_) => break,
                Err(error)
                    if error.kind() == StorageErrorKind::InvalidBatch && mends < MENDS_MAX =>
                {
                    let recorder = &self.recorder;
                    let mended =
                        self.store.mend(&mut self.batch, &mut |above| recorder.id_above(above));
                    let mended = match mended.map_err(Error::from) {
                        Err(refused) if self.is_tried_again(&refused) => continue,
                        mended => mended?,
                    };
                    mends += 1;
                    if mended.is_unchanged() {
                        return Err(error.into());
                    }
                    let refused =
                        [mended.spans, mended.events, mended.links, mended.entries, mended.gauges];
                    let to_ns = self.converter.timeline.now_ns();
                    self.batch.losses.extend(loss(DropReason::RowRefused, refused, to_ns));
                    raw::add(&mut lost, refused);
                    if mended.renumbered > 0 {
                        self.converter.forget_callsites();
                    }
                }
                Err(error) => {
                    let error = error.into();
                    if !self.is_tried_again(&error) {
                        return Err(error);
                    }
                }
            }
        }
        self.converter.self_times.settle(true);
        self.batch.clear();
        for (kind, n) in counts.into_iter().enumerate() {
            self.stored[kind] += n.saturating_sub(lost[kind]);
            self.refused[kind] += lost[kind];
        }
        Ok(())
    }
}

/// Spans of which not all children are known get no self time: rather that than the time of a child twice.
pub(in crate::writer) fn without_self_times(spans: &mut [SpanRow], complete_from: u64) {
    for span in spans.iter_mut().filter(|span| span.id < complete_from && span.self_ns.is_some()) {
        span.self_ns = Some(0);
        span.self_busy_ns = span.busy_ns.map(|_| 0);
    }
}

/// Spans that have closed, and began before this moment, in ticks.
pub(in crate::writer) fn began_before(
    records: &RawBatch,
    moment: u64,
) -> impl Iterator<Item = u64> + '_ {
    records.records().filter_map(move |record| match record {
        Record::Span(head, _) if head.start < moment => Some(head.id),
        _ => None,
    })
}

/// A row for what was lost, if anything was.
pub(in crate::writer) fn loss(reason: DropReason, lost: PerKind, to_ns: i64) -> Option<LossRow> {
    let [spans, events, _, entries, _] = lost;
    (spans + events + entries > 0).then(|| LossRow {
        reason: reason.as_str(),
        from_ns: 0,
        to_ns: to_ns.max(0),
        spans,
        events,
        entries,
        thread_id: None,
    })
}

fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Scan {
    /// Whether much is damaged, and nothing sound. (A link says too little to make no sense.)
    pub(super) fn makes_no_sense(&self) -> bool {
        let damaged = self.damaged.iter().fold(self.open_damaged, |sum, n| sum.saturating_add(*n));
        let [spans, events, _, entries, gauges] = self.sound;
        damaged >= DAMAGED_MUCH && spans + events + entries + gauges == 0 && self.open.is_empty()
    }

    /// Whether there is anything that can be stored, or that was lost.
    pub(super) fn has_any(&self) -> bool {
        let found = [self.sound, self.damaged].as_flattened().iter().any(|n| *n > 0);
        found || !self.open.is_empty() || self.abandoned + self.open_damaged > 0
    }

    /// How its recording has ended, where the state of the file is this.
    pub(super) fn end(&self, state: State) -> End {
        let Some([at, marks_dropped, kept, below]) =
            self.names.ended.filter(|_| state == State::Closed)
        else {
            return End::Crashed;
        };
        let after_ns = self.timeline.ns(at).max(0);
        End::Closed { after_ns, marks_dropped, callsites: [kept, below] }
    }

    /// The row of a run that the profile does not have any more.
    fn run_info(&self, uuid: &str) -> RunInfo {
        let run = self.names.run.as_ref();
        RunInfo {
            uuid: uuid.to_owned(),
            started_unix_ns: self.origin_unix_ns,
            pid: run.and_then(|run| u32::try_from(run.pid).ok()).unwrap_or(0),
            program: run.map(|run| run.program.clone()).unwrap_or_default(),
            args: "[]".into(),
            clock: self.clock.into(),
            settings: "{}".into(),
            ..RunInfo::default()
        }
    }
}
