//! The end of a recording: drain, store what is open, commit, close the file, account for the rest.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use spandrel_storage::{LossRow, Status, Store, after};

use super::commit::BACKLOG_BATCHES;
use super::housekeeping::{WAS_RENAMED, tell_lost, tell_renamed};
use super::stats;
use super::{STRAGGLER_GRACE, Writer, WriterState};
use crate::panics;
use crate::recorder::Recorder;
use crate::recorder::losses::{DropReason, Kind, PerKind};
use crate::recorder::open_spans::Seen;
use crate::recorder::post_close_drain::PostCloseDrain;

/// How long after the deadline a store that works may go on with a backlog. The caller of `close` waits
/// for one second more than the deadline; what is not stored by then has to be counted.
const OVERTIME: Duration = Duration::from_millis(500);

/// How long to wait for a disk that was full before the recording ended, and still is. Making space
/// takes minutes, and a program should not hang at its end in vain.
const FULL_DISK_TIMEOUT: Duration = Duration::from_secs(2);

impl Writer {
    /// Ends the recording by the deadline, whatever happens.
    pub(super) fn finish(mut self, deadline: Instant) {
        let mut unfinished = HashSet::new();
        let finished = panics::catch(|| self.store_the_rest(deadline, &mut unfinished));
        if finished.is_err() {
            self.state.set_error("the writer panicked while it closed".into());
        }
        let reason =
            if finished.is_ok() { DropReason::StoreError } else { DropReason::WriterPanic };
        let is_left = self.is_left_in_ring();
        let lost = is_left || self.give_up_the_rest(reason, &unfinished);
        let timed_out = lost || finished.unwrap_or(false);
        if is_left {
            self.leave_in_ring();
        }
        self.state.set_timed_out(timed_out);
        self.state.measure_cpu();
        self.conclude(unfinished, deadline, timed_out, is_left);
    }

    /// Whether something is in no file, and still in a ring that lies in one: a recovery stores it, so it is not lost.
    fn is_left_in_ring(&self) -> bool {
        let has_more = self.pending.is_some() || self.raw.len() + self.next.len() > 0;
        self.keeping.is_on() && (has_more || self.keeping.is_untold()) && self.has_ring_file()
    }

    /// Whether the ring lies in a file that can be found.
    fn has_ring_file(&self) -> bool {
        #[cfg(feature = "crash-proof")]
        return self.recorder.file.as_ref().is_some_and(|file| file.is_in_place());
        #[cfg(not(feature = "crash-proof"))]
        false
    }

    /// What is in the ring stays there, and is counted as in flight; marks are not in it.
    fn leave_in_ring(&mut self) {
        self.lose_marks();
        self.give_up_marks();
        self.charge_refusal();
        self.show_account();
    }

    /// Returns whether a backlog was given up because time was up.
    fn store_the_rest(&mut self, deadline: Instant, unfinished: &mut HashSet<u64>) -> bool {
        self.closing = true;
        // A file that was in the way may be gone: one more try.
        self.stuck_since = self.stuck_since.map(|_| Instant::now());
        self.take_flushes();
        self.look_after_file();
        let deadline = self.try_full_disk(deadline);
        // The ring is closed: everything published before that is below these positions.
        let targets = self.tails();
        self.commit_up_to(&targets, deadline);
        let open = self.take_open_spans();
        unfinished.extend(open.iter().map(|seen| seen.id));
        self.look_after_names();
        let late = Instant::now() >= after(deadline, OVERTIME) && self.give_up_backlog();
        if !(late && self.is_left_in_ring()) {
            self.commit_last(&open, deadline);
        }
        self.look_after_file();
        late
    }

    /// If the disk was full, checks at once whether it has space now. Returns how long to wait for it.
    fn try_full_disk(&mut self, deadline: Instant) -> Instant {
        if !self.is_refused() || !self.backoff.is_disk_full() {
            return deadline;
        }
        self.commit();
        if !self.backoff.is_disk_full() {
            return deadline;
        }
        self.backoff.hurry();
        deadline.min(after(Instant::now(), FULL_DISK_TIMEOUT))
    }

