//! What the writer does besides: rows about itself and about open spans, retention, and a look
//! whether its file is still there.

use std::time::{Duration, Instant};

use spandrel_storage::{Error, ErrorKind, Location, OpenSpanRow, Store, WriterStatRow};

use super::Writer;
use super::losses::Losses;
use crate::counters::{Kind, PerKind};
use crate::stats::{self, DropReason};

const INTERVAL: Duration = Duration::from_secs(1);
/// How long the writer may delete old rows at a time.
const PRUNE_TIME: Duration = Duration::from_millis(20);
/// Open spans that do not change are confirmed this often.
const OPEN_SPANS_INTERVAL: Duration = Duration::from_secs(5);

impl Writer {
    /// Once a second: looks after the file.
    pub(super) fn keep_house(&mut self) {
        if self.last_housekeeping.elapsed() < INTERVAL {
            return;
        }
        self.last_housekeeping = Instant::now();
        self.state.measure_cpu();
        self.look_again_whether_installed();
        self.forget_gone();
        if self.raw.is_empty() && self.pending.is_none() && self.last_commit.elapsed() > INTERVAL {
            // A loss that begins after an idle time has not begun before it.
            if !self.losses.is_due(&self.recorder.counters, &self.account) {
                self.losses.nothing_until(self.converter.timeline.now_ns());
            }
        }
        self.look_after_file();
        self.look_after_requests();
        self.prune();
    }

    fn prune(&mut self) {
        let limited =
            self.options.store.max_bytes.is_some() || self.options.store.max_age.is_some();
        let Some(store) = &mut self.store else { return };
        // In small steps, and not for long: the ring is filling meanwhile.
        let until = Instant::now() + PRUNE_TIME;
        while limited && Instant::now() < until {
            match store.prune() {
                Ok(pruned) if pruned.more => {}
                Ok(_) => return,
                Err(error) => return self.state.set_error(error.to_string()),
            }
        }
    }

    /// Whether the file is still the one that the path names, with its log.
    pub(super) fn look_after_file(&mut self) {
        let Some(store) = &mut self.store else { return };
        match store.location() {
            Ok(Location::InPlace) => {}
            Ok(Location::Removed) => self.lose_file("was deleted while it was recorded into"),
            Ok(Location::Spoiled) => {
                self.lose_file("was cut short or overwritten while it was recorded into");
            }
            Ok(Location::LogLost) => self.recover_file(),
            Ok(Location::Renamed) => {
                // What is stored is safe under the other name.
                self.stored_in_file = PerKind::default();
                self.unfinished_in_file = 0;
                self.leave_marks(false);
                self.leave_file("was renamed while it was recorded into", PerKind::default());
            }
            Ok(_) => {}
            Err(error) => self.state.set_error(error.to_string()),
        }
    }

    /// What was stored is lost with the file.
    fn lose_file(&mut self, what: &str) {
        let lost = std::mem::take(&mut self.stored_in_file);
        let unfinished = std::mem::take(&mut self.unfinished_in_file);
        self.forget_stored(lost, unfinished, DropReason::FileRemoved);
        self.leave_marks(true);
        self.leave_file(what, lost);
    }

    /// Lets go of a file that is not at its place any more, or of no use; the next commit makes a new
    /// one.
    fn leave_file(&mut self, what: &str, lost: PerKind) {
        let Some(mut store) = self.store.take() else { return };
        let path = store.path().display().to_string();
        // A batch in hand has the old file's ids in it.
        if let Some(pending) = self.pending.take() {
            self.drop_records(pending.counts, DropReason::FileRemoved);
            self.show_account();
            self.keep_marks();
            self.batch.clear();
        }
        // Under the lock of the profile that it belongs to.
        self.end_requests();
        let left = match store.location() {
            Ok(Location::Spoiled) => store.set_aside(),
            _ => store.close().map(|()| None),
        };
        let kept = match left {
            Ok(Some(aside)) => format!(" (what is left of it is now {})", aside.display()),
            Ok(None) => String::new(),
            // That it was removed is what is being told.
            Err(error) if error.kind() == ErrorKind::Moved => String::new(),
            Err(error) => format!(" ({error})"),
        };
        self.state.set_error(format!(
            "{path}: {what}{kept}; {} spans and {} events are lost with it, recording goes on in a \
             new file",
            lost[Kind::Span as usize],
            lost[Kind::Event as usize],
        ));
        self.open_spans.clear();
    }

