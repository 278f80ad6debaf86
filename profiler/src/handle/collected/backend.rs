//! The other end of a recording that is collected, as far as this process sees it: by what was given back of its ring.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spandrel_ring::Consumer;
use spandrel_ring::file::monotonic_ns;

use super::marks::MarksInFile;
use crate::error::{Error, ErrorKind};
use crate::handle::backend::{Backend, Profile};
use crate::handle::report::Report;
use crate::memory_use::{Memory, MemoryPart, MemoryUse};
use crate::mutex::Mutex;
use crate::recorder::Recorder;
use crate::recorder::account::Account;
use crate::recorder::losses::{DropReason, PerKind};
use crate::recorder::record::Slot;
use crate::recorder::ring_file::layout::{drainer, names};
use crate::recorder::stats::Stats;
use crate::recorder::stats_now;

/// The first pause of a flush between two looks.
const PAUSE_MIN: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// A collector that lives has looked since: at rest it does so twice a second.
const LIVES_NS: u64 = 5_000_000_000;

/// A recording into a ring file.
#[derive(Debug)]
pub(super) struct Collected {
    recorder: Arc<Recorder>,
    marks: Arc<MarksInFile>,
    folder: PathBuf,
    seen: Mutex<Seen>,
    closed: Mutex<Option<Duration>>,
}

/// What this process sees of the collector.
#[derive(Debug)]
struct Seen {
    /// Drains nothing here: it knows positions.
    ring: Consumer<Slot>,
    /// What is known to be committed.
    stored: PerKind,
    memory: Memory,
}

impl Seen {
    fn tails(&self) -> Vec<u64> {
        (0..self.ring.partitions()).map(|partition| self.ring.tail(partition)).collect()
    }

    /// So much is committed, as far as it can be believed: no more than was published.
    fn see_given_back(&mut self, given_back: PerKind, published: PerKind) {
        for ((stored, given_back), published) in
            self.stored.iter_mut().zip(given_back).zip(published)
        {
            *stored = given_back.min(published).max(*stored);
        }
    }

    fn is_given_back_to(&self, tails: &[u64]) -> bool {
        let mut all = tails.iter().enumerate();
        all.all(|(partition, tail)| self.ring.given_back(partition) >= *tail)
    }
}

impl Collected {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        ring: Consumer<Slot>,
        marks: Arc<MarksInFile>,
        folder: PathBuf,
    ) -> Self {
        let seen = Seen { ring, stored: PerKind::default(), memory: Memory::default() };
        Self { recorder, marks, folder, seen: Mutex::new(seen), closed: Mutex::new(None) }
    }

    /// A word of the collector's.
    fn said(&self, word: usize) -> u64 {
        self.recorder.file.as_ref().map_or(0, |file| file.drainer(word))
    }

    /// Looks whether somebody has cut the ring file short, or has removed it and nobody drains it; then nothing is recorded
    /// any more. What was read of the file before is as it was, if not.
    fn look_whether_lost(&self, seen: &mut Seen) -> bool {
        let recorder = &self.recorder;
        let Some(file) = &recorder.file else { return false };
        if !file.look_whether_cut() {
            self.look_at_given_back(seen);
            // A collector that has stored all of it removes it; and it may have gone on until just now.
            let look_again = || {
                self.look_at_given_back(seen);
                seen.is_given_back_to(&seen.tails())
            };
            if !file.look_whether_out_of_reach(look_again) {
                return false;
            }
        }
        recorder.close_ring();
        true
    }

    /// Whether a collector has stored the recording to its end.
    fn is_over(&self, seen: &Seen) -> bool {
        // In this order: it gives all back, and then removes the file.
        let is_removed = self.recorder.file.as_ref().is_some_and(|file| !file.is_in_place());
        is_removed && self.recorder.ring.is_closed() && seen.is_given_back_to(&seen.tails())
    }

    fn look_at_given_back(&self, seen: &mut Seen) {
        let given_back = std::array::from_fn(|kind| self.said(drainer::GIVEN_BACK + kind));
        seen.see_given_back(given_back, self.recorder.ring.published());
    }

    /// Why what is recorded does not outlive this process.
    fn what_is_wrong(&self) -> Option<String> {
        if self.recorder.is_cut() {
            return Some(self.recorder.tell_cut());
        }
        let file = self.recorder.file.as_ref()?;
        // A collector removes it once everything is stored, after the close; so that is asked second.
        let is_closed = || self.closed.lock().is_none_or(|closed| closed.is_some());
        (!file.is_in_place() && !is_closed()).then(|| {
            format!(
                "{}: the ring file was moved or removed; only a collector that has it open goes on with it, and no other \
                 one finds it",
                file.path().display()
            )
        })
    }

    fn cut(&self) -> Error {
        Error::new(ErrorKind::RingFile, self.recorder.tell_cut())
    }

    fn timed_out(&self, timeout: Duration) -> Error {
        let looked = self.said(drainer::LOOKED_AT);
        let is_there = looked > 0 && monotonic_ns().saturating_sub(looked) < LIVES_NS;
        let why = if is_there {
            "the collector has not come so far".to_owned()
        } else {
            format!("no collector is running: `spandrel collect {}`", self.folder.display())
        };
        let message = format!("not everything was committed within {timeout:?}; {why}");
        Error::new(ErrorKind::Timeout, message)
    }

    /// Counts the memory that is taken here.
    fn count_memory(&self) {
        let recorder = &self.recorder;
        let open = recorder.open_spans_memory();
        let names = recorder.names_memory();
        if let Some(mut seen) = self.seen.lock() {
            let memory = &mut seen.memory;
            memory.set(MemoryPart::Ring, MemoryUse::whole(recorder.ring.bytes()));
            memory.set(MemoryPart::OpenSpans, open);
            memory.set(MemoryPart::Names, names);
            memory.counted();
        }
    }
}