    /// Drains and commits until everything below `targets` is in the database.
    fn commit_up_to(&mut self, targets: &[u64], deadline: Instant) {
        let mut progress = Instant::now();
        loop {
            if self.drain() > 0 {
                progress = Instant::now();
            }
            if !self.raw.is_empty() || self.pending.is_some() {
                if self.backoff.is_over() {
                    self.commit();
                } else if Instant::now() < deadline {
                    let until = self.backoff.until().min(self.unless_stuck(deadline));
                    std::thread::sleep(until.saturating_duration_since(Instant::now()));
                }
                if Instant::now() >= self.unless_stuck(deadline) && self.is_refused() {
                    return;
                }
                if Instant::now() >= after(deadline, OVERTIME) {
                    return;
                }
            } else if self.positions().iter().zip(targets).all(|(at, target)| at >= target)
                || progress.elapsed() >= STRAGGLER_GRACE
            {
                return;
            } else {
                // A producer is between claim and publish.
                std::thread::yield_now();
            }
        }
    }

    /// Takes the spans that are open now, and that no thread will account for any more.
    fn take_open_spans(&mut self) -> Vec<Seen> {
        let recorder = std::sync::Arc::clone(&self.recorder);
        let mut open = recorder.open.look(recorder.clock.ticks(), |_| true);
        self.look_after_ring();
        if self.keeping.is_lost() {
            self.account.drop_unfinished(open.len() as u64, DropReason::FileRemoved);
            return Vec::new();
        }
        // Spans that were closed during the look are in the ring.
        self.drain_all();
        let ids: HashSet<u64> = open.iter().map(|seen| seen.id).collect();
        let drained = self.raw.records().chain(self.next.records());
        let drained = drained.filter_map(|record| record.span_id());
        let mut closed: HashSet<u64> = drained.filter(|id| ids.contains(id)).collect();
        // A thread may be suspended after it has published the record of a span and before it frees the
        // slot; for so long that the record is in a batch, or in the file.
        closed.extend(self.batch.spans.iter().map(|span| span.id));
        let ids = open.iter().map(|seen| seen.id);
        match self.store.as_ref().map(|store| store.stored_spans(ids)) {
            Some(Ok(stored)) => closed.extend(stored),
            Some(Err(error)) => self.state.set_error(error.to_string()),
            None => {}
        }
        open.retain(|seen| {
            !closed.contains(&seen.id) && recorder.open.try_claim_close(seen.position, seen.id)
        });
        open
    }

    /// If more than a batch is left, gives it up, so that the last batch can tell of it.
    fn give_up_backlog(&mut self) -> bool {
        let largest = self.options.batch_size.saturating_mul(BACKLOG_BATCHES);
        if self.pending.is_some() || self.raw.len() + self.next.len() <= largest {
            return false;
        }
        if self.keeping.is_on() && self.has_ring_file() {
            // It is in the ring as well, and stays there.
            return true;
        }
        for batch in [&mut self.raw, &mut self.next] {
            let counts = batch.take(batch.piece(usize::MAX), &mut self.chunks);
            self.account.drop_many(counts, DropReason::StoreError);
            batch.clear(&mut self.chunks);
        }
        self.show_account();
        true
    }

