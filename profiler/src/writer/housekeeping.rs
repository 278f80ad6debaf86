//! What the writer does once a second, or with a batch: rows about itself and about open spans,
//! retention, and checks whether its file is still there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spandrel_storage::{
    Error, ErrorKind, Left, Location, OpenSpanRow, Recovered, Status, Store, WriterStatRow,
};

use super::Writer;
use super::in_file::InFile;
use super::losses::Losses;
use super::raw::add;
use super::{run_json, stats};
use crate::recorder::losses::{DropReason, Kind, PerKind};
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::own::OwnFile;

const INTERVAL: Duration = Duration::from_secs(1);
/// How long the writer may delete old rows at a time.
const PRUNE_TIME: Duration = Duration::from_millis(20);
/// How often open spans are written again if nothing else happens.
const OPEN_SPANS_INTERVAL: Duration = Duration::from_secs(5);

/// Said when a file was left.
const GOES_ON: &str = ", recording goes on in a new file";

/// Why a file was left: it has been renamed.
pub(super) const WAS_RENAMED: &str = "was renamed while it was recorded into";

/// Says what became of a file that was left for this reason.
pub(super) fn tell_renamed(path: &str, what: &str, left: &Left, lost: PerKind) -> String {
    let to = left.renamed_to.as_ref().map(|to| format!(" (it is now {})", to.display()));
    let log = if left.has_log {
        "; as somebody reads it, its write-ahead log was moved with it, keep the two together"
    } else {
        ""
    };
    let why = left.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    let (to, lost) = (to.unwrap_or_default(), tell_lost(lost));
    format!("{path}: {what}{to}{log}{why}; {lost}")
}

/// Says what is lost with a file, or with its log.
pub(super) fn tell_lost(lost: PerKind) -> String {
    match [Kind::Span, Kind::Event].map(|kind| lost[kind as usize]) {
        [0, 0] => "nothing is lost".to_owned(),
        [spans, events] => format!("{spans} spans and {events} events are lost with it"),
    }
}

fn sum(mut one: PerKind, other: PerKind) -> PerKind {
    add(&mut one, other);
    one
}

impl Writer {
    /// Once a second: looks after the file.
    pub(super) fn run_housekeeping(&mut self) {
        if self.last_housekeeping.elapsed() < INTERVAL {
            return;
        }
        self.last_housekeeping = Instant::now();
        self.state.measure_cpu();
        self.look_again_whether_installed();
        self.forget_gone();
        if self.raw.is_empty() && self.pending.is_none() && self.last_commit.elapsed() > INTERVAL {
            // After a pause without losses, the next loss begins now and not before the pause.
            if !self.losses.is_due(&self.recorder.counters, &self.account) {
                self.losses.nothing_until(self.converter.timeline.now_ns());
            }
        }
        self.look_after_file();
        self.look_after_names();
        self.look_after_requests();
        self.prune();
    }

    fn prune(&mut self) {
        let limited =
            self.options.store.max_bytes.is_some() || self.options.store.max_age.is_some();
        let Some(store) = &mut self.store else { return };
        // In small steps, and only for a short time: the ring is filling meanwhile.
        let until = Instant::now() + PRUNE_TIME;
        while limited && Instant::now() < until {
            match store.prune() {
                Ok(pruned) if pruned.more => {}
                Ok(_) => return,
                Err(error) => return self.state.set_error(error.to_string()),
            }
        }
    }

