//! Looks up the spans of entries, with a cache.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use rusqlite::{Statement, Transaction};

use crate::reader::{Names, OPEN_SPAN_COLUMNS, SPAN_COLUMNS, Span, Thread};

/// Spans in the cache, at most.
const OWNERS_MAX: usize = 16_384;

/// The cache: spans of the latest entries.
#[derive(Default)]
pub(super) struct Owners {
    kept: HashMap<u64, Option<Span>>,
}

/// Looks for spans by their ids.
pub(crate) struct Find<'a> {
    names: Names<'a>,
    closed: Statement<'a>,
    open: Statement<'a>,
}

impl<'a> Find<'a> {
    pub(crate) fn new(tx: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            names: Names::new(tx)?,
            closed: tx.prepare(&format!("SELECT {SPAN_COLUMNS} FROM span WHERE id = ?1"))?,
            open: tx
                .prepare(&format!("SELECT {OPEN_SPAN_COLUMNS} FROM open_span WHERE id = ?1"))?,
        })
    }

    pub(crate) fn span(&mut self, id: u64) -> rusqlite::Result<Option<Span>> {
        for query in [&mut self.closed, &mut self.open] {
            let mut rows = query.query([id as i64])?;
            if let Some(row) = rows.next()? {
                return Ok(Some(Span::read(row, &mut self.names)?));
            }
        }
        Ok(None)
    }

    pub(crate) fn thread(&mut self, id: i64) -> rusqlite::Result<Arc<Thread>> {
        self.names.thread(id)
    }
}

impl Owners {
    pub(super) fn get(&mut self, find: &mut Find<'_>, id: u64) -> rusqlite::Result<Option<&Span>> {
        if self.kept.len() >= OWNERS_MAX && !self.kept.contains_key(&id) {
            self.kept.clear();
        }
        let owner = match self.kept.entry(id) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(unknown) => unknown.insert(find.span(id)?),
        };
        Ok(owner.as_ref())
    }
}
