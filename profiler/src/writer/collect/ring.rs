//! One ring file that is collected: its run, and how far it is stored.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spandrel_ring::file::{Reader, State, monotonic_ns};
use spandrel_storage::{DrainedRow, RingId, Store};

use super::about::{About, Ended, read_names};
use super::check_place;
use super::ids::FreeIds;
use super::refusals::{GoesOn, Tries, remove};
use super::run::Run;
use crate::error::Error;
use crate::recorder::clock::Clock;
use crate::recorder::losses::{Kind, PerKind};
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::layout::drainer;
use crate::recorder::stats::Ledger;
use crate::writer::raw;
use crate::writer::recover::check::Known;
use crate::writer::recover::scan::{self, Scan};
use crate::writer::recover::{End as How, KnownChildren, Recover, about};
use crate::writer::self_time::SelfTimes;

/// Commits of one ring are so far apart, unless it fills up, or somebody waits for one: as those of a writer thread.
const COMMIT_PAUSE: Duration = Duration::from_millis(500);
/// So many slots are enough for a commit at once.
const SLOTS_ENOUGH: u64 = 1 << 15;
/// How often it is asked whether a process lives that goes on recording, which costs some system calls.
const LIVES_PAUSE: Duration = Duration::from_millis(200);
/// So many batches are enough for what a ring holds at the end.
const LAST_BATCHES: usize = 16;
/// Of a recording that was closed and whose process lives, for how long something may still be published.
const STRAGGLER_GRACE: Duration = Duration::from_millis(100);

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

/// How a run has ended.
#[derive(Debug)]
pub(super) struct End {
    /// Whether its process has died, and was not closed.
    pub(super) crashed: bool,
    /// Spans that were open then.
    pub(super) open: u64,
    /// The spans of the run.
    pub(super) spans: Ledger,
    /// Records that were stored at last.
    pub(super) records: u64,
}

/// A ring.
pub(super) struct Ring {
    pub(super) path: PathBuf,
    pub(super) reader: Reader<File>,
    /// Its length when it was opened.
    pub(super) bytes: u64,
    /// Whether its process was dead by then.
    pub(super) was_dead: bool,
    /// Whether it was found cut short: nothing in it is to be believed any more.
    pub(super) is_cut: bool,
    /// What was published when it was seen last, and at the last look that has found the file whole.
    pub(super) seen_published: PerKind,
    pub(super) published: PerKind,
    pub(super) id: RingId,
    pub(super) names: Arc<DeadNames>,
    pub(super) known: Known,
    pub(super) about: About,
    /// Where their end was, or so, when they were read.
    pub(super) names_read: u64,
    /// Whether the profile has a row of its run.
    pub(super) is_in_profile: bool,
    pub(super) clock: Option<Clock>,
    pub(super) run: Option<Run>,
    /// When anything was found to have moved, or the ring was opened.
    pub(super) last_commit: Instant,
    /// When it was asked last whether its process lives.
    pub(super) last_lives: Instant,
    /// Up to where the partitions were when nothing had moved, and since when, once it is closed.
    pub(super) closed: Option<(Vec<u64>, Instant)>,
}

impl Ring {
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

    /// Ids from here on are not its run's.
    pub(super) fn ids_end(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.ids.end())
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

    /// Says that somebody collects.
    pub(super) fn say_looked(&mut self) -> std::io::Result<()> {
        self.reader.set_drainer(drainer::LOOKED_AT, monotonic_ns())
    }

    /// Whether its process is dead. If it lives, and was recording, says that it did so before that was asked: for how long it
    /// was stuck at the end is known by nothing else.
    fn is_dead(&mut self, (state, before): (State, Option<u64>)) -> std::io::Result<bool> {
        if self.reader.liveness()?.is_dead() {
            return Ok(true);
        }
        if let Some(at) = before.filter(|_| state == State::Recording) {
            self.reader.set_drainer_words(drainer::ALIVE_AT, [at, !at])?;
        }
        Ok(false)
    }

