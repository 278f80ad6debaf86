//! What is exported: a run or a part of it, and the passes over it.
//!
//! Of a part, a span is chosen by its start and by a filter. An event goes with its span; without a
//! filter, also by its own time, as it need not be in a span. Links go with their later span. Marks and
//! losses go by time, whatever the filter: they are about everything.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Row, params};

use super::error::ExportError;
use super::id_set::IdSet;
use crate::error::Error;
use crate::query::{Columns, Scan, SpanRef};
use crate::reader::{Callsite, Loss, Mark, Names, Reader, Run, Thread};

/// Rows that one read transaction reads at most.
const PIECE_ROWS: usize = 20_000;

/// Rows after which whoever watches is told.
const TELL_ROWS: u64 = 4096;

/// Chooses spans.
type Filter<'a> = Box<dyn FnMut(&SpanRef<'_>) -> bool + 'a>;

/// Is told how many rows were looked at, and can stop it.
type Watch<'a> = Box<dyn FnMut(u64) -> ControlFlow<()> + 'a>;

/// What is exported: a run, or a part of it.
pub struct Source<'a> {
    pub(super) reader: &'a Reader,
    pub(super) run: &'a Run,
    window: (Option<i64>, Option<i64>),
    filter: Option<(Columns, Filter<'a>)>,
    watch: Watch<'a>,
    looked_at: u64,
    /// The spans that were chosen, when not all are.
    chosen: Option<IdSet>,
}

/// An event, borrowed from its row.
pub(super) struct EventRef<'a> {
    pub(super) id: u64,
    pub(super) span_id: Option<u64>,
    pub(super) callsite: Arc<Callsite>,
    pub(super) thread: Arc<Thread>,
    pub(super) at_ns: i64,
    pub(super) message: Option<&'a str>,
    pub(super) fields: Option<&'a str>,
}

impl EventRef<'_> {
    /// What a viewer shows: the message, or where it comes from.
    pub(super) fn name(&self) -> &str {
        self.message.filter(|message| !message.is_empty()).unwrap_or(&self.callsite.name)
    }
}

/// A link, and where its spans are.
pub(super) struct Linked {
    /// The later span.
    pub(super) span_id: u64,
    /// The span that it follows from.
    pub(super) follows_id: u64,
    /// Where the later span is, if it is stored.
    pub(super) later: Option<Place>,
    /// The trace of the earlier span, if it is stored.
    pub(super) follows_root: Option<u64>,
    /// Where the earlier one is, if it is exported, too.
    pub(super) earlier: Option<Place>,
}

/// Where a span is.
pub(super) struct Place {
    pub(super) start_ns: i64,
    /// `i64::MAX` for an unfinished one.
    pub(super) end_ns: i64,
    pub(super) thread_id: i64,
}

/// What the writer said of itself at the end of an interval.
pub(super) struct Counters {
    pub(super) at_ns: i64,
    stored_per_second: u64,
    ring_high_water: u64,
    open_spans: u64,
}

impl Counters {
    /// The names, in the order of the values.
    pub(super) const NAMES: [&str; 3] =
        ["spans stored per second", "ring slots in use, most so far", "open spans"];

    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = [self.stored_per_second, self.ring_high_water, self.open_spans];
        Self::NAMES.into_iter().zip(values)
    }
}

impl<'a> Source<'a> {
    /// A whole run.
    pub fn new(reader: &'a Reader, run: &'a Run) -> Self {
        Self {
            reader,
            run,
            window: (None, None),
            filter: None,
            watch: Box::new(|_| ControlFlow::Continue(())),
            looked_at: 0,
            chosen: None,
        }
    }

    /// Only spans that start in the window from `from_ns` to before `until_ns`, nanoseconds since the
    /// start of the run.
    #[must_use]
    pub fn window(mut self, from_ns: Option<i64>, until_ns: Option<i64>) -> Self {
        self.window = (from_ns, until_ns);
        self.chosen_from_now_on()
    }

