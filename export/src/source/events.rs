//! The events of a source.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::{Row, params};

use super::super::error::ExportError;
use super::{PIECE_ROWS, Source};
use spandrel_query::internals::Names;
use spandrel_query::{Callsite, Thread};
use spandrel_query::{event_name, event_text};
use spandrel_storage::Error;

/// An event, borrowed from its row.
pub(crate) struct EventRef<'a> {
    pub(crate) id: u64,
    pub(crate) span_id: Option<u64>,
    pub(crate) callsite: Arc<Callsite>,
    pub(crate) thread: Arc<Thread>,
    pub(crate) at_ns: i64,
    pub(crate) message: Option<&'a str>,
    pub(crate) fields: Option<&'a str>,
}

impl EventRef<'_> {
    /// The name for a viewer: what the event says, or its callsite.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        let name = &self.callsite.name;
        match self.message.filter(|message| !message.is_empty()) {
            Some(message) if event_name(name).is_none() => message.into(),
            message => match event_text(name, message, self.fields) {
                Some(said) => said.into(),
                None => name.as_str().into(),
            },
        }
    }
}

impl Source<'_> {
    /// Calls `each` for the selected events in order of id; after a scan over the spans. Returns their number.
    pub(crate) fn events(
        &mut self,
        mut each: impl FnMut(&EventRef<'_>) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        let mut count = 0;
        if self.run.events == 0 {
            self.passed.events = Some(0);
            return Ok(0);
        }
        let sql = format!(
            "SELECT id, span_id, callsite_id, thread_id, at_ns, message, fields FROM event
             WHERE id > ?1 AND id <= ?2 AND run_id = ?3 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        let mut after = (self.run.first_id as i64).saturating_sub(1);
        loop {
            let (reader, last) = (self.reader, self.last_id()?);
            let tx = reader.begin()?;
            let context = |error| Error::sqlite(reader.path(), "read the events", error);
            let mut names = Names::new(&tx).map_err(context)?;
            let mut query = tx.prepare(&sql).map_err(context)?;
            let mut rows = query.query(params![after, last, self.run.id]).map_err(context)?;
            let mut read = 0;
            while let Some(row) = rows.next().map_err(context)? {
                read += 1;
                self.tell()?;
                let event = event(row, &mut names).map_err(context)?;
                after = event.id as i64;
                if self.has_event(event.span_id, event.at_ns) {
                    count += 1;
                    each(&event)?;
                }
            }
            if read < PIECE_ROWS {
                self.passed.events = Some(count);
                return Ok(count);
            }
        }
    }
}

fn event<'row>(row: &'row Row<'_>, names: &mut Names<'_>) -> rusqlite::Result<EventRef<'row>> {
    let span_id: Option<i64> = row.get(1)?;
    Ok(EventRef {
        id: row.get::<_, i64>(0)? as u64,
        span_id: span_id.map(|id| id as u64),
        callsite: names.callsite(row.get(2)?)?,
        thread: names.thread(row.get(3)?)?,
        at_ns: row.get(4)?,
        message: row.get_ref(5)?.as_str_or_null()?,
        fields: row.get_ref(6)?.as_str_or_null()?,
    })
}
