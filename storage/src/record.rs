//! The rows that a writer appends: plain data, the contract between the writer and the store.
//!
//! All times are integer nanoseconds. `start_ns`, `at_ns`, `until_ns`, `from_ns` and `to_ns` count
//! from the start of the run; wall-clock time stands in the `run` row only. Identifiers of spans and events
//! are unique in the file, greater than zero and at most [`i64::MAX`]; zero means "none" in the
//! types of this module and is stored as NULL.

use std::ops::Range;
use std::sync::Arc;

use crate::memory::MemoryUse;
use crate::trace_context::TraceContext;

/// A recording: one process that opened the file and records into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// A random identifier, 32 lower-case hexadecimal digits.
    pub uuid: String,
    /// What the user calls this run.
    pub label: Option<String>,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_unix_ns: i64,
    /// Process id.
    pub pid: u32,
    /// Path of the executable.
    pub program: String,
    /// Command-line arguments as a JSON array of strings.
    pub args: String,
    /// Host name.
    pub host: String,
    /// Operating system and architecture, such as `linux x86_64`.
    pub os: String,
    /// Processors that the process may use.
    pub cpus: u32,
    /// The clock that stamps spans, `tsc`, `cntvct` or `monotonic`.
    pub clock: String,
    /// The settings of the recording as a JSON object.
    pub settings: String,
}

/// Whether a callsite makes spans or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallsiteKind {
    /// The callsite opens spans.
    Span,
    /// The callsite emits events.
    Event,
}

impl CallsiteKind {
    /// The text in column `callsite.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Event => "event",
        }
    }
}

/// What the source says about a callsite.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallsiteInfo {
    /// Span or event.
    pub kind: CallsiteKind,
    /// Name of the span; `tracing` makes one up from file and line for an event.
    pub name: String,
    /// The `target`, by default the module path.
    pub target: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: &'static str,
    /// Module path, when known.
    pub module: Option<String>,
    /// Source file, when known.
    pub file: Option<String>,
    /// Line in the source file, when known.
    pub line: Option<u32>,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// It closed, and nothing told that it failed. A future that was dropped before its end looks the
    /// same as one that was completed.
    #[default]
    Ok,
    /// An event inside it, or one of its fields, told that it failed.
    Error,
    /// It closed while its thread was unwinding from a panic.
    Panicked,
    /// It was still open when the recording ended.
    Unfinished,
    /// It was still open when its process died, and was found in what that has left behind.
    Crashed,
}

impl Status {
    /// The text in column `span.status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Panicked => "panicked",
            Self::Unfinished => "unfinished",
            Self::Crashed => "crashed",
        }
    }

    /// Whether the span has closed, so that it is known how long it was. If not, it is unfinished in the
    /// wider sense: it was open at the end of the recording, whichever that was.
    pub const fn has_closed(self) -> bool {
        matches!(self, Self::Ok | Self::Error | Self::Panicked)
    }
}

/// A part of [`Batch::text`].
pub type Text = Range<usize>;

