//! Spans, events and links, with names.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::contexts::Lineage;
use super::names::{Callsite, Names, Thread};
use super::{Entry, PIECE_ROWS, Reader};
use crate::SpanContext;
use spandrel_storage::Error;
use spandrel_storage::Status;
use spandrel_storage::internals::Context;

/// A span, closed or unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Its id, unique in the file.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: i64,
    /// The enclosing span.
    pub parent_id: Option<u64>,
    /// The outermost ancestor, itself for a root.
    pub root_id: u64,
    /// Where in the source.
    pub callsite: Arc<Callsite>,
    /// The thread that created it.
    pub thread: Arc<Thread>,
    /// When it was created, nanoseconds since the start of the run.
    pub start_ns: i64,
    /// From creation to close; `None` for an unfinished span.
    pub duration_ns: Option<i64>,
    /// Time inside the span.
    pub busy_ns: Option<i64>,
    /// From creation to the last exit, less the union of the same intervals of its children; `None` for an unfinished
    /// span, and for one that [counts by its entries](Self::counts_by_entries).
    pub self_ns: Option<i64>,
    /// Busy time less the time of its threads in other spans meanwhile. Over one thread, the sum of this and the
    /// [self times of entries](Entry::self_ns) is the time that it was inside any span; except where guards overlap,
    /// entries are off, and in rarer cases that the documentation names. `None` as for [`self_ns`](Self::self_ns),
    /// and if it was not measured.
    pub self_busy_ns: Option<i64>,
    /// How many times it was entered; one more than a future was polled, since dropping the future enters
    /// its span once more.
    pub entries: u64,
    /// From creation to the first entry; `None` if it was never entered, or that was not measured.
    pub first_entry_ns: Option<i64>,
    /// The longest entry; `None` as above.
    pub longest_entry_ns: Option<i64>,
    /// From creation to the last exit; `None` as above.
    pub last_exit_ns: Option<i64>,
    /// The thread of the longest entry; the one that created the span, if it was never entered.
    pub longest_thread: Arc<Thread>,
    /// How it ended.
    pub status: Status,
    /// Its fields, a JSON object.
    pub fields: Option<String>,
    /// Set if this is an entry of a long-lived span. Then start, duration, busy and self time, the longest entry and
    /// both threads are the entry's, and all else is the span's.
    pub entry: Option<Entry>,
    /// The ids of other systems: its own, or the trace of the nearest span around it that has some.
    pub context: Option<SpanContext>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its id.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: i64,
    /// The span it happened in.
    pub span_id: Option<u64>,
    /// Where in the source.
    pub callsite: Arc<Callsite>,
    /// The thread it happened on.
    pub thread: Arc<Thread>,
    /// When, nanoseconds since the start of the run.
    pub at_ns: i64,
    /// Its message.
    pub message: Option<String>,
    /// Its other fields, a JSON object.
    pub fields: Option<String>,
}

/// A follows-from link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The later span.
    pub span_id: u64,
    /// The span it follows from.
    pub follows_id: u64,
}

/// A span that was open when the writer last looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenSpan {
    /// The span so far.
    pub span: Span,
    /// When the writer looked, nanoseconds since the start of the run.
    pub seen_ns: i64,
}

/// With more entries than this, the entries of an open span count, whatever its age.
const ENTRIES_MANY: u64 = 1_000;
/// The same for a span that is at least [`AGE_NS`] old.
const ENTRIES_OF_OLD: u64 = 100;
const AGE_NS: i64 = 1_000_000_000;

impl OpenSpan {
    /// Whether it is long-lived, so that its entries count if they are recorded: it was entered more than a thousand
    /// times, or a hundred times and is a second old.
    pub fn lives_long(&self) -> bool {
        let age_ns = self.seen_ns.saturating_sub(self.span.start_ns);
        let entries = self.span.entries;
        entries > ENTRIES_MANY || (entries >= ENTRIES_OF_OLD && age_ns >= AGE_NS)
    }
}

pub(crate) const COLUMNS: &str = "id, run_id, parent_id, root_id, callsite_id, thread_id, start_ns,
    duration_ns, busy_ns, self_ns, entries, status, fields, first_entry_ns, longest_entry_ns, last_exit_ns,
    longest_thread_id, self_busy_ns";
/// The same for open spans.
pub(crate) const OPEN_COLUMNS: &str = "id, run_id, parent_id, root_id, callsite_id, thread_id, start_ns,
    NULL, busy_ns, NULL, entries, 'unfinished', fields, first_entry_ns, longest_entry_ns, last_exit_ns,
    longest_thread_id, NULL";
pub(crate) const EVENT_COLUMNS: &str =
    "id, run_id, span_id, callsite_id, thread_id, at_ns, message, fields";

impl Span {
    /// Whether it has closed and counts by its entries: it was long-lived, and its lifetime is no work.
    pub fn counts_by_entries(&self) -> bool {
        self.duration_ns.is_some() && self.self_ns.is_none()
    }

