//! What a live recording commits, as it commits it: each span and event once.
//!
//! Ids say when a span was created, and it is stored when it has closed: so a smaller id can be
//! committed long after a larger one, and no position in the order of ids says what is new. Commits
//! have numbers that grow, each row names the commit that stored it, and the commit names a few ranges of
//! ids in which its rows are (`batches.rs`). So each row is given once, in the commit that brings it; what
//! is missed is what retention has deleted before the next poll, and that is counted:
//! [`Follow::missed`].
//!
//! Recorders before version 3 of the schema said nothing of their commits. Their rows are looked for
//! by ids (`cursor.rs`), which misses a row only if, when it is committed, its id is not among the newest
//! 16 million of the run (one million before the beginning) and it was not listed as open, which every
//! span is that is open for half a second. That takes 2 MiB for each of the two tables.

mod commits;
mod cursor;
mod seen_ids;

use std::ops::ControlFlow;

use rusqlite::{Connection, Row};

use self::commits::Commits;
use self::cursor::{Cursor, Table};
use crate::order_rows::OrderRows as _;
use crate::reader::{EVENT_COLUMNS, Event, Names, Reader, SPAN_COLUMNS, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

const SPANS: Table = Table { name: "span", columns: SPAN_COLUMNS, total: "spans", opens: true };
const EVENTS: Table =
    Table { name: "event", columns: EVENT_COLUMNS, total: "events", opens: false };

/// Follows a run.
#[derive(Debug)]
pub struct Follow {
    run_id: i64,
    spans: Position,
    events: Option<Position>,
    data_version: Option<i64>,
}

/// How far a table was read.
#[derive(Debug)]
enum Position {
    Commits(Commits),
    Ids(Box<Cursor>),
}

impl Position {
    fn new(
        conn: &Connection,
        table: Table,
        run_id: i64,
        from_start: bool,
    ) -> rusqlite::Result<Self> {
        if let Some(commits) = Commits::new(conn, table, run_id, from_start)? {
            return Ok(Self::Commits(commits));
        }
        let cursor = match from_start {
            true => Cursor::at_start(conn, table, run_id)?,
            false => Cursor::new(conn, table, run_id)?,
        };
        Ok(Self::Ids(Box::new(cursor)))
    }

    fn missed(&self) -> u64 {
        match self {
            Self::Commits(commits) => commits.missed(),
            Self::Ids(cursor) => cursor.missed(),
        }
    }

    fn poll(
        &mut self,
        conn: &Connection,
        each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<bool> {
        match self {
            Self::Commits(commits) => commits.poll(conn, each),
            Self::Ids(cursor) => cursor.poll(conn, each),
        }
    }

    fn before(
        &self,
        conn: &Connection,
        each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        match self {
            Self::Commits(commits) => commits.before(conn, each),
            Self::Ids(cursor) => cursor.before(conn, each),
        }
    }
}

/// What a poll came to.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Polled {
    /// Spans that were committed, in the order of their ends.
    pub spans: Vec<Span>,
    /// Events that were committed, in the order of time; none if they are not followed.
    pub events: Vec<Event>,
    /// There is more already; poll again at once.
    pub more: bool,
}

impl Follow {
    /// Follows a run from this moment on, with its events or without.
    ///
    /// # Blocking
    ///
    /// Reads a row; of a run that was recorded before version 3 of the schema the newest million ids,
    /// some 0.3 s.
    pub fn new(reader: &Reader, run_id: i64, events: bool) -> Result<Self, Error> {
        Self::begin(reader, run_id, events, false)
    }

    /// Follows a run from its start.
    pub fn from_start(reader: &Reader, run_id: i64, events: bool) -> Result<Self, Error> {
        Self::begin(reader, run_id, events, true)
    }

    fn begin(reader: &Reader, run_id: i64, events: bool, from_start: bool) -> Result<Self, Error> {
        let tx = reader.begin()?;
        let place = |table| Position::new(&tx, table, run_id, from_start);
        let begin = || -> rusqlite::Result<Self> {
            let spans = place(SPANS)?;
            let events = events.then(|| place(EVENTS)).transpose()?;
            Ok(Self { run_id, spans, events, data_version: None })
        };
        begin().context(reader.path(), "begin to follow the run")
    }

    /// The run that is followed.
    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Rows that were deleted before they were read, or committed too late to be found.
    pub fn missed(&self) -> u64 {
        self.spans.missed() + self.events.as_ref().map_or(0, Position::missed)
    }

    /// Calls `each` for spans that were stored before the beginning, the one with the largest id first,
    /// until it breaks. To be called before the first poll.
    pub fn before(
        &self,
        reader: &Reader,
        mut each: impl FnMut(Span) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let tx = reader.begin()?;
        self.spans
            .before(&tx, |row, names| Ok(each(Span::read(row, names)?).is_continue()))
            .context(reader.path(), "read the newest spans")
    }

    /// Whether anybody has committed anything since the last poll. Takes some microseconds.
    pub fn is_changed(&self, reader: &Reader) -> Result<bool, Error> {
        let version = data_version(reader)?;
        Ok(self.data_version != Some(version))
    }

    /// What was committed since the last poll, or a piece of it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read; what was read until then is lost.
    ///
    /// # Blocking
    ///
    /// Some milliseconds.
    pub fn poll(&mut self, reader: &Reader) -> Result<Polled, Error> {
        // Before the transaction, so that what comes between is seen the next time.
        let version = data_version(reader)?;
        let tx = reader.begin()?;
        let mut polled = Polled::default();
        let mut read = || -> rusqlite::Result<bool> {
            let Polled { spans, events, .. } = &mut polled;
            let mut more = self.spans.poll(&tx, |row, names| {
                spans.push(Span::read(row, names)?);
                Ok(())
            })?;
            if let Some(cursor) = &mut self.events {
                more |= cursor.poll(&tx, |row, names| {
                    events.push(Event::read(row, names)?);
                    Ok(())
                })?;
            }
            Ok(more)
        };
        polled.more = read().context(reader.path(), "follow the run")?;
        if !polled.more {
            self.data_version = Some(version);
        }
        let end = |span: &Span| span.start_ns.saturating_add(span.duration_ns.unwrap_or(0));
        polled.spans.order_by_key(|span| (end(span), span.id));
        polled.events.order_by_key(|event| (event.at_ns, event.id));
        Ok(polled)
    }
}

/// A number that changes with each commit of another connection.
fn data_version(reader: &Reader) -> Result<i64, Error> {
    reader
        .connection()
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .context(reader.path(), "look for changes")
}
