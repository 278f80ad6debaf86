//! The document inside a report: what the page shows, and nothing else.
//!
//! It is the contract between the collector and the page's script, and also the place for programs
//! that need a report's figures: the element `#data` of the page holds this as JSON. Times are integer
//! nanoseconds since the start of the run; ids are text (`s12`, `t12`), since they may pass what a
//! script's numbers hold. Names are numbers into [`Document::names`], so that each text stands in the
//! file once. Whatever was left out to keep the page small is said in [`Document::notes`].
//!
//! Every list is bounded, whatever the size of the profile; see [`super::bounds`].

use serde::Serialize;

/// Grows when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Stands for spans that are too small to be shown alone.
pub(crate) const NAME_PRUNED: i64 = -1;
/// Stands for the place of a parent that was not recorded.
pub(crate) const NAME_NO_PARENT: i64 = -2;
/// Stands for names, or paths, beyond the bound.
pub(crate) const NAME_OTHERS: i64 = -3;
/// Stands for all names together.
pub(crate) const NAME_ALL: i64 = -4;

/// Everything that a page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Document {
    pub schema_version: u32,
    /// `report` or `flame`.
    pub command: &'static str,
    /// Program and version that wrote the page.
    pub generator: String,
    pub title: String,
    /// Whether the run has ended with nothing dropped and nothing pruned.
    pub complete: bool,
    /// Spans, events and entries that were dropped while recording.
    pub dropped: u64,
    /// Whether something was left out of the page; `notes` says what.
    pub truncated: bool,
    pub notes: Vec<String>,
    /// What was selected, in words; empty for the whole run.
    pub selection: String,
    pub run: RunFacts,
    pub losses: Vec<LossFact>,
    pub marks: Vec<MarkFact>,
    pub names: Vec<Name>,
    pub window: Window,
    /// What stands out, in sentences, the first one first.
    pub findings: Vec<Finding>,
    pub top: Vec<TopRow>,
    /// Self time of all names, those that are not in the list included.
    pub self_ns: i64,
    pub flame: Flame,
    pub timeline: Option<Timeline>,
    /// The slowest ones, and behind them some with a span that failed.
    pub traces: Vec<Trace>,
    /// Spans that failed by name and by what they say, the most frequent first.
    pub failures: Vec<FailureFact>,
    pub heatmap: Option<Heatmap>,
    /// Values that the program has set, by name.
    pub gauges: Vec<GaugeFact>,
    pub diff: Option<Diff>,
}

/// The run that the page is about.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct RunFacts {
    pub id: i64,
    pub label: Option<String>,
    /// Nanoseconds since the Unix epoch, as text: too large for a script's number.
    pub started_unix_ns: String,
    /// From its start to its end, or to the latest row of a run without an end.
    pub length_ns: i64,
    /// `ended`, or `open`: still recording, or killed.
    pub state: &'static str,
    pub program: String,
    pub args: String,
    pub host: String,
    pub os: String,
    pub cpus: u32,
    pub pid: u32,
    pub clock: String,
    /// Name of the profile, without its folder.
    pub file: String,
    /// Spans that were selected, unfinished ones included.
    pub spans: u64,
    /// Selected spans that were open at the end.
    pub unfinished: u64,
    /// Selected spans with the status `error` or `panicked`.
    pub errors: u64,
    /// Selected spans without a parent.
    pub traces: u64,
    /// Selected spans whose parent is not in the profile.
    pub orphans: u64,
    /// Events of the whole run.
    pub events: u64,
    /// Entries of the whole run, of those that are recorded one by one.
    pub entries: u64,
    /// Rows that retention deleted from the run.
    pub pruned: u64,
    /// Whether busy times were measured in all selected spans.
    pub has_busy: bool,
}

/// Rows that are missing: neighbouring losses for one reason are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LossFact {
    pub reason: String,
    pub from_ns: i64,
    pub to_ns: i64,
    pub spans: u64,
    pub events: u64,
    pub entries: u64,
}

/// A named moment, or section if `until_ns` is there.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct MarkFact {
    pub label: String,
    pub at_ns: i64,
    pub until_ns: Option<i64>,
}

/// A value that the program has set.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct GaugeFact {
    pub name: String,
    pub samples: u64,
    /// How often it was set.
    pub updates: u64,
    /// `None`, here and below: none that is a number.
    pub last: Option<f64>,
    pub min: Option<f64>,
    pub mean: Option<f64>,
    pub max: Option<f64>,
    /// The last value in each column of the window; `None`: none there.
    pub values: Vec<Option<f64>>,
}

/// The name of spans. Callsites that have name and target in common are one.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Name {
    pub name: String,
    pub target: String,
    pub level: String,
    /// Whether these are the ones that live long, whose entries count.
    pub long: bool,
    /// `file:line` of the first callsite; empty if it is not known.
    pub place: String,
}

/// The stretch of time that charts show, in equal columns.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Window {
    pub from_ns: i64,
    pub until_ns: i64,
    pub columns: u32,
}

/// The calls of one name: closed spans, or entries of those that live long.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct TopRow {
    pub name: i64,
    pub calls: u64,
    pub errors: u64,
    pub total_ns: i64,
    pub self_ns: i64,
    /// `None` if busy times were not measured.
    pub busy_ns: Option<i64>,
    pub p50_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub max_ns: i64,
    /// Sums of durations by column of the window, 100 for the largest.
    pub spark: Vec<u8>,
}

/// The tree of all paths, in preorder, one entry a node in each list.
///
/// Whatever was too small is in nodes named [`NAME_PRUNED`], so that `self_ns` and the others add up
/// to the sums of the run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Flame {
    /// `self`, `busy` or `wall`: what widths mean at first.
    pub weight: &'static str,
    pub name: Vec<i64>,
    pub depth: Vec<u32>,
    pub calls: Vec<u64>,
    pub errors: Vec<u64>,
    pub wall_ns: Vec<i64>,
    pub self_ns: Vec<i64>,
    pub busy_ns: Vec<i64>,
}

