//! From drained records to committed rows, and what happens when that fails.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spandrel_storage::{Appended, Error, ErrorKind, after};

use super::Writer;
use super::drain::Relief;
use super::losses::NewLosses;
use super::marks::PendingMarks;
use super::raw::add;
use crate::panics;
use crate::recorder::losses::{DropReason, Kind, PerKind};
#[cfg(feature = "faults")]
use crate::writer::fault::Fault;
use crate::writer::state::Trouble;

/// How many times as large as a usual batch a piece of a backlog may be.
pub(super) const BACKLOG_BATCHES: usize = 4;
/// How often children are looked for that came after their parents were stored.
pub(super) const ORPHANS_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before the next try while another process has the file locked, which is mostly for a
/// moment only. The store itself waits for a lock as long as this.
const LOCK_PAUSE: Duration = Duration::from_millis(250);
/// At least so long is between two tries, to look after everything else.
const LOCK_PAUSE_MIN: Duration = Duration::from_millis(10);
/// How often refused rows are taken out of one batch.
const MENDS_MAX: u32 = 3;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A batch that is converted and not yet committed.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) counts: PerKind,
    /// Rows of which something was cut.
    cut: u64,
    /// Records of the `log` crate without a callsite of their own.
    unplaced: u64,
    /// Spans that were open when the recording ended.
    pub(super) unfinished: u64,
    /// Up to which position of each partition this batch reaches; `None` if it is not the last piece of
    /// what was drained.
    positions: Option<Vec<u64>>,
    /// Losses that become rows with this batch.
    pub(super) losses: Option<NewLosses>,
    marks: PendingMarks,
    /// Up to where the slots of each partition may be given back once it is committed, if they are kept.
    kept: Option<Vec<u64>>,
    /// How often refused rows were taken out of it.
    mends: u32,
}

/// When to try again.
#[derive(Debug)]
pub(super) struct Backoff {
    until: Instant,
    pause: Duration,
    /// Whether the last try has found the disk full.
    disk_full: bool,
    /// Whether a try has failed since something was stored.
    has_failed: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { until: Instant::now(), pause: BACKOFF_MIN, disk_full: false, has_failed: false }
    }
}

impl Backoff {
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the last try has found the disk full.
    pub(super) fn is_disk_full(&self) -> bool {
        self.disk_full
    }

    /// Begins with short pauses again.
    pub(super) fn hurry(&mut self) {
        self.pause = BACKOFF_MIN;
        self.until = self.until.min(after(Instant::now(), BACKOFF_MIN));
    }

    /// Notes that a try, which began then, has failed now with an error of this kind.
    fn failed(&mut self, kind: ErrorKind, began: Instant, now: Instant) {
        self.disk_full = kind == ErrorKind::Full;
        self.has_failed = true;
        if matches!(kind, ErrorKind::Busy | ErrorKind::WalFull) {
            // Another process has locked the file. Nothing is wrong with it, and it may be free at any
            // moment.
            self.until = (began + LOCK_PAUSE).max(now + LOCK_PAUSE_MIN);
            self.pause = BACKOFF_MIN;
        } else {
            // It has failed again: wait twice as long.
            self.until = now + self.pause;
            self.pause = (self.pause * 2).min(BACKOFF_MAX);
        }
    }
}

impl Writer {
    /// Commits what has been drained, or tries again to commit what the store has refused.
    pub(super) fn commit(&mut self) {
        // If the file is gone, rows converted for it would be lost; and after a flush they should be
        // found at the path.
        self.look_after_file();
        if self.store.is_none() && !self.reopen() {
            return;
        }
        if self.pending.is_none() {
            if !self.is_in_place {
                // Rows converted for a file that has to be left would be lost.
                return;
            }
            self.prepare();
        }
        self.append();
    }

    /// Converts the next piece of `raw` into a batch.
    pub(super) fn prepare(&mut self) {
        self.batches_begun += 1;
        let mut piece = self.raw.piece(0);
        let converted = panics::catch(|| {
            if !self.sealed {
                self.seal();
            }
            piece = self.raw.piece(self.piece_max());
            self.convert(piece.clone());
        });
        // All drained records are still there, and their rows, too: the peak.
        self.count_memory_in_hand();
        if !self.sealed {
            // Even draining has panicked.
            piece = self.raw.piece(usize::MAX);
        }
        let (mut counts, spoiled) = self.raw.take_apart(piece, &mut self.chunks);
        self.lose_spoiled(spoiled);
        if converted.is_err() {
            self.quarantine(counts);
            counts = PerKind::default();
        }
        #[cfg(feature = "faults")]
        if self.options.fault == Some(Fault::LoseBatch(self.batches_begun)) {
            self.batch.clear();
            counts = PerKind::default();
        }
        let positions = self.raw.is_empty().then(|| self.turn_over());
        self.begin_pending(counts, positions);
    }

