//! One ring file that is collected: its run, and how far it is stored.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spandrel_ring::file::{Liveness, OpenError, Reader, State, monotonic_ns};
use spandrel_storage::{
    Batch, DrainedRow, ErrorKind as StorageErrorKind, LateChild, MarkRow, RingId, RunAside,
    SpanRow, Store,
};
use tracing_core::LevelFilter;

use super::about::{About, Ended};
use crate::error::Error;
use crate::recorder::clock::{Clock, Timeline};
use crate::recorder::entry_rules::{EntryRules, RuleOf};
use crate::recorder::losses::{DropReason, Drops, PerKind};
use crate::recorder::record::{FIRST_ID_MAX, Ids, Record};
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::layout::{drainer, settings};
use crate::recorder::rule::Rule;
use crate::recorder::stats::Ledger;
use crate::recorder::threads::{ThreadInfo, Threads};
use crate::recorder::{Recorder, RecorderOptions};
use crate::writer::chunks::Chunks;
use crate::writer::convert::Converter;
use crate::writer::raw::{self, RawBatch};
use crate::writer::recover::check::Check;
use crate::writer::recover::scan::{self, Scan};
use crate::writer::recover::{
    End, Recover, STORED_LOOKED_AT, about, is_done, is_still, loss, remove, without_self_times,
};

/// Commits of one ring are so far apart, unless it fills up.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);
/// Records of one commit.
const RECORDS_MAX: u64 = 1 << 16;
/// Moments are below this, whatever the clock.
const TICKS_END: u64 = 1 << 62;
/// Of a recording that was closed and whose process lives, for how long something may still be published.
const STRAGGLER_GRACE: Duration = Duration::from_millis(100);
/// The pause after the profile has refused a batch.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// Ids of threads begin at most so far above those in the file: room for more runs than are collected at a time.
const THREADS_AHEAD: i64 = 1 << 48;
/// How often refused rows are taken out of one batch.
const MENDS_MAX: u32 = 3;
/// How often a batch that is refused is tried again.
const REFUSALS_MAX: u32 = 150;

/// What became of a file that was to be opened.
pub(super) enum Opened {
    Ring(Box<Ring>),
    /// It is being made, or another process drains it.
    NotYet,
    /// All that it has had is in the profile; only the file is left.
    Done(RingId),
}

/// What one look at a ring has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    Nothing,
    /// There is something, and it is not time for a commit yet.
    Waiting,
    Stored(u64),
    /// Nothing more will come.
    Ended,
}

/// A ring.
pub(super) struct Ring {
    path: PathBuf,
    reader: Reader<File>,
    id: RingId,
    names: Arc<DeadNames>,
    about: About,
    /// Where their end was, or so, when they were read.
    names_read: u64,
    /// Whether the profile has a row of its run.
    is_in_profile: bool,
    clock: Option<Clock>,
    run: Option<Run>,
    /// When anything was found to have moved, or the ring was opened.
    last_commit: Instant,
    /// Up to where the partitions were when nothing had moved, and since when, once it is closed.
    closed: Option<(Vec<u64>, Instant)>,
}

/// The run of a ring.
struct Run {
    id: i64,
    ids: Ids,
    /// Ids of the ring are below this.
    ids_end: u64,
    threads_above: i64,
    aside: Option<RunAside>,
    converter: Converter,
    recorder: Arc<Recorder>,
    batch: Batch,
    raw: RawBatch,
    next: RawBatch,
    chunks: Chunks,
    /// Up to where each partition is in `raw`, in `next`, and in the profile.
    raw_at: Vec<u64>,
    next_at: Vec<u64>,
    committed: Vec<u64>,
    busy_time: bool,
    marks_stored: u64,
    /// Losses of which rows tell.
    told: Drops,
    /// Numbers of callsites that were missing between others when the names were read last.
    gap: Option<u32>,
    /// Children of spans that began before this moment, in ticks, may be in the profile, and in no memory.
    resumed_at: Option<u64>,
    /// Children of spans that are being converted, by those.
    stored_children: HashMap<u64, Vec<LateChild>>,
    /// Of spans with smaller ids they may not be all.
    complete_from: u64,
}