    /// Finds out whether its recording has ended, and when.
    fn look_whether_over(&mut self) -> Result<(), Error> {
        if self.run.as_ref().is_none_or(|run| run.ended_ns.is_some()) {
            return Ok(());
        }
        let failed = |error: std::io::Error, path: &PathBuf| about(path, &error);
        if self.reader.state().map_err(|error| failed(error, &self.path))? == State::Closed {
            return self.see_closed();
        }
        match self.reader.liveness().map_err(|error| failed(error, &self.path))?.is_dead() {
            true => self.see_dead(),
            false => Ok(()),
        }
    }

    /// It was closed, and says when.
    fn see_closed(&mut self) -> Result<(), Error> {
        if self.about.end.is_none() && self.has_new_names()? {
            self.learn_names()?;
        }
        if let (Some(run), Some(end)) = (&mut self.run, self.about.end) {
            run.end_at(end.at);
        }
        Ok(())
    }

    /// Its process has died, after the last thing that it has recorded, and after it was seen to live.
    fn see_dead(&mut self) -> Result<(), Error> {
        let words = self.reader.drainer().map_err(|error| about(&self.path, &error))?;
        let alive_at = drainer::alive_at(&words, self.clock.as_ref().map(Clock::ticks));
        if let Some(run) = &mut self.run {
            run.end_at(alive_at.unwrap_or(0).max(run.last_ticks()));
        }
        Ok(())
    }

    /// Stores what is new, if it is time to.
    ///
    /// `goes_on` is called while the profile refuses it, and says whether to try for long.
    pub(super) fn round(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        is_last: bool,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<Round, Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        if self.is_cut {
            // The profile has refused its end before.
            self.check_whole()?;
        }
        self.say_looked().map_err(io)?;
        let Some(run) = &self.run else { return Ok(Round::Ended) };
        // Its moments are told by what it has left, and not as they pass.
        if self.clock.is_none() || self.was_dead {
            return Ok(Round::Ended);
        }
        let (mut slots, mut is_crowded, mut tails) = (0_u64, false, Vec::new());
        let (mut calls, mut published) = (Vec::new(), PerKind::default());
        for (partition, at) in run.committed.iter().enumerate() {
            let seen = self.reader.partition(partition).map_err(io)?;
            raw::add(&mut published, seen.published);
            let waiting = seen.tail.saturating_sub(*at);
            slots = slots.saturating_add(waiting);
            is_crowded |= waiting > seen.slots as u64 / 4;
            tails.push(seen.tail);
            if seen.is_called {
                calls.push(partition);
            }
        }
        self.seen_published = published;
        if published != self.published {
            // If it is cut before this is stored, so much is known to be lost.
            self.check_whole()?;
        }
        let is_moved = slots > 0;
        // Before all that is asked: this process may be stopped for long after it has heard an answer.
        let before = self.clock.as_ref().map(Clock::ticks);
        let state = self.reader.state().map_err(io)?;
        // One that has moved has lived.
        if !is_moved || state == State::Closed || self.last_lives.elapsed() >= LIVES_PAUSE {
            self.last_lives = Instant::now();
            self.check_whole()?;
            if self.is_dead((state, before)).map_err(io)? {
                return Ok(Round::Ended);
            }
        }
        if state == State::Closed {
            self.see_closed()?;
            // A thread that is in the middle of a claim may still publish, and one that is about to claim.
            match &self.closed {
                Some((before, since)) if *before == tails => {
                    if since.elapsed() >= STRAGGLER_GRACE {
                        return Ok(Round::Ended);
                    }
                }
                _ => self.closed = Some((tails, Instant::now())),
            }
        }
        for partition in &calls {
            self.reader.answer_call(*partition).map_err(io)?;
        }
        let is_due = is_last
            || is_crowded
            || !calls.is_empty()
            || slots >= SLOTS_ENOUGH
            || self.last_commit.elapsed() >= COMMIT_PAUSE;
        let is_moved = is_moved || self.has_new_names()?;
        let is_waiting = is_moved || state == State::Closed;
        if !is_moved || !is_due {
            return Ok(if is_waiting { Round::Waiting } else { Round::Nothing });
        }
        self.last_commit = Instant::now();
        match self.store((store, free), goes_on)? {
            0 if is_waiting => Ok(Round::Waiting),
            0 => Ok(Round::Nothing),
            records => Ok(Round::Stored(records)),
        }
    }