    /// Makes the last batch, of all that is left. Records that are published during the close stay in
    /// the ring, see [`PostCloseDrain`].
    ///
    /// [`PostCloseDrain`]: crate::recorder::post_close_drain::PostCloseDrain
    pub(super) fn prepare_last(&mut self) {
        self.batches_begun += 1;
        self.room.close();
        let positions = self.positions();
        let converted = panics::catch(|| {
            self.converter.timeline.renew();
            self.count_late_children();
            self.convert(self.raw.piece(usize::MAX));
            std::mem::swap(&mut self.raw, &mut self.next);
            self.convert(self.raw.piece(usize::MAX));
        });
        let (mut counts, mut spoiled) = (PerKind::default(), PerKind::default());
        for raw in [&mut self.raw, &mut self.next] {
            let taken = raw.take_apart(raw.piece(usize::MAX), &mut self.chunks);
            add(&mut counts, taken.0);
            add(&mut spoiled, taken.1);
            raw.clear(&mut self.chunks);
        }
        self.lose_spoiled(spoiled);
        if converted.is_err() {
            self.quarantine(counts);
            counts = PerKind::default();
        }
        self.begin_pending(counts, Some(positions));
    }

    /// Makes `raw` ready to be converted, piece by piece: drains what the partitions have by now into
    /// `next`, so that all children of its spans are known. From here on nothing is added to `raw`.
    fn seal(&mut self) {
        self.raw_positions = self.positions();
        // Looked at before the drain: the record of a parent that is no longer open is in the ring by
        // then.
        let is_crowded = self.converter.self_times.is_crowded();
        let open =
            (is_crowded || self.orphans_are_due()).then(|| self.recorder.open.look(0, |_| true));
        let is_all_here = self.drain_up_to_tails();
        // What was drained may be zeros, and is to be known as such before it counts for anything.
        self.look_after_ring();
        self.next_since = Instant::now();
        match open {
            // A parent's record may be behind one that is not published yet; parted now, it would never
            // get its children's time.
            Some(_) if !is_all_here && !self.converter.self_times.is_overcrowded() => {
                self.last_orphans = Instant::now();
            }
            Some(open) => {
                self.part_from_parents(open.into_iter().map(|seen| seen.id).collect(), is_crowded);
            }
            None => {}
        }
        self.converter.timeline.renew();
        self.count_late_children();
        self.sealed = true;
    }

    fn count_late_children(&mut self) {
        let Self { converter, raw, next, consumer, chunks, room, .. } = self;
        let mut relief = Relief { consumer, chunks, room };
        converter.count_late_children(raw, next, |next| relief.relieve(next));
    }

    /// `raw` is done with: `next` takes its place. Returns up to where `raw` reached.
    fn turn_over(&mut self) -> Vec<u64> {
        self.raw.clear(&mut self.chunks);
        std::mem::swap(&mut self.raw, &mut self.next);
        self.raw_since = self.next_since;
        self.sealed = false;
        std::mem::take(&mut self.raw_positions)
    }

    /// How many records the next batch may have. In a backlog more than usual, because large batches are
    /// cheaper; but not so many that the ring fills up meanwhile.
    fn piece_max(&self) -> usize {
        let usual = self.options.batch_size;
        // Slots that are kept are free again after a commit: the sooner, the better. And a ring in a file is large.
        if self.raw.len() <= usual || self.keeping.is_on() {
            return usual;
        }
        usual.saturating_mul(BACKLOG_BATCHES).min(self.ring_slots / 8).max(usual)
    }

    fn convert(&mut self, piece: Range<usize>) {
        #[cfg(feature = "faults")]
        if self.options.fault == Some(Fault::PanicInBatch(self.batches_begun)) {
            std::panic::resume_unwind(Box::new("an injected fault"));
        }
        let Self { converter, raw, next, store, batch, consumer, chunks, room, outlets, .. } = self;
        let mut relief = Relief { consumer, chunks, room };
        let Some(store) = store else { return };
        let are_shown = outlets.wants_spans();
        converter.note_callsites(are_shown);
        let first = batch.spans.len();
        converter.convert(raw, piece, store, batch, || relief.relieve(next));
        if are_shown {
            let (rows, callsites) = (&batch.spans[first..], converter.noted_callsites());
            outlets.show_spans(rows, callsites, &batch.text, || relief.relieve(next));
        }
    }