    pub(crate) fn read(row: &Row<'_>, names: &mut Names<'_>) -> rusqlite::Result<Self> {
        let parent: Option<i64> = row.get(2)?;
        let (entries, busy_ns) = (id(row, 10)?, row.get(8)?);
        let [self_ns, first, longest, last] =
            [row.get(9)?, row.get(13)?, row.get(14)?, row.get(15)?];
        let thread = names.thread(row.get(5)?)?;
        let longest_thread = match row.get::<_, Option<i64>>(16)? {
            Some(other) => names.thread(other)?,
            None => thread.clone(),
        };
        Ok(Self {
            id: id(row, 0)?,
            run_id: row.get(1)?,
            parent_id: parent.map(|id| id as u64),
            root_id: id(row, 3)?,
            callsite: names.callsite(row.get(4)?)?,
            thread,
            start_ns: row.get(6)?,
            duration_ns: row.get(7)?,
            busy_ns,
            self_ns,
            self_busy_ns: self_busy((entries, first), busy_ns, self_ns, row.get(17)?),
            entries,
            first_entry_ns: first,
            longest_entry_ns: longest_entry(entries, busy_ns, longest),
            last_exit_ns: last_exit(entries, busy_ns, first, last),
            longest_thread,
            status: read_status(row, 11)?,
            fields: row.get(12)?,
            entry: None,
            context: names.context(Lineage {
                id: row.get(0)?,
                parent_id: parent,
                root_id: row.get(3)?,
            })?,
        })
    }
}

impl Event {
    pub(crate) fn read(row: &Row<'_>, names: &mut Names<'_>) -> rusqlite::Result<Self> {
        let span: Option<i64> = row.get(2)?;
        Ok(Self {
            id: id(row, 0)?,
            run_id: row.get(1)?,
            span_id: span.map(|id| id as u64),
            callsite: names.callsite(row.get(3)?)?,
            thread: names.thread(row.get(4)?)?,
            at_ns: row.get(5)?,
            message: row.get(6)?,
            fields: row.get(7)?,
        })
    }
}

/// The longest entry of a row; if the span was entered once, that is its busy time.
pub(crate) fn longest_entry(entries: u64, busy: Option<i64>, longest: Option<i64>) -> Option<i64> {
    if entries == 1 { longest.or(busy) } else { longest }
}

/// The self busy time of a row; if nobody was inside another span meanwhile, that is all of the busy time. `None`
/// before version 3 of the file, if it was not measured, and for spans that have not closed. For a span that counts
/// by its entries: the part that is in none of their rows; `None`: nothing.
pub(crate) fn self_busy(
    (entries, first): (u64, Option<i64>),
    busy: Option<i64>,
    self_ns: Option<i64>,
    own: Option<i64>,
) -> Option<i64> {
    if self_ns.is_none() {
        return own;
    }
    let is_known = entries == 0 || first.is_some();
    own.or(busy).filter(|_| is_known)
}

/// The last exit of a row, computed likewise.
pub(crate) fn last_exit(
    entries: u64,
    busy: Option<i64>,
    first: Option<i64>,
    last: Option<i64>,
) -> Option<i64> {
    if entries != 1 {
        return last;
    }
    last.or_else(|| Some(first?.saturating_add(busy?)))
}

/// The status in a column.
pub(crate) fn read_status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    let text = row.get_ref(column)?.as_bytes()?;
    status_named(text).ok_or_else(|| {
        let message = format!("unknown status {:?}", String::from_utf8_lossy(text));
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, message.into())
    })
}

/// The status of this name.
pub(crate) fn status_named(name: &[u8]) -> Option<Status> {
    let known = [Status::Ok, Status::Error, Status::Panicked, Status::Unfinished, Status::Crashed];
    known.into_iter().find(|status| status.as_str().as_bytes() == name)
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// The ids of a run; for an unknown run the whole range, in which no row matches.
fn ids_of_run(conn: &Connection, run_id: i64) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT first_id, last_id FROM run WHERE id = ?1";
    let mut query = conn.prepare(sql)?;
    let mut rows = query.query([run_id])?;
    match rows.next()? {
        Some(row) => Ok((row.get(0)?, row.get(1)?)),
        None => Ok((0, -1)),
    }
}

