//! Collects events and links in a temporary database until their spans are written.

use std::marker::PhantomData;

use rusqlite::{Connection, Rows, Statement, params};

use super::super::error::ExportError;
use super::super::source::Source;
use super::super::spool::temporary;
use super::Otlp;
use super::event::event;
use super::wire::WireFormat;
use spandrel_query::OrderRows as _;

/// Events and links of spans, in the output format.
pub(super) struct Attached<W> {
    conn: Connection,
    wire: PhantomData<W>,
}

impl<W: WireFormat> Attached<W> {
    pub(super) fn collect(source: &mut Source<'_>, otlp: &Otlp) -> Result<Self, ExportError> {
        let conn = temporary()?;
        // Exceptions are sorted first (`late` = 0), so they are kept if there is not room for all.
        for table in ["event", "link"] {
            conn.execute_batch(&format!(
                "CREATE TABLE {table} (span_id INTEGER NOT NULL, late INTEGER NOT NULL,
                   id INTEGER NOT NULL, exception TEXT, body BLOB NOT NULL,
                   PRIMARY KEY (span_id, late, id)) WITHOUT ROWID"
            ))
            .map_err(ExportError::Spool)?;
        }
        let this = Self { conn, wire: PhantomData };
        if source.run.events > 0 {
            this.events(source, otlp)?;
        }
        if source.run.links > 0 {
            this.links(source, otlp)?;
        }
        Ok(this)
    }

    fn insert(&self, table: &str) -> Result<Statement<'_>, ExportError> {
        let sql = format!(
            "INSERT INTO {table} (span_id, late, id, exception, body) VALUES (?1, ?2, ?3, ?4, ?5)"
        );
        self.conn.prepare(&sql).map_err(ExportError::Spool)
    }

    /// Events outside of spans are left out: OTLP traces have no place for them.
    fn events(&self, source: &mut Source<'_>, otlp: &Otlp) -> Result<(), ExportError> {
        let (mut insert, mut body) = (self.insert("event")?, Vec::new());
        source.events(|one| {
            let Some(span_id) = one.span_id else { return Ok(()) };
            body.clear();
            let exception = event::<W>(one, otlp.unix(one.at_ns), &mut body);
            let late = exception.is_none();
            insert
                .execute(params![span_id as i64, late, one.id as i64, exception, body])
                .map_err(ExportError::Spool)?;
            Ok(())
        })?;
        Ok(())
    }

    /// Links go to spans that are stored, even if those are not exported.
    fn links(&self, source: &mut Source<'_>, otlp: &Otlp) -> Result<(), ExportError> {
        let (mut insert, mut body, mut number) = (self.insert("link")?, Vec::new(), 0);
        source.links(|link| {
            let Some(root) = link.follows_root else { return Ok(()) };
            number += 1;
            body.clear();
            W::link(
                &mut body,
                &otlp.ids.of_span(root, link.follows_id, link.follows_context.as_ref()),
            );
            insert
                .execute(params![link.span_id as i64, false, number, None::<&str>, body])
                .map_err(ExportError::Spool)?;
            Ok(())
        })?;
        Ok(())
    }

    /// The rows of a table, sorted by span.
    pub(super) fn rows(&self, table: &str) -> Result<Statement<'_>, ExportError> {
        let sql =
            format!("SELECT span_id, id, exception, body FROM {table} ORDER BY span_id, late, id");
        self.conn.prepare(&sql).map_err(ExportError::Spool)
    }
}

/// Reads rows sorted by span, in step with a scan over the spans.
pub(super) struct Cursor<'a> {
    rows: Rows<'a>,
    next: Option<Waiting>,
}

struct Waiting {
    span_id: u64,
    id: i64,
    exception: Option<String>,
    body: Vec<u8>,
}

/// Events or links of one span.
#[derive(Debug, Default)]
pub(super) struct SpanAttachments {
    /// In the order of time.
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) bytes: usize,
    /// How many were dropped for lack of room.
    pub(super) dropped: u32,
    /// The message of the last exception.
    pub(super) exception: Option<String>,
}

/// Overhead of an encoded element, in bytes.
const OVERHEAD_BYTES: usize = 12;

impl<'a> Cursor<'a> {
    pub(super) fn new(rows: &'a mut Statement<'_>) -> Result<Self, ExportError> {
        let rows = rows.query([]).map_err(ExportError::Spool)?;
        let mut cursor = Self { rows, next: None };
        cursor.step().map_err(ExportError::Spool)?;
        Ok(cursor)
    }

    fn step(&mut self) -> rusqlite::Result<()> {
        self.next = match self.rows.next()? {
            Some(row) => Some(Waiting {
                span_id: row.get::<_, i64>(0)? as u64,
                id: row.get(1)?,
                exception: row.get(2)?,
                body: row.get(3)?,
            }),
            None => None,
        };
        Ok(())
    }

    /// The events or links of a span, in at most `bytes_max` bytes. Those of spans that are not stored are skipped.
    pub(super) fn take(
        &mut self,
        span_id: u64,
        bytes_max: usize,
    ) -> Result<SpanAttachments, ExportError> {
        let mut taken = SpanAttachments::default();
        let mut bodies = Vec::new();
        while let Some(one) = self.next.take_if(|next| next.span_id <= span_id) {
            if one.span_id == span_id {
                taken.exception = one.exception.or(taken.exception);
                let bytes = one.body.len() + OVERHEAD_BYTES;
                if taken.bytes + bytes > bytes_max {
                    taken.dropped = taken.dropped.saturating_add(1);
                } else {
                    taken.bytes += bytes;
                    bodies.push((one.id, one.body));
                }
            }
            self.step().map_err(ExportError::Spool)?;
        }
        bodies.order_by_key(|(id, _)| *id);
        taken.bodies = bodies.into_iter().map(|(_, body)| body).collect();
        Ok(taken)
    }
}
