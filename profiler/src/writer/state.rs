//! What the writer lets others see of itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use crate::memory_use::Shown;
use crate::mutex::Mutex;
use crate::writer::closed_span_parts::Part;
use crate::writer::commit_shown::CommitShown;
use crate::writer::mark_channel::Marks;
use crate::writer::outlet::Outlet;

/// What is wrong with the file for requests, or was.
#[derive(Debug)]
struct ControlError {
    text: String,
    is_over: bool,
}

/// Shared between the writer thread and the handles of the profiler.
#[derive(Debug, Default)]
pub(crate) struct WriterState {
    high_water: AtomicU64,
    /// Nanoseconds of processor time; 0 on systems that do not tell.
    cpu_ns: AtomicU64,
    timed_out: AtomicBool,
    file_bytes: AtomicU64,
    troubles: Mutex<Troubles>,
    control_error: Mutex<Option<ControlError>>,
    #[cfg(feature = "crash-proof")]
    crash_proof_error: OnceLock<String>,
    pub(crate) marks: Marks,
    pub(crate) memory: Shown,
    pub(crate) spans_shown: Outlet<Part>,
    pub(crate) commits_shown: Outlet<CommitShown>,
    thread: OnceLock<ThreadId>,
}

// Relaxed, below: independent figures; no other memory is published by them.
impl WriterState {
    /// The calling thread is the writer.
    pub(super) fn set_thread(&self) {
        self.thread.get_or_init(|| std::thread::current().id());
    }

    pub(crate) fn is_current_thread(&self) -> bool {
        self.thread.get().is_some_and(|thread| *thread == std::thread::current().id())
    }

    pub(super) fn set_high_water(&self, slots: u64) {
        self.high_water.store(slots, Ordering::Relaxed);
    }

    pub(crate) fn high_water(&self) -> u64 {
        self.high_water.load(Ordering::Relaxed)
    }

    /// Reads the processor time of the calling thread, the writer.
    pub(super) fn measure_cpu(&self) {
        // The first number of the file is the processor time in nanoseconds. There is no safe call for
        // it in the standard library.
        if let Ok(text) = std::fs::read_to_string("/proc/thread-self/schedstat")
            && let Some(ns) = text.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok())
        {
            self.cpu_ns.store(ns, Ordering::Relaxed);
        }
    }

    pub(crate) fn cpu(&self) -> Option<Duration> {
        let ns = self.cpu_ns.load(Ordering::Relaxed);
        (ns > 0).then(|| Duration::from_nanos(ns))
    }

    pub(super) fn set_timed_out(&self, timed_out: bool) {
        self.timed_out.store(timed_out, Ordering::Relaxed);
    }

    /// Whether the writer has ended without having stored everything.
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Relaxed)
    }

    pub(crate) fn set_error(&self, error: String) {
        self.set_trouble(Trouble::Lasting, error);
    }

    /// Notes that something is wrong.
    pub(super) fn set_trouble(&self, trouble: Trouble, what: String) {
        if let Some(mut troubles) = self.troubles.lock() {
            if trouble == Trouble::Refusal {
                troubles.last_refusal = Some(what.clone());
            }
            troubles.set += 1;
            troubles.present[trouble as usize] = Some((troubles.set, what));
        }
    }

    /// Notes that it is over.
    pub(super) fn end_trouble(&self, trouble: Trouble) {
        if let Some(mut troubles) = self.troubles.lock() {
            troubles.present[trouble as usize] = None;
        }
    }

    pub(super) fn set_file_bytes(&self, bytes: u64) {
        self.file_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Notes why the ring does not lie in a file.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn set_crash_proof_error(&self, why: String) {
        self.set_error(why.clone());
        _ = self.crash_proof_error.set(why);
    }

    /// Why the ring does not lie in a file, though it should.
    pub(crate) fn crash_proof_error(&self) -> Option<String> {
        #[cfg(feature = "crash-proof")]
        return self.crash_proof_error.get().cloned();
        #[cfg(not(feature = "crash-proof"))]
        None
    }

    /// Notes why other processes can ask nothing; `None` if they can.
    pub(super) fn set_control_error(&self, error: Option<String>) {
        if let Some(mut last) = self.control_error.lock() {
            *last = error.map(|text| ControlError { text, is_over: false });
        }
    }

    /// Notes that the file for requests was made anew, and what had been wrong with it.
    pub(super) fn control_is_well_again(&self, text: String) {
        if let Some(mut last) = self.control_error.lock() {
            *last = Some(ControlError { text, is_over: true });
        }
    }

    pub(crate) fn control_error(&self) -> Option<String> {
        self.control_error.lock()?.as_ref().map(|error| error.text.clone())
    }

    /// Why other processes can ask nothing at present.
    pub(super) fn lasting_control_error(&self) -> Option<String> {
        let error = self.control_error.lock()?;
        error.as_ref().filter(|error| !error.is_over).map(|error| error.text.clone())
    }

    /// The latest thing that is wrong, or was wrong and has lasting effects.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.troubles.lock()?.latest(|_| true)
    }

    /// The same without a refused batch: that is over once the batch is stored.
    pub(super) fn lasting_error(&self) -> Option<String> {
        self.troubles.lock()?.latest(|trouble| trouble != Trouble::Refusal as usize)
    }

    /// Why a batch was refused: the last refusal that cost something, or else the last one.
    pub(crate) fn last_refusal(&self) -> Option<String> {
        let troubles = self.troubles.lock()?;
        troubles.costly_refusal.as_ref().or(troubles.last_refusal.as_ref()).cloned()
    }

    /// Something was dropped because of the last refusal.
    pub(super) fn refusal_has_cost(&self) {
        if let Some(mut troubles) = self.troubles.lock()
            && troubles.last_refusal.is_some()
        {
            troubles.costly_refusal = troubles.last_refusal.clone();
        }
    }
}