impl Backend for Collected {
    fn check_caller(&self, _doing: &str) -> Result<(), Error> {
        Ok(())
    }

    fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let began = Instant::now();
        self.count_memory();
        let forked = || Error::new(ErrorKind::Forked, "the process was forked during a flush");
        let tails = self.seen.lock().ok_or_else(forked)?.tails();
        let marks = self.marks.appended();
        self.seen.lock().ok_or_else(forked)?.ring.call_drainer();
        let mut pause = PAUSE_MIN;
        loop {
            let mut seen = self.seen.lock().ok_or_else(forked)?;
            let is_given_back = seen.is_given_back_to(&tails);
            let is_done = is_given_back && self.said(drainer::MARKS_STORED) >= marks;
            // What was just read may be zeros.
            if self.look_whether_lost(&mut seen) {
                return Err(self.cut());
            }
            if is_done {
                return Ok(());
            }
            drop(seen);
            let rest = timeout.saturating_sub(began.elapsed());
            if rest.is_zero() {
                return Err(self.timed_out(timeout));
            }
            std::thread::sleep(pause.min(rest));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn stats(&self) -> Stats {
        let (account, memory) = self.seen.lock().map_or_else(Default::default, |mut seen| {
            let is_lost = self.look_whether_lost(&mut seen);
            let stored = seen.stored;
            let mut account = Account { taken: stored, stored, ..Account::default() };
            if !is_lost && self.is_over(&seen) {
                // A thread was in the middle of a record when the collector had come to the end.
                account.taken = self.recorder.ring.published();
                let late =
                    std::array::from_fn(|kind| account.taken[kind].saturating_sub(stored[kind]));
                account.drop_many(late, DropReason::AlreadyShutdown);
            }
            (account, seen.memory)
        });
        let wrong = self.what_is_wrong();
        Stats {
            marks: self.marks.appended(),
            marks_dropped: self.marks.dropped(),
            memory,
            is_crash_proof: wrong.is_none(),
            crash_proof_error: wrong,
            ..stats_now::of(&self.recorder, Some(account)).0
        }
    }

    fn profile(&self) -> Option<Profile<'_>> {
        None
    }

    #[cfg(feature = "database")]
    fn writer(&self) -> Option<&crate::writer::WriterState> {
        None
    }

    fn close(&self) -> Result<Report, Error> {
        let Some(mut closed) = self.closed.lock() else { return Ok(Report::default()) };
        let took = *closed.get_or_insert_with(|| {
            let began = Instant::now();
            self.count_memory();
            self.recorder.close_ring();
            if let Some(file) = &self.recorder.file {
                let (kept, below) = self.recorder.tally.get();
                let at = self.recorder.clock.ticks();
                // Without it the collector takes the moment at which it finds the ring closed.
                let _nice_to_have =
                    file.say(names::END, &[at, self.marks.dropped(), kept, below], &[]);
                file.close();
            }
            began.elapsed()
        });
        drop(closed);
        Ok(Report { stats: self.stats(), timed_out: false, took, log_bytes: 0 })
    }

    fn forget(&mut self) {}
}
