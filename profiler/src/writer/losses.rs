//! Losses since the last look, as rows for the database.

use std::time::{Duration, Instant};

use spandrel_storage::LossRow;

use crate::recorder::account::Account;
use crate::recorder::counters::Counters;
use crate::recorder::losses::{DropReason, Drops, Kind};

/// What had been dropped, partition by partition, when the last losses were committed.
#[derive(Debug)]
pub(super) struct Losses {
    committed: Vec<Drops>,
    /// When they were committed.
    since_ns: i64,
    last_commit: Instant,
}

impl Default for Losses {
    fn default() -> Self {
        Self { committed: Vec::new(), since_ns: 0, last_commit: Instant::now() }
    }
}

/// Losses on their way into the database.
#[derive(Debug)]
pub(super) struct NewLosses {
    seen: Vec<Drops>,
    until_ns: i64,
}

/// The drops of each partition, and at last those of the writer.
fn all_drops<'a>(
    counters: &'a Counters,
    account: &'a Account,
) -> impl Iterator<Item = Drops> + use<'a> {
    counters.all_drops().chain(std::iter::once(account.drops()))
}

impl Losses {
    /// Whether anything was dropped since.
    pub(super) fn is_due(&self, counters: &Counters, account: &Account) -> bool {
        let none = Drops::default();
        let committed = self.committed.iter().chain(std::iter::repeat(&none));
        all_drops(counters, account).zip(committed).any(|(drops, committed)| drops != *committed)
    }

    /// Appends a row for each partition and reason with new losses. `thread_id` turns a thread's number
    /// into its id in the database.
    pub(super) fn collect(
        &self,
        counters: &Counters,
        account: &Account,
        now_ns: i64,
        mut thread_id: impl FnMut(u32) -> i64,
        rows: &mut Vec<LossRow>,
    ) -> NewLosses {
        let seen: Vec<Drops> = all_drops(counters, account).collect();
        // The last two are the shared partition, which belongs to no thread, and the writer.
        let leased = seen.len().saturating_sub(2);
        for (index, drops) in seen.iter().enumerate() {
            let before = self.committed.get(index).copied().unwrap_or_default();
            for (reason, (now, before)) in DropReason::ALL.iter().zip(drops.iter().zip(before)) {
                let lost = |kind: Kind| now[kind as usize].saturating_sub(before[kind as usize]);
                let (spans, events) = (lost(Kind::Span), lost(Kind::Event));
                let entries = lost(Kind::Entry);
                if spans + events + entries > 0 {
                    let thread = (index < leased).then(|| counters.lessee(index));
                    rows.push(LossRow {
                        reason: reason.as_str(),
                        from_ns: self.since_ns,
                        to_ns: now_ns,
                        spans,
                        events,
                        entries,
                        thread_id: thread.filter(|number| *number > 0).map(&mut thread_id),
                    });
                }
            }
        }
        NewLosses { seen, until_ns: now_ns }
    }

    pub(super) fn last_commit_elapsed(&self) -> Duration {
        self.last_commit.elapsed()
    }

    /// The rows are in the database.
    pub(super) fn commit(&mut self, new: NewLosses) {
        self.last_commit = Instant::now();
        self.committed = new.seen;
        self.since_ns = new.until_ns;
    }

    /// Nothing has been lost so far: the next loss begins here.
    pub(super) fn nothing_until(&mut self, now_ns: i64) {
        self.since_ns = now_ns;
    }
}