    /// Checks whether the path still names the file, and whether its log is there.
    pub(super) fn look_after_file(&mut self) {
        self.look_after_ring();
        let Some(store) = &mut self.store else { return };
        self.is_in_place = true;
        match store.location() {
            Ok(Location::InPlace) => (self.recovery_since, self.stuck_since) = (None, None),
            Ok(Location::Removed) => {
                self.lose_file("was deleted, or moved to another disk, while it was recorded into");
            }
            Ok(Location::Spoiled) => {
                self.lose_file("was cut short or overwritten while it was recorded into");
            }
            Ok(Location::LogLost) => self.recover_file(
                "its write-ahead log was removed or cut short while it was recorded into",
            ),
            Ok(Location::IndexLost) => self.recover_file(
                "the index of its write-ahead log (-shm) was removed or replaced while it was \
                 recorded into",
            ),
            Ok(Location::Renamed) => self.leave_renamed_file(WAS_RENAMED),
            Ok(_) => {}
            Err(error) => self.state.set_error(error.to_string()),
        }
    }

    /// Checks whether the ring file is whole and can be found, if there is one. Without one that can be found the recording
    /// goes on: what is mapped stays.
    pub(super) fn look_after_ring(&mut self) {
        #[cfg(feature = "crash-proof")]
        if self.recorder.file.as_ref().is_some_and(OwnFile::look_whether_cut) {
            return self.lose_ring();
        }
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &self.recorder.file
            && !file.is_in_place()
            && self.state.crash_proof_error().is_none()
        {
            self.state.set_crash_proof_error(format!(
                "{}: was removed; the recording does not outlive its process any more",
                file.path().display()
            ));
        }
    }

    /// Checks whether somebody has deleted rows of callsites or threads that later spans refer to.
    pub(super) fn look_after_names(&mut self) {
        let Self { converter, store: Some(store), .. } = self else { return };
        let looked = store.look_for_deleted_names().and_then(|others| {
            if others { converter.learn_deleted_threads(store) } else { Ok(()) }
        });
        match looked {
            // Another process has the file for a moment. There will be a next check.
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => self.state.set_error(error.to_string()),
            Ok(()) => {}
        }
    }

    /// What was stored is lost with the file.
    fn lose_file(&mut self, what: &str) {
        let InFile { stored: lost, unfinished } = std::mem::take(&mut self.in_file);
        self.forget_stored(lost, unfinished, DropReason::FileRemoved);
        self.leave_marks(true);
        let Some((mut store, in_hand)) = self.let_go() else { return };
        let path = store.path().display().to_string();
        let left = match store.location() {
            Ok(Location::Spoiled | Location::LogLost | Location::IndexLost) => store.set_aside(),
            _ => store.close().map(|()| None),
        };
        let kept = match left {
            Ok(Some(aside)) => format!(" (what is left of it is now {})", aside.display()),
            Ok(None) => String::new(),
            // The file was removed: this is said anyway.
            Err(error) if error.kind() == ErrorKind::Moved => String::new(),
            Err(error) => {
                self.stuck_since = Some(Instant::now());
                format!(" ({error})")
            }
        };
        let lost = tell_lost(sum(lost, in_hand));
        self.state.set_error(format!("{path}: {what}{kept}; {lost}{GOES_ON}"));
    }

    /// Leaves a file that was renamed. What is stored stays in it, under its other name, except what is
    /// only in a log that nobody will find.
    pub(super) fn leave_renamed_file(&mut self, what: &str) {
        let Some((mut store, in_hand)) = self.let_go() else { return };
        let path = store.path().display().to_string();
        let no_end = self.end_left_run(what, &mut store).err();
        let no_end = no_end.map(|error| format!(" (its run has no end: {error})"));
        let left = store.leave();
        let lost = sum(self.keep_only(left.found.as_ref()), in_hand);
        // The rest is out of reach from here on.
        self.in_file = InFile::default();
        self.leave_marks(false);
        let (told, no_end) = (tell_renamed(&path, what, &left, lost), no_end.unwrap_or_default());
        self.state.set_error(format!("{told}{GOES_ON}{no_end}"));
    }