    /// Whether names were appended since they were read: a mark, perhaps.
    pub(super) fn has_new_names(&mut self) -> Result<bool, Error> {
        let end = self.reader.names_hint().map_err(|error| about(&self.path, &error))?;
        Ok(self.names_read != end)
    }

    /// One batch.
    fn store(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        goes_on: &mut GoesOn<'_>,
    ) -> Result<u64, Error> {
        self.drain_twice(free)?;
        self.store_drained((store, free), goes_on)
    }

    /// What is drained, and not stored; of one that was closed, all that is published and not behind something that is
    /// not: with what is known of its spans, and is not known to whoever comes after this.
    fn store_the_rest(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        is_closed: bool,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<u64, Error> {
        let mut records = 0;
        for _ in 0..LAST_BATCHES {
            if is_closed && self.clock.is_some() {
                self.drain_twice(free)?;
            }
            let is_stored = |run: &Run| run.raw.is_empty() && run.raw_at == run.committed;
            if self.run.as_ref().is_none_or(is_stored) {
                break;
            }
            records += self.store_drained((&mut *store, &mut *free), goes_on)?;
        }
        Ok(records)
    }

    fn store_drained(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        goes_on: &mut GoesOn<'_>,
    ) -> Result<u64, Error> {
        let Some(run) = &mut self.run else { return Ok(0) };
        if let Some(aside) = run.aside.take() {
            store.take_run_up(aside);
        }
        let stored = self.store_batch((&mut *store, free), goes_on);
        if let Some(run) = &mut self.run {
            run.aside = store.set_run_aside();
        }
        stored
    }

    fn store_batch(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        goes_on: &mut GoesOn<'_>,
    ) -> Result<u64, Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        let Some(run) = &mut self.run else { return Ok(0) };
        run.converter.timeline.renew();
        run.add_stored_children(store)?;
        run.converter.count_late_children(&mut run.raw, &mut run.next, |_| ());
        let all = run.raw.piece(usize::MAX);
        let (records, counts) = (all.len() as u64, run.raw.waiting());
        if let Some(next) = run.converter.entry_ids {
            let next = run.ids.numbers(next, counts[Kind::Entry as usize], free);
            run.converter.entry_ids = Some(next.map_err(|used_up| used_up.about(&path))?);
        }
        run.converter.convert(&run.raw, all, store, &mut run.batch, || ());
        run.take_stored_children();
        run.converter.put_contexts(&mut run.batch);
        let drops = scan::dropped_early(&mut self.reader).map_err(io)?;
        let looked_ns = run.now_ns();
        // After that: this process may have been stopped for long before it has read the clock.
        self.look_whether_over()?;
        let Some(run) = &mut self.run else { return Ok(0) };
        run.add_losses(&drops, run.ended_ns.unwrap_or(looked_ns));
        run.add_marks(&mut self.about);
        for (partition, (raw, committed)) in run.raw_at.iter().zip(&run.committed).enumerate() {
            if raw != committed {
                let partition = Some(partition as u32);
                run.batch.drained.push(DrainedRow { ring: self.id, partition, position: *raw });
            }
        }
        let reader = &mut self.reader;
        run.append(store, self.id, &mut |answer| {
            // If this fails, what is written to it next does, too, and is told.
            _ = reader.set_drainer(drainer::LOOKED_AT, monotonic_ns());
            goes_on(answer)
        })?;
        // Before anything is given back: what was stored in a file that is gone by now is in the ring still.
        check_place(store)?;
        raw::add(&mut run.taken, counts);
        for (kind, n) in run.given_back().into_iter().enumerate() {
            self.reader.set_drainer(drainer::GIVEN_BACK + kind, n).map_err(io)?;
        }
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

    /// Stores the rest, what was open, and the ledger; and removes the file.
    pub(super) fn end(
        &mut self,
        (store, free): (&mut Store, &mut FreeIds),
        goes_on: &mut GoesOn<'_>,
    ) -> Result<End, Error> {
        let path = self.path.clone();
        let io = |error: std::io::Error| about(&path, &error);
        self.learn_names()?;
        let is_closed = self.reader.state().map_err(io)? == State::Closed;
        match is_closed {
            true => self.see_closed()?,
            false => self.see_dead()?,
        }
        let records = self.store_the_rest((&mut *store, &mut *free), is_closed, goes_on)?;
        let above = self.cover_the_rest(free)?;
        let Some(run) = &mut self.run else {
            return Ok(End { crashed: false, open: 0, spans: Ledger::default(), records: 0 });
        };
        if let Some(aside) = run.aside.take() {
            store.take_run_up(aside);
        }
        // Marks that have come since; and rows of losses are complete up to here.
        run.add_marks(&mut self.about);
        run.append(store, self.id, goes_on)?;
        let end = match (self.reader.state().map_err(io)?, self.about.end) {
            (State::Closed, ended) => {
                let Ended { at, marks_dropped, callsites } =
                    ended.unwrap_or(Ended { at: 0, marks_dropped: 0, callsites: [0; 2] });
                run.converter.timeline.renew();
                let after_ns = run.converter.timeline.ns(at).max(0);
                How::Closed { after_ns, marks_dropped, callsites }
            }
            _ => How::Crashed,
        };
        let known = KnownChildren {
            self_times: std::mem::replace(&mut run.converter.self_times, SelfTimes::new(0)),
            since: run.resumed_at.unwrap_or(0),
        };
        let Run { ids, committed, threads_above, .. } = &*run;
        let (names, ..) = read_names(&mut self.reader, &self.path, u64::MAX)?;
        let uuid = names.run.as_ref().map(|run| run.uuid.clone()).unwrap_or_default();
        let from = |partition: u32| committed.get(partition as usize).copied().unwrap_or(0);
        let own = Some((ids.ids().clone(), ids.covered()));
        let scan = Scan::of(&mut self.reader, names, from, own);
        let mut scan = scan.map_err(|refused| refused.about(&path))?;
        // What is numbered from now on comes there.
        scan.last_id = scan.last_id.max(above - 1);
        let (ring, above) = ((self.id, uuid.as_str()), Some(*threads_above));
        self.check_whole()?;
        // What a thread publishes from now on is in no count of this run, and must not seem to be stored.
        let published = scan.published;
        let mut tries = Tries::default();
        let mut again = |error: &Error| tries.again(error, goes_on);
        let recover = Recover::begin_with(store, &path, ring, scan, above, end, Some(known))?;
        let recovery = recover.trying(&mut again).run()?;
        tries.taken(goes_on);
        check_place(store)?;
        let rest =
            recovery.spans + recovery.events + recovery.links + recovery.entries + recovery.gauges;
        let rest = rest + records;
        // The program that has closed it may ask what is stored.
        for (kind, n) in published.into_iter().enumerate() {
            self.reader.set_drainer(drainer::GIVEN_BACK + kind, n).map_err(io)?;
        }
        for partition in 0..self.reader.partitions() {
            let tail = self.reader.partition(partition).map_err(io)?.tail;
            self.reader.give_back(partition, tail).map_err(io)?;
        }
        remove(store, &path, &self.id)?;
        Ok(End {
            crashed: end == How::Crashed,
            open: recovery.crashed,
            spans: recovery.ledger,
            records: rest,
        })
    }
}
