//! One ring file of which open spans are looked at.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, OpenError, Reader, Source, State, monotonic_ns};

use super::super::check::{Check, Known};
use super::super::open_at_death::spill_words_each;
use super::super::scan::{self, Refused, Scan};
use super::super::times::{self, Now, Times};
use super::super::whole::is_whole_now;
use super::super::{RingOwner, about, is_over};
use super::shown::{RingOpen, Shower};
use super::slots::{self, Found, Taken};
use crate::error::Error;
use crate::recorder::clock::{Clock, RATE_SHIFT};
use crate::recorder::open_spans::left_behind::SlotLeft;
use crate::recorder::record::{FIRST_ID_MAX, ID_BITS};
use crate::recorder::ring_file::dead_names::{DeadNames, DeadRun};
use crate::recorder::ring_file::layout::{self, anchors, settings};

/// How often both clocks are read, to find them at the same moment.
const READINGS: usize = 4;

/// A ring file, and what of it does not change.
#[derive(Debug)]
pub(super) struct View<S> {
    pub(super) path: PathBuf,
    pub(super) reader: Reader<S>,
    /// As it was at the last look.
    pub(super) state: State,
    names: DeadNames,
    /// Where their end was, or so, when they were read.
    names_read: u64,
    shower: Shower,
    here: Clock,
    /// What was found when its process had died: nothing changes any more.
    at_death: Option<RingOpen>,
}

impl View<File> {
    /// `None` if it is just being made, or gone.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let mut reader = match Reader::open(path) {
            Ok(reader) => reader,
            Err(OpenError::NoRing) => return Ok(None),
            Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(about(path, &error)),
        };
        if !is_whole_now(&mut reader) {
            return Err(Refused::NotWhole.about(path));
        }
        Self::of(path, reader).map_err(|refused| refused.about(path))
    }

    /// What is open now. `None` if nobody has recorded into it.
    pub(super) fn look(&mut self) -> Result<Option<RingOpen>, Refused> {
        self.state = self.reader.state()?;
        let liveness = self.reader.liveness()?;
        let owner = match liveness {
            Liveness::Alive => RingOwner::Alive,
            Liveness::Dead => RingOwner::Dead,
            Liveness::Unknown => RingOwner::Unknown,
        };
        if self.state == State::Building {
            return Ok(None);
        }
        if self.state == State::Closed {
            return Ok(Some(RingOpen { was_closed: true, ..self.empty(owner) }));
        }
        // Of the table of open spans there may be nothing, or zeros, which would be nothing that is open.
        if !is_whole_now(&mut self.reader) {
            return Err(Refused::NotWhole);
        }
        if is_over(liveness, self.state) {
            return self.look_at_dead().map(Some);
        }
        self.look_at_living(owner).map(Some)
    }
}

impl<S: Source> View<S> {
    pub(super) fn of(path: &Path, mut reader: Reader<S>) -> Result<Option<Self>, Refused> {
        let state = reader.state()?;
        if state == State::Building {
            return Ok(None);
        }
        let mut view = Self {
            path: path.to_owned(),
            reader,
            state,
            names: DeadNames::default(),
            names_read: 0,
            shower: Shower::default(),
            here: Clock::start(),
            at_death: None,
        };
        view.read_names()?;
        Ok(Some(view))
    }

    /// What it says of its run.
    pub(super) fn run(&self) -> Option<&DeadRun> {
        self.names.run.as_ref()
    }

    /// Reads the names again if there are more.
    fn read_names(&mut self) -> Result<(), Refused> {
        // Before they are read: those that are appended meanwhile may be read twice, and none is passed over.
        let hint = self.reader.names_hint()?;
        if self.names_read == hint {
            return Ok(());
        }
        self.names = scan::names(&mut self.reader, false)?;
        if self.reader.settings()[settings::HASH] != layout::HASH {
            return Err(Refused::OtherBuild);
        }
        self.shower = Shower::new(&self.names);
        self.names_read = hint;
        Ok(())
    }

    fn empty(&self, owner: RingOwner) -> RingOpen {
        let (_, anchors) = self.reader.clock();
        let run = self.names.run.as_ref();
        RingOpen {
            ring: self.path.clone(),
            owner,
            was_closed: false,
            pid: run.map_or(0, |run| run.pid),
            program: run.map(|run| run.program.clone()).unwrap_or_default(),
            run: run.map(|run| run.uuid.clone()).unwrap_or_default(),
            started_unix_ns: i64::try_from(anchors[anchors::ORIGIN_UNIX_NS]).unwrap_or(0),
            seen_ns: 0,
            spans: Vec::new(),
            damaged: 0,
            turned: 0,
        }
    }

