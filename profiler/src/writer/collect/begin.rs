//! From a file in the folder to a run in the profile: one that begins, or one that an earlier collector has left.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use spandrel_ring::file::{Liveness, OpenError, Reader, State};
use spandrel_storage::{Batch, RingId, Store};

use super::about::read_names;
use super::ids::{FreeIds, OwnIds};
use super::ring::Ring;
use super::run::{Run, TICKS_END, next_of_entries, told_in};
use crate::error::Error;
use crate::recorder::clock::{Clock, Timeline};
use crate::recorder::losses::{DropReason, PerKind};
use crate::recorder::ring_file::layout::{OPEN_SPANS, drainer, settings};
use crate::recorder::ring_file::place;
use crate::writer::chunks::Chunks;
use crate::writer::convert::Converter;
use crate::writer::raw::{self, RawBatch};
use crate::writer::recover::check::Known;
use crate::writer::recover::in_folder::{NOBODY_CAN_TELL, OTHER_CLOCK};
use crate::writer::recover::of_dead::{self, Rules};
use crate::writer::recover::whole::{NOT_WHOLE, is_whole};
use crate::writer::recover::{about, is_done, is_still, remove_unmade, scan};

/// Ids of threads begin at most so far above those in the file: room for more runs than are collected at a time.
const THREADS_AHEAD: i64 = 1 << 48;

/// What became of a file that was to be opened.
pub(super) enum Opened {
    Ring(Box<Ring>),
    /// It is being made.
    NotYet,
    /// Another process drains it.
    Elsewhere,
    /// Its process has died before anything was in it.
    Empty(RingId),
    /// All that it has had is in the profile, in the run of this number; only the file is left.
    Done(RingId, i64),
}

