//! How much of each thing a page holds at most, so that it stays small whatever the profile is.

/// Names that are told apart; further ones are counted as others.
pub(crate) const NAMES: usize = 4_096;
/// Rows of the top table.
pub(crate) const TOP_ROWS: usize = 300;
/// Characters of a name, a target or a label.
pub(crate) const NAME_CHARS: usize = 200;
/// Characters of the value of a field, or of a message.
pub(crate) const VALUE_CHARS: usize = 300;
/// Fields of a span or an event.
pub(crate) const FIELDS: usize = 24;
/// Boxes of the flame tree below this share of the whole are put together.
pub(crate) const FLAME_SHARE: f64 = 0.000_5;
/// Boxes of the flame tree on the page.
pub(crate) const FLAME_NODES: usize = 8_000;
/// Parts of the window of which the timeline has the longest spans.
pub(crate) const TIMELINE_PARTS: usize = 64;
/// Spans of each part.
pub(crate) const TIMELINE_SPANS: usize = 24;
/// Columns of the heatmap and of the sparklines.
pub(crate) const COLUMNS: u32 = 80;
/// Names with a heatmap of their own.
pub(crate) const HEAT_NAMES: usize = 12;
/// Bins in which the heatmap cuts each doubling of the duration.
pub(crate) const BINS_PER_OCTAVE: u32 = 2;
/// Slowest traces that may be asked for.
pub(crate) const TRACES: usize = 100;
/// Spans of a trace that are looked at.
pub(crate) const TRACE_SPANS: usize = 50_000;
/// Spans of a trace of which events are looked for.
pub(crate) const EVENT_SPANS: usize = 5_000;
/// Rows of a trace's waterfall.
pub(crate) const TRACE_ROWS: usize = 250;
/// Rows of what ran on other threads in the time of a trace.
pub(crate) const MEANWHILE: usize = 10;
/// Events of a trace.
pub(crate) const TRACE_EVENTS: usize = 60;
/// Stretches of the critical path that one row has.
pub(crate) const CRITICAL_STRETCHES: usize = 40;
/// The latest spans that failed of which it is asked why.
pub(crate) const FAILED_SPANS: usize = 2_000;
/// Kinds of failures that are told apart.
pub(crate) const FAILURES: usize = 50;
/// Traces that are shown because a span of them failed.
pub(crate) const FAILED_TRACES: usize = 10;
/// Losses that are told apart.
pub(crate) const LOSSES: usize = 100;
/// Marks on the charts.
pub(crate) const MARKS: usize = 100;
/// Gauges that are drawn.
pub(crate) const GAUGES: usize = 60;
/// Rows of the comparison.
pub(crate) const DIFF_ROWS: usize = 200;
/// JSON of more bytes than this is compressed.
pub(crate) const PLAIN_BYTES: usize = 1 << 20;