/// What can be wrong between the writer and the database, by how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Never over: something was lost, or may have been.
    Lasting,
    /// A batch was refused. Over when a batch is stored.
    Refusal,
    /// The write-ahead log could not be merged. Over when it is merged.
    Log,
    /// Old rows could not be deleted. Over when they are deleted.
    Retention,
}

#[derive(Debug, Default)]
struct Troubles {
    /// For each kind of [`Trouble`]: what is wrong, and a number in the order of reports.
    present: [Option<(u64, String)>; 4],
    set: u64,
    last_refusal: Option<String>,
    /// The last refusal that caused losses.
    costly_refusal: Option<String>,
}

impl Troubles {
    /// The latest one of the wanted kinds.
    fn latest(&self, wanted: impl Fn(usize) -> bool) -> Option<String> {
        let present = self.present.iter().enumerate().filter(|(trouble, _)| wanted(*trouble));
        let latest = present.filter_map(|(_, told)| told.as_ref()).max_by_key(|(set, _)| *set);
        latest.map(|(_, what)| what.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_cost_something_is_not_forgotten_over_one_that_cost_nothing() {
        let state = WriterState::default();
        let refusal = |what: &str| {
            state.set_trouble(Trouble::Refusal, what.to_owned());
            state.last_refusal().unwrap()
        };
        state.refusal_has_cost();
        assert_eq!(state.last_refusal(), None, "there was none");
        assert_eq!(refusal("a lock"), "a lock");
        assert_eq!(refusal("the disk"), "the disk");
        state.refusal_has_cost();
        assert_eq!(refusal("another lock"), "the disk");
        state.end_trouble(Trouble::Refusal);
        assert_eq!(state.last_refusal().as_deref(), Some("the disk"));
        assert_eq!(refusal("a reader"), "the disk");
        state.refusal_has_cost();
        assert_eq!(state.last_refusal().as_deref(), Some("a reader"));
    }

    #[test]
    fn a_refusal_that_is_about_to_be_over_is_no_lasting_error() {
        let state = WriterState::default();
        state.set_trouble(Trouble::Log, "a reader".to_owned());
        state.set_trouble(Trouble::Refusal, "a lock".to_owned());
        assert_eq!(state.last_error().as_deref(), Some("a lock"));
        assert_eq!(state.lasting_error().as_deref(), Some("a reader"));
        state.end_trouble(Trouble::Log);
        assert_eq!(state.lasting_error(), None);
    }
}
