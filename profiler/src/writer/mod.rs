//! The writer: one thread that takes records from the ring and commits them to the store.
//!
//! ```text
//!   ring --drain--> raw --convert--> batch --append--> store
//!                    ^                  |
//!                    next pass          kept until the store takes it
//! ```
//!
//! A batch is committed when it is full, when its oldest record has waited for the flush interval, or
//! when somebody waits for a flush. A batch that the store refuses is kept and tried again after a pause
//! of 0.1 to 5 seconds; meanwhile the ring keeps what it can hold, and producers count what overflows as
//! `store_error`. A panic costs only the batch in which it happens; its records are counted as dropped.
//!
//! Before a batch is converted, every partition is drained once more, into the next batch. A child's
//! record is published before its parent's, but perhaps in a partition that was drained before the
//! parent's; after the second drain all children are known, and [self times](self_time) are exact. A
//! batch that has become large is committed in pieces, and the ring is drained between them.
//!
//! In a [burst] the writer only drains, and converts later: as long as there is [room](drain::Room) for
//! the records, nobody waits for a flush, and the flush interval has not passed.

// From the ring into memory.
mod burst;
mod chunks;
mod drain;
mod raw;

// From records to rows.
mod closed_spans;
mod convert;
mod id_table;
mod log_sites;
mod self_time;
mod trace_contexts;

// Fields as JSON.
mod cursor;
mod digits;
mod json;
mod keys;

// From rows to commits, and what happens if a commit fails.
mod aside;
mod commit;
#[cfg(feature = "crash-proof")]
mod cut_ring;
mod in_file;
mod keeping;
mod losses;
mod marks;

// Between commits, and at the end.
mod finish;
mod housekeeping;
mod memory;
mod run_json;
mod so_far;

// Requests of the program's threads, and what those see.
pub(crate) mod control;
mod installed;
// What it shows in this process: closed spans, and commits.
pub(crate) mod closed_span_parts;
pub(crate) mod commit_shown;
pub(crate) mod outlet;
pub(crate) mod outlets;

pub(crate) mod mark_channel;
mod state;
mod stats;

// Requests of other processes.
mod renewal;
mod requests;

// What a process that is gone has left behind.
#[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
pub(crate) mod recover;
// What many programs record, for one profile.
#[cfg(all(feature = "collected", not(spandrel_loom)))]
pub(crate) mod collect;

// For tests.
#[cfg(feature = "faults")]
mod fault;
#[cfg(any(test, spandrel_fuzz))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use spandrel_ring::Consumer;
use spandrel_storage::{Batch, RunInfo, Store, StoreOptions, after};

use crate::panics;
use crate::recorder::Recorder;
use crate::recorder::account::Account;
use crate::recorder::clock::Timeline;
use crate::recorder::record::Slot;
use crate::redact::Redaction;
use crate::writer::control::Flush;

use burst::Burst;
use chunks::Chunks;
use commit::{Backoff, Pending};
use convert::Converter;
use drain::Room;
use in_file::InFile;
use installed::Installed;
use keeping::Keeping;
use losses::Losses;
use marks::MarkRows;
use memory::Counted;
use outlets::Outlets;
use raw::RawBatch;
use requests::Done;
use so_far::SoFar;

#[cfg(feature = "faults")]
pub use fault::Fault;
#[cfg(feature = "crash-proof")]
pub(crate) use finish::left_in;
pub(crate) use requests::Requests;
pub(crate) use state::WriterState;
pub(crate) use stats::collect as collect_stats;

/// The longest sleep between two looks at an idle ring. The waker cuts it short.
const IDLE_PAUSE_MAX: Duration = Duration::from_millis(50);
/// The longest sleep while records come.
const ACTIVE_PAUSE_MAX: Duration = Duration::from_millis(10);
/// The shortest sleep. A consumer that looks more often fetches the cache line that the producers are
/// about to write; with 100 us and more they run at full speed.
const PAUSE_MIN: Duration = Duration::from_micros(200);
/// How long a producer may take between claim and publish before the writer gives it up.
const STRAGGLER_GRACE: Duration = Duration::from_millis(100);
/// How long the writer may take to end when all handles are gone.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the writer is told when it starts.
#[derive(Debug)]
pub(crate) struct WriterOptions {
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) open_spans_max: usize,
    pub(crate) database: PathBuf,
    pub(crate) store: StoreOptions,
    /// The first id of this recording: those below may be in the file already.
    pub(crate) first_id: u64,
    pub(crate) run: RunInfo,
    pub(crate) redaction: Redaction,
    #[cfg(feature = "faults")]
    pub(crate) fault: Option<Fault>,
}

/// Somebody who waits until something is committed.
#[derive(Debug)]
struct Waiting {
    /// Positions of the partitions that have to be committed.
    targets: Vec<u64>,
    /// How many marks have to be committed.
    marks: u64,
    /// How many looks at the open spans have to be committed.
    looks: u64,
    done: Done,
}

