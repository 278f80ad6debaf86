//! The ledger as a user sees it.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use spandrel_storage::SqliteVersion;

use crate::counters::Snapshot;
use crate::json_string::push_string;
use crate::losses::{DropReason, Dropped, Drops, Kind, add_drops};
use crate::memory_use::Memory;
use crate::recorder::Recorder;
use crate::writer::WriterState;

/// The ledger of one kind of record: `recorded = stored + dropped + in_flight`, always.
///
/// Each side is counted by itself: `recorded` by those who record, `stored` and `dropped` where it
/// happens, and `in_flight` is what was published and not drained, and what the writer holds. So a
/// record that got lost on its way would show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// All that there was to record.
    pub recorded: u64,
    /// Committed to the database.
    pub stored: u64,
    /// Lost, by reason.
    pub dropped: Dropped,
    /// In the ring or in the batch that the writer is filling.
    pub in_flight: u64,
}

impl Ledger {
    /// Whether the identity holds. It always should; tests and load tests ask.
    #[must_use]
    pub fn balances(&self) -> bool {
        let sides = [self.stored, self.dropped.total(), self.in_flight];
        let sum = sides.into_iter().try_fold(0_u64, u64::checked_add);
        sum == Some(self.recorded)
    }
}

/// The state of a profiler at one moment.
///
/// The fields of the [`Ledger`] of *spans* stand here directly: `stats.recorded`, `stats.stored`,
/// `stats.dropped`, `stats.in_flight`. A span counts as recorded when it closes (or at once, when
/// it has to be dropped before that); a span that is still open at `close()` is stored as
/// unfinished and counts as recorded then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The ledger of spans.
    pub spans: Ledger,
    /// The ledger of events.
    pub events: Ledger,
    /// The ledger of follows-from links. A link to a span that has already closed cannot be told
    /// from one to a later span with the same id, and is not recorded at all.
    pub links: Ledger,
    /// The ledger of entries that are recorded one by one, see [`Builder::entries`](crate::Builder::entries):
    /// a record each, when the thread has left. They are dropped before a span is, as `ring_full`, when less
    /// than a quarter of the ring is free.
    pub entries: Ledger,
    /// Spans that are open now; not part of the ledger until they close.
    pub open: u64,
    /// Spans that were stored without an end, because they were open at `close()`.
    pub unfinished: u64,
    /// Spans and events with a field that was cut, or left out, for its length.
    pub cut: u64,
    /// Records of the `log` crate that are stored with the target `log` and say in fields `log.*` where they
    /// come from: they come from more places than are remembered, which is 4,096, or that was cut.
    pub log_unplaced: u64,
    /// Callsites whose spans or events are kept, of those that the profiler was shown; each front end
    /// counts its own.
    pub callsites: u64,
    /// Callsites that it was shown and that are below the level, or filtered out. `tracing` shows none
    /// that is beyond the most verbose level of all subscribers.
    pub callsites_below_level: u64,
    /// Most slots of the ring in use at once, as far as the writer has seen.
    pub ring_high_water: u64,
    /// Slots of the ring, over all partitions.
    pub ring_capacity: u64,
    /// Batches committed.
    pub batches: u64,
    /// Marks and sections stored, those of other processes included. Marks are no part of a ledger.
    pub marks: u64,
    /// Marks, and beginnings or ends of sections, that were lost: more than the writer's channel held,
    /// or in a batch or file that was.
    pub marks_dropped: u64,
    /// Bytes of the database, without its write-ahead log, after the last commit; after `close()`, as
    /// it was left.
    pub file_bytes: u64,
    /// What last went wrong between the writer and the database. That a batch was refused is no error
    /// any more once the database accepts again.
    pub last_error: Option<String>,
    /// Why the database last refused a batch, also when it has accepted it since: the reason behind
    /// what was dropped as `store_error`. A refusal for which something was dropped is not forgotten
    /// over later ones that cost nothing.
    pub last_refusal: Option<String>,
    /// Why no other process can ask the recording for something, though it should, or could not until
    /// the file for that was begun anew; it goes on without. See [`Builder::control`](crate::Builder::control).
    pub control_error: Option<String>,
    /// The SQLite that the program has linked; [`SqliteVersion::caution`] says what there is to say
    /// against it.
    pub sqlite: SqliteVersion,
    /// Processor time that the writer thread has used, where the system tells (Linux).
    pub writer_cpu: Option<Duration>,
    /// Memory that the recording takes, by part: as of the last commit, and after `close()` as it was at the end.
    /// Nothing before the first commit.
    pub memory: Memory,
}

