//! Which spans a pass looks at.

use super::SpanRef;
use super::id_range::Range;

/// Which spans a pass reads, and which of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The run.
    pub run_id: i64,
    /// Spans that start before this moment are left out; nanoseconds since the start of the run.
    pub from_ns: Option<i64>,
    /// Spans that start at this moment or later are left out.
    pub until_ns: Option<i64>,
    /// Only spans whose ids are in this range, both ends included; no others are looked at.
    pub ids: Option<(u64, u64)>,
    /// What is read of each span.
    pub columns: Columns,
}

/// What a pass reads of each span; what is greater has all of what is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Columns {
    /// All but the fields and what [`Entries`](Self::Entries) says.
    #[default]
    Numbers,
    /// All but the fields: also the first, longest and last entry, and the thread of the longest.
    Entries,
    /// All, with the fields, and how other systems know the span.
    All,
}

impl Scan {
    /// All spans of a run, without their fields.
    pub fn new(run_id: i64) -> Self {
        Self { run_id, from_ns: None, until_ns: None, ids: None, columns: Columns::Numbers }
    }

    /// With the fields, or without.
    #[must_use]
    pub fn columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// Only spans that start in the window from `from_ns` to before `until_ns`, nanoseconds since
    /// the start of the run.
    #[must_use]
    pub fn window(self, from_ns: Option<i64>, until_ns: Option<i64>) -> Self {
        Self { from_ns, until_ns, ..self }
    }

    /// Only spans with ids from `first` to `last`. As ids grow with time, this bounds what a pass
    /// reads; see [`Reader::id_near`](crate::Reader::id_near).
    #[must_use]
    pub fn ids(self, first: u64, last: u64) -> Self {
        Self { ids: Some((first, last)), ..self }
    }

    /// Whether it looks at all spans of the run.
    pub(super) fn is_whole(&self) -> bool {
        !self.has_window() && self.ids.is_none()
    }

    /// Whether it looks at a span of its run.
    pub(super) fn has(&self, span: &SpanRef<'_>) -> bool {
        self.from_ns.is_none_or(|from| span.start_ns >= from)
            && self.until_ns.is_none_or(|until| span.start_ns < until)
            && self.ids.is_none_or(|(first, last)| (first..=last).contains(&span.id))
    }

    /// The part of a range that is asked for.
    pub(super) fn cut(&self, range: Range) -> Range {
        let Some((first, last)) = self.ids else { return range };
        let bound = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        Range {
            after: range.after.max(bound(first).saturating_sub(1)),
            last: range.last.min(bound(last)),
        }
    }

    pub(super) fn has_window(&self) -> bool {
        self.from_ns.is_some() || self.until_ns.is_some()
    }

    /// The window as SQL, with numbers only.
    pub(super) fn condition(&self) -> String {
        let from = self.from_ns.map(|from| format!(" AND start_ns >= {from}"));
        let until = self.until_ns.map(|until| format!(" AND start_ns < {until}"));
        [from, until].into_iter().flatten().collect()
    }
}
