//! Links as flows. A flow is a number that two slices have, so that the earlier span has to know at its
//! beginning that another one will follow from it; and links are stored by the later one. So they
//! are turned round first, in a temporary database.
//!
//! An arrow goes from left to right. A program may say at any time that a span follows from another one, also
//! from one that began after it or with it: trace processor would drop such a flow, or turn it round, so
//! that it is left out.

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

/// Whether an arrow can show a link.
fn is_drawn(link: &Linked) -> bool {
    let (Some(later), Some(earlier)) = (&link.later, &link.earlier) else { return false };
    at(earlier.start_ns) < at(later.start_ns)
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
            .prepare("INSERT INTO flow (span_id, number, ends) VALUES (?1, ?2, ?3)")
            .map_err(ExportError::Spool)?;
        source.links(|link| {
            if !is_drawn(link) {
                return Ok(());
            }
            *count += 1;
            for (id, ends) in [(link.follows_id, false), (link.span_id, true)] {
                linked.insert(id);
                let row = params![id as i64, *count as i64, ends];
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
    ends INTEGER NOT NULL, PRIMARY KEY (span_id, number)) WITHOUT ROWID";

/// Looks up the flows of spans.
pub(super) struct Flows<'a> {
    links: &'a Links,
    find: Statement<'a>,
}

impl<'a> Flows<'a> {
    pub(super) fn new(links: &'a Links) -> Result<Self, ExportError> {
        let sql = "SELECT number, ends FROM flow WHERE span_id = ?1";
        let find = links.conn.prepare(sql).map_err(ExportError::Spool)?;
        Ok(Self { links, find })
    }

    /// The flows of a span: `TrackEvent.flow_ids` and `terminating_flow_ids`.
    pub(super) fn of(&mut self, span_id: u64) -> Result<Vec<u8>, ExportError> {
        let mut out = Vec::new();
        if !self.links.linked.contains(span_id) {
            return Ok(out);
        }
        let mut rows = self.find.query([span_id as i64]).map_err(ExportError::Spool)?;
        while let Some(row) = rows.next().map_err(ExportError::Spool)? {
            let read = || Ok((row.get::<_, i64>(0)? as u64, row.get::<_, bool>(1)?));
            let (number, ends) = read().map_err(ExportError::Spool)?;
            fixed(&mut out, if ends { 48 } else { 47 }, number);
        }
        Ok(out)
    }
}