impl Deref for Stats {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.spans
    }
}

impl Stats {
    /// Whether the identity `recorded = stored + dropped + in_flight` holds for spans, events, links
    /// and entries.
    #[must_use]
    pub fn balances(&self) -> bool {
        [&self.spans, &self.events, &self.links, &self.entries].into_iter().all(Ledger::balances)
    }
}

impl fmt::Display for Stats {
    /// One line: `recorded 1000 = stored 990 + dropped 10 (ring_full 10) + in flight 0`; then events and
    /// entries that were dropped, if any were.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recorded {} = stored {} + dropped {} + in flight {}",
            self.recorded, self.stored, self.dropped, self.in_flight
        )?;
        for (what, ledger) in [("events", &self.events), ("entries", &self.entries)] {
            if ledger.dropped.total() > 0 {
                write!(f, "; {what} dropped {} of {}", ledger.dropped, ledger.recorded)?;
            }
        }
        Ok(())
    }
}

impl Stats {
    /// As a JSON object, for column `run.report`.
    pub(crate) fn to_json(&self, timed_out: bool) -> String {
        let ledger = |ledger: &Ledger| {
            format!(
                r#"{{"recorded":{},"stored":{},"dropped":{},"dropped_by":{},"in_flight":{}}}"#,
                ledger.recorded,
                ledger.stored,
                ledger.dropped.total(),
                ledger.dropped.to_json(),
                ledger.in_flight
            )
        };
        let text = |text: &Option<String>| {
            let mut json = String::new();
            match text {
                Some(text) => push_string(&mut json, text),
                None => json.push_str("null"),
            }
            json
        };
        format!(
            concat!(
                r#"{{"spans":{},"events":{},"links":{},"entries":{},"unfinished":{},"cut":{},"log_unplaced":{},"#,
                r#""ring_high_water":{},"ring_capacity":{},"batches":{},"timed_out":{},"#,
                r#""callsites":{{"kept":{},"below_level":{}}},"#,
                r#""marks":{{"stored":{},"dropped":{}}},"file_bytes":{},"last_error":{},"#,
                r#""last_refusal":{},"control_error":{},"memory":{}}}"#
            ),
            ledger(&self.spans),
            ledger(&self.events),
            ledger(&self.links),
            ledger(&self.entries),
            self.unfinished,
            self.cut,
            self.log_unplaced,
            self.ring_high_water,
            self.ring_capacity,
            self.batches,
            timed_out,
            self.callsites,
            self.callsites_below_level,
            self.marks,
            self.marks_dropped,
            self.file_bytes,
            text(&self.last_error),
            text(&self.last_refusal),
            text(&self.control_error),
            self.memory.to_json(),
        )
    }
}

/// What `close()` returns: the last [`Stats`], and how the closing went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The state after the last commit.
    pub stats: Stats,
    /// Whether the writer gave up because the time for closing had run out. What it still held is
    /// in `dropped`.
    pub timed_out: bool,
    /// How long closing took.
    pub took: Duration,
    /// Bytes of the write-ahead log that could not be merged into the file, as somebody reads it, or as
    /// the time for closing had run out: what is stored is in *both* files then, the profile and the one
    /// with `-wal` behind its name, which belong together. `spandrel merge` merges them, and so does the
    /// next recording into the file. 0 if the profile is one file.
    pub log_bytes: u64,
}

impl Deref for Report {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.stats
    }
}