/// The writer thread's state.
#[derive(Debug)]
pub(crate) struct Writer {
    recorder: Arc<Recorder>,
    state: Arc<WriterState>,
    consumer: Consumer<Slot>,
    ring_slots: usize,
    /// Those who want something committed ...
    control: Receiver<Flush>,
    /// ... and the poison pill: drain, commit, and end by this moment at the latest.
    pill: Receiver<Instant>,
    store: Option<Store>,
    options: WriterOptions,
    converter: Converter,
    /// Drained for the batch that comes next.
    raw: RawBatch,
    /// Drained for the one after.
    next: RawBatch,
    /// Memory for both.
    chunks: Chunks,
    room: Room,
    burst: Burst,
    /// When the oldest record of `raw` was drained.
    raw_since: Instant,
    /// Whether `raw` is complete and is being converted, piece by piece; only then is there anything
    /// in `next`.
    sealed: bool,
    /// Positions of the partitions up to which `raw` reaches, once it is sealed.
    raw_positions: Vec<u64>,
    /// When the oldest record of `next` was drained.
    next_since: Instant,
    batch: Batch,
    pending: Option<Pending>,
    /// When to try again after the store has refused a batch, or could not be opened.
    backoff: Backoff,
    losses: Losses,
    /// What has become of the records that were drained.
    account: Account,
    marks: MarkRows,
    /// What others in this process see of what it does.
    outlets: Outlets,
    /// What other processes ask for.
    requests: Requests,
    /// Positions of the partitions up to which everything is committed.
    committed: Vec<u64>,
    /// Where the ring lies in a file: what is known of slots that are kept.
    keeping: Keeping,
    waiting: Vec<Waiting>,
    pause: Duration,
    last_commit: Instant,
    last_housekeeping: Instant,
    /// The longest append since the last row about the writer.
    largest_batch: Duration,
    /// Sizes of the file and its write-ahead log after the last append.
    file_bytes: u64,
    wal_bytes: u64,
    /// Ids of the open spans in the database, in order.
    open_spans: Vec<u64>,
    last_open_spans: Instant,
    /// How many looks at the open spans were put into batches, and how many were committed.
    looks_begun: u64,
    looks_committed: u64,
    last_stat: Instant,
    /// When children were last looked for whose parents were stored before them.
    last_orphans: Instant,
    batches_begun: u64,
    installed: Installed,
    /// What the row of the run says before its end.
    so_far: SoFar,
    counted: Counted,
    in_file: InFile,
    /// Whether the next one to open the file can find and read it, as far as is known.
    is_in_place: bool,
    /// Since when repairing the file has failed, and what is wrong with it.
    recovery_since: Option<(Instant, &'static str)>,
    /// Since when there is a file at the path that cannot be moved aside.
    stuck_since: Option<Instant>,
    /// Whether the pill has come.
    closing: bool,
}

impl Writer {
    pub(crate) fn new(
        recorder: Arc<Recorder>,
        state: Arc<WriterState>,
        mut consumer: Consumer<Slot>,
        (control, pill): (Receiver<Flush>, Receiver<Instant>),
        store: Store,
        requests: Requests,
        options: WriterOptions,
    ) -> Self {
        let mut timeline = Timeline::start(recorder.clock.clone());
        let keeping = Keeping::of(&recorder, &mut timeline, &mut consumer);
        recorder.set_ticks_per_second(timeline.ticks_per_second());
        let partitions = consumer.partitions();
        let ring_slots = recorder.ring.capacities().iter().sum();
        let outlets = Outlets::new(Arc::clone(&state));
        let now = Instant::now();
        Self {
            converter: Converter::new(
                Arc::clone(&recorder),
                timeline,
                options.open_spans_max,
                options.redaction.clone(),
            ),
            recorder,
            state,
            ring_slots,
            consumer,
            control,
            pill,
            store: Some(store),
            raw: RawBatch::default(),
            next: RawBatch::default(),
            chunks: Chunks::new(Room::backlog_max(ring_slots)),
            room: Room::new(ring_slots, options.batch_size),
            burst: Burst::new(ring_slots, now),
            options,
            raw_since: now,
            sealed: false,
            raw_positions: Vec::new(),
            next_since: now,
            batch: Batch::default(),
            pending: None,
            backoff: Backoff::default(),
            losses: Losses::default(),
            account: Account::default(),
            marks: MarkRows::default(),
            outlets,
            requests,
            committed: vec![0; partitions],
            keeping,
            waiting: Vec::new(),
            pause: PAUSE_MIN,
            last_commit: now,
            last_housekeeping: now,
            largest_batch: Duration::ZERO,
            file_bytes: 0,
            wal_bytes: 0,
            open_spans: Vec::new(),
            last_open_spans: now,
            looks_begun: 0,
            looks_committed: 0,
            last_stat: now,
            last_orphans: now,
            batches_begun: 0,
            installed: Installed::default(),
            so_far: SoFar::default(),
            counted: Counted::default(),
            in_file: InFile::default(),
            is_in_place: true,
            recovery_since: None,
            stuck_since: None,
            closing: false,
        }
    }

    /// The life of the writer thread. Returns when the recording is closed.
    pub(crate) fn run(mut self) {
        self.state.set_thread();
        let deadline = loop {
            // A panic outside of a conversion is a fault of ours; it costs the batch.
            match panics::catch(|| self.run_until_closed()) {
                Ok(deadline) => break deadline,
                Err(_) => self.quarantine_pending(),
            }
        };
        self.finish(deadline);
    }