impl Ring {
    pub(super) fn open(path: &Path, store: &Store) -> Result<Opened, Error> {
        let mut reader = match Reader::open_to_drain(path) {
            Ok(reader) => reader,
            Err(OpenError::NoRing) => return Ok(Opened::NotYet),
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Opened::NotYet);
            }
            Err(error) => return Err(about(path, &error)),
        };
        let id = reader.run();
        let io = |error: std::io::Error| about(path, &error);
        let liveness = reader.liveness().map_err(io)?;
        if liveness == Liveness::Unknown {
            let why = "whether its process lives cannot be told from here: collect where it runs";
            return Err(about(path, &why));
        }
        if reader.state().map_err(io)? == State::Building {
            // Its process has died over it: there is nothing in it.
            return Ok(if liveness.is_dead() { Opened::Done(id) } else { Opened::NotYet });
        }
        if !reader.lock_to_drain().map_err(io)? || !is_still(path, reader.source()) {
            return Ok(Opened::NotYet);
        }
        let (names, about_run, _) = read_names(&mut reader, path, 0)?;
        let uuid = names.run.as_ref().map(|run| run.uuid.clone()).unwrap_or_default();
        let ended = store.has_ended(&uuid)?;
        if ended == Some(true) || is_done(&store.drained(&id)?) {
            return Ok(Opened::Done(id));
        }
        let (kind, anchors) = reader.clock();
        let clock = Clock::of_another(kind, &anchors).filter(|_| reader.owner().is_of_this_boot());
        if clock.is_none() && !liveness.is_dead() {
            return Err(about(
                path,
                &"its clock cannot be read here: collect on the machine where it runs",
            ));
        }
        Ok(Opened::Ring(Box::new(Self {
            path: path.to_owned(),
            id,
            names: Arc::new(names),
            about: about_run,
            names_read: u64::MAX,
            is_in_profile: ended == Some(false),
            clock,
            run: None,
            last_commit: Instant::now(),
            closed: None,
            reader,
        })))
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn is_in_profile(&self) -> bool {
        self.is_in_profile
    }

    pub(super) fn started_unix_ns(&self) -> i64 {
        self.about.info.as_ref().map_or(0, |info| info.started_unix_ns)
    }

    pub(super) fn run_id(&self) -> i64 {
        self.run.as_ref().map_or(0, |run| run.id)
    }

    pub(super) fn first_id(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.ids.first())
    }

    pub(super) fn threads_above(&self) -> i64 {
        self.run.as_ref().map_or(0, |run| run.threads_above)
    }

    pub(super) fn pid(&self) -> u64 {
        self.names.run.as_ref().map_or(0, |run| run.pid)
    }

    pub(super) fn program(&self) -> String {
        self.names.run.as_ref().map(|run| run.program.clone()).unwrap_or_default()
    }

    /// Ids from this one on are another run's.
    pub(super) fn ids_end_at(&mut self, end: u64) {
        if let Some(run) = &mut self.run {
            run.ids_end = run.ids_end.min(run.ids.room_below(end) + 1);
        }
    }

    /// Begins its run in the profile, with ids from `first_id` on; or goes on with the one that is there. Says whether it
    /// is new.
    pub(super) fn begin(
        &mut self,
        store: &mut Store,
        first_id: u64,
        threads_above: i64,
    ) -> Result<bool, Error> {
        let io = |error: std::io::Error| about(&self.path, &error);
        let Some(said) = &self.names.run else { return Ok(false) };
        let words = self.reader.drainer().map_err(io)?;
        let said_above = words.get(drainer::THREADS_ABOVE).copied().unwrap_or(0);
        let above = match said_above.checked_sub(1).map(u64::cast_signed) {
            // Runs beside it may have had ids above all in the file.
            Some(above)
                if above <= store.last_thread_id()?.saturating_add(THREADS_AHEAD)
                    && store.threads_can_begin_above(&said.uuid, above)? =>
            {
                above
            }
            _ => threads_above,
        };
        let resumed = store.resume_run(&said.uuid, above)?;
        let is_new = resumed.is_none();
        let (id, ids, last_id, lost) = match resumed {
            Some(resumed) => {
                (resumed.run_id, Ids::beginning_at(resumed.first_id), resumed.last_id, resumed.lost)
            }
            None => {
                let id = store.begin_run_at(&self.about.row(said), first_id, above)?;
                (id, Ids::beginning_at(first_id), first_id, Vec::new())
            }
        };
        // Before anything is stored with it.
        let said_above = above.wrapping_add(1).cast_unsigned();
        self.reader.set_drainer(drainer::THREADS_ABOVE, said_above).map_err(io)?;
        let ends = store.first_id_above(ids.first())?.unwrap_or(FIRST_ID_MAX);
        let mut told = Drops::default();
        for (reason, told) in DropReason::ALL.iter().zip(&mut told) {
            if let Some(row) = lost.iter().find(|row| row.reason == reason.as_str()) {
                *told = [row.spans, row.events, 0, row.entries];
            }
        }
        let partitions = self.reader.partitions();
        let mut committed = vec![0; partitions];
        for row in store.drained(&self.id)? {
            if let Some(at) = row.partition.and_then(|it| committed.get_mut(it as usize)) {
                *at = row.position;
            }
        }
        let words = self.reader.settings();
        let flags = words[settings::FLAGS];
        let busy_time = flags & settings::BUSY_TIME != 0;
        let options = RecorderOptions {
            // Nothing is recorded here.
            ring_capacity: 64,
            partitions: 1,
            open_spans_max: 64,
            field_bytes_max: 1 << 10,
            rule: Rule::new(LevelFilter::OFF, LevelFilter::OFF),
            busy_time,
            status_rules: flags & settings::STATUS_RULES != 0,
            entries: EntryRules::default(),
            first_id: 1,
        };
        let threads = Threads::of_dead(self.names.threads.values().cloned());
        let recorder = Recorder::of_dead(&options, self.names.known_callsites(), threads);
        let recorder = recorder.map_err(|refused| about(&self.path, &refused.source))?;
        let timeline = match &self.clock {
            Some(clock) => Timeline::start(clock.clone()),
            None => scan::no_timeline(),
        };
        let redaction = self.names.redaction();
        let slots: usize = (0..partitions)
            .map(|partition| self.reader.partition(partition).map_or(0, |seen| seen.slots))
            .sum();
        let mut converter =
            Converter::new(Arc::clone(&recorder), timeline, slots.min(1 << 20), redaction)
                .with_names(Arc::clone(&self.names));
        converter.entry_ids = Some(ids.free_above(1).max(next_of_entries(ids, last_id)));
        let now = self.clock.as_ref().map_or(TICKS_END, Clock::ticks);
        self.run = Some(Run {
            id,
            ids,
            ids_end: ids.room_below(ends) + 1,
            threads_above: above,
            aside: store.set_run_aside(),
            converter,
            recorder,
            batch: Batch::default(),
            raw: RawBatch::default(),
            next: RawBatch::default(),
            chunks: Chunks::new(usize::MAX),
            raw_at: committed.clone(),
            next_at: committed.clone(),
            committed,
            busy_time,
            marks_stored: 0,
            told,
            gap: None,
            resumed_at: (!is_new).then_some(now),
            stored_children: HashMap::new(),
            complete_from: 0,
        });
        Ok(is_new)
    }

    /// Stores what is new, if it is time to.
    pub(super) fn round(&mut self, store: &mut Store, is_last: bool) -> Result<Round, Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        self.reader.set_drainer(drainer::LOOKED_AT, monotonic_ns()).map_err(io)?;
        let Some(run) = &self.run else { return Ok(Round::Ended) };
        let (mut is_moved, mut is_crowded, mut tails) = (false, false, Vec::new());
        for (partition, at) in run.committed.iter().enumerate() {
            let seen = self.reader.partition(partition).map_err(io)?;
            tails.push(seen.tail);
            is_moved |= seen.tail > *at;
            is_crowded |= seen.tail.saturating_sub(*at) > seen.slots as u64 / 4;
        }
        let state = self.reader.state().map_err(io)?;
        if self.reader.liveness().map_err(io)?.is_dead() {
            return Ok(Round::Ended);
        }
        if state == State::Closed {
            // A thread that is in the middle of a claim may still publish.
            let since = match &self.closed {
                Some((before, since)) if *before == tails => *since,
                _ => Instant::now(),
            };
            self.closed = Some((tails, since));
            if !is_moved || since.elapsed() >= STRAGGLER_GRACE {
                return Ok(Round::Ended);
            }
        }
        let is_due = is_last || is_crowded || self.last_commit.elapsed() >= COMMIT_PAUSE;
        let is_moved = is_moved || self.has_new_names()?;
        if !is_moved || !is_due {
            return Ok(if is_moved { Round::Waiting } else { Round::Nothing });
        }
        self.last_commit = Instant::now();
        match self.store(store)? {
            0 => Ok(Round::Nothing),
            records => Ok(Round::Stored(records)),
        }
    }

    /// Whether names were appended since they were read: a mark, perhaps.
    fn has_new_names(&mut self) -> Result<bool, Error> {
        let end = self.reader.names_hint().map_err(|error| about(&self.path, &error))?;
        Ok(self.names_read != end)
    }

    /// One batch.
    fn store(&mut self, store: &mut Store) -> Result<u64, Error> {
        self.drain(Into::Raw)?;
        // A child's record may lie behind its parent's, in a partition that was drained before.
        self.drain(Into::Next)?;
        let Some(run) = &mut self.run else { return Ok(0) };
        if let Some(aside) = run.aside.take() {
            store.take_run_up(aside);
        }
        let stored = self.store_batch(store);
        if let Some(run) = &mut self.run {
            run.aside = store.set_run_aside();
        }
        stored
    }

    fn store_batch(&mut self, store: &mut Store) -> Result<u64, Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        let Some(run) = &mut self.run else { return Ok(0) };
        run.converter.timeline.renew();
        run.converter.count_late_children(&mut run.raw, &mut run.next, |_| ());
        let all = run.raw.piece(usize::MAX);
        let records = all.len() as u64;
        run.add_stored_children(store)?;
        run.converter.convert(&run.raw, all, store, &mut run.batch, || ());
        run.take_stored_children();
        run.converter.put_contexts(&mut run.batch);
        let to_ns = run.converter.timeline.now_ns();
        let drops = scan::dropped_early(&mut self.reader).map_err(io)?;
        run.add_losses(&drops, to_ns);
        run.add_marks(&mut self.about);
        for (partition, (raw, committed)) in run.raw_at.iter().zip(&run.committed).enumerate() {
            if raw != committed {
                let partition = Some(partition as u32);
                run.batch.drained.push(DrainedRow { ring: self.id, partition, position: *raw });
            }
        }
        run.append(store)?;
        for (partition, (raw, committed)) in run.raw_at.iter().zip(&mut run.committed).enumerate() {
            if raw != committed {
                self.reader.give_back(partition, *raw).map_err(io)?;
                *committed = *raw;
            }
        }
        run.marks_stored = self.about.mark_count;
        self.reader.set_drainer(drainer::MARKS_STORED, run.marks_stored).map_err(io)?;
        run.raw.clear(&mut run.chunks);
        std::mem::swap(&mut run.raw, &mut run.next);
        run.raw_at.copy_from_slice(&run.next_at);
        Ok(records)
    }

    /// Takes what is published.
    fn drain(&mut self, into: Into) -> Result<(), Error> {
        let Self { reader, run, names, path, .. } = self;
        let io = |error: std::io::Error| about(path, &error);
        let Some(run) = run else { return Ok(()) };
        let mut damaged = PerKind::default();
        let mut unknown: Vec<Vec<u64>> = Vec::new();
        let mut check_known = check(names, run.ids_end, run.busy_time);
        let (raw, at) = match into {
            Into::Raw => (&mut run.raw, &mut run.raw_at),
            Into::Next => (&mut run.next, &mut run.next_at),
        };
        let mut push =
            Push { ids: run.ids, raw, chunks: &mut run.chunks, shifted: Vec::new(), last: 0 };
        for (partition, at) in at.iter_mut().enumerate() {
            let drained = reader.drain(partition, *at, false, RECORDS_MAX, |record| {
                match check_known.record(record.words) {
                    Ok(_) => push.push(record.words),
                    // Perhaps its callsite or thread has come since the names were read.
                    Err(_) => unknown.push(record.words.to_vec()),
                }
            });
            let drained = drained.map_err(io)?;
            damaged[0] += drained.damaged + drained.missed;
            *at = drained.next;
        }
        let mut last = push.last;
        let has_further_threads = check_known.has_further_threads;
        if let Into::Raw = into {
            run.next_at.copy_from_slice(&run.raw_at);
        }
        if !unknown.is_empty() || self.has_new_names()? {
            self.learn_names()?;
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        let mut check_all = check(&self.names, run.ids_end, run.busy_time);
        let raw = match into {
            Into::Raw => &mut run.raw,
            Into::Next => &mut run.next,
        };
        let mut push =
            Push { ids: run.ids, raw, chunks: &mut run.chunks, shifted: Vec::new(), last };
        for words in &unknown {
            match check_all.record(words) {
                Ok(_) => push.push(words),
                Err(kind) => damaged[kind as usize] += 1,
            }
        }
        last = push.last;
        if has_further_threads || check_all.has_further_threads {
            run.recorder.threads.learn(ThreadInfo::further());
        }
        if let Some(next) = &mut run.converter.entry_ids {
            *next = (*next).max(next_of_entries(run.ids, last));
        }
        let to_ns = run.converter.timeline.now_ns();
        run.batch.losses.extend(loss(DropReason::Damaged, damaged, to_ns));
        raw::add(&mut run.told[DropReason::Damaged as usize], damaged);
        Ok(())
    }

    /// Reads the names again.
    fn learn_names(&mut self) -> Result<(), Error> {
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
        self.names = Arc::new(names);
        run.converter.set_names(Arc::clone(&self.names));
        Ok(())
    }

    /// Stores the rest, what was open, and the ledger; and removes the file. Says whether the process has died.
    pub(super) fn end(mut self, store: &mut Store) -> Result<(bool, Ledger, u64), Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        self.learn_names()?;
        let Some(run) = &mut self.run else { return Ok((false, Ledger::default(), 0)) };
        if let Some(aside) = run.aside.take() {
            store.take_run_up(aside);
        }
        // Marks that have come since; and rows of losses are complete up to here.
        run.add_marks(&mut self.about);
        run.append(store)?;
        let end = match (self.reader.state().map_err(io)?, self.about.end) {
            (State::Closed, ended) => {
                let Ended { at, marks_dropped, callsites } =
                    ended.unwrap_or(Ended { at: 0, marks_dropped: 0, callsites: [0; 2] });
                run.converter.timeline.renew();
                let after_ns = run.converter.timeline.ns(at).max(0);
                End::Closed { after_ns, marks_dropped, callsites }
            }
            _ => End::Crashed,
        };
        let Run { ids, committed, threads_above, .. } = &*run;
        let (names, ..) = read_names(&mut self.reader, &self.path, u64::MAX)?;
        let uuid = names.run.as_ref().map(|run| run.uuid.clone()).unwrap_or_default();
        let from = |partition: u32| committed.get(partition as usize).copied().unwrap_or(0);
        let scan = Scan::of(&mut self.reader, names, from, Some(*ids));
        let scan = scan.map_err(|refused| refused.about(&path))?;
        let recover =
            Recover::begin(store, &path, (self.id, &uuid), scan, Some(*threads_above), end)?;
        let recovery = recover.run()?;
        let rest = recovery.spans + recovery.events + recovery.links + recovery.entries;
        // The program that has closed it may ask what is stored.
        for partition in 0..self.reader.partitions() {
            let tail = self.reader.partition(partition).map_err(io)?.tail;
            self.reader.give_back(partition, tail).map_err(io)?;
        }
        remove(store, &path, &self.id)?;
        Ok((end == End::Crashed, recovery.ledger, rest))
    }
}

