//! What is exported: a run or a part of it, and the scans over it.
//!
//! In a part, spans are selected by start and by a filter. Events are selected with their span; without a filter also
//! by their own time, as they need not be in a span. Links go with their later span. Marks and losses are selected by
//! time, whatever the filter. Entries go with their span, and also by their own time if the filter matches their
//! span.

mod entries;
mod events;
mod links;
mod moments;

pub(super) use self::entries::NamedEntry;
pub(super) use self::events::EventRef;
pub(super) use self::links::{LocatedLink, SpanLocation};
pub(super) use self::moments::Counters;

use std::fmt;
use std::ops::ControlFlow;

use super::error::ExportError;
use super::id_set::IdSet;
use super::{LeftOut, Written};
use spandrel_query::internals::Predicate;
use spandrel_query::{Columns, Filter, Matcher, Scan, SpanRef};
use spandrel_query::{Reader, Run};

/// Rows that one read transaction reads at most.
const PIECE_ROWS: usize = 20_000;

/// Rows between two calls of the watcher.
const TELL_ROWS: u64 = 4096;

/// Takes each selected span.
type Each<'e> = dyn FnMut(&SpanRef<'_>) -> Result<(), ExportError> + 'e;

/// Is told how many rows were read, and can stop the export.
type Watch<'a> = Box<dyn FnMut(u64) -> ControlFlow<()> + 'a>;

/// What is exported: a run, or a part of it.
pub struct Source<'a> {
    pub(super) reader: &'a Reader,
    pub(super) run: &'a Run,
    window: (Option<i64>, Option<i64>),
    filter: Filter,
    watch: Watch<'a>,
    looked_at: u64,
    /// The selected spans, unless all are.
    chosen: Option<IdSet>,
    /// Whether a scan over the spans has filled it.
    has_chosen: bool,
    passed: Passed,
}

/// How many rows the last scan of each kind found, if there was one.
#[derive(Default)]
struct Passed {
    spans: u64,
    events: Option<u64>,
    links: Option<u64>,
    entries: Option<u64>,
}

impl<'a> Source<'a> {
    /// A whole run.
    pub fn new(reader: &'a Reader, run: &'a Run) -> Self {
        Self {
            reader,
            run,
            window: (None, None),
            filter: Filter::all(),
            watch: Box::new(|_| ControlFlow::Continue(())),
            looked_at: 0,
            chosen: None,
            has_chosen: false,
            passed: Passed::default(),
        }
    }

    /// Only spans that start in the window from `from_ns` to before `until_ns`, nanoseconds since the
    /// start of the run.
    #[must_use]
    pub fn window(mut self, from_ns: Option<i64>, until_ns: Option<i64>) -> Self {
        self.window = (from_ns, until_ns);
        self.chosen_from_now_on()
    }