    /// Both clocks at the same moment, if they are those of the run.
    fn now(&self) -> Option<Now> {
        let (kind, _) = self.reader.clock();
        let has_counter = kind != layout::clock::MONOTONIC;
        if has_counter && self.here.anchors().0 != kind {
            return None;
        }
        let read = || {
            let before = monotonic_ns();
            // Ticks of a clock without a counter are not asked for.
            let ticks = if has_counter { self.here.ticks() } else { 0 };
            (monotonic_ns() - before, Now { ticks, monotonic_ns: before })
        };
        let readings = (0..READINGS).map(|_| read());
        readings.min_by_key(|(width, _)| *width).map(|(_, now)| now)
    }

    /// Of a process that lives, or of which that is not known.
    pub(super) fn look_at_living(&mut self, owner: RingOwner) -> Result<RingOpen, Refused> {
        let words = self.reader.settings();
        let file_words = self.reader.source().len()? / 8;
        let bounded = |word: u64| usize::try_from(word.min(file_words)).unwrap_or(0);
        let spill_words = spill_words_each(&self.reader);
        let field_words_max = bounded(words[settings::FIELD_WORDS_MAX]);
        let busy_time = words[settings::FLAGS] & settings::BUSY_TIME != 0;
        let (mut found, mut turned, mut ids) = (Vec::new(), 0, HashSet::new());
        let mut slots_damaged = u64::from(spill_words.is_none());
        for index in slots::used(&mut self.reader)? {
            match slots::look(&mut self.reader, index, spill_words, &mut ids)? {
                Found::Free => {}
                Found::Turned => turned += 1,
                Found::Repeated => slots_damaged += 1,
                Found::Open(taken) => found.push(taken),
            }
        }
        // Names are there before their numbers are in any slot.
        self.read_names()?;
        let Some(now) = self.now() else { return Err(Refused::OtherClock) };
        let (kind, said) = self.reader.clock();
        let has_counter = kind != layout::clock::MONOTONIC;
        let origin = said[anchors::ORIGIN_TICKS].min(1 << 62);
        let passed_ns = now.monotonic_ns.saturating_sub(said[anchors::ORIGIN_MONOTONIC_NS]);
        let now_ticks =
            if has_counter { now.ticks } else { origin.saturating_add(passed_ns) }.min(1 << 62);
        // Over all of the time that it runs: nothing else is as exact.
        let rate = || {
            let ticks = u128::from(now_ticks.saturating_sub(origin)).max(1);
            let rate = (u128::from(passed_ns) << RATE_SHIFT) / ticks;
            u64::try_from(rate).unwrap_or(u64::MAX).max(1)
        };
        let Times { timeline, ticks, damaged } =
            times::of_clock(&mut self.reader, Some(now), rate)?;
        let first_id = words[settings::FIRST_ID].clamp(1, FIRST_ID_MAX);
        let known = Known::of(&self.names);
        let check = Check {
            names: &self.names,
            known: &known,
            ids: first_id..scan::ids_end(&mut self.reader)?.min(1 << ID_BITS),
            ticks,
            busy_time,
            keeps_ids: false,
            spans: HashSet::new(),
            events: HashSet::new(),
            last_ticks: 0,
            has_further_threads: false,
        };
        let now_ns = i64::try_from(passed_ns).unwrap_or(i64::MAX);
        let damaged = damaged + slots_damaged;
        let mut open = RingOpen { seen_ns: now_ns, damaged, turned, ..self.empty(owner) };
        for taken in found {
            let Taken { index, words, foreign, spilled, has_times, has_fields } = taken;
            let slot = SlotLeft { index, span: &words, foreign: &foreign, is_torn: !has_fields };
            match slot.look(now_ticks, field_words_max, |_, _| spilled) {
                Ok(Some(left)) if check.is_open_span(&left) => {
                    let named = (&self.names, &timeline);
                    let has_times = has_times && busy_time;
                    open.spans.push(self.shower.show(&left.seen, named, now_ns, has_times));
                }
                Ok(None) => {}
                _ => open.damaged += 1,
            }
        }
        open.spans.sort_by_key(|span| (span.start_ns, span.id));
        Ok(open)
    }

    /// Of a process that has died: as a recovery finds it.
    pub(super) fn look_at_dead(&mut self) -> Result<RingOpen, Refused> {
        if let Some(found) = &self.at_death {
            return Ok(found.clone());
        }
        let mut from = Vec::new();
        for partition in 0..self.reader.partitions() {
            from.push(self.reader.partition(partition)?.given_back.unwrap_or(0));
        }
        let names = scan::names(&mut self.reader, true)?;
        let from = |partition: u32| from.get(partition as usize).copied().unwrap_or(0);
        let scan = Scan::of(&mut self.reader, names, from, None)?;
        let now_ns = scan.timeline.now_ns();
        let mut open = RingOpen {
            seen_ns: now_ns,
            damaged: scan.open_damaged + scan.clock_damaged,
            ..self.empty(RingOwner::Dead)
        };
        let mut shower = Shower::new(&scan.names);
        for left in &scan.open {
            let named = (&scan.names, &scan.timeline);
            open.spans.push(shower.show(&left.seen, named, now_ns, scan.rules.busy_time));
        }
        self.at_death = Some(open.clone());
        Ok(open)
    }
}
