//! What belongs to spans: events in them, links, fields.

use std::collections::HashSet;

use rusqlite::OptionalExtension;

use super::Trace;
use crate::indexes::BY_SPAN;
use crate::order_rows::OrderRows as _;
use crate::reader::{Event, Link, Names, Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

impl Reader {
    /// The id of the root of a span's trace, the span closed, unfinished or open; `None` when there is no
    /// such span.
    pub fn root_of(&self, span_id: u64) -> Result<Option<u64>, Error> {
        self.query("look for a span", |tx| {
            let look = |table: &str| -> rusqlite::Result<Option<i64>> {
                let sql = format!("SELECT root_id FROM {table} WHERE id = ?1");
                tx.query_row(&sql, [span_id as i64], |row| row.get(0)).optional()
            };
            let root = match look("span")? {
                Some(root) => Some(root),
                None => look("open_span")?,
            };
            Ok(root.map(|root| root as u64))
        })
    }

    /// Reads the fields of a few spans that were read without.
    pub fn read_fields(&self, spans: &mut [Span]) -> Result<(), Error> {
        self.query("read the fields", |tx| {
            let mut query = tx.prepare("SELECT fields FROM span WHERE id = ?1")?;
            for span in spans {
                // A span that was pruned meanwhile has none.
                let fields = query.query_row([span.id as i64], |row| row.get(0)).optional()?;
                span.fields = fields.flatten();
            }
            Ok(())
        })
    }
}

impl Trace {
    /// The events in its spans, at most `max` of them, by span or by time, and how many there are.
    ///
    /// # Blocking
    ///
    /// Reads all events of the run in a profile without indexes.
    pub fn events(&self, reader: &Reader, max: usize) -> Result<(Vec<Event>, u64), Error> {
        let (mut events, mut total) = (Vec::new(), 0);
        let mut add = |event: Event| {
            total += 1;
            if events.len() < max {
                events.push(event);
            }
        };
        if reader.indexes()?.events {
            let tx = reader.begin()?;
            let mut read = || -> rusqlite::Result<()> {
                let mut names = Names::new(&tx)?;
                let mut query = tx.prepare(&format!(
                    "SELECT id, run_id, span_id, callsite_id, thread_id, at_ns, message, fields
                     FROM event INDEXED BY {BY_SPAN} WHERE span_id = ?1 ORDER BY id"
                ))?;
                for span in &self.spans {
                    let mut rows = query.query([span.id as i64])?;
                    while let Some(row) = rows.next()? {
                        add(Event::read(row, &mut names)?);
                    }
                }
                Ok(())
            };
            read().context(reader.path(), "read the events of a trace")?;
        } else {
            let ids: HashSet<u64> = self.spans.iter().map(|span| span.id).collect();
            reader.events(self.run_id, |event| {
                if event.span_id.is_some_and(|id| ids.contains(&id)) {
                    add(event);
                }
            })?;
        }
        events.order_by_key(|event| (event.at_ns, event.id));
        Ok((events, total))
    }

    /// What its spans follow from.
    pub fn links(&self, reader: &Reader) -> Result<Vec<Link>, Error> {
        reader.query("read the links of a trace", |tx| {
            let sql = "SELECT follows_id FROM link WHERE span_id = ?1 ORDER BY follows_id";
            let mut query = tx.prepare(sql)?;
            let mut links = Vec::new();
            for span in &self.spans {
                let mut rows = query.query([span.id as i64])?;
                while let Some(row) = rows.next()? {
                    let follows: i64 = row.get(0)?;
                    links.push(Link { span_id: span.id, follows_id: follows as u64 });
                }
            }
            Ok(links)
        })
    }
}