impl fmt::Display for Report {
    /// The line of [`Stats`], and what kept it from being more: `; 3 callsites below the level`, no callsite
    /// at all, or a log that was not merged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats.fmt(f)?;
        if *self == Self::default() {
            // No report of a recording is like this: closing takes some time.
            return f.write_str("; this process is not recorded");
        }
        match (self.callsites, self.callsites_below_level) {
            (0, 0) if self.recorded == 0 => f.write_str(
                "; no callsite was enabled: nothing was shown to the profiler's layer or subscriber",
            ),
            (0, below) if self.recorded == 0 => {
                write!(f, "; no callsite was enabled: {below} are below the level or filtered out")
            }
            (_, 0) => Ok(()),
            (_, 1) => f.write_str("; 1 callsite below the level"),
            (_, below) => write!(f, "; {below} callsites below the level"),
        }?;
        if self.log_bytes > 0 {
            f.write_str("; log not merged, copy both files (the profile and its -wal)")?;
        }
        Ok(())
    }
}

/// The state of a recording now.
pub(crate) fn collect(recorder: &Recorder, writer: &WriterState) -> Stats {
    let mut guard = recorder.late.lock();
    let late = guard.as_deref_mut().and_then(Option::as_mut);
    let closed = late.is_some();
    let duplicates = late.map_or(0, |late| {
        late.look();
        late.duplicates
    });
    // After the look: whatever it has found was counted as published before it was published.
    let snapshot = recorder.counters.snapshot(&recorder.ring);
    drop(guard);
    let ledger = |kind| ledger(&snapshot, kind, duplicates, closed);
    let account = &snapshot.account;
    let (callsites, callsites_below_level) = recorder.tally.get();
    Stats {
        callsites,
        callsites_below_level,
        spans: ledger(Kind::Span),
        events: ledger(Kind::Event),
        links: ledger(Kind::Link),
        entries: ledger(Kind::Entry),
        open: recorder.open.count(),
        unfinished: account.unfinished,
        cut: account.cut,
        log_unplaced: account.unplaced,
        ring_high_water: writer.high_water(),
        ring_capacity: recorder.ring.capacities().iter().sum::<usize>() as u64,
        batches: account.batches,
        marks: writer.marks.stored(),
        // Those that were sent beside the close are still in the channel.
        marks_dropped: writer.marks.dropped()
            + if closed { writer.marks.waiting() as u64 } else { 0 },
        file_bytes: writer.file_bytes(),
        last_error: writer.last_error(),
        last_refusal: writer.last_refusal(),
        control_error: writer.control_error(),
        sqlite: SqliteVersion::linked(),
        writer_cpu: writer.cpu(),
        memory: writer.memory.get(),
    }
}

