//! What a scan reads.

use super::SpanRef;
use super::id_range::Range;

/// Which spans a scan reads, and which of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The run.
    pub run_id: i64,
    /// Spans that start before this moment are left out; nanoseconds since the start of the run.
    pub from_ns: Option<i64>,
    /// Spans that start at this moment or later are left out.
    pub until_ns: Option<i64>,
    /// Only spans with ids in this range, both ends included; others are not read.
    pub ids: Option<(u64, u64)>,
    /// What is read of each span.
    pub columns: Columns,
}

/// The columns that a scan reads; a greater value includes the columns of the lesser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Columns {
    /// All but fields and the columns of [`Entries`](Self::Entries).
    #[default]
    Numbers,
    /// All but the fields: also the first, longest and last entry, and the thread of the longest.
    Entries,
    /// All, with fields and the ids of other systems.
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

    /// Only spans with ids from `first` to `last`. As ids grow with time, this bounds what is read; see
    /// [`Reader::id_near`](crate::Reader::id_near).
    #[must_use]
    pub fn ids(self, first: u64, last: u64) -> Self {
        Self { ids: Some((first, last)), ..self }
    }

    /// Whether it reads all spans of the run.
    pub(super) fn is_whole(&self) -> bool {
        !self.has_window() && self.ids.is_none()
    }

    /// Whether a span of the run is in the scan.
    pub(super) fn has(&self, span: &SpanRef<'_>) -> bool {
        self.from_ns.is_none_or(|from| span.start_ns >= from)
            && self.until_ns.is_none_or(|until| span.start_ns < until)
            && self.ids.is_none_or(|(first, last)| (first..=last).contains(&span.id))
    }

    /// The part of a range that is in the scan.
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