/// One span, closed or unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanRow {
    /// Unique in the file; grows with the time of creation.
    pub id: u64,
    /// The enclosing span, 0 for none.
    pub parent_id: u64,
    /// The outermost ancestor; the span's own id when it has no parent.
    pub root_id: u64,
    /// Database id of the callsite, from [`Store::intern_callsite`](crate::Store::intern_callsite).
    pub callsite_id: i64,
    /// Database id of the thread that created the span, from
    /// [`Store::intern_thread`](crate::Store::intern_thread).
    pub thread_id: i64,
    /// When it was created.
    pub start_ns: i64,
    /// From creation to close; `None` for a span that has not [closed](Status::has_closed).
    pub duration_ns: Option<i64>,
    /// Time inside the span, summed over its entries; `None` if that is not measured in this run.
    pub busy_ns: Option<i64>,
    /// From creation to the last exit, without the union of the same of the children; `None` for an
    /// unfinished span, and for one whose entries count instead.
    pub self_ns: Option<i64>,
    /// Time inside, without the time in spans that were entered inside it. `None` if it equals
    /// `busy_ns`, because there were none; if no thread was inside; or for an unfinished span. For a
    /// span whose entries count: the part that is in no row of an entry, if there is any.
    pub self_busy_ns: Option<i64>,
    /// How many times it was entered.
    pub entries: u64,
    /// From creation to the first entry; `None` if it was never entered, or that is not measured.
    pub first_entry_ns: Option<i64>,
    /// The longest of several entries; `None` if there was at most one.
    pub longest_entry_ns: Option<i64>,
    /// From creation to the last exit of several entries; `None` if there was at most one.
    pub last_exit_ns: Option<i64>,
    /// Database id of the thread of the longest entry, if it is not `thread_id`; otherwise 0.
    pub longest_thread_id: i64,
    /// How it ended.
    pub status: Status,
    /// Fields as a JSON object in [`Batch::text`]; empty for none (NULL).
    pub fields: Text,
}

/// Whether a span that was open at the end was long-lived, from the number of its entries and its last
/// exit: an entry counts from the thousandth on; or, once the span is a second old, from the hundredth.
pub fn lived_long_to_the_end(entries: u64, last_exit_ns: Option<i64>) -> bool {
    entries > 1_000 || (entries >= 100 && last_exit_ns.is_some_and(|ns| ns >= 1_000_000_000))
}

impl SpanRow {
    /// When it closed; when it was created, if it has not.
    #[inline]
    pub(crate) fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns.unwrap_or(0))
    }

    /// Time inside, without the time in spans that were entered inside it; `None` if its entries count,
    /// if it has not closed, or if it is not measured.
    #[inline]
    pub fn self_busy(&self) -> Option<i64> {
        self.self_ns.and(self.self_busy_ns.or(self.busy_ns))
    }

    /// Whether its entries count, and not its lifetime.
    #[inline]
    pub(crate) fn counts_by_entries(&self) -> bool {
        self.duration_ns.is_some() && self.self_ns.is_none()
    }

    /// Whether it was open at the end, and was entered so often and for so long that its entries count,
    /// if other entries of its callsite do.
    pub fn lived_long_to_the_end(&self) -> bool {
        let is_open = self.duration_ns.is_none();
        is_open && lived_long_to_the_end(self.entries, self.last_exit_ns)
    }

    /// The longest entry, if it was entered at all and this is measured.
    pub(crate) fn longest_ns(&self) -> Option<i64> {
        if self.entries == 1 {
            self.longest_entry_ns.or(self.busy_ns)
        } else {
            self.longest_entry_ns
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Unique in the file among events.
    pub id: u64,
    /// The span it happened in, 0 for none.
    pub span_id: u64,
    /// Database id of the callsite.
    pub callsite_id: i64,
    /// Database id of the thread.
    pub thread_id: i64,
    /// When.
    pub at_ns: i64,
    /// The `message` in [`Batch::text`]; empty for none (NULL).
    pub message: Text,
    /// The other fields as a JSON object in [`Batch::text`]; empty for none (NULL).
    pub fields: Text,
}

/// `span_id` follows from `follows_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkRow {
    /// The later span.
    pub span_id: u64,
    /// The span it follows from.
    pub follows_id: u64,
}

/// A thread was inside a span, and has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRow {
    /// Unique in the file among entries, and above those of earlier ones; no span or event has it.
    pub id: u64,
    /// The span.
    pub span_id: u64,
    /// Database id of the span's callsite.
    pub callsite_id: i64,
    /// Database id of the thread.
    pub thread_id: i64,
    /// When it entered.
    pub start_ns: i64,
    /// How long it was inside.
    pub duration_ns: i64,
    /// The span that the thread was in around this one; 0 if there was none.
    pub around_id: u64,
    /// How long it was inside, without the time that it spent in other spans. `None` if the span counts
    /// by its lifetime, and not by its entries.
    pub self_ns: Option<i64>,
    /// How many entries of the span count but are no rows; the first row that counts says it. A later
    /// batch may [change](EarlierRow) it.
    pub earlier_entries: u64,
    /// The time inside over those.
    pub earlier_ns: i64,
}