    /// Somebody has taken the log away: gets the file right again, and counts what was only in the log
    /// if that cannot be read any more.
    fn recover_file(&mut self) {
        let Some(store) = &mut self.store else { return };
        let path = store.path().display().to_string();
        let began = Instant::now();
        let what = "its write-ahead log was removed or cut short while it was recorded into";
        let found = match store.recover() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotADatabase) => {
                return self.lose_file("was damaged while it was recorded into");
            }
            Err(error) => return self.refused_by(&error, began),
        };
        if found.whole {
            return self.state.set_error(format!("{path}: {what}; nothing is lost"));
        }
        let stored = std::mem::take(&mut self.stored_in_file);
        let kept = [found.spans - found.unfinished.min(found.spans), found.events, found.links];
        let lost = std::array::from_fn(|kind| stored[kind].saturating_sub(kept[kind]));
        let unfinished = self.unfinished_in_file.saturating_sub(found.unfinished);
        self.stored_in_file = kept;
        self.unfinished_in_file -= unfinished;
        self.account.forget_stored(lost, unfinished, DropReason::FileRemoved);
        // All losses are told again, in the next batch.
        self.losses = Losses::default();
        self.batch.losses.clear();
        if let Some(pending) = &mut self.pending {
            pending.losses = None;
        }
        self.converter.begin_file(store);
        self.show_account();
        self.lose_marks_in_file(found.marks);
        self.open_spans.clear();
        self.state.set_error(format!(
            "{path}: {what}; {} spans and {} events are lost with it",
            lost[Kind::Span as usize],
            lost[Kind::Event as usize],
        ));
    }

    /// Opens the database anew. Says whether there is a store now.
    pub(super) fn reopen(&mut self) -> bool {
        let began = Instant::now();
        match self.try_reopen() {
            Ok(mut store) => {
                self.so_far.forget();
                self.converter.begin_file(&mut store);
                self.store = Some(store);
                self.begin_requests_anew();
                true
            }
            Err((kind, error)) => {
                self.refused_for(kind, error, began);
                false
            }
        }
    }

    fn try_reopen(&self) -> Result<Store, (ErrorKind, String)> {
        let told = |error: Error| (error.kind(), error.to_string());
        let mut store = Store::open(&self.options.database, &self.options.store).map_err(told)?;
        if store.next_id() > self.options.first_id {
            // Its ids are ours, too: it is another profile that was put there.
            let message = format!(
                "{}: replaced by another profile; move it away, and recording goes on",
                store.path().display()
            );
            return Err((ErrorKind::Moved, message));
        }
        self.state.marks.ids_begin_at(store.next_mark_id().map_err(told)?);
        store.begin_run(&self.options.run).map_err(told)?;
        Ok(store)
    }

    /// Whether the open spans in the database should be looked at though nothing else happens.
    pub(super) fn open_spans_are_due(&self) -> bool {
        let interval = if self.open_spans.is_empty() { INTERVAL } else { OPEN_SPANS_INTERVAL };
        self.last_open_spans.elapsed() >= interval
            && (!self.open_spans.is_empty() || self.recorder.open.count() > 0)
    }

    /// Adds to the batch what is due about the writer and about open spans.
    pub(super) fn add_housekeeping_rows(&mut self, now_ns: i64, counts: PerKind) {
        if self.last_open_spans.elapsed() >= self.options.flush_interval {
            self.add_open_spans(now_ns);
        }
        if self.last_stat.elapsed() >= INTERVAL && !self.batch.is_empty() {
            self.add_writer_stat(now_ns, counts);
        }
    }

    /// Spans that have been open for longer than a flush interval.
    fn add_open_spans(&mut self, now_ns: i64) {
        self.last_open_spans = Instant::now();
        let age = i64::try_from(self.options.flush_interval.as_nanos()).unwrap_or(i64::MAX);
        let timeline = &self.converter.timeline;
        let wanted = |start| timeline.ns(start) <= now_ns.saturating_sub(age);
        let mut seen = self.recorder.open.look(self.recorder.clock.ticks(), wanted);
        seen.sort_unstable_by_key(|seen| seen.id);
        let ids: Vec<u64> = seen.iter().map(|seen| seen.id).collect();
        if ids.is_empty() && self.open_spans.is_empty() {
            return;
        }
        self.open_spans = ids;
        let Self { converter, store: Some(store), batch, .. } = self else { return };
        let rows = converter.unfinished(&seen, store, &mut batch.text);
        let rows = rows.into_iter().map(|span| OpenSpanRow { span, seen_ns: now_ns });
        batch.open_spans = Some(rows.collect());
    }

    pub(super) fn add_writer_stat(&mut self, now_ns: i64, counts: PerKind) {
        self.last_stat = Instant::now();
        let stats = stats::collect(&self.recorder, &self.state);
        self.batch.writer_stat = Some(WriterStatRow {
            at_ns: now_ns,
            recorded: stats.spans.recorded,
            stored: stats.spans.stored + counts[Kind::Span as usize],
            dropped: stats.spans.dropped.to_json(),
            events_recorded: stats.events.recorded,
            events_stored: stats.events.stored + counts[Kind::Event as usize],
            events_dropped: stats.events.dropped.to_json(),
            batches: stats.batches + 1,
            largest_batch_ns: u64::try_from(self.largest_batch.as_nanos()).unwrap_or(u64::MAX),
            ring_high_water: stats.ring_high_water,
            wal_bytes: self.wal_bytes,
            file_bytes: self.file_bytes,
            open_spans: stats.open,
        });
        self.largest_batch = Duration::ZERO;
    }
}