    /// Only spans that match `filter`.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self.chosen_from_now_on()
    }

    /// Calls `watch` now and then with the number of rows of spans, events and links that were read; when it breaks,
    /// the export fails with [`ExportError::Stopped`].
    #[must_use]
    pub fn watched_by(mut self, watch: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    fn chosen_from_now_on(mut self) -> Self {
        let is_part = !self.filter.is_empty() || self.window != (None, None);
        self.chosen = is_part.then(IdSet::default);
        self
    }

    fn tell(&mut self) -> Result<(), ExportError> {
        self.looked_at += 1;
        if self.looked_at.is_multiple_of(TELL_ROWS) { self.tell_now() } else { Ok(()) }
    }

    fn tell_now(&mut self) -> Result<(), ExportError> {
        let flow = (self.watch)(self.looked_at);
        if flow.is_break() { Err(ExportError::Stopped) } else { Ok(()) }
    }

    /// Whether a span was selected by a scan over the spans.
    pub(super) fn has_span(&self, id: u64) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.contains(id))
    }

    /// Whether all spans are exported.
    pub(super) fn is_whole(&self) -> bool {
        self.chosen.is_none()
    }

    fn in_window(&self, at_ns: i64) -> bool {
        self.window.0.is_none_or(|from| at_ns >= from)
            && self.window.1.is_none_or(|until| at_ns < until)
    }

    fn has_event(&self, span_id: Option<u64>, at_ns: i64) -> bool {
        let goes_with_span = span_id.is_some_and(|id| self.has_span(id));
        self.is_whole() || goes_with_span || self.filter.is_empty() && self.in_window(at_ns)
    }

    /// Calls `each` for the selected spans in order of id.
    pub(super) fn spans(
        &mut self,
        columns: Columns,
        mut each: impl FnMut(&SpanRef<'_>) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        self.pass_spans(columns, &mut each)
    }

    /// With `dyn`, compiled once for all formats: it costs a call for each span, and saves 20 KiB for each format.
    fn pass_spans(&mut self, columns: Columns, each: &mut Each<'_>) -> Result<u64, ExportError> {
        let columns = columns.max(self.filter.columns());
        let scan = Scan::new(self.run.id).window(self.window.0, self.window.1).columns(columns);
        let reader = self.reader;
        let mut pass = Pass {
            pushdown: reader.pushdown(&self.filter)?,
            matcher: (!self.filter.is_empty()).then(|| self.filter.matcher()),
            source: self,
            each,
            in_piece: 0,
            count: 0,
            failure: None,
        };
        let read = reader.scan_if(&scan, &mut pass, Pass::span);
        let Pass { count, failure, .. } = pass;
        if let Some(failure) = failure {
            return Err(failure);
        }
        read?;
        self.passed.spans = count;
        self.has_chosen = true;
        Ok(count)
    }

    /// Notes that this many spans were selected without a scan.
    pub(super) fn passed_by(&mut self, spans: u64) {
        self.passed.spans = spans;
    }

    /// Finds out which spans are selected, for formats that have to know it before.
    pub(super) fn choose(&mut self) -> Result<(), ExportError> {
        if !self.is_whole() && !self.has_chosen {
            self.spans(Columns::Numbers, |_| Ok(()))?;
        }
        Ok(())
    }

    /// The selected rows that were not written.
    pub(super) fn left_out(&mut self, written: &Written) -> Result<LeftOut, ExportError> {
        let events = match self.passed.events {
            Some(events) => events,
            None if self.is_whole() => self.run.events.saturating_sub(self.run.pruned_events),
            None => self.events(|_| Ok(()))?,
        };
        let links = match self.passed.links {
            Some(links) => links,
            None => self.links(|_| Ok(()))?,
        };
        let entries = match self.passed.entries {
            Some(entries) => entries,
            None if self.is_whole() => self.run.entries.saturating_sub(self.run.pruned_entries),
            None => self.chosen_entries(|_| Ok(()))?,
        };
        Ok(LeftOut {
            entries: entries.saturating_sub(written.entries),
            spans: self.passed.spans.saturating_sub(written.spans),
            events: events.saturating_sub(written.events),
            links: links.saturating_sub(written.links),
            marks: (self.marks()?.len() as u64).saturating_sub(written.marks),
        })
    }

    /// The current last id of a run.
    fn last_id(&self) -> Result<i64, ExportError> {
        let run = self.reader.run(self.run.id)?;
        Ok(run.map_or(self.run.last_id, |run| run.last_id) as i64)
    }
}

/// A scan over the selected spans.
struct Pass<'p, 'a> {
    source: &'p mut Source<'a>,
    /// The filter's pushdown as SQL; below, the whole filter.
    pushdown: String,
    matcher: Option<Matcher>,
    each: &'p mut Each<'p>,
    /// Spans that were handed out of the current piece.
    in_piece: u64,
    count: u64,
    failure: Option<ExportError>,
}

impl Pass<'_, '_> {
    fn span(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        let passed = self.try_span(span);
        self.flow(passed)
    }

    fn try_span(&mut self, span: &SpanRef<'_>) -> Result<(), ExportError> {
        self.in_piece += 1;
        self.source.tell()?;
        if self.matcher.as_mut().is_some_and(|matcher| !matcher.matches(span)) {
            return Ok(());
        }
        if let Some(chosen) = &mut self.source.chosen {
            chosen.insert(span.id);
        }
        self.count += 1;
        (self.each)(span)
    }

    fn flow(&mut self, passed: Result<(), ExportError>) -> ControlFlow<()> {
        match passed {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }
}

impl Predicate for Pass<'_, '_> {
    fn sql(&self) -> String {
        self.pushdown.clone()
    }

    /// The whole filter is tested here.
    fn is_hint(&self) -> bool {
        true
    }

    /// The watcher is told of rows that SQLite has skipped, too.
    fn looked_at(&mut self, rows: u64) -> ControlFlow<()> {
        let passed_over = rows.saturating_sub(std::mem::take(&mut self.in_piece));
        if passed_over == 0 {
            return ControlFlow::Continue(());
        }
        self.source.looked_at += passed_over;
        let told = self.source.tell_now();
        self.flow(told)
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("run", &self.run.id)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