impl EntryRow {
    /// When the thread left.
    #[inline]
    pub(crate) fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Time inside over the entries before it, if there are any.
    #[inline]
    pub(crate) fn earlier_ns(&self) -> Option<i64> {
        (self.earlier_entries > 0).then_some(self.earlier_ns)
    }

    /// Whether it counts as a call.
    pub(crate) fn counts(&self) -> bool {
        self.self_ns.is_some()
    }
}

/// A correction of what the first row of a span's entries [says](EntryRow::earlier_entries) about
/// entries that are no rows. That row may be in an earlier batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierRow {
    /// The row.
    pub first_id: u64,
    /// The last row of the same span. It says this if the first one was deleted because of its age.
    pub last_id: u64,
    /// How many entries to add.
    pub entries: i64,
    /// How much time inside to add.
    pub ns: i64,
}

/// How much too large an entry's [self time](EntryRow::self_ns) is: a child was made and left inside it,
/// and its handle was kept for longer. The row may be in an earlier batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateEntryTime {
    /// The row.
    pub id: u64,
    /// How much to subtract. The result is never below zero.
    pub ns: i64,
}

/// A child that has closed after its parent had been stored. The parent's [self time](SpanRow::self_ns)
/// is too large by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateChild {
    /// The parent. Children of one parent are next to each other.
    pub parent_id: u64,
    /// When the child was created.
    pub start_ns: i64,
    /// When it was left for the last time.
    pub end_ns: i64,
    /// Since when a thread was inside without a pause, up to then; `i64::MAX` if there was a pause.
    pub inside_since_ns: i64,
    /// Database id of the thread that was inside.
    pub thread_id: i64,
    /// How long it was inside the parent, whose [busy time of its own](SpanRow::self_busy_ns) is too
    /// large by this.
    pub busy_ns: i64,
}

/// How other systems know a span. A later row of the same span replaces the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContextRow {
    /// The span; it may be open.
    pub span_id: u64,
    /// Its outermost ancestor.
    pub root_id: u64,
    /// Its ids there.
    pub context: TraceContext,
}

/// Spans and events that are missing, why, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossRow {
    /// Name of the reason, such as `ring_full`.
    pub reason: &'static str,
    /// The loss did not begin before this moment.
    pub from_ns: i64,
    /// The loss did not end after this moment.
    pub to_ns: i64,
    /// Spans lost.
    pub spans: u64,
    /// Events lost.
    pub events: u64,
    /// Entries lost.
    pub entries: u64,
    /// Database id of the thread that lost them, when it is known.
    pub thread_id: Option<i64>,
}

/// The state of the writer over one interval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterStatRow {
    /// End of the interval.
    pub at_ns: i64,
    /// Spans recorded since the run began.
    pub recorded: u64,
    /// Spans stored since the run began, this batch included.
    pub stored: u64,
    /// Spans dropped since the run began, by reason, as a JSON object.
    pub dropped: String,
    /// Events recorded since the run began.
    pub events_recorded: u64,
    /// Events stored since the run began, this batch included.
    pub events_stored: u64,
    /// Events dropped since the run began, by reason, as a JSON object.
    pub events_dropped: String,
    /// Batches committed since the run began.
    pub batches: u64,
    /// The longest commit of the interval.
    pub largest_batch_ns: u64,
    /// Most slots of the ring that were ever in use at once.
    pub ring_high_water: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// Size of the main file.
    pub file_bytes: u64,
    /// Spans open at this moment.
    pub open_spans: u64,
    /// Entries recorded one by one since the run began.
    pub entries_recorded: u64,
    /// Entries stored since the run began, this batch included.
    pub entries_stored: u64,
    /// Entries dropped since the run began, by reason, as a JSON object.
    pub entries_dropped: String,
}