    /// Makes a batch of what has been converted, and adds the losses so far.
    pub(super) fn begin_pending(&mut self, counts: PerKind, positions: Option<Vec<u64>>) {
        let Self { recorder, converter, store, batch, losses, account, .. } = self;
        let now_ns = converter.timeline.now_ns();
        if let Some(store) = store.as_mut() {
            converter.learn_threads(store); // also those threads that have only lost something
        }
        // Not with every batch: if the ring is full for an hour, the losses would fill a table.
        let due = self.closing || losses.last_commit_elapsed() >= self.options.flush_interval;
        let new_losses = due.then(|| {
            losses.collect(
                &recorder.counters,
                account,
                now_ns,
                |number| store.as_mut().map_or(0, |store| converter.thread_id(number, store)),
                &mut batch.losses,
            )
        });
        let marks = self.add_marks();
        self.count_memory_if_due();
        self.add_housekeeping_rows(now_ns, counts);
        self.converter.put_contexts(&mut self.batch);
        for raw in [&mut self.raw, &mut self.next] {
            self.keeping.pass(raw.take_passed());
        }
        let kept = self.keeping.tell(&mut self.batch.drained);
        self.pending = Some(Pending {
            counts,
            cut: self.converter.take_cut(),
            unplaced: self.converter.take_unplaced(),
            unfinished: 0,
            positions,
            losses: new_losses,
            marks,
            kept,
            mends: 0,
        });
        self.show_account();
    }

    /// Gives the pending batch to the store.
    pub(super) fn append(&mut self) {
        let began = Instant::now();
        self.last_commit = began;
        self.tell_so_far();
        // While the store refuses, the ring keeps what it can.
        let is_refused = self.backoff.has_failed;
        let Self { store, batch, raw, next, consumer, chunks, room, sealed, .. } = self;
        let Some(store) = store else { return };
        let result = match batch.is_empty() {
            false => {
                if !*sealed && raw.is_empty() {
                    self.raw_since = began;
                }
                let into = if *sealed { next } else { raw };
                let mut relief = Relief { consumer, chunks, room };
                let mut meanwhile = || {
                    if !is_refused {
                        relief.relieve(into);
                    }
                };
                store.append_beside(batch, &mut meanwhile).map(Some)
            }
            true if self.is_in_place => Ok(None),
            // The file is not repaired yet: the flush has to wait.
            true => return,
        };
        match result {
            Ok(appended) => {
                let shown = appended.as_ref().and_then(|it| self.outlets.describe(it, &self.batch));
                if let Some(appended) = appended {
                    self.note(&appended);
                }
                self.largest_batch = self.largest_batch.max(began.elapsed());
                self.committed();
                // When the ledger has it, too.
                shown.into_iter().for_each(|commit| self.outlets.show_commit(commit));
            }
            // The file, or its log, was taken away just now.
            Err(error) if error.kind() == ErrorKind::Moved => {
                self.refused_by(&error, began);
                self.look_after_file();
            }
            // Refused for what is in it: trying again would never end.
            Err(error) if error.kind() == ErrorKind::InvalidBatch => self.mend(&error),
            Err(error) => self.refused_by(&error, began),
        }
    }

    /// Notes what the store says about a batch that it has stored.
    fn note(&mut self, appended: &Appended) {
        let Appended { file_bytes, wal_bytes, checkpoint_ns, .. } = *appended;
        (self.file_bytes, self.wal_bytes) = (file_bytes, wal_bytes);
        self.state.set_file_bytes(file_bytes);
        match &appended.checkpoint_error {
            Some(error) => self.state.set_trouble(Trouble::Log, error.to_string()),
            None if checkpoint_ns > 0 => self.state.end_trouble(Trouble::Log),
            None => {}
        }
        match &appended.prune_error {
            Some(error) => self.state.set_trouble(Trouble::Retention, error.to_string()),
            None => self.state.end_trouble(Trouble::Retention),
        }
    }