/// Where records are drained into.
#[derive(Debug, Clone, Copy)]
enum Into {
    Raw,
    Next,
}

fn check<'a>(names: &'a DeadNames, ids_end: u64, busy_time: bool) -> Check<'a> {
    Check {
        names,
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

/// Takes records with ids of the profile.
struct Push<'a> {
    ids: Ids,
    raw: &'a mut RawBatch,
    chunks: &'a mut Chunks,
    shifted: Vec<u64>,
    /// The largest id of all, in the profile.
    last: u64,
}

impl Push<'_> {
    fn push(&mut self, words: &[u64]) {
        self.shifted.clear();
        self.shifted.extend_from_slice(words);
        self.ids.shift(&mut self.shifted);
        // Of spans and events their own id; of others one that is smaller.
        self.last = self.last.max(self.shifted.get(1).copied().unwrap_or(0));
        self.raw.push_words(&self.shifted, self.chunks);
    }
}

/// The first id of an entry that is above all these.
fn next_of_entries(ids: Ids, last_id: u64) -> u64 {
    let above = last_id.max(ids.first());
    // Those of entries are one more than those of spans and events.
    if above.wrapping_sub(ids.first()).is_multiple_of(2) { above + 1 } else { above + 2 }
}

/// The names; and whether none of them was just being appended.
fn read_names(
    reader: &mut Reader<File>,
    path: &Path,
    marks_known: u64,
) -> Result<(DeadNames, About, bool), Error> {
    let mut about_run = About::default();
    let read = scan::names_with(reader, false, |name| about_run.add(name, marks_known));
    let (names, read) = read.map_err(|refused| refused.about(path))?;
    Ok((names, about_run, read.unfinished == 0))
}

