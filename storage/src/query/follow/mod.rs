//! What a live recording commits, as it commits it: each span and event once.
//!
//! Ids say when a span was created, and it is stored when it has closed: so a smaller id can be
//! committed long after a larger one, and no position in the order of ids says what is new. Three
//! things do:
//!
//! * ids above the largest one that was seen are new;
//! * `run.spans`, of the same transaction, says how many rows there must be; if fewer were seen, the
//!   missing ones are looked for, from the newest ids back, by a bitmap of the ids that were seen;
//! * ids in `open_span` will come, however late; they are asked for one by one.
//!
//! **What is guaranteed.** No row is given twice. A row is missed only if, when it is committed, its id
//! is not among the newest 16 million of the run (one million before the beginning) and it was not
//! listed as open, which every span is that is open for half a second; or if retention has deleted it
//! before the next poll. Rows that were missed are known by their number: [`Follow::missed`].
//!
//! Memory: 2 MiB for each of the two tables, the ids of the open spans, and the rows of one poll.

mod cursor;
mod seen;

use std::ops::ControlFlow;

use self::cursor::{Cursor, Table};
use crate::error::{Context, Error};
use crate::reader::{EVENT_COLUMNS, Event, Reader, SPAN_COLUMNS, Span};

const SPANS: Table = Table { name: "span", columns: SPAN_COLUMNS, total: "spans", opens: true };
const EVENTS: Table =
    Table { name: "event", columns: EVENT_COLUMNS, total: "events", opens: false };

/// Follows a run.
#[derive(Debug)]
pub struct Follow {
    run_id: i64,
    spans: Cursor,
    events: Option<Cursor>,
    data_version: Option<i64>,
}

/// What a poll came to.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Reads the newest million ids, some 0.3 s.
    pub fn new(reader: &Reader, run_id: i64, events: bool) -> Result<Self, Error> {
        let tx = reader.begin()?;
        let begin = || -> rusqlite::Result<Self> {
            let spans = Cursor::new(&tx, SPANS, run_id)?;
            let events = events.then(|| Cursor::new(&tx, EVENTS, run_id)).transpose()?;
            Ok(Self { run_id, spans, events, data_version: None })
        };
        begin().context(reader.path(), "begin to follow the run")
    }

    /// Follows a run from its start.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn from_start(reader: &Reader, run_id: i64, events: bool) -> Result<Self, Error> {
        let tx = reader.begin()?;
        let begin = || -> rusqlite::Result<Self> {
            let spans = Cursor::at_start(&tx, SPANS, run_id)?;
            let events = events.then(|| Cursor::at_start(&tx, EVENTS, run_id)).transpose()?;
            Ok(Self { run_id, spans, events, data_version: None })
        };
        begin().context(reader.path(), "begin to follow the run")
    }

    /// The run that is followed.
    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Rows that were committed too late to be found.
    pub fn missed(&self) -> u64 {
        self.spans.missed() + self.events.as_ref().map_or(0, Cursor::missed)
    }

    /// Calls `each` for spans that were stored before the beginning, the one with the largest id first,
    /// until it breaks. To be called before the first poll.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
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
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
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
    /// Some milliseconds; up to a second for a row that comes very late.
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
        polled.spans.sort_by_key(|span| (end(span), span.id));
        polled.events.sort_by_key(|event| (event.at_ns, event.id));
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