    /// The store refuses the batch for what is in it: takes the refused rows out, counts them, and
    /// stores the rest.
    fn mend(&mut self, error: &Error) {
        let Self { recorder, store: Some(store), batch, pending: Some(pending), .. } = self else {
            return;
        };
        pending.mends += 1;
        if pending.mends > MENDS_MAX {
            return self.give_up_batch(error);
        }
        let began = Instant::now();
        let mended = match store.mend(batch, &mut |above| recorder.id_above(above)) {
            Ok(mended) if mended.is_unchanged() => return self.give_up_batch(error),
            Ok(mended) => mended,
            Err(error) if error.kind() == ErrorKind::InvalidBatch => {
                return self.give_up_batch(&error);
            }
            Err(error) => return self.refused_by(&error, began),
        };
        let lost = [mended.spans, mended.events, mended.links, mended.entries, mended.gauges];
        for (count, lost) in pending.counts.iter_mut().zip(lost) {
            *count -= lost;
        }
        pending.unfinished -= mended.unfinished;
        pending.marks.are_left(&batch.marks);
        self.account.drop_many(lost, DropReason::RowRefused);
        self.account.drop_unfinished(mended.unfinished, DropReason::RowRefused);
        self.state.marks.drop_many(mended.marks);
        if mended.renumbered > 0 {
            self.converter.forget_callsites();
        }
        if lost != PerKind::default() || mended.unfinished + mended.marks + mended.others > 0 {
            self.state.set_error(format!(
                "{error}; {} spans and {} events were refused, the rest of the batch is stored",
                mended.spans + mended.unfinished,
                mended.events
            ));
        }
        self.append();
    }

    fn committed(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        self.converter.self_times.settle(true);
        self.looks_committed = self.looks_begun;
        if !self.batch.is_empty() {
            self.account.cut += pending.cut;
            self.account.unplaced += pending.unplaced;
            self.account.batches += 1;
        }
        self.so_far_is_told();
        self.batch.clear();
        self.backoff = Backoff::default();
        self.state.end_trouble(Trouble::Refusal);
        // Before the counters: a thread that sees these records stored also sees that the store works
        // again.
        self.recorder.degraded.store(false, Ordering::Relaxed);
        for (kind, n) in pending.counts.into_iter().enumerate() {
            self.account.stored[kind] += n;
            self.in_file.stored[kind] += n;
        }
        self.account.unfinished += pending.unfinished;
        self.show_account();
        self.in_file.unfinished += pending.unfinished;
        self.marks_committed(pending.marks);
        if let Some(losses) = pending.losses {
            self.losses.commit(losses);
        }
        if let Some(positions) = pending.positions {
            self.committed = positions;
        }
        if let Some(kept) = pending.kept {
            self.keeping.told(kept, &mut self.consumer);
        }
        if !self.waiting.is_empty() {
            // The file has to be there still when the waiting threads are told.
            self.look_after_file();
        }
        self.answer_waiting();
    }

    /// The store will never take the batch in hand.
    fn give_up_batch(&mut self, error: &Error) {
        self.state.set_error(error.to_string());
        let Some(pending) = self.pending.take() else { return };
        // Nobody waits for looks that are given up.
        self.looks_committed = self.looks_begun;
        self.drop_records(pending.counts, DropReason::RowRefused);
        self.converter.self_times.settle(false);
        self.account.drop_unfinished(pending.unfinished, DropReason::RowRefused);
        self.lose_marks();
        self.batch.clear();
        self.show_account();
        if let Some(positions) = pending.positions {
            self.committed = positions;
        }
        self.answer_waiting();
    }

    /// The store has refused the batch, in a try that began then. Notes why, and when to try again.
    pub(super) fn refused_by(&mut self, error: &Error, began: Instant) {
        self.refused_for(error.kind(), error.to_string(), began);
    }

    /// The same, for an error of this kind.
    pub(super) fn refused_for(&mut self, kind: ErrorKind, error: String, began: Instant) {
        self.charge_refusal();
        self.state.set_trouble(Trouble::Refusal, error);
        // Relaxed: a hint for the reason of later drops.
        self.recorder.degraded.store(true, Ordering::Relaxed);
        self.backoff.failed(kind, began, Instant::now());
    }

    /// Counts as lost what cannot be read as a record: something has overwritten the ring's memory.
    fn lose_spoiled(&mut self, spoiled: PerKind) {
        let n: u64 = spoiled.iter().sum();
        if n > 0 {
            self.drop_records(spoiled, DropReason::WriterPanic);
            self.state.set_error(format!(
                "{n} records in the ring could not be read and were dropped; something has written \
                 to memory that is not its own"
            ));
        }
    }