impl Reader {
    /// Calls `each` for each span of the run, in the order of ids.
    ///
    /// A piece of rows has a read transaction of its own: of a live recording, what is committed
    /// meanwhile is seen or not.
    pub fn spans(&self, run_id: i64, mut each: impl FnMut(Span)) -> Result<(), Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM span WHERE id > ?1 AND id <= ?2 AND run_id = ?3
             ORDER BY id LIMIT {PIECE_ROWS}"
        );
        self.pieces(run_id, &sql, "read the spans", |row, names| {
            let span = Span::read(row, names)?;
            let id = span.id;
            each(span);
            Ok(id)
        })
    }

    /// Calls `each` for each event of the run, in the order of ids; see [`spans`](Self::spans).
    pub fn events(&self, run_id: i64, mut each: impl FnMut(Event)) -> Result<(), Error> {
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM event
             WHERE id > ?1 AND id <= ?2 AND run_id = ?3 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        self.pieces(run_id, &sql, "read the events", |row, names| {
            let event = Event::read(row, names)?;
            let id = event.id;
            each(event);
            Ok(id)
        })
    }

    /// Calls `each`, which returns the id, for the rows of a run in order of id: `sql` selects those with ids from after
    /// `?1` to `?2` of run `?3`, at most [`PIECE_ROWS`].
    pub(super) fn pieces(
        &self,
        run_id: i64,
        sql: &str,
        doing: &str,
        mut each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<u64>,
    ) -> Result<(), Error> {
        let mut after = None;
        loop {
            let read = self.query(doing, |tx| {
                let (first, last) = ids_of_run(tx, run_id)?;
                let mut names = Names::new(tx)?;
                let mut query = tx.prepare(sql)?;
                let from = after.unwrap_or(first.saturating_sub(1));
                let mut rows = query.query(params![from, last, run_id])?;
                let mut read = 0;
                while let Some(row) = rows.next()? {
                    after = Some(each(row, &mut names)? as i64);
                    read += 1;
                }
                Ok(read)
            })?;
            if read < PIECE_ROWS {
                return Ok(());
            }
        }
    }

    /// The links of the run, by span.
    pub fn links(&self, run_id: i64) -> Result<Vec<Link>, Error> {
        self.query("read the links", |tx| {
            let sql = "SELECT span_id, follows_id FROM link WHERE run_id = ?1
                       ORDER BY span_id, follows_id";
            let mut query = tx.prepare(sql)?;
            let read = |row: &Row<'_>| Ok(Link { span_id: id(row, 0)?, follows_id: id(row, 1)? });
            query.query_map([run_id], read)?.collect()
        })
    }

    /// All spans under a root, itself included, in the order of ids. Reads the run's spans, some
    /// 20 ms for a million.
    pub fn tree(&self, root_id: u64) -> Result<Vec<Span>, Error> {
        // Runs that were recorded beside it may have ids on both sides.
        let sql = format!(
            "WITH around(first_id, last_id) AS (
               SELECT min(first_id), max(last_id) FROM run WHERE first_id <= ?1 AND last_id >= ?1
                 AND id = coalesce((SELECT run_id FROM span WHERE id = ?1), id))
             SELECT {COLUMNS} FROM span WHERE root_id = ?1
               AND id BETWEEN (SELECT first_id FROM around) AND (SELECT last_id FROM around)
             ORDER BY id"
        );
        self.query("read a trace", |tx| collect(tx, &sql, params![root_id as i64]))
    }

    /// The slowest closed spans of the run, of all names or of one.
    pub fn slow(&self, run_id: i64, name: Option<&str>, limit: usize) -> Result<Vec<Span>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM span WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3
               AND duration_ns IS NOT NULL
               AND (?4 IS NULL OR callsite_id IN (SELECT id FROM callsite WHERE name = ?4))
             ORDER BY duration_ns DESC, id LIMIT ?5"
        );
        self.query("read the slowest spans", |tx| {
            let (first, last) = ids_of_run(tx, run_id)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            collect(tx, &sql, params![first, last, run_id, name, limit])
        })
    }

    /// The spans that were open when the writer last looked, and have not been stored since, in the order
    /// of ids.
    pub fn open_spans(&self, run_id: i64) -> Result<Vec<OpenSpan>, Error> {
        self.open_spans_if(run_id, "")
    }

    /// The open spans that meet a condition: SQL that begins with ` AND `, or nothing.
    pub(crate) fn open_spans_if(
        &self,
        run_id: i64,
        condition: &str,
    ) -> Result<Vec<OpenSpan>, Error> {
        let sql = format!(
            "SELECT {OPEN_COLUMNS}, seen_ns FROM open_span
             WHERE run_id = ?1 AND id NOT IN (SELECT id FROM span){condition} ORDER BY id"
        );
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<Vec<OpenSpan>> {
            let mut names = Names::new(&tx)?;
            let mut query = tx.prepare(&sql)?;
            let mut rows = query.query([run_id])?;
            let mut open = Vec::new();
            while let Some(row) = rows.next()? {
                open.push(OpenSpan { span: Span::read(row, &mut names)?, seen_ns: row.get(18)? });
            }
            Ok(open)
        };
        read().context(self.path(), "read the open spans")
    }
}

fn collect(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Span>> {
    let mut names = Names::new(conn)?;
    let mut query = conn.prepare(sql)?;
    let mut rows = query.query(params)?;
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        spans.push(Span::read(row, &mut names)?);
    }
    Ok(spans)
}
