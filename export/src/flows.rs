//! Links as flows, for formats whose arrows go from slice to slice. A flow is a number that both slices have, so the
//! earlier span has to know at its begin that another one will follow from it; but links are stored by the later
//! span. So they are reversed first, in a temporary database.
//!
//! Most arrows go from left to right. But a program may say that a span follows from one that began after it or with
//! it: trace processor would drop or reverse such a flow, so it is left out there.

use rusqlite::{Connection, Statement, params};

use super::error::ExportError;
use super::id_set::IdSet;
use super::source::{LocatedLink, Source, SpanLocation};
use super::spool::temporary;

/// The links between exported spans, by either span.
pub(super) struct Links {
    conn: Connection,
    linked: IdSet,
    pub(super) count: u64,
}

/// An end of a flow.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) number: u64,
    /// Whether the flow ends at this span, which follows from the other one.
    pub(super) ends: bool,
    /// The span at the other end.
    pub(super) other: u64,
}

/// Whether the link can be an arrow from left to right. Times before the start of the run are drawn at the start.
pub(super) fn goes_right(earlier: &SpanLocation, later: &SpanLocation) -> bool {
    earlier.start_ns.max(0) < later.start_ns.max(0)
}

fn is_drawn(link: &LocatedLink, drawn: impl Fn(&SpanLocation, &SpanLocation) -> bool) -> bool {
    let (Some(later), Some(earlier)) = (&link.later, &link.earlier) else { return false };
    drawn(earlier, later)
}

impl Links {
    /// Whether an arrow begins or ends at a span.
    pub(super) fn has(&self, span_id: u64) -> bool {
        self.linked.contains(span_id)
    }

    /// Finds the links for which `drawn` is true of the earlier and the later span.
    pub(super) fn find(
        source: &mut Source<'_>,
        drawn: impl Fn(&SpanLocation, &SpanLocation) -> bool,
    ) -> Result<Self, ExportError> {
        let mut links = Self { conn: temporary()?, linked: IdSet::default(), count: 0 };
        links.conn.execute_batch(TABLE).map_err(ExportError::Spool)?;
        if source.run.links == 0 {
            return Ok(links);
        }
        source.choose()?;
        let Self { conn, linked, count } = &mut links;
        let mut insert = conn
            .prepare("INSERT INTO flow (span_id, number, ends, other) VALUES (?1, ?2, ?3, ?4)")
            .map_err(ExportError::Spool)?;
        source.links(|link| {
            if !is_drawn(link, &drawn) {
                return Ok(());
            }
            *count += 1;
            let (from, to) = (link.follows_id, link.span_id);
            for (id, ends, other) in [(from, false, to), (to, true, from)] {
                linked.insert(id);
                let row = params![id as i64, *count as i64, ends, other as i64];
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
    ends INTEGER NOT NULL, other INTEGER NOT NULL,
    PRIMARY KEY (span_id, number, ends)) WITHOUT ROWID";

/// Looks up the flows of spans.
pub(super) struct Flows<'a> {
    links: &'a Links,
    find: Statement<'a>,
}

impl<'a> Flows<'a> {
    pub(super) fn new(links: &'a Links) -> Result<Self, ExportError> {
        let sql = "SELECT number, ends, other FROM flow WHERE span_id = ?1";
        let find = links.conn.prepare(sql).map_err(ExportError::Spool)?;
        Ok(Self { links, find })
    }

    /// The flows of a span.
    pub(super) fn of(&mut self, span_id: u64) -> Result<Vec<Flow>, ExportError> {
        let mut flows = Vec::new();
        if !self.links.linked.contains(span_id) {
            return Ok(flows);
        }
        let mut rows = self.find.query([span_id as i64]).map_err(ExportError::Spool)?;
        while let Some(row) = rows.next().map_err(ExportError::Spool)? {
            let id = |column| row.get::<_, i64>(column).map(|id| id as u64);
            let read = || Ok(Flow { number: id(0)?, ends: row.get(1)?, other: id(2)? });
            flows.push(read().map_err(ExportError::Spool)?);
        }
        Ok(flows)
    }
}
