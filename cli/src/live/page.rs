//! What the screen shows at one moment, as it was read from the profile.

use std::sync::Arc;

use spandrel_query::{Callsite, CountedBy, Gauge, OpenSpan, Run, Span, StackTree, Stall};
use spandrel_storage::Histogram;

use super::sums::Sums;
use super::window::Window;
use crate::commands::tree::TraceAnalysis;
use crate::output::text;

/// What the terminal asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) window: Window,
    /// The end of the window; `None`: the newest, and it goes on.
    pub(crate) until_ns: Option<i64>,
    pub(crate) subject: Subject,
}

/// What is read beside the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    #[default]
    Table,
    /// One row of the table.
    Detail(RowKey),
    Open,
    Stalls,
    Gauges,
    Flame,
    Tree(TraceKey),
}

/// A span, and the root of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceKey {
    pub(crate) span_id: u64,
    pub(crate) root_id: u64,
}

impl From<&Span> for TraceKey {
    fn from(span: &Span) -> Self {
        // An entry is a part of what was around it.
        let around = span.entry.and_then(|entry| entry.around_id);
        Self { span_id: around.unwrap_or(span.id), root_id: span.root_id }
    }
}

/// A row of the table is a name with its target, and what is counted of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RowKey {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) counted: CountedBy,
}

impl RowKey {
    /// The name, marked if entries count.
    pub(crate) fn text(&self) -> String {
        let name = text::clean(&self.name);
        if self.counted.has_entries() { format!("{name} {}", text::LONG) } else { name }
    }
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) health: Health,
    pub(crate) window: Window,
    pub(crate) from_ns: i64,
    /// Nothing was stored behind this moment, or it was not asked for.
    pub(crate) until_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) rows: Vec<Row>,
    pub(crate) subject: SubjectData,
    /// Where open spans were read, and of when they are, if that was not in the profile.
    pub(crate) open_from: Option<String>,
}

/// How the recording is.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) run: Run,
    pub(crate) state: State,
    /// How far what is stored is behind the clock; of a recording on this machine.
    pub(crate) lag_ns: Option<i64>,
    /// The most of the ring that was ever in use, of one.
    pub(crate) ring_share: Option<f64>,
    /// Reasons, and how many spans and events were dropped for each.
    pub(crate) dropped: Vec<(String, u64)>,
    /// The file with its log.
    pub(crate) bytes: u64,
    /// Spans that ended, by second; the last one is not over.
    pub(crate) spans_by_second: Vec<u64>,
    /// Entries that were stored, a second, of late; `None` if there were none.
    pub(crate) entries_rate: Option<f64>,
    /// What is in ring files and not in the profile, and the command that helps; if nobody is about to store it.
    pub(crate) left: Option<String>,
    /// Of a folder of ring files without a profile: how many programs there are. Then nothing else is known.
    pub(crate) programs: Option<Programs>,
}

/// The programs that record into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) alive: usize,
    pub(crate) dead: usize,
    /// Those of which nobody can tell.
    pub(crate) unknown: usize,
}

/// Whether somebody records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Recording,
    /// The process lives, and has stored nothing for so long.
    Silent(i64),
    Ended,
    /// Its process has died, and all that it had recorded is stored.
    Crashed,
    /// It has no end, and its process is gone.
    Killed,
    /// It was closed, and its end waits in its ring file.
    Closed,
    /// It has no end; its process is elsewhere, so that nobody knows.
    Unknown,
}

/// One name in the window.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    /// The places that make spans of this name.
    pub(crate) callsites: Vec<Arc<Callsite>>,
    pub(crate) sums: Sums,
    pub(crate) p50_ns: i64,
    pub(crate) p95_ns: i64,
    pub(crate) p99_ns: i64,
    /// Calls a second; what is shown of the last minute.
    pub(crate) rate: f64,
    pub(crate) trend: Vec<u64>,
}

impl Row {
    pub(crate) fn busy_share(&self) -> Option<f64> {
        let busy = self.sums.busy_ns?;
        (self.sums.sum_ns > 0).then(|| busy as f64 / self.sums.sum_ns as f64)
    }
}

/// What was read for the [`Subject`].
#[derive(Debug)]
pub(crate) enum SubjectData {
    Table,
    Detail(Box<Detail>),
    Open(Vec<OpenLine>),
    Stalls(Box<Blocked>),
    Gauges(Vec<Gauge>),
    Flame(Box<Flame>),
    /// Nothing if no span of the trace has closed.
    Tree(TraceKey, Option<Box<TraceAnalysis>>),
}

#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) key: RowKey,
    /// Percentiles over time, the oldest first.
    pub(crate) points: Vec<Point>,
    /// The slowest among the spans that were looked at.
    pub(crate) slowest: Vec<Span>,
    pub(crate) coverage: Coverage,
    pub(crate) open: Vec<OpenSpan>,
}

impl Detail {
    /// The spans whose traces can be opened, as they are listed: slow ones, then open ones.
    pub(crate) fn spans(&self) -> impl Iterator<Item = TraceKey> {
        let open = self.open.iter().take(OPEN_SHOWN).map(|open| &open.span);
        self.slowest.iter().chain(open).map(TraceKey::from)
    }
}

/// Open spans of a name that are listed.
pub(crate) const OPEN_SHOWN: usize = 100;

/// The spans that ended in some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Point {
    pub(crate) at_ns: i64,
    pub(crate) calls: u64,
    pub(crate) max_ns: i64,
    pub(crate) histogram: Histogram,
}

/// How much was looked at, where the profile is larger than what can be read each second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) spans: u64,
    /// Of spans that live long, besides.
    pub(crate) entries: u64,
    /// Where it began; `None` when there was no span.
    pub(crate) from_ns: Option<i64>,
    /// Whether that was all of the window.
    pub(crate) is_all: bool,
}

/// An open span in the tree of its thread.
#[derive(Debug, Clone)]
pub(crate) struct OpenLine {
    pub(crate) span: OpenSpan,
    /// How many spans of the same thread it is inside of.
    pub(crate) depth: usize,
    pub(crate) age_ns: i64,
    /// Older than what is usual for its name.
    pub(crate) is_stalled: bool,
    /// It is meant to be open for long, and works when it is entered.
    pub(crate) lives_long: bool,
}

/// What blocked the executor.
#[derive(Debug, Default)]
pub(crate) struct Blocked {
    /// In front what spent most time itself.
    pub(crate) stalls: Vec<Stall>,
    pub(crate) coverage: Coverage,
}

/// Where the time went, by path.
#[derive(Debug)]
pub(crate) struct Flame {
    pub(crate) tree: StackTree,
    pub(crate) coverage: Coverage,
}
