//! The ledger as a user sees it.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use spandrel_storage::SqliteVersion;

use crate::counters::Kind;
use crate::recorder::Recorder;
use crate::writer::{WriterState, push_string};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:ident,)*) => {
        /// Why something was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of [`Dropped`]'s fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in tables, counters and reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)* }
            }
        }

        /// What was dropped, by reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Dropped {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Dropped {
            /// What was dropped for one reason.
            #[must_use]
            pub const fn by(&self, reason: DropReason) -> u64 {
                match reason { $(DropReason::$variant => self.$name,)* }
            }

            pub(crate) fn add(&mut self, reason: DropReason, n: u64) {
                match reason { $(DropReason::$variant => self.$name += n,)* }
            }
        }
    };
}

reasons! {
    /// The ring had no free slot: spans came faster than the writer stored them.
    RingFull ring_full,
    /// Other threads won the shared partition of the ring too many times in a row.
    Contended contended,
    /// The table of open spans had no free place.
    OpenSpansFull open_spans_full,
    /// More callsites than the callsite table holds.
    CallsitesFull callsites_full,
    /// Made inside one of our own callbacks, for instance by a field's `Debug`.
    Reentrant reentrant,
    /// Recorded after `close`, or while it was under way.
    AlreadyShutdown already_shutdown,
    /// The ring had no free slot because the database did not take what was in it, or the
    /// database was still refusing when the profiler had to close.
    StoreError store_error,
    /// In a batch whose processing panicked.
    WriterPanic writer_panic,
    /// Stored in a file that was deleted while it was recorded into.
    FileRemoved file_removed,
}

impl Dropped {
    /// Everything that was dropped.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, n)| n).sum()
    }

    /// Every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.by(*reason)))
    }

    /// The reasons that occurred, as a JSON object.
    pub(crate) fn to_json(self) -> String {
        let parts: Vec<_> = self
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| format!("\"{}\":{n}", reason.as_str()))
            .collect();
        format!("{{{}}}", parts.join(","))
    }
}

impl fmt::Display for Dropped {
    /// The total, and what it is made of: `12 (ring_full 10, reentrant 2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total())?;
        let mut separator = " (";
        for (reason, n) in self.iter().filter(|(_, n)| *n > 0) {
            write!(f, "{separator}{} {n}", reason.as_str())?;
            separator = ", ";
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

/// The ledger of one kind of record: `recorded = stored + dropped + in_flight`, always.
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
    /// Whether the identity holds. It always does; tests and load tests ask.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.recorded == self.stored + self.dropped.total() + self.in_flight
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
    /// Spans that are open now; not part of the ledger until they close.
    pub open: u64,
    /// Spans that were stored without an end, because they were open at `close()`.
    pub unfinished: u64,
    /// Spans and events with a field that was cut, or left out, for its length.
    pub cut: u64,
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
    /// What last went wrong between the writer and the database.
    pub last_error: Option<String>,
    /// Why no other process can ask the recording for something, though it should; it goes on
    /// without. See [`Builder::control`](crate::Builder::control).
    pub control_error: Option<String>,
    /// The SQLite that the program has linked; [`SqliteVersion::caution`] says what there is to say
    /// against it.
    pub sqlite: SqliteVersion,
    /// Processor time that the writer thread has used, where the system tells (Linux).
    pub writer_cpu: Option<Duration>,
}

impl Deref for Stats {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.spans
    }
}

impl Stats {
    /// Whether the identity `recorded = stored + dropped + in_flight` holds for spans, events and
    /// links.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.spans.balances() && self.events.balances() && self.links.balances()
    }
}

impl fmt::Display for Stats {
    /// One line: `recorded 1000 = stored 990 + dropped 10 (ring_full 10) + in flight 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recorded {} = stored {} + dropped {} + in flight {}",
            self.recorded, self.stored, self.dropped, self.in_flight
        )
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
                r#"{{"spans":{},"events":{},"links":{},"unfinished":{},"cut":{},"#,
                r#""ring_high_water":{},"ring_capacity":{},"batches":{},"timed_out":{},"#,
                r#""callsites":{{"kept":{},"below_level":{}}},"#,
                r#""marks":{{"stored":{},"dropped":{}}},"last_error":{},"control_error":{}}}"#
            ),
            ledger(&self.spans),
            ledger(&self.events),
            ledger(&self.links),
            self.unfinished,
            self.cut,
            self.ring_high_water,
            self.ring_capacity,
            self.batches,
            timed_out,
            self.callsites,
            self.callsites_below_level,
            self.marks,
            self.marks_dropped,
            text(&self.last_error),
            text(&self.control_error),
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
}

impl Deref for Report {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.stats
    }
}

impl fmt::Display for Report {
    /// The line of [`Stats`], and what callsites there were: `callsites 12, 3 more below the level`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats.fmt(f)?;
        match (self.callsites, self.callsites_below_level) {
            (0, 0) if self.recorded == 0 => f.write_str(
                "; no callsite was enabled: nothing was shown to the profiler's layer or subscriber",
            ),
            (0, below) if self.recorded == 0 => {
                write!(f, "; no callsite was enabled: {below} are below the level or filtered out")
            }
            (kept, 0) => write!(f, "; callsites {kept}"),
            (kept, below) => write!(f, "; callsites {kept}, {below} more below the level"),
        }
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
    let ledger = |kind: Kind, unfinished: u64, duplicates: u64| {
        let index = kind as usize;
        let published = snapshot.published[index] - duplicates;
        let mut dropped = snapshot.dropped_early[index];
        for (reason, n) in snapshot.dropped_late[index].iter() {
            dropped.add(reason, n);
        }
        let recorded = published + snapshot.dropped_early[index].total() + unfinished;
        let stored = snapshot.stored[index] + unfinished;
        let mut in_flight = recorded - stored - dropped.total();
        if closed {
            // Published beside the close, and not found by the writer any more.
            dropped.add(DropReason::AlreadyShutdown, in_flight);
            in_flight = 0;
        }
        Ledger { recorded, stored, dropped, in_flight }
    };
    let (callsites, callsites_below_level) = recorder.tally.get();
    Stats {
        callsites,
        callsites_below_level,
        spans: ledger(Kind::Span, snapshot.unfinished, duplicates),
        events: ledger(Kind::Event, 0, 0),
        links: ledger(Kind::Link, 0, 0),
        open: recorder.open.count(),
        unfinished: snapshot.unfinished,
        cut: snapshot.cut,
        ring_high_water: writer.high_water(),
        ring_capacity: recorder.ring.capacities().iter().sum::<usize>() as u64,
        batches: snapshot.batches,
        marks: writer.marks.stored(),
        // Those that were sent beside the close are still in the channel.
        marks_dropped: writer.marks.dropped()
            + if closed { writer.marks.waiting() as u64 } else { 0 },
        last_error: writer.last_error(),
        control_error: writer.control_error(),
        sqlite: SqliteVersion::linked(),
        writer_cpu: writer.cpu(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_says_how_many_and_why() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.to_string(), "0");
        assert_eq!(dropped.to_json(), "{}");
        dropped.add(DropReason::RingFull, 10);
        dropped.add(DropReason::Reentrant, 2);
        assert_eq!(dropped.to_string(), "12 (ring_full 10, reentrant 2)");
        assert_eq!(dropped.to_json(), r#"{"ring_full":10,"reentrant":2}"#);
    }
}