impl Ring {
    pub(super) fn open(path: &Path, store: &Store) -> Result<Opened, Error> {
        let mut reader = match Reader::open_to_drain(path) {
            Ok(reader) => reader,
            Err(OpenError::NoRing) => {
                let is_known = |uuid| store.has_ended(uuid).is_ok_and(|ended| ended == Some(false));
                let has_run = place::run_of(path).is_some_and(is_known).then_some(true);
                return remove_unmade(path, has_run).map(|()| Opened::NotYet);
            }
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Opened::NotYet);
            }
            Err(error) => return Err(about(path, &error)),
        };
        let id = reader.run();
        let io = |error: std::io::Error| about(path, &error);
        let bytes = reader.source().metadata().map_err(io)?.len();
        let liveness = reader.liveness().map_err(io)?;
        if liveness == Liveness::Unknown {
            return Err(about(path, &NOBODY_CAN_TELL));
        }
        if reader.state().map_err(io)? == State::Building {
            // Its process has died over it: there is nothing in it.
            return Ok(if liveness.is_dead() { Opened::Empty(id) } else { Opened::NotYet });
        }
        if !reader.lock_to_drain().map_err(io)? {
            return Ok(Opened::Elsewhere);
        }
        if !is_still(path, reader.source()) {
            return Ok(Opened::NotYet);
        }
        if !is_whole(&mut reader, bytes) {
            return Err(about(path, &NOT_WHOLE));
        }
        let (names, about_run, _) = read_names(&mut reader, path, 0)?;
        let uuid = names.run.as_ref().map(|run| run.uuid.clone()).unwrap_or_default();
        let ended = store.has_ended(&uuid)?;
        if ended == Some(true) || is_done(&store.drained(&id)?) {
            return Ok(Opened::Done(id, store.run_number(&uuid)?.unwrap_or(0)));
        }
        let (kind, anchors) = reader.clock();
        let clock = Clock::of_another(kind, &anchors).filter(|_| reader.owner().is_of_this_boot());
        if clock.is_none() && !liveness.is_dead() {
            return Err(about(path, &OTHER_CLOCK));
        }
        Ok(Opened::Ring(Box::new(Self {
            path: path.to_owned(),
            id,
            known: Known::of(&names),
            names: Arc::new(names),
            about: about_run,
            names_read: u64::MAX,
            is_in_profile: ended == Some(false),
            clock,
            run: None,
            last_commit: Instant::now(),
            last_lives: Instant::now(),
            closed: None,
            bytes,
            was_dead: liveness.is_dead(),
            is_cut: false,
            seen_published: PerKind::default(),
            published: PerKind::default(),
            reader,
        })))
    }

    /// Begins its run in the profile, or goes on with the one that is there.
    pub(super) fn begin(
        &mut self,
        store: &mut Store,
        free: &mut FreeIds,
        threads_above: i64,
    ) -> Result<(), Error> {
        let io = |error: std::io::Error| about(&self.path, &error);
        let Some(said) = &self.names.run else { return Ok(()) };
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
        let in_earlier = match is_new {
            // What was given back is in some profile that is not this one, or was lost with it.
            true => scan::said_of_kinds(&mut self.reader, drainer::GIVEN_BACK),
            false => scan::said_of_kinds(&mut self.reader, drainer::IN_EARLIER),
        };
        let in_earlier = in_earlier.map_err(io)?;
        let mut taken = PerKind::default();
        let drained = store.drained(&self.id)?;
        let (id, mut ids, last_id, lost) = match resumed {
            Some(resumed) => {
                let closed = resumed.spans.saturating_sub(resumed.unfinished);
                taken = [closed, resumed.events, resumed.links, resumed.entries, resumed.gauges];
                raw::add(&mut taken, told_in(&resumed.lost)[DropReason::RowRefused as usize]);
                let ids = OwnIds::resumed(resumed.first_id, resumed.last_id, &drained);
                (resumed.run_id, ids, resumed.last_id, resumed.lost)
            }
            None => {
                let first = free.next().map_err(|used_up| used_up.in_profile(store.path()))?;
                let row = self.about.row(said, &self.path, in_earlier);
                let id = store.begin_run_at(&row, first, above)?;
                (id, OwnIds::beginning_at(first), first, Vec::new())
            }
        };
        free.count_run(id);
        if is_new {
            ids.cover(1, free).map_err(|used_up| used_up.about(&self.path))?;
        }
        // Before anything is stored with it.
        let said_above = above.wrapping_add(1).cast_unsigned();
        self.reader.set_drainer(drainer::THREADS_ABOVE, said_above).map_err(io)?;
        // Whoever has left it alone before, this one takes it.
        self.reader.set_drainer(drainer::LEFT_ALONE_AT, 0).map_err(io)?;
        let partitions = self.reader.partitions();
        for (kind, n) in in_earlier.iter().enumerate() {
            self.reader.set_drainer(drainer::IN_EARLIER + kind, *n).map_err(io)?;
        }
        let mut committed = vec![0; partitions];
        for (partition, at) in committed.iter_mut().enumerate() {
            let seen = self.reader.partition(partition).map_err(io)?;
            *at = seen.given_back.unwrap_or(0);
        }
        // The profile knows better.
        for row in drained {
            if let Some(at) = row.partition.and_then(|it| committed.get_mut(it as usize)) {
                *at = row.position;
            }
        }
        // Whoever collected before may have been killed between its last commit and this: nobody else would do it, as long
        // as nothing new comes; and nothing new comes where there is no room.
        let told = told_in(&lost);
        let mut given_back = in_earlier;
        raw::add(&mut given_back, taken);
        raw::add(&mut given_back, told[DropReason::Damaged as usize]);
        for (kind, n) in given_back.into_iter().enumerate() {
            self.reader.set_drainer(drainer::GIVEN_BACK + kind, n).map_err(io)?;
        }
        for (partition, at) in committed.iter().enumerate() {
            self.reader.give_back(partition, *at).map_err(io)?;
        }
        let rules = Rules::of(self.reader.settings()[settings::FLAGS]);
        let recorder = of_dead::recorder(&self.names, rules, 1);
        let recorder = recorder.map_err(|refused| about(&self.path, &refused.source))?;
        let timeline = match &self.clock {
            Some(clock) => Timeline::start(clock.clone()),
            None => scan::no_timeline(),
        };
        let redaction = self.names.redaction();
        let open_max = self.reader.tables().get(OPEN_SPANS).map_or(0, |table| table.cells);
        let mut converter =
            Converter::new(Arc::clone(&recorder), timeline, open_max.min(1 << 20), redaction)
                .with_names(Arc::clone(&self.names));
        let next_of_entries = next_of_entries(ids.ids(), last_id);
        converter.entry_ids = Some(next_of_entries.max(ids.ids().first() + 1));
        let now = self.clock.as_ref().map_or(TICKS_END, Clock::ticks);
        self.run = Some(Run {
            id,
            ids,
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
            busy_time: rules.busy_time,
            marks_stored: 0,
            in_earlier,
            taken,
            told,
            gap: None,
            resumed_at: (!is_new).then_some(now),
            last_orphans: Instant::now(),
            stored_children: HashMap::new(),
            complete_from: 0,
            ended_ns: None,
        });
        Ok(())
    }
}
