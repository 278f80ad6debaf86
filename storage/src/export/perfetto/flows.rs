//! Links as flows. A flow is a number that two slices have, so that the earlier span has to know at its
//! beginning that another one will follow from it; and links are stored by the later one. So they
//! are turned round first, in a temporary database.
//!
//! A flow has to begin before it ends. A program may say at any time that a span follows from another one,
//! also from one that began after it: then the flow ends with the packet that ends the span. There is none
//! if the span ended before the other one began, or never, or is the other one.

use rusqlite::{Connection, Statement, params};

use super::super::error::ExportError;
use super::super::id_set::IdSet;
use super::super::proto::fixed;
use super::super::source::{Linked, Source};
use super::super::spool::temporary;
use super::at;

/// The links between exported spans, by either span.
pub(super) struct Links {
    conn: Connection,
    linked: IdSet,
    pub(super) count: u64,
}

/// What a packet says of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It begins with the beginning of this span.
    Begins = 0,
    /// It ends with the beginning of this span.
    EndsAtBegin = 1,
    /// It ends with the end of this span.
    EndsAtEnd = 2,
}

/// How the flow of a link ends, if it can.
fn end_of(link: &Linked) -> Option<Role> {
    let (later, earlier) = (link.later.as_ref()?, link.earlier.as_ref()?);
    let begins_ns = at(earlier.start_ns);
    if begins_ns < at(later.start_ns) {
        Some(Role::EndsAtBegin)
    } else if later.end_ns != i64::MAX && begins_ns < at(later.end_ns) {
        Some(Role::EndsAtEnd)
    } else {
        None
    }
}

impl Links {
    pub(super) fn find(source: &mut Source<'_>) -> Result<Self, ExportError> {
        let mut links = Self { conn: temporary()?, linked: IdSet::default(), count: 0 };
        links.conn.execute_batch(TABLE).map_err(ExportError::Spool)?;
        if source.run.links == 0 {
            return Ok(links);
        }
        source.choose()?;
        let Self { conn, linked, count } = &mut links;
        let mut insert = conn
            .prepare("INSERT INTO flow (span_id, number, role) VALUES (?1, ?2, ?3)")
            .map_err(ExportError::Spool)?;
        source.links(|link| {
            let Some(end) = end_of(link).filter(|_| link.span_id != link.follows_id) else {
                return Ok(());
            };
            *count += 1;
            for (id, role) in [(link.follows_id, Role::Begins), (link.span_id, end)] {
                linked.insert(id);
                let row = params![id as i64, *count as i64, role as i64];
                let inserted = insert.execute(row);
                inserted.map_err(ExportError::Spool)?;
            }
            Ok(())
        })?;
        drop(insert);
        Ok(links)
    }
}

const TABLE: &str = "CREATE TABLE flow (span_id INTEGER NOT NULL, number INTEGER NOT NULL,
    role INTEGER NOT NULL, PRIMARY KEY (span_id, number)) WITHOUT ROWID";

/// Looks up the flows of spans.
pub(super) struct Flows<'a> {
    links: &'a Links,
    find: Statement<'a>,
}

impl<'a> Flows<'a> {
    pub(super) fn new(links: &'a Links) -> Result<Self, ExportError> {
        let sql = "SELECT number, role FROM flow WHERE span_id = ?1";
        let find = links.conn.prepare(sql).map_err(ExportError::Spool)?;
        Ok(Self { links, find })
    }

    /// Writes what the packet that begins a span, or ends it, says of flows: `TrackEvent.flow_ids` and
    /// `terminating_flow_ids`.
    pub(super) fn of(&mut self, span_id: u64, is_end: bool) -> Result<Vec<u8>, ExportError> {
        let mut out = Vec::new();
        if !self.links.linked.contains(span_id) {
            return Ok(out);
        }
        let mut rows = self.find.query([span_id as i64]).map_err(ExportError::Spool)?;
        while let Some(row) = rows.next().map_err(ExportError::Spool)? {
            let read = || Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)?));
            let (number, role) = read().map_err(ExportError::Spool)?;
            if (role == Role::EndsAtEnd as i64) == is_end {
                fixed(&mut out, if role == Role::Begins as i64 { 47 } else { 48 }, number);
            }
        }
        Ok(out)
    }
}