    /// The batch in hand could not be converted: it is lost, and counted.
    fn quarantine(&mut self, counts: PerKind) {
        self.drop_records(counts, DropReason::WriterPanic);
        self.converter.self_times.settle(false);
        self.lose_marks();
        self.batch.clear();
        self.converter.take_cut();
        self.converter.take_unplaced();
        self.state.set_error(format!(
            "the writer panicked over batch {}; its {} spans and {} events were dropped",
            self.batches_begun,
            counts[Kind::Span as usize],
            counts[Kind::Event as usize],
        ));
    }

    /// After a panic outside of a conversion: gives up the batch in hand.
    pub(super) fn quarantine_pending(&mut self) {
        let pending = self.pending.take();
        self.looks_committed = self.looks_begun;
        self.quarantine(pending.map(|pending| pending.counts).unwrap_or_default());
        self.show_account();
        // A pause, in case that it happens again at once.
        self.consumer.park(BACKOFF_MIN);
    }

    /// Counts records that came from the ring and will not be stored.
    pub(super) fn drop_records(&mut self, counts: PerKind, reason: DropReason) {
        self.account.drop_many(counts, reason);
    }

    /// What was stored in a file is lost with it.
    pub(super) fn forget_stored(&mut self, lost: PerKind, unfinished: u64, reason: DropReason) {
        self.account.forget_stored(lost, unfinished, reason);
        self.show_account();
    }

    /// Whether it is time to look for children that came after their parents were stored.
    fn orphans_are_due(&self) -> bool {
        self.recorder.has_subscriber()
            && self.converter.self_times.has_children()
            && self.last_orphans.elapsed() >= ORPHANS_INTERVAL
    }

    /// Looks for children whose parents will not come any more, because they have been stored or
    /// dropped: parents that are neither open nor drained. Only if two looks agree, unless there are too
    /// many.
    fn part_from_parents(&mut self, mut expected: Vec<u64>, is_crowded: bool) {
        self.last_orphans = Instant::now();
        let drained = self.raw.records().chain(self.next.records());
        expected.extend(drained.filter_map(|record| record.span_id()));
        expected.sort_unstable();
        let is_expected = |id| expected.binary_search(&id).is_ok();
        let self_times = &mut self.converter.self_times;
        match is_crowded {
            true => self_times.purge(is_expected),
            false => self_times.find_orphans(is_expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the writer waits after each of these errors. Each try begins when it is due, and takes
    /// so long.
    fn pauses(errors: &[ErrorKind], took: Duration) -> Vec<Duration> {
        let mut backoff = Backoff::default();
        let began = backoff.until();
        let mut now = began;
        let pause = |kind: &ErrorKind| {
            let began = now;
            backoff.failed(*kind, began, began + took);
            now = backoff.until();
            now - began
        };
        errors.iter().map(pause).collect()
    }

    fn ms(all: &[u64]) -> Vec<Duration> {
        all.iter().map(|ms| Duration::from_millis(*ms)).collect()
    }

    #[test]
    fn a_lock_is_tried_again_every_250_ms_however_long_it_is_held() {
        let held = [ErrorKind::Busy; 1_000];
        assert_eq!(pauses(&held, Duration::ZERO), ms(&[250; 1_000]));
        assert_eq!(pauses(&held, Duration::from_millis(200)), ms(&[250; 1_000]));
        // If waiting for the lock takes as long as the pause, a moment is left for everything else.
        assert_eq!(pauses(&held, Duration::from_millis(250)), ms(&[260; 1_000]));
        assert_eq!(pauses(&[ErrorKind::WalFull; 9], Duration::ZERO), ms(&[250; 9]));
    }

    #[test]
    fn a_full_disk_is_tried_again_after_pauses_that_double() {
        let full = pauses(&[ErrorKind::Full; 9], Duration::ZERO);
        assert_eq!(full, ms(&[100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]));
        assert_eq!(pauses(&[ErrorKind::Io; 9], Duration::ZERO), full);
    }

    #[test]
    fn a_lock_between_errors_of_the_disk_has_its_own_pause_and_they_begin_anew() {
        use ErrorKind::{Busy, Full};
        let mixed = [Full, Full, Full, Busy, Busy, Full, Full, Busy];
        assert_eq!(pauses(&mixed, Duration::ZERO), ms(&[100, 200, 400, 250, 250, 100, 200, 250]));
    }
}