impl Run {
    /// Children of spans that are converted next and that an earlier collector has stored.
    fn add_stored_children(&mut self, store: &Store) -> Result<(), Error> {
        let Some(resumed_at) = self.resumed_at else { return Ok(()) };
        let parents: HashSet<u64> = self
            .raw
            .records()
            .filter_map(|record| match record {
                Record::Span(head, _) if head.start < resumed_at => Some(head.id),
                _ => None,
            })
            .collect();
        if parents.is_empty() {
            return Ok(());
        }
        let found = store.stored_children(&parents, STORED_LOOKED_AT)?;
        self.complete_from = found.complete_from;
        for child in found.children {
            self.stored_children.entry(child.parent_id).or_default().push(child);
        }
        Ok(())
    }

    /// Takes them off the self times of those spans.
    fn take_stored_children(&mut self) {
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

    /// Rows for what threads have dropped since the last ones.
    fn add_losses(&mut self, drops: &Drops, to_ns: i64) {
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
    fn add_marks(&mut self, about: &mut About) {
        let timeline = &self.converter.timeline;
        let marks = about.marks.drain(..).map(|mark| MarkRow {
            id: self.ids.first().saturating_add(mark.id),
            at_ns: timeline.ns(mark.at),
            until_ns: mark.until.map(|until| timeline.ns(until)),
            label: mark.label,
            fields: None,
        });
        self.batch.marks.extend(marks);
    }

    /// Gives the batch to the profile, without rows that it refuses. A refusal that may be over is waited for.
    fn append(&mut self, store: &mut Store) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (mut mends, mut refusals) = (0, 0);
        loop {
            let error = match store.append(&mut self.batch) {
                Ok(_) => break,
                Err(error) => error,
            };
            match error.kind() {
                StorageErrorKind::InvalidBatch if mends < MENDS_MAX => {
                    mends += 1;
                    let (ids, next) = (self.ids, &mut self.converter.entry_ids);
                    let mut fresh = |above| {
                        let id = next_of_entries(ids, above).max((*next)?);
                        *next = Some(id + 2);
                        Some(id)
                    };
                    let mended = store.mend(&mut self.batch, &mut fresh)?;
                    if mended.is_unchanged() {
                        return Err(error.into());
                    }
                    let refused = [mended.spans, mended.events, mended.links, mended.entries];
                    let to_ns = self.converter.timeline.now_ns();
                    self.batch.losses.extend(loss(DropReason::RowRefused, refused, to_ns));
                    if mended.renumbered > 0 {
                        self.converter.forget_callsites();
                    }
                }
                StorageErrorKind::Busy | StorageErrorKind::Full | StorageErrorKind::WalFull
                    if refusals < REFUSALS_MAX =>
                {
                    refusals += 1;
                    std::thread::sleep(REFUSED_PAUSE);
                }
                _ => return Err(error.into()),
            }
        }
        self.converter.self_times.settle(true);
        self.batch.clear();
        Ok(())
    }
}