    /// The run goes on in another file. In this one it gets an end; otherwise it would look as if the
    /// process had been killed.
    fn end_left_run(&self, what: &str, store: &mut Store) -> Result<(), Error> {
        let path = store.path().display();
        self.state.set_error(format!("{path}: {what}{GOES_ON}"));
        let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ended = i64::try_from(ended.as_nanos()).unwrap_or(i64::MAX);
        let report = stats::collect(&self.recorder, &self.state).to_json(false);
        store.end_run(ended, &run_json::going_on(&report))
    }

    /// Gives up a file that is not at its path any more, or of no use; the next commit makes a new one.
    /// Also returns what is lost of what was not stored yet.
    fn let_go(&mut self) -> Option<(Store, PerKind)> {
        let store = self.store.take()?;
        (self.is_in_place, self.recovery_since) = (true, None);
        let mut in_hand = PerKind::default();
        // A batch in hand refers to ids of the old file.
        self.looks_committed = self.looks_begun;
        if let Some(pending) = self.pending.take() {
            in_hand = pending.counts;
            self.drop_records(in_hand, DropReason::FileRemoved);
            self.account.drop_unfinished(pending.unfinished, DropReason::FileRemoved);
            in_hand[Kind::Span as usize] += pending.unfinished;
            self.show_account();
            self.keep_marks();
            self.batch.clear();
        }
        // Before the lock of the profile is released.
        self.end_requests();
        self.open_spans.clear();
        Some((store, in_hand))
    }

    /// Counts what is lost if only this is left of what was stored in the file; nothing if that is not
    /// known. Returns what is lost.
    fn keep_only(&mut self, found: Option<&Recovered>) -> PerKind {
        let Some(found) = found else { return PerKind::default() };
        let lost = self.in_file.keep_only(found, &mut self.account);
        self.show_account();
        self.marks.keep_only(found.marks, &self.state.marks);
        lost
    }