/// A span that was open when the writer last looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSpanRow {
    /// The span so far: `duration_ns` and `self_ns` are `None`, the status is unfinished.
    pub span: SpanRow,
    /// When the writer looked.
    pub seen_ns: i64,
}

/// Longest label of a mark, in bytes; what is longer is cut.
pub const MARK_LABEL_BYTES_MAX: usize = 256;

/// The part of a label that is stored: at most [`MARK_LABEL_BYTES_MAX`] bytes, cut at a character's
/// boundary. Control characters stay; code that shows a label has to escape them.
#[must_use]
pub fn mark_label(label: &str) -> &str {
    cut(label, MARK_LABEL_BYTES_MAX)
}

/// Most bytes of a text about a callsite, and of a thread's name. Longer ones are cut when they are
/// stored, and not read: each name is in memory for each callsite that is shown.
pub const NAME_BYTES_MAX: usize = 8 << 10;

/// The start of a text, cut at a character's boundary.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A named moment, or a named section of time.
///
/// If this run has a row with the same id in the file, the new row only gives it its end. So a section
/// can be seen while it lasts; what is appended at its end says everything once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRow {
    /// Unique in the file; see [`Store::next_mark_id`](crate::Store::next_mark_id).
    pub id: u64,
    /// The moment, or the start of the section.
    pub at_ns: i64,
    /// End of the section; `None` for a moment, and while the section lasts.
    pub until_ns: Option<i64>,
    /// Its name; stored as [`mark_label`] cuts it.
    pub label: String,
    /// A JSON object; `None` for none.
    pub fields: Option<String>,
}

/// Longest name of a gauge, in bytes; a longer one is cut, as the label of a mark is.
pub const GAUGE_NAME_BYTES_MAX: usize = 256;

/// A value of a gauge, as it was when it was sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeRow {
    /// Its name; stored with at most [`GAUGE_NAME_BYTES_MAX`] bytes.
    pub name: Arc<str>,
    /// When it was sampled.
    pub at_ns: i64,
    /// The last value that was set by then; what is not a number is stored as NULL.
    pub value: f64,
    /// How often it was set since the run began.
    pub version: u64,
    /// How often it was set since the sample before.
    pub updates: u64,
}

/// Which ring in a file: the identity of the run in its header.
pub type RingId = [u8; 16];

/// How far a partition of a ring in a file is stored, together with what is stored of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainedRow {
    /// The ring.
    pub ring: RingId,
    /// The number of the partition; `None`: nothing of the ring is needed any more, as all is stored.
    pub partition: Option<u32>,
    /// Where to go on: everything before this position is stored or counted. It never goes back.
    pub position: u64,
}

/// Everything that one transaction appends.
#[derive(Debug, Default)]
pub struct Batch {
    /// Closed and unfinished spans, in any order; `append` stores them by id.
    pub spans: Vec<SpanRow>,
    /// Events, in any order.
    pub events: Vec<EventRow>,
    /// Follows-from links.
    pub links: Vec<LinkRow>,
    /// Entries, in any order; `append` stores them by id.
    pub entries: Vec<EntryRow>,
    /// What rows of entries, of this batch or of earlier ones, should say about the entries before them.
    pub earlier: Vec<EarlierRow>,
    /// By how much the self times of entries, of this batch or of earlier ones, are too large.
    pub late_entry_times: Vec<LateEntryTime>,
    /// Children that came later than their parents, which are in this batch or in earlier ones.
    pub late_children: Vec<LateChild>,
    /// Ids of other systems for spans of this batch, of earlier ones, or open ones.
    pub contexts: Vec<TraceContextRow>,
    /// Losses since the last batch.
    pub losses: Vec<LossRow>,
    /// Marks, and ends of sections.
    pub marks: Vec<MarkRow>,
    /// Samples of gauges.
    pub gauges: Vec<GaugeRow>,
    /// A row for `writer_stat`, when one is due.
    pub writer_stat: Option<WriterStatRow>,
    /// The spans open now: `Some` replaces the whole table for this run.
    pub open_spans: Option<Vec<OpenSpanRow>>,
    /// How far rings in files are stored, this batch included.
    pub drained: Vec<DrainedRow>,
    /// What the row of the run says in `report` until the run has ended, a JSON object. `Some` replaces
    /// what it said before.
    pub report: Option<String>,
    /// The run is known to have gone on until then, in nanoseconds since its start, though no row may say so.
    pub until_ns: Option<i64>,
    /// The text that the rows point into.
    pub text: String,
}

