//! The links of a source.

use rusqlite::{Row, params};

use super::super::error::ExportError;
use super::{PIECE_ROWS, Source};
use spandrel_query::SpanContext;
use spandrel_query::internals::{Contexts, Lineage};
use spandrel_storage::Error;

/// A link, with the times of its spans.
pub(crate) struct LocatedLink {
    /// The later span.
    pub(crate) span_id: u64,
    /// The span that it follows from.
    pub(crate) follows_id: u64,
    /// The times of the later span, if it is stored.
    pub(crate) later: Option<SpanLocation>,
    /// The trace of the earlier span, if it is stored.
    pub(crate) follows_root: Option<u64>,
    /// The ids of other systems for the earlier span.
    pub(crate) follows_context: Option<SpanContext>,
    /// The times of the earlier span, if it is exported.
    pub(crate) earlier: Option<SpanLocation>,
}

/// Start and end of a span.
pub(crate) struct SpanLocation {
    pub(crate) start_ns: i64,
    /// `i64::MAX` for an unfinished one.
    pub(crate) end_ns: i64,
}

impl Source<'_> {
    /// Calls `each` for the links of the selected spans, in order of span; after a scan over the spans. Returns their
    /// number.
    pub(crate) fn links(
        &mut self,
        mut each: impl FnMut(&LocatedLink) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        let mut count = 0;
        if self.run.links == 0 {
            self.passed.links = Some(0);
            return Ok(0);
        }
        let sql = format!(
            "SELECT l.rowid, l.span_id, l.follows_id, a.root_id, b.start_ns, b.duration_ns,
               a.start_ns, a.duration_ns, a.parent_id
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
            let mut contexts = Contexts::new(&tx);
            let mut query = tx.prepare(&sql).map_err(context)?;
            let mut rows =
                query.query(params![after.0, after.1, last, self.run.id]).map_err(context)?;
            let mut read = 0;
            while let Some(row) = rows.next().map_err(context)? {
                read += 1;
                self.tell()?;
                let mut link = linked(row, &mut contexts).map_err(context)?;
                after = (link.span_id as i64, row.get(0).map_err(context)?);
                if !self.has_span(link.follows_id) {
                    link.earlier = None;
                }
                if self.has_span(link.span_id) {
                    count += 1;
                    each(&link)?;
                }
            }
            if read < PIECE_ROWS {
                self.passed.links = Some(count);
                return Ok(count);
            }
        }
    }
}

fn linked(row: &Row<'_>, contexts: &mut Contexts<'_>) -> rusqlite::Result<LocatedLink> {
    let follows_root: Option<i64> = row.get(3)?;
    let follows_context = match follows_root {
        Some(root_id) => {
            contexts.get(Lineage { id: row.get(2)?, parent_id: row.get(8)?, root_id })?
        }
        None => None,
    };
    Ok(LocatedLink {
        follows_context,
        span_id: row.get::<_, i64>(1)? as u64,
        follows_id: row.get::<_, i64>(2)? as u64,
        follows_root: follows_root.map(|id| id as u64),
        later: location(row, 4)?,
        earlier: location(row, 6)?,
    })
}

/// Reads start and duration from two columns.
fn location(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SpanLocation>> {
    let Some(start_ns) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let duration_ns: Option<i64> = row.get(column + 1)?;
    let end_ns = duration_ns.map_or(i64::MAX, |ns| start_ns.saturating_add(ns.max(0)));
    Ok(Some(SpanLocation { start_ns, end_ns }))
}