    /// Only spans for which `filter` says yes; it looks at `columns` of them.
    #[must_use]
    pub fn filter(
        mut self,
        columns: Columns,
        filter: impl FnMut(&SpanRef<'_>) -> bool + 'a,
    ) -> Self {
        self.filter = Some((columns, Box::new(filter)));
        self.chosen_from_now_on()
    }

    /// Tells `watch` now and then how many rows of spans, events and links were looked at; when it
    /// breaks, the export fails with [`ExportError::Stopped`].
    #[must_use]
    pub fn watched_by(mut self, watch: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    fn chosen_from_now_on(mut self) -> Self {
        let is_part = self.filter.is_some() || self.window != (None, None);
        self.chosen = is_part.then(IdSet::default);
        self
    }

    fn tell(&mut self) -> Result<(), ExportError> {
        self.looked_at += 1;
        let is_due = self.looked_at.is_multiple_of(TELL_ROWS);
        if is_due && (self.watch)(self.looked_at).is_break() {
            return Err(ExportError::Stopped);
        }
        Ok(())
    }

    /// Whether a span was chosen by a pass over the spans.
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
        self.is_whole() || goes_with_span || self.filter.is_none() && self.in_window(at_ns)
    }

    /// The chosen spans in the order of ids.
    pub(super) fn spans(
        &mut self,
        columns: Columns,
        mut each: impl FnMut(&SpanRef<'_>) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        let mut filter = self.filter.take();
        let for_filter = filter.as_ref().map_or(Columns::Numbers, |(columns, _)| *columns);
        let columns = if for_filter == Columns::All { Columns::All } else { columns };
        let scan = Scan::new(self.run.id).window(self.window.0, self.window.1).columns(columns);
        let (mut count, mut failure) = (0, None);
        let mut one = |this: &mut Self, span: &SpanRef<'_>| {
            this.tell()?;
            if filter.as_mut().is_some_and(|(_, filter)| !filter(span)) {
                return Ok(());
            }
            if let Some(chosen) = &mut this.chosen {
                chosen.insert(span.id);
            }
            count += 1;
            each(span)
        };
        let read = self.reader.scan(&scan, |span| match one(self, span) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        self.filter = filter;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(read.map(|()| count)?),
        }
    }

    /// Finds out which spans are chosen, for formats that have to know beforehand.
    pub(super) fn choose(&mut self) -> Result<(), ExportError> {
        if !self.is_whole() {
            self.spans(Columns::Numbers, |_| Ok(()))?;
        }
        Ok(())
    }

    /// The chosen events in the order of ids, after a pass over the spans.
    pub(super) fn events(
        &mut self,
        mut each: impl FnMut(&EventRef<'_>) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        let mut count = 0;
        let sql = format!(
            "SELECT id, span_id, callsite_id, thread_id, at_ns, message, fields FROM event
             WHERE id > ?1 AND id <= ?2 AND run_id = ?3 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        let mut after = (self.run.first_id as i64).saturating_sub(1);
        loop {
            let (reader, last) = (self.reader, self.last_id()?);
            let tx = reader.begin()?;
            let context = |error| Error::sqlite(reader.path(), "read the events", error);
            let mut names = Names::new(&tx).map_err(context)?;
            let mut query = tx.prepare(&sql).map_err(context)?;
            let mut rows = query.query(params![after, last, self.run.id]).map_err(context)?;
            let mut read = 0;
            while let Some(row) = rows.next().map_err(context)? {
                read += 1;
                self.tell()?;
                let event = event(row, &mut names).map_err(context)?;
                after = event.id as i64;
                if self.has_event(event.span_id, event.at_ns) {
                    count += 1;
                    each(&event)?;
                }
            }
            if read < PIECE_ROWS {
                return Ok(count);
            }
        }
    }

    /// The links of the chosen spans in the order of spans, after a pass over those.
    pub(super) fn links(
        &mut self,
        mut each: impl FnMut(&Linked) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let sql = format!(
            "SELECT l.rowid, l.span_id, l.follows_id, a.root_id, b.start_ns, b.duration_ns,
               b.thread_id, a.start_ns, a.duration_ns, a.thread_id
             FROM link AS l LEFT JOIN span AS a ON a.id = l.follows_id AND a.run_id = ?4
             LEFT JOIN span AS b ON b.id = l.span_id AND b.run_id = ?4
             WHERE (l.span_id, l.rowid) > (?1, ?2) AND l.span_id <= ?3 AND l.run_id = ?4
             ORDER BY l.span_id, l.rowid LIMIT {PIECE_ROWS}"
        );
        let mut after = ((self.run.first_id as i64).saturating_sub(1), i64::MAX);
        loop {
            let (reader, last) = (self.reader, self.last_id()?);
            let tx = reader.begin()?;
            let context = |error| Error::sqlite(reader.path(), "read the links", error);
            let mut query = tx.prepare(&sql).map_err(context)?;
            let mut rows =
                query.query(params![after.0, after.1, last, self.run.id]).map_err(context)?;
            let mut read = 0;
            while let Some(row) = rows.next().map_err(context)? {
                read += 1;
                self.tell()?;
                let mut link = linked(row).map_err(context)?;
                after = (link.span_id as i64, row.get(0).map_err(context)?);
                if !self.has_span(link.follows_id) {
                    link.earlier = None;
                }
                if self.has_span(link.span_id) {
                    each(&link)?;
                }
            }
            if read < PIECE_ROWS {
                return Ok(());
            }
        }
    }

    /// The marks in the window.
    pub(super) fn marks(&self) -> Result<Vec<Mark>, ExportError> {
        let mut marks = self.reader.marks(self.run.id)?;
        marks.retain(|mark| self.in_window(mark.at_ns));
        Ok(marks)
    }

    /// The losses that can lie in the window.
    pub(super) fn losses(&self) -> Result<Vec<Loss>, ExportError> {
        let mut losses = self.reader.losses(self.run.id)?;
        losses.retain(|loss| {
            self.window.0.is_none_or(|from| loss.to_ns >= from)
                && self.window.1.is_none_or(|until| loss.from_ns < until)
        });
        Ok(losses)
    }

    /// What the writer said of itself, in the window.
    pub(super) fn counters(&self) -> Result<Vec<Counters>, ExportError> {
        let stats = self.reader.writer_stats(self.run.id)?;
        let mut counters = Vec::with_capacity(stats.len());
        let (mut before_ns, mut before) = (0, 0);
        for stat in stats {
            let interval_ns = stat.at_ns.saturating_sub(before_ns).max(1);
            let stored = u128::from(stat.stored.saturating_sub(before));
            let rate = stored * 1_000_000_000 / u128::from(interval_ns.unsigned_abs());
            (before_ns, before) = (stat.at_ns, stat.stored);
            counters.push(Counters {
                at_ns: stat.at_ns,
                stored_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
                ring_high_water: stat.ring_high_water,
                open_spans: stat.open_spans,
            });
        }
        counters.retain(|sample| self.in_window(sample.at_ns));
        Ok(counters)
    }

    /// Where a live run ends now.
    fn last_id(&self) -> Result<i64, ExportError> {
        let run = self.reader.run(self.run.id)?;
        Ok(run.map_or(self.run.last_id, |run| run.last_id) as i64)
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

fn event<'row>(row: &'row Row<'_>, names: &mut Names<'_>) -> rusqlite::Result<EventRef<'row>> {
    let span_id: Option<i64> = row.get(1)?;
    Ok(EventRef {
        id: row.get::<_, i64>(0)? as u64,
        span_id: span_id.map(|id| id as u64),
        callsite: names.callsite(row.get(2)?)?,
        thread: names.thread(row.get(3)?)?,
        at_ns: row.get(4)?,
        message: row.get_ref(5)?.as_str_or_null()?,
        fields: row.get_ref(6)?.as_str_or_null()?,
    })
}

fn linked(row: &Row<'_>) -> rusqlite::Result<Linked> {
    Ok(Linked {
        span_id: row.get::<_, i64>(1)? as u64,
        follows_id: row.get::<_, i64>(2)? as u64,
        follows_root: row.get::<_, Option<i64>>(3)?.map(|id| id as u64),
        later: place(row, 4)?,
        earlier: place(row, 7)?,
    })
}

/// Start, duration and thread, in the columns from this one on.
fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Place>> {
    let Some(start_ns) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let duration_ns: Option<i64> = row.get(column + 1)?;
    let end_ns = duration_ns.map_or(i64::MAX, |ns| start_ns.saturating_add(ns.max(0)));
    Ok(Some(Place { start_ns, end_ns, thread_id: row.get(column + 2)? }))
}