impl Batch {
    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
            && self.events.is_empty()
            && self.links.is_empty()
            && self.entries.is_empty()
            && self.earlier.is_empty()
            && self.late_entry_times.is_empty()
            && self.late_children.is_empty()
            && self.contexts.is_empty()
            && self.losses.is_empty()
            && self.marks.is_empty()
            && self.gauges.is_empty()
            && self.writer_stat.is_none()
            && self.open_spans.is_none()
            && self.drained.is_empty()
            && self.report.is_none()
            && self.until_ns.is_none()
    }

    /// Memory for its rows and their texts; what rows about the recording itself own is negligible.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let Self { spans, events, links, entries, earlier, .. } = self;
        let Self { contexts, losses, marks, gauges, text, .. } = self;
        let late = MemoryUse::of(&self.late_entry_times) + MemoryUse::of(&self.late_children);
        let text = MemoryUse { reserved: text.capacity() as u64, used: text.len() as u64 };
        let open = self.open_spans.as_ref().map(MemoryUse::of).unwrap_or_default();
        let rows = MemoryUse::of(spans) + MemoryUse::of(events) + MemoryUse::of(entries);
        let others = MemoryUse::of(links) + MemoryUse::of(contexts) + MemoryUse::of(losses);
        let named = MemoryUse::of(marks) + MemoryUse::of(gauges);
        rows + others + late + MemoryUse::of(earlier) + named + open + text
    }

    /// Empties the batch but keeps its memory. If that is far more than was needed, half of it is given
    /// back, so that little is left of a large batch after some smaller ones.
    pub fn clear(&mut self) {
        let used = self.text.len();
        self.spans.clear();
        self.events.clear();
        self.links.clear();
        self.entries.clear();
        self.earlier.clear();
        self.late_entry_times.clear();
        self.late_children.clear();
        self.contexts.clear();
        self.losses.clear();
        self.marks.clear();
        self.gauges.clear();
        self.writer_stat = None;
        self.open_spans = None;
        self.drained.clear();
        self.report = None;
        self.until_ns = None;
        self.text.clear();
        if self.text.capacity() > TEXT_KEPT.max(8 * used) {
            self.text.shrink_to(self.text.capacity() / 2);
        }
    }
}

/// Memory for so much text is always kept, in bytes.
const TEXT_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_batch_leaves_no_large_memory_behind() {
        let mut batch = Batch { text: "x".repeat(100 << 20), ..Batch::default() };
        batch.clear();
        assert!(batch.text.capacity() >= 100 << 20, "the next one may be as large");
        for _ in 0..10 {
            batch.text.push_str("little");
            batch.clear();
        }
        assert!(batch.text.capacity() <= TEXT_KEPT, "{}", batch.text.capacity());
    }

    #[test]
    fn a_label_is_cut_at_a_boundary_between_characters() {
        assert_eq!(mark_label(""), "");
        assert_eq!(mark_label("deploy\u{1b}[2J\0"), "deploy\u{1b}[2J\0");
        let longest = "x".repeat(MARK_LABEL_BYTES_MAX);
        assert_eq!(mark_label(&longest), longest);
        for before in 0..4 {
            let label = "x".repeat(before) + &"\u{1F980}".repeat(100);
            let cut = mark_label(&label);
            assert!(label.starts_with(cut));
            assert_eq!(cut.len(), before + (MARK_LABEL_BYTES_MAX - before) / 4 * 4);
        }
    }
}
