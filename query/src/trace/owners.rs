//! Looks up the spans of entries: their trace and fields.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Statement, Transaction};

/// Bytes of fields that are kept.
const FIELDS_BYTES_MAX: usize = 16 << 20;

/// The root and the fields of a span.
pub(super) type Owner = (u64, Option<Arc<str>>);

/// Looks up closed and open spans, each once.
pub(super) struct Owners<'a> {
    closed: Statement<'a>,
    open: Statement<'a>,
    known: HashMap<u64, Owner>,
    bytes: usize,
}

impl<'a> Owners<'a> {
    pub(super) fn new(tx: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        let sql = |table: &str| format!("SELECT root_id, fields FROM {table} WHERE id = ?1");
        let (closed, open) = (tx.prepare(&sql("span"))?, tx.prepare(&sql("open_span"))?);
        Ok(Self { closed, open, known: HashMap::new(), bytes: 0 })
    }

    /// A span that is not in the file is treated as a root without fields.
    pub(super) fn get(&mut self, span_id: u64) -> rusqlite::Result<Owner> {
        if let Some(known) = self.known.get(&span_id) {
            return Ok(known.clone());
        }
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?));
        let id = span_id as i64;
        let mut found = self.closed.query_row([id], read).optional()?;
        if found.is_none() {
            found = self.open.query_row([id], read).optional()?;
        }
        let (root, fields) = found.unwrap_or((id, None));
        self.bytes += fields.as_ref().map_or(0, String::len);
        let fields = fields.filter(|_| self.bytes <= FIELDS_BYTES_MAX).map(Into::into);
        let owner: Owner = (root as u64, fields);
        self.known.insert(span_id, owner.clone());
        Ok(owner)
    }
}