/// The longest spans of each part of the window, in the order of their start.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Timeline {
    pub threads: Vec<String>,
    pub id: Vec<String>,
    /// Place of the parent in these lists; -1 if it is not in them.
    pub parent: Vec<i64>,
    pub name: Vec<i64>,
    pub thread: Vec<u32>,
    pub start_ns: Vec<i64>,
    pub duration_ns: Vec<i64>,
    /// -1 where it was not measured.
    pub busy_ns: Vec<i64>,
    /// 0 ok, 1 error, 2 panicked.
    pub status: Vec<u8>,
    /// How many spans the window has, and entries of those that live long.
    pub of: u64,
}

/// Something that stands out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub text: String,
    /// Name of the spans that it is about, as they have it; `None`: of the recording.
    pub about: Option<String>,
    /// How to go on from here on the command line.
    pub next: Option<String>,
}

/// Spans of a name that failed for the same reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FailureFact {
    pub name: i64,
    /// `error` or `panicked`, as the latest of them.
    pub status: &'static str,
    /// What the last event in them says, or a field; empty: nothing.
    pub message: String,
    pub spans: u64,
    /// When the latest of them started.
    pub last_ns: i64,
    /// Ids of the latest one and its trace.
    pub span: String,
    pub trace: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Trace {
    /// Whether it is here because a span of it failed, and not because it is slow.
    pub failed: bool,
    pub id: String,
    pub name: i64,
    pub start_ns: i64,
    pub duration_ns: i64,
    /// How many spans it has.
    pub spans: u64,
    /// Whether all of them were looked at, and not the first only.
    pub whole: bool,
    pub rows: Vec<TraceRow>,
    /// Time on the critical path by name, the longest first.
    pub critical: Vec<CriticalShare>,
    /// How long nobody worked in it while it was open.
    pub kept_open_ns: i64,
    pub events: Vec<EventFact>,
    /// How many events it has.
    pub events_of: u64,
    /// What ran on other threads meanwhile and is no part of it, the longest first.
    pub meanwhile: Vec<MeanwhileFact>,
    /// Entries on other threads that are in none of those, and how long they were.
    pub meanwhile_more: (u64, i64),
}

/// Spans that live long and have name and fields in common, and were entered on other threads meanwhile.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct MeanwhileFact {
    pub name: i64,
    pub calls: u64,
    pub total_ns: i64,
    pub longest_ns: i64,
    /// Of the longest entry.
    pub thread: String,
    pub threads: u64,
    pub fields: Vec<(String, String)>,
}

/// A row of a waterfall: a span, an entry of one that lives long, or what was folded under one.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct TraceRow {
    pub id: String,
    pub name: i64,
    pub depth: u32,
    pub start_ns: i64,
    /// `None`: unfinished.
    pub duration_ns: Option<i64>,
    pub busy_ns: Option<i64>,
    pub self_ns: Option<i64>,
    pub entries: u64,
    /// `lifetime`; `entries`: a span that lives long; `entry`: one entry of it.
    pub by: &'static str,
    /// `ok`, `error`, `panicked`, `unfinished`; `more` for what was folded.
    pub status: &'static str,
    pub thread: String,
    pub fields: Vec<(String, String)>,
    /// Whether it is on the critical path, itself or by its children.
    pub on_path: bool,
    /// From and until, of the first stretches in which it is to blame itself.
    pub critical: Vec<(i64, i64)>,
    /// How long all of those stretches are together, those that are not in the list included.
    pub critical_ns: i64,
    /// How many spans and entries were folded into this row; 0 for one of them.
    pub more: u64,
}

/// What a name has of a critical path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CriticalShare {
    pub name: i64,
    pub ns: i64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct EventFact {
    pub span: String,
    pub at_ns: i64,
    pub level: String,
    pub target: String,
    /// Empty if it was given none.
    pub name: String,
    pub message: String,
    pub fields: Vec<(String, String)>,
}

/// Durations over time, by name.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Heatmap {
    /// Bins that each doubling of the duration has.
    pub bins_per_octave: u32,
    pub names: Vec<HeatName>,
}

/// The cells of one name that hold a span.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct HeatName {
    pub name: i64,
    /// Column, bin and count, one after the other. Bin `b` begins at 2^(b / bins_per_octave) ns.
    pub cells: Vec<u64>,
}

/// The run beside a baseline.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Diff {
    /// What the baseline is, in words.
    pub baseline: String,
    pub baseline_spans: u64,
    pub baseline_complete: bool,
    /// Confidence of the intervals, such as 0.95.
    pub confidence: f64,
    /// By what share single runs are taken to differ; none where it was measured.
    pub between_runs: Option<f64>,
    pub rows: Vec<DiffRow>,
    /// Names in one of the two only.
    pub appeared: Vec<i64>,
    pub vanished: Vec<i64>,
    /// Names that are in none of the lists.
    pub left_out: u64,
}

/// One name in both runs.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct DiffRow {
    pub name: i64,
    pub calls_before: u64,
    pub calls_after: u64,
    pub quantiles: Vec<DiffQuantile>,
}

/// A percentile before and after.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct DiffQuantile {
    /// 0.5, 0.95 or 0.99.
    pub q: f64,
    pub before_ns: u64,
    pub after_ns: u64,
    /// Change in per cent, and the ends of its interval.
    pub change: f64,
    pub low: f64,
    pub high: f64,
    /// `slower`, `faster`, `same` (within noise) or `unsure` (too few samples).
    pub verdict: &'static str,
}