/// Puts the counts of one kind together. `duplicates` were found in the ring after the close and are in
/// the ledger already.
fn ledger(snapshot: &Snapshot, kind: Kind, duplicates: u64, closed: bool) -> Ledger {
    let Snapshot { account, published, dropped_early } = snapshot;
    let (mut open, mut unfinished, mut twice, mut late_twice) = (0, 0, 0, 0);
    let mut drops: Drops = *dropped_early;
    if kind == Kind::Span {
        unfinished = account.unfinished;
        open = unfinished + account.unfinished_dropped.iter().sum::<u64>();
        late_twice = duplicates;
        twice = account.duplicates + duplicates;
    }
    let index = kind as usize;
    let early: u64 = drops.iter().map(|kinds| kinds[index]).sum();
    add_drops(&mut drops, &account.drops());
    let mut dropped = Dropped::default();
    for (reason, kinds) in DropReason::ALL.iter().zip(drops) {
        dropped.add(*reason, kinds[index]);
    }
    // Wrapping: a count that is wrong must show in the sum, and not end the program that asks.
    let recorded = published[index].wrapping_sub(twice).wrapping_add(early).wrapping_add(open);
    let waiting = published[index].wrapping_sub(account.taken[index]).wrapping_sub(late_twice);
    let mut in_flight = waiting.wrapping_add(account.held[index]);
    if closed {
        // Published beside the close, and not found by the writer any more.
        dropped.add(DropReason::AlreadyShutdown, waiting);
        in_flight = account.held[index];
    }
    Ledger { recorded, stored: account.stored[index] + unfinished, dropped, in_flight }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    /// What was published and drained, and became of it, in order.
    fn sound() -> Snapshot {
        let mut dropped_early = Drops::default();
        dropped_early[DropReason::RingFull as usize] = [5, 6, 7, 8];
        let mut account = Account {
            taken: [80, 70, 60, 50],
            held: [10, 20, 30, 5],
            stored: [60, 45, 25, 40],
            duplicates: 3,
            unfinished: 4,
            ..Account::default()
        };
        account.drop_many([7, 5, 5, 5], DropReason::StoreError);
        account.drop_unfinished(2, DropReason::StoreError);
        Snapshot { account, published: [100, 90, 80, 60], dropped_early }
    }

    fn ledgers(snapshot: &Snapshot, closed: bool) -> [Ledger; 4] {
        [Kind::Span, Kind::Event, Kind::Link, Kind::Entry]
            .map(|kind| ledger(snapshot, kind, 1, closed))
    }

    #[test]
    fn a_ledger_whose_counts_agree_balances() {
        let [spans, events, links, entries] = ledgers(&sound(), false);
        assert!(spans.balances() && events.balances() && links.balances(), "{spans:?} {events:?}");
        assert_eq!((entries.recorded, entries.stored, entries.in_flight), (68, 40, 15));
        assert_eq!((spans.recorded, spans.stored, spans.in_flight), (107, 64, 29));
        assert_eq!((spans.dropped.ring_full, spans.dropped.store_error), (5, 9));
        assert_eq!((events.recorded, events.stored, events.in_flight), (96, 45, 40));
        let closed = ledgers(&sound(), true);
        assert!(closed.iter().all(Ledger::balances), "{closed:?}");
        assert_eq!((closed[0].in_flight, closed[0].dropped.already_shutdown), (10, 19));
    }

    #[test]
    fn a_ledger_with_a_cooked_count_does_not_balance() {
        type Cook = fn(&mut Account);
        let cooks: [(&str, Cook); 8] = [
            ("drained and nowhere", |account| account.taken[0] += 1),
            ("held and not drained", |account| account.held[0] += 1),
            ("gone out of the hand", |account| account.held[0] -= 10),
            ("stored twice", |account| account.stored[0] += 60),
            ("not counted as stored", |account| account.stored[0] = 0),
            ("dropped and not counted", |account| account.dropped = Drops::default()),
            ("dropped twice", |account| account.drop_many([7, 0, 0, 0], DropReason::StoreError)),
            ("in the ledger already", |account| account.duplicates += 1),
        ];
        for (what, cook) in cooks {
            for closed in [false, true] {
                let mut snapshot = sound();
                cook(&mut snapshot.account);
                let [spans, ..] = ledgers(&snapshot, closed);
                assert!(!spans.balances(), "{what}: {spans:?}");
            }
        }
        let mut snapshot = sound();
        snapshot.published[1] = 0;
        assert!(!ledgers(&snapshot, false)[1].balances(), "drained and never published");
    }

    #[test]
    #[cfg_attr(miri, ignore = "SQLite is asked for its version, and is C")]
    fn a_line_says_which_events_and_entries_were_dropped() {
        let mut stats = Stats::default();
        let said = stats.to_string();
        assert_eq!(said, "recorded 0 = stored 0 + dropped 0 + in flight 0");
        stats.entries.recorded = 9;
        stats.entries.dropped.add(DropReason::RingFull, 4);
        assert_eq!(stats.to_string(), format!("{said}; entries dropped 4 (ring_full 4) of 9"));
        assert!(stats.to_json(false).contains(r#""entries":{"recorded":9,"stored":0,"dropped":4"#));
    }
}