    /// The last batch: what is left, and the open spans.
    fn commit_last(&mut self, open: &[Seen], deadline: Instant) {
        self.look_after_ring();
        self.await_file(self.unless_stuck(deadline), !open.is_empty());
        let has_no_store = self.pending.is_some() || (self.store.is_none() && !self.reopen());
        if has_no_store || !self.is_in_place {
            // Out of time: the open spans cannot be stored either.
            let unfinished = open.len() as u64;
            self.account.drop_unfinished(unfinished, DropReason::StoreError);
            self.show_account();
            return;
        }
        self.prepare_last();
        let Self { converter, store: Some(store), batch, pending: Some(pending), .. } = self else {
            return;
        };
        batch.spans.extend(converter.unfinished(
            open,
            true,
            Status::Unfinished,
            store,
            &mut batch.text,
        ));
        let open_ids: HashSet<u64> = open.iter().map(|seen| seen.id).collect();
        converter.self_times.end(|id| open_ids.contains(&id));
        converter.tell_late(store, batch);
        converter.put_contexts(batch);
        pending.unfinished = open.len() as u64;
        batch.open_spans = (!self.open_spans.is_empty()).then(Vec::new);
        let counts = pending.counts;
        let now_ns = converter.timeline.now_ns();
        self.add_writer_stat(now_ns, counts);
        self.append_by(deadline);
        if self.pending.is_none() && self.losses.is_due(&self.recorder.counters, &self.account) {
            // Rows of the last batch were refused, or lost with the file: one more batch tells of that.
            if self.store.is_none() && !self.reopen() {
                return;
            }
            self.begin_pending(PerKind::default(), None);
            self.append_by(deadline);
        }
    }

    /// Gives the pending batch to the store, again and again, until it is stored or time is up.
    fn append_by(&mut self, deadline: Instant) {
        self.append();
        while self.pending.is_some() && Instant::now() < self.unless_stuck(deadline) {
            let until = self.backoff.until().min(self.unless_stuck(deadline));
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            self.append();
        }
    }

    /// Counts what could not be stored. Returns whether there was anything.
    fn give_up_the_rest(&mut self, reason: DropReason, unfinished: &HashSet<u64>) -> bool {
        let mut lost = false;
        if let Some(pending) = self.pending.take() {
            self.drop_records(pending.counts, reason);
            self.account.drop_unfinished(pending.unfinished, reason);
            self.lose_marks();
            lost = true;
        }
        if self.store.is_none() || lost {
            self.drain_all();
        }
        self.give_up_marks();
        for batch in [&mut self.raw, &mut self.next] {
            let ids = batch.records().filter_map(|record| record.span_id());
            let twice = ids.filter(|id| unfinished.contains(id)).count() as u64;
            let mut counts = batch.take(batch.piece(usize::MAX), &mut self.chunks);
            batch.clear(&mut self.chunks);
            lost |= counts != PerKind::default();
            // These are counted as unfinished already.
            counts[Kind::Span as usize] -= twice;
            self.account.duplicates += twice;
            self.account.drop_many(counts, reason);
        }
        self.charge_refusal();
        self.show_account();
        lost
    }

    /// Losses that no batch has told of, such as what was given up just now.
    fn untold_losses(&mut self) -> Vec<LossRow> {
        let mut rows = Vec::new();
        let Self { recorder, converter, store: Some(store), losses, account, .. } = self else {
            return rows;
        };
        let now_ns = converter.timeline.now_ns();
        converter.learn_threads(store);
        let thread_id = |number| converter.thread_id(number, store);
        losses.collect(&recorder.counters, account, now_ns, thread_id, &mut rows);
        rows
    }

    /// Closes the file, and leaves what is needed to answer later questions about the ledger.
    fn conclude(
        mut self,
        unfinished: HashSet<u64>,
        deadline: Instant,
        timed_out: bool,
        is_left: bool,
    ) {
        self.end_requests();
        self.count_memory();
        let losses = self.untold_losses();
        // By the run's own clock, as all its moments are: the system's time may have been set meanwhile.
        let length_ns = self.converter.timeline.now_ns().max(0);
        let ended = self.options.run.started_unix_ns.saturating_add(length_ns);
        let Self { recorder, state, consumer, store, mut account, mut in_file, mut marks, .. } =
            self;
        if is_left {
            // What is published from now on is in the ring, too.
            tell_left(&recorder, &state);
        } else if let Some(mut post_close) = recorder.post_close.lock() {
            *post_close = Some(PostCloseDrain { consumer, unfinished, duplicates: 0 });
        }
        let Some(mut store) = store else { return };
        trim(&mut store, deadline, &state);
        let path = store.path().display().to_string();
        if !is_left {
            let report = stats::collect(&recorder, &state).to_json(timed_out);
            // Everything that the ring has had is in the file, or its ledger says why not.
            match store.end_run_with_losses(ended, &report, &losses) {
                Ok(()) => remove_ring_file(&recorder, &mut store, &state),
                Err(error) => state.set_error(error.to_string()),
            }
        }
        let left = store.leave();
        let mut lost = PerKind::default();
        if let Some(found) = &left.found {
            // Too late for the file, which cannot be written to; in time for the report.
            lost = in_file.keep_only(found, &mut account);
            recorder.counters.show(&account);
            marks.keep_only(found.marks, &state.marks);
        }
        if left.renamed_to.is_some() {
            state.set_error(tell_renamed(&path, WAS_RENAMED, &left, lost));
        } else if lost != PerKind::default() {
            let why = left.error.map_or(format!("{path}: is gone"), |error| error.to_string());
            state.set_error(format!("{why}; {}", tell_lost(lost)));
        } else if let Some(error) = left.error {
            state.set_error(error.to_string());
        }
    }
}