    fn run_until_closed(&mut self) -> Instant {
        loop {
            if let Some(deadline) = self.round() {
                return deadline;
            }
        }
    }

    /// All that the writer does, once. Returns the deadline when the recording is to be closed.
    fn round(&mut self) -> Option<Instant> {
        self.look_whether_installed();
        #[cfg(feature = "crash-proof")]
        if self.recorder.is_cut() {
            self.lose_ring();
        } else if let Some(file) = &self.recorder.file {
            file.say_alive(self.recorder.clock.ticks());
        }
        if let Some(deadline) = self.take_control() {
            return Some(deadline);
        }
        self.take_requests();
        let drained = self.drain();
        if self.is_due() && !self.is_postponed() {
            self.commit();
        }
        self.run_housekeeping();
        self.rest(drained);
        None
    }

    /// Reads what the program's threads ask. Returns the deadline when the pill has come.
    fn take_control(&mut self) -> Option<Instant> {
        self.take_flushes();
        match self.pill.try_recv() {
            Ok(deadline) => Some(deadline),
            Err(TryRecvError::Empty) => None,
            // Every handle is gone, and none has closed: `close` may have panicked.
            Err(TryRecvError::Disconnected) => Some(Instant::now() + ORPHAN_TIMEOUT),
        }
    }

    /// Notes who waits for a flush, and for what.
    fn take_flushes(&mut self) {
        let mut any = false;
        while let Ok(flush) = self.control.try_recv() {
            if self.keeping.is_lost() {
                // What it is about is not there any more: whoever waits hears that.
                continue;
            }
            let (targets, marks) = (self.tails(), self.marks_so_far());
            // A flush in a panic hook should also store the spans that the thread is in.
            let looks = if self.has_open_spans() { self.looks_begun + 1 } else { 0 };
            self.waiting.push(Waiting { targets, marks, looks, done: Done::Thread(flush) });
            any = true;
        }
        if any {
            // After a flush, a subscriber that was installed before it hears all callsites.
            self.look_whether_installed();
            // Some have stopped waiting: their time was up.
            self.forget_gone();
            // What was committed long ago may be out of reach by now.
            self.look_after_file();
            if self.store.is_some() {
                self.answer_waiting();
            }
        }
    }

    /// Forgets those who have stopped waiting.
    fn forget_gone(&mut self) {
        self.waiting.retain(|waiting| match &waiting.done {
            Done::Thread(flush) => !flush.is_gone(),
            Done::Request { .. } => true,
        });
    }

    /// Whether something has to be tried again before anything new is committed.
    fn is_refused(&self) -> bool {
        self.pending.is_some() || self.store.is_none() || !self.is_in_place
    }

    /// Whether it is time to commit, or to try again.
    fn is_due(&self) -> bool {
        if self.is_refused() {
            return self.backoff.is_over();
        }
        if self.sealed || self.is_crowded() {
            return true;
        }
        if !self.waiting.is_empty() || self.marks_are_due() {
            return true;
        }
        if !self.raw.is_empty() {
            return self.raw.len() >= self.options.batch_size
                || self.raw_since.elapsed() >= self.options.flush_interval;
        }
        self.last_commit.elapsed() >= self.options.flush_interval
            && (self.losses.is_due(&self.recorder.counters, &self.account)
                || self.open_spans_are_due())
    }

    /// Sleeps until there is probably something to do.
    fn rest(&mut self, drained: u64) {
        let smallest = self.recorder.ring.claim_max() as u64;
        let is_postponed = self.is_postponed();
        let has_more =
            self.sealed || self.raw.len() >= self.options.batch_size || self.is_crowded();
        // Not if the backlog is there because a producer is between claim and publish: it may need this
        // processor.
        let comes = self.consumer.unread() > smallest && drained > smallest / 8;
        let is_behind = !self.is_refused() && (has_more && !is_postponed || comes);
        if is_behind {
            self.pause = PAUSE_MIN;
            return;
        }
        self.pause = match drained {
            _ if is_postponed => PAUSE_MIN,
            0 => (self.pause * 2).min(IDLE_PAUSE_MAX),
            // An eighth of the ring at a time is a good pace.
            n if n > smallest / 8 => (self.pause / 2).max(PAUSE_MIN),
            _ => (self.pause * 2).min(ACTIVE_PAUSE_MAX),
        };
        let due = if self.is_refused() {
            self.backoff.until()
        } else if self.raw.is_empty() {
            after(self.last_commit, self.options.flush_interval)
        } else {
            after(self.raw_since, self.options.flush_interval)
        };
        let until_due = due.saturating_duration_since(Instant::now());
        let pause = if until_due.is_zero() { self.pause } else { self.pause.min(until_due) };
        let look = self
            .requests
            .hurry()
            .map_or(pause, |at| at.saturating_duration_since(Instant::now()).max(PAUSE_MIN));
        if self.consumer.park(pause.min(look)) {
            self.pause = PAUSE_MIN;
        }
    }
}
