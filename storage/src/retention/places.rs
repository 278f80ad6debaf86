//! Where the rows of a run begin, as far as retention has found out: between two pieces of its ids may be any number of
//! rows of other runs, which are not read again and again.

use std::collections::HashMap;

use crate::record::Batch;

/// So many rows of a run and a table may come with ids of which it was thought that no row has them; then all is
/// looked for again.
const LATE_MAX: usize = 8_192;

/// Of runs, where their spans, events and entries begin.
#[derive(Debug, Default)]
pub(crate) struct Places {
    runs: HashMap<i64, [Place; 3]>,
}

/// Where the rows of a run in a table begin.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// No row of the run has a smaller id ...
    pub(super) first_id: i64,
    /// ... but these: a span has its id from when it began, and its row when it closes.
    pub(super) late: Vec<i64>,
    /// The largest id that was deleted: links of the run up to it were, too, also of spans that have no row yet.
    pub(super) deleted_to: i64,
}

impl Default for Place {
    fn default() -> Self {
        Self { first_id: i64::MIN, late: Vec::new(), deleted_to: i64::MIN }
    }
}

impl Place {
    /// Rows with these ids are stored.
    fn add(&mut self, ids: impl Iterator<Item = u64>) {
        self.late.extend(ids.map(u64::cast_signed).filter(|id| *id < self.first_id));
        if self.late.len() > LATE_MAX {
            *self = Self::default();
        }
    }
}

impl Places {
    /// Rows of a run are stored.
    pub(crate) fn add(&mut self, run_id: i64, batch: &Batch) {
        let Some([spans, events, entries]) = self.runs.get_mut(&run_id) else { return };
        spans.add(batch.spans.iter().map(|row| row.id));
        events.add(batch.events.iter().map(|row| row.id));
        entries.add(batch.entries.iter().map(|row| row.id));
    }

    pub(super) fn of_run(&mut self, run_id: i64) -> &mut [Place; 3] {
        self.runs.entry(run_id).or_default()
    }

    /// No span, event, entry or link of a run has a smaller id.
    pub(super) fn first_ids(&self, run_id: i64) -> [i64; 4] {
        let Some(places) = self.runs.get(&run_id) else { return [i64::MIN; 4] };
        let first = |place: &Place| place.late.iter().copied().fold(place.first_id, i64::min);
        let [spans, events, entries] = places.each_ref().map(first);
        let [Place { deleted_to, .. }, ..] = places;
        [spans, events, entries, spans.min(deleted_to.saturating_add(1))]
    }

    /// Forgets all other runs.
    pub(super) fn retain(&mut self, is_meant: impl Fn(i64) -> bool) {
        self.runs.retain(|run_id, _| is_meant(*run_id));
    }
}
