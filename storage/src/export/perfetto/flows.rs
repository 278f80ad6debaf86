//! Links as flows. A flow is a number that two slices have, so that the earlier span has to know at its
//! beginning that another one will follow from it; and links are stored by the later one. So they
//! are turned round first, in a temporary database.

use rusqlite::{Connection, Statement, params};

use super::super::error::ExportError;
use super::super::id_set::IdSet;
use super::super::proto::fixed;
use super::super::source::Source;
use super::super::spool::temporary;

/// The links between exported spans, by either span.
pub(super) struct Links {
    conn: Connection,
    linked: IdSet,
    pub(super) count: u64,
}

/// The number of a flow, and whether it ends here.
pub(super) type Flow = (u64, bool);

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
            // An arrow from a span to itself says nothing that can be drawn.
            if link.later.is_none() || link.earlier.is_none() || link.span_id == link.follows_id {
                return Ok(());
            }
            *count += 1;
            for (id, ends) in [(link.follows_id, false), (link.span_id, true)] {
                linked.insert(id);
                let inserted = insert.execute(params![id as i64, *count as i64, ends]);
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

    /// The flows of a span.
    pub(super) fn of(&mut self, span_id: u64) -> Result<Vec<Flow>, ExportError> {
        if !self.links.linked.contains(span_id) {
            return Ok(Vec::new());
        }
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?));
        let found = self.find.query_map([span_id as i64], read);
        found.and_then(Iterator::collect).map_err(ExportError::Spool)
    }
}

/// Writes `TrackEvent.flow_ids` and `terminating_flow_ids`.
pub(super) fn write(flows: &[Flow], out: &mut Vec<u8>) {
    for (number, ends) in flows {
        fixed(out, if *ends { 48 } else { 47 }, *number);
    }
}