/// The ring file of a recording that has ended well is needed no more.
fn remove_ring_file(recorder: &Recorder, store: &mut Store, state: &WriterState) {
    #[cfg(feature = "crash-proof")]
    if let Some(file) = &recorder.file {
        // In this order: as long as the file is there, the profile says that it has nothing that is new.
        let path = file.path().display();
        let done = file.remove().map_err(|error| format!("{path}: cannot be removed: {error}"));
        let done = done
            .and_then(|()| store.forget_drained(&file.run()).map_err(|error| error.to_string()));
        if let Err(why) = done {
            state.set_error(why);
        }
    }
    _ = (recorder, store, state);
}

/// What waits in a ring file, and the way out.
#[cfg(feature = "crash-proof")]
pub(crate) fn left_in(ring: &std::path::Path, stats: &crate::Stats) -> String {
    format!(
        "{} spans and {} events could not be stored in time, and wait in {}: `spandrel recover`, or the next recording, \
         moves them into the profile",
        stats.in_flight,
        stats.events.in_flight,
        ring.display()
    )
}

/// The run has no end in the profile; the ring file says when it was closed, and whoever recovers it says so there.
fn tell_left(recorder: &Recorder, state: &WriterState) {
    #[cfg(feature = "crash-proof")]
    if let Some(file) = &recorder.file {
        let stats = stats::collect(recorder, state);
        state.set_error(left_in(file.path(), &stats));
        let callsites = [stats.callsites, stats.callsites_below_level];
        if file.end(recorder.clock.ticks(), stats.marks_dropped, callsites).is_err() {
            // Then whoever recovers it takes the process for one that was killed.
            state.set_error(format!("{}: its names are full", file.path().display()));
        }
    }
    _ = (recorder, state);
}

/// Shortens a file that is larger than it may be, as far as there is time.
fn trim(store: &mut Store, deadline: Instant, state: &WriterState) {
    loop {
        match store.prune() {
            Ok(pruned) if pruned.more && Instant::now() < deadline => {}
            Ok(_) => break,
            Err(error) => {
                state.set_error(error.to_string());
                break;
            }
        }
    }
    match store.bytes() {
        Ok(bytes) => state.set_file_bytes(bytes),
        Err(error) => state.set_error(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use spandrel_query::Reader;

    use super::*;
    use crate::recorder::clock::tests::SLOW_BY;

    #[test]
    fn a_clock_that_is_set_while_it_is_recorded_does_not_make_the_run_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        // After the start it is found that the clock was an hour slow.
        SLOW_BY.set(Duration::from_secs(3_600));
        let builder = crate::Profiler::builder().database(&path);
        let profiler = crate::Profiler::start_here(builder).unwrap();
        SLOW_BY.set(Duration::ZERO);
        profiler.close().unwrap();
        let run = Reader::open(&path).unwrap().latest_run().unwrap().unwrap();
        let length_ns = run.ended_unix_ns.unwrap() - run.info.started_unix_ns;
        assert!((0..3_000_000_000_000).contains(&length_ns), "{length_ns} ns");
    }
}
