//! The ledger as a user sees it.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "database")]
use spandrel_storage::SqliteVersion;

use crate::json_string::push_string;
use crate::memory_use::Memory;
use crate::recorder::losses::Dropped;

/// The ledger of one kind of record: `recorded = stored + dropped + in_flight`, always.
///
/// Each side is counted independently: `recorded` by the threads that record, `stored` and `dropped`
/// where it happens; and `in_flight` is what was published and not drained, and what the writer holds.
/// So a record that got lost on its way would show.
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
/// The ledger of *spans* is in fields of its own: `recorded`, `stored`, `dropped` and `in_flight`, which
/// [`spans`](Self::spans) returns as one. A span counts as recorded when it closes (or at once, when it
/// has to be dropped before that); a span that is still open at `close()` is stored as unfinished and
/// counts as recorded then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// All spans that there were to record.
    pub recorded: u64,
    /// Spans that are committed to the database.
    pub stored: u64,
    /// Spans that were lost, by reason.
    pub dropped: Dropped,
    /// Spans in the ring or in the batch that the writer is filling.
    pub in_flight: u64,
    /// The ledger of events.
    pub events: Ledger,
    /// The ledger of follows-from links. A link to a span that has already closed cannot be
    /// distinguished from one to a later span with the same id, and is not recorded at all.
    pub links: Ledger,
    /// The ledger of entries that are recorded one by one, see
    /// [`ProfilerBuilder::entries`](crate::ProfilerBuilder::entries): a record each, when the thread has
    /// left. When less than a quarter of the ring is free, they are dropped as `ring_full`, so that
    /// spans have the room.
    pub entries: Ledger,
    /// The ledger of the samples of gauges, see `Profiler::gauge`: one a gauge and interval in which it was set. They
    /// give way to spans as entries do.
    pub gauges: Ledger,
    /// How often a gauge was asked for that could not be had: there were 1,024 others, or its ring file had no room for
    /// its name.
    pub gauges_refused: u64,
    /// Spans that are open now; not part of the ledger until they close.
    pub open: u64,
    /// Spans that were stored without an end, because they were open at `close()`.
    pub unfinished: u64,
    /// Spans and events with a field that was cut, or left out, for its length.
    pub cut: u64,
    /// Records of the `log` crate that are stored with the target `log`, and with their origin in fields
    /// `log.*`: because there are more than 4,096 origins, or because the origin was cut.
    pub log_unplaced: u64,
    /// Callsites whose spans or events are recorded, among those that the profiler was shown; each front
    /// end counts its own.
    pub callsites: u64,
    /// Callsites that it was shown and that are below the level, or filtered out. `tracing` does not
    /// show callsites that are more verbose than all subscribers want.
    pub callsites_below_level: u64,
    /// Most slots of the ring in use at once, as far as the writer has seen.
    pub ring_high_water: u64,
    /// Slots of the ring, over all partitions.
    pub ring_capacity: u64,
    /// Batches committed.
    pub batches: u64,
    /// Marks and sections stored, those of other processes included. Marks are no part of a ledger.
    pub marks: u64,
    /// Marks, and beginnings or ends of sections, that were lost: the writer's channel was full, or
    /// their batch or file was lost.
    pub marks_dropped: u64,
    /// Bytes of the database, without its write-ahead log, after the last commit; after `close()`, of
    /// the closed file.
    pub file_bytes: u64,
    /// What last went wrong between the writer and the database. A refused batch is no error any more
    /// once the database accepts batches again.
    pub last_error: Option<String>,
    /// Why the database last refused a batch, even if it has accepted it since: the reason for what was
    /// dropped as `store_error`. A refusal that caused losses is not replaced by later ones that
    /// caused none.
    pub last_refusal: Option<String>,
    /// Why no other process can ask the recording for something, or could not until the file for that
    /// was made anew; the recording goes on. See
    /// [`ProfilerBuilder::control`](crate::ProfilerBuilder::control).
    pub control_error: Option<String>,
    /// Whether what is recorded outlives the process, however that ends: `ProfilerBuilder::crash_proof`.
    pub is_crash_proof: bool,
    /// Why it does not, though it should.
    pub crash_proof_error: Option<String>,
    /// The SQLite that the program has linked; [`SqliteVersion::caution`] warns of known problems.
    #[cfg(feature = "database")]
    pub sqlite: SqliteVersion,
    /// Processor time that the writer thread has used, where the system tells (Linux).
    pub writer_cpu: Option<Duration>,
    /// Memory that the recording takes, by part: at the last commit, or at the end. Nothing before the
    /// first commit.
    pub memory: Memory,
}

impl Stats {
    /// The ledger of spans.
    #[must_use]
    pub const fn spans(&self) -> Ledger {
        let Self { recorded, stored, dropped, in_flight, .. } = *self;
        Ledger { recorded, stored, dropped, in_flight }
    }

    /// Whether the identity `recorded = stored + dropped + in_flight` holds for spans, events, links,
    /// entries and samples of gauges.
    #[must_use]
    pub fn balances(&self) -> bool {
        let ledgers = [&self.spans(), &self.events, &self.links, &self.entries, &self.gauges];
        ledgers.into_iter().all(Ledger::balances)
    }
}

impl fmt::Display for Stats {
    /// One line: `recorded 1000 = stored 990 + dropped 10 (ring_full 10) + in flight 0`; then events,
    /// entries and samples of gauges that were dropped, if any were.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recorded {} = stored {} + dropped {} + in flight {}",
            self.recorded, self.stored, self.dropped, self.in_flight
        )?;
        for (what, ledger) in [
            ("events", &self.events),
            ("entries", &self.entries),
            ("samples of gauges", &self.gauges),
        ] {
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
                r#"{{"spans":{},"events":{},"links":{},"entries":{},"gauges":{},"gauges_refused":{},"#,
                r#""unfinished":{},"cut":{},"log_unplaced":{},"#,
                r#""ring_high_water":{},"ring_capacity":{},"batches":{},"timed_out":{},"#,
                r#""callsites":{{"kept":{},"below_level":{}}},"#,
                r#""marks":{{"stored":{},"dropped":{}}},"file_bytes":{},"last_error":{},"#,
                r#""last_refusal":{},"control_error":{},"memory":{}}}"#
            ),
            ledger(&self.spans()),
            ledger(&self.events),
            ledger(&self.links),
            ledger(&self.entries),
            ledger(&self.gauges),
            self.gauges_refused,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::losses::DropReason;

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
