//! The totals that a batch adds to the row of its run.

use rusqlite::{Connection, params};

use crate::record::{EntryRow, EventRow, GaugeRow, LinkRow, LossRow, MarkRow, SpanRow};

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) spans: i64,
    pub(crate) unfinished: i64,
    pub(crate) events: i64,
    pub(crate) links: i64,
    pub(crate) entries: i64,
    pub(crate) dropped_entries: i64,
    pub(crate) dropped_spans: i64,
    pub(crate) dropped_events: i64,
    /// Deleted by retention; batches do not change it.
    pub(crate) pruned_spans: i64,
    pub(crate) pruned_events: i64,
    pub(crate) pruned_entries: i64,
    pub(crate) last_id: u64,
    /// The number of the commit; 0 if followers need not know it.
    pub(crate) last_batch_id: i64,
    pub(crate) last_ns: i64,
}

impl Totals {
    pub(crate) fn new(last_id: u64) -> Self {
        Self { last_id, last_ns: i64::MIN, ..Self::default() }
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    #[inline]
    pub(crate) fn see_span(&mut self, span: &SpanRow, end_ns: i64) {
        self.see_ids(span);
        self.last_ns = self.last_ns.max(end_ns);
        self.spans += 1;
        self.unfinished += i64::from(!span.status.has_closed());
    }

    /// Not counted: it is not stored as a span yet.
    pub(crate) fn see_open_span(&mut self, span: &SpanRow, seen_ns: i64) {
        self.see_ids(span);
        self.last_ns = self.last_ns.max(span.end_ns()).max(seen_ns);
    }

    #[inline]
    fn see_ids(&mut self, span: &SpanRow) {
        self.last_id = self.last_id.max(span.id).max(span.parent_id).max(span.root_id);
    }

    #[inline]
    pub(crate) fn see_event(&mut self, event: &EventRow) {
        self.events += 1;
        self.last_id = self.last_id.max(event.id).max(event.span_id);
        self.last_ns = self.last_ns.max(event.at_ns);
    }

    pub(crate) fn see_link(&mut self, link: &LinkRow, added: usize) {
        self.links += added as i64;
        self.last_id = self.last_id.max(link.span_id).max(link.follows_id);
    }

    #[inline]
    pub(crate) fn see_entry(&mut self, entry: &EntryRow) {
        self.entries += 1;
        self.last_id = self.last_id.max(entry.id).max(entry.span_id).max(entry.around_id);
        self.last_ns = self.last_ns.max(entry.end_ns());
    }

    /// Not counted: it only adds to what is known about a span.
    pub(crate) fn see_context(&mut self, root_id: u64, span_id: u64) {
        self.last_id = self.last_id.max(root_id).max(span_id);
    }

    pub(crate) fn see_loss(&mut self, loss: &LossRow) {
        self.dropped_spans += loss.spans as i64;
        self.dropped_events += loss.events as i64;
        self.dropped_entries += loss.entries as i64;
        self.last_ns = self.last_ns.max(loss.to_ns);
    }

    /// Not counted: marks are not part of what the program recorded.
    pub(crate) fn see_mark(&mut self, mark: &MarkRow) {
        self.last_ns = self.last_ns.max(mark.at_ns).max(mark.until_ns.unwrap_or(i64::MIN));
    }

    /// Not counted: the row of the run has no column for it.
    pub(crate) fn see_gauge(&mut self, gauge: &GaugeRow) {
        self.last_ns = self.last_ns.max(gauge.at_ns);
    }

    /// The run has gone on until then.
    pub(crate) fn see_until(&mut self, until_ns: i64) {
        self.last_ns = self.last_ns.max(until_ns);
    }

    /// Returns whether there was a row to add to: 1, or 0.
    pub(crate) fn add_to_run(&self, conn: &Connection, run_id: i64) -> rusqlite::Result<usize> {
        let mut update = conn.prepare(
            "UPDATE main.run SET last_id = max(last_id, ?2), last_ns = max(last_ns, ?3),
               spans = spans + ?4, unfinished = unfinished + ?5, events = events + ?6,
               links = links + ?7, dropped_spans = dropped_spans + ?8,
               dropped_events = dropped_events + ?9,
               last_batch_id = max(last_batch_id, ?10), entries = entries + ?11,
               dropped_entries = dropped_entries + ?12
             WHERE id = ?1",
        )?;
        update.execute(params![
            run_id,
            self.last_id as i64,
            self.last_ns,
            self.spans,
            self.unfinished,
            self.events,
            self.links,
            self.dropped_spans,
            self.dropped_events,
            self.last_batch_id,
            self.entries,
            self.dropped_entries
        ])
    }

    /// Adds the totals of a batch that is committed.
    pub(crate) fn add(&mut self, batch: &Self) {
        for (sum, n) in [
            (&mut self.spans, batch.spans),
            (&mut self.unfinished, batch.unfinished),
            (&mut self.events, batch.events),
            (&mut self.links, batch.links),
            (&mut self.entries, batch.entries),
            (&mut self.dropped_entries, batch.dropped_entries),
            (&mut self.pruned_entries, batch.pruned_entries),
            (&mut self.dropped_spans, batch.dropped_spans),
            (&mut self.dropped_events, batch.dropped_events),
            (&mut self.pruned_spans, batch.pruned_spans),
            (&mut self.pruned_events, batch.pruned_events),
        ] {
            *sum = sum.saturating_add(n);
        }
        self.last_id = self.last_id.max(batch.last_id);
        self.last_batch_id = self.last_batch_id.max(batch.last_batch_id);
        self.last_ns = self.last_ns.max(batch.last_ns);
    }
}
