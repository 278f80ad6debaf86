//! What can be said while a load runs.

use spandrel::Stats;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The load goes over a layer that does nothing.
    Baseline,
    /// The load is being recorded.
    Recording,
    /// The finished file is compared with what was sent.
    Verifying,
}

/// How far a load is; told some fifty times a second.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How far: milliseconds while the load runs, looks at rows while it is verified.
    pub done: u64,
    /// How far it goes.
    pub total: u64,
    /// Spans made in this phase so far.
    pub spans: u64,
    /// The ledger, while the load is recorded.
    pub stats: Option<Stats>,
}

/// Whom progress is told.
pub(crate) type Watch<'a> = dyn FnMut(&Progress) + 'a;

/// Rows between two tellings.
const ROWS: u64 = 8_192;

/// Counts looks at rows.
pub(crate) struct Rows<'a> {
    watch: &'a mut Watch<'a>,
    done: u64,
    total: u64,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(watch: &'a mut Watch<'a>, total: u64) -> Self {
        Self { watch, done: 0, total }
    }

    pub(crate) fn add(&mut self, rows: u64) {
        let before = self.done / ROWS;
        self.done += rows;
        if self.done / ROWS != before {
            let (done, total) = (self.done.min(self.total), self.total);
            let phase = Phase::Verifying;
            (self.watch)(&Progress { phase, done, total, spans: 0, stats: None });
        }
    }
}