    /// Somebody has removed the log, or its index: repairs the file. What was only in the log, and can
    /// no longer be read, is counted as lost.
    fn recover_file(&mut self, what: &'static str) {
        let Some(store) = &mut self.store else { return };
        let path = store.path().display().to_string();
        let began = Instant::now();
        let found = match store.recover() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotADatabase) => {
                return self.lose_file("was damaged while it was recorded into");
            }
            Err(error) => {
                self.is_in_place = false;
                return self.not_recovered(&error, what, began);
            }
        };
        (self.recovery_since, self.stuck_since) = (None, None);
        let mut lost = PerKind::default();
        if !found.whole {
            lost = self.keep_only(Some(&found));
            // The next batch tells of all losses again.
            self.losses = Losses::default();
            self.batch.losses.clear();
            if let Some(pending) = &mut self.pending {
                pending.losses = None;
            }
            if let Some(store) = &mut self.store {
                self.keeping.begin_file();
                self.converter.begin_file(store);
            }
            self.open_spans.clear();
        }
        self.state.set_error(format!("{path}: {what}; {}", tell_lost(lost)));
    }

    /// Opens the database anew. Returns whether there is a store now.
    pub(super) fn reopen(&mut self) -> bool {
        let began = Instant::now();
        match self.try_reopen() {
            Ok(mut store) => {
                self.so_far.forget();
                self.keeping.begin_file();
                #[cfg(feature = "crash-proof")]
                if let Some(file) = &self.recorder.file {
                    file.set_threads_above(store.thread_id(0));
                    file.set_in_earlier(self.account.stored);
                }
                self.converter.begin_file(&mut store);
                self.converter.self_times.begin_file();
                self.store = Some(store);
                self.stuck_since = None;
                self.begin_requests_anew();
                true
            }
            Err((kind, error)) => {
                use ErrorKind::{Busy, Full, Io, WalFull};
                if !matches!(kind, Busy | Full | Io | WalFull) {
                    // The file is none of ours: somebody has to move it away.
                    self.stuck_since.get_or_insert(began);
                }
                self.refused_for(kind, error, began);
                false
            }
        }
    }

    fn try_reopen(&self) -> Result<Store, (ErrorKind, String)> {
        let told = |error: Error| (error.kind(), error.to_string());
        let mut store = Store::open(&self.options.database, &self.options.store).map_err(told)?;
        if store.next_id() > self.options.first_id {
            // Some of its ids are ours, too: another profile was put there.
            let message = format!(
                "{}: replaced by another profile; move it away, and recording goes on",
                store.path().display()
            );
            return Err((ErrorKind::Moved, message));
        }
        self.state.marks.ids_begin_at(store.next_mark_id().map_err(told)?);
        let mut run = self.options.run.clone();
        run.settings = run_json::with_elsewhere(&run.settings, self.account.stored);
        store.begin_run(&run).map_err(told)?;
        Ok(store)
    }

    /// Whether it is time to look at the open spans, though nothing else happens.
    pub(super) fn open_spans_are_due(&self) -> bool {
        let interval = if self.open_spans.is_empty() { INTERVAL } else { OPEN_SPANS_INTERVAL };
        self.last_open_spans.elapsed() >= interval && self.has_open_spans()
    }

    /// Whether a look at the open spans would find some, or fewer than the last one.
    pub(super) fn has_open_spans(&self) -> bool {
        !self.open_spans.is_empty() || self.recorder.open.count() > 0
    }

    /// Adds the rows about the writer and about open spans to the batch, if they are due.
    pub(super) fn add_housekeeping_rows(&mut self, now_ns: i64, counts: PerKind) {
        let is_awaited = self.waiting.iter().any(|waiting| waiting.looks > self.looks_begun);
        if is_awaited || self.last_open_spans.elapsed() >= self.options.flush_interval {
            self.looks_begun += 1;
            self.add_open_spans(now_ns);
        }
        if self.last_stat.elapsed() >= INTERVAL && !self.batch.is_empty() {
            self.add_writer_stat(now_ns, counts);
        }
    }

    /// All spans that are open now, however young.
    fn add_open_spans(&mut self, now_ns: i64) {
        self.last_open_spans = Instant::now();
        let mut seen = self.recorder.open.look(self.recorder.clock.ticks(), |_| true);
        seen.sort_unstable_by_key(|seen| seen.id);
        let ids: Vec<u64> = seen.iter().map(|seen| seen.id).collect();
        if ids.is_empty() && self.open_spans.is_empty() {
            return;
        }
        self.open_spans = ids;
        let Self { converter, store: Some(store), batch, .. } = self else { return };
        let rows = converter.unfinished(&seen, false, Status::Unfinished, store, &mut batch.text);
        let rows = rows.into_iter().map(|span| OpenSpanRow { span, seen_ns: now_ns });
        batch.open_spans = Some(rows.collect());
    }

    pub(super) fn add_writer_stat(&mut self, now_ns: i64, counts: PerKind) {
        self.last_stat = Instant::now();
        let stats = stats::collect(&self.recorder, &self.state);
        self.batch.writer_stat = Some(WriterStatRow {
            at_ns: now_ns,
            recorded: stats.recorded,
            stored: stats.stored + counts[Kind::Span as usize],
            dropped: stats.dropped.to_json(),
            events_recorded: stats.events.recorded,
            events_stored: stats.events.stored + counts[Kind::Event as usize],
            events_dropped: stats.events.dropped.to_json(),
            batches: stats.batches + 1,
            largest_batch_ns: u64::try_from(self.largest_batch.as_nanos()).unwrap_or(u64::MAX),
            ring_high_water: stats.ring_high_water,
            wal_bytes: self.wal_bytes,
            file_bytes: self.file_bytes,
            open_spans: stats.open,
            entries_recorded: stats.entries.recorded,
            entries_stored: stats.entries.stored + counts[Kind::Entry as usize],
            entries_dropped: stats.entries.dropped.to_json(),
        });
        self.largest_batch = Duration::ZERO;
    }
}
