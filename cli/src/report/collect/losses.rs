//! What is missing, in as few rows as say it: losses for one reason, one after the other, are one.

use spandrel_query::Loss;
use spandrel_query::OrderRows as _;

use crate::report::bounds;
use crate::report::data::LossFact;

/// Losses in the order of their beginning. Neighbours are put together until there are few enough.
pub(crate) fn losses(mut all: Vec<Loss>, length_ns: i64) -> Vec<LossFact> {
    all.order_by(|a, b| (&a.reason, a.from_ns).cmp(&(&b.reason, b.from_ns)));
    // Half a hundredth of the run is less than can be seen.
    let mut gap_ns = length_ns / 200;
    loop {
        let mut merged: Vec<LossFact> = Vec::new();
        for loss in &all {
            match merged.last_mut() {
                Some(last)
                    if last.reason == loss.reason
                        && loss.from_ns.saturating_sub(last.to_ns) <= gap_ns =>
                {
                    last.to_ns = last.to_ns.max(loss.to_ns);
                    last.spans = last.spans.saturating_add(loss.spans);
                    last.events = last.events.saturating_add(loss.events);
                    last.entries = last.entries.saturating_add(loss.entries);
                }
                _ => merged.push(LossFact {
                    reason: loss.reason.clone(),
                    from_ns: loss.from_ns,
                    to_ns: loss.to_ns,
                    spans: loss.spans,
                    events: loss.events,
                    entries: loss.entries,
                }),
            }
        }
        if merged.len() <= bounds::LOSSES || gap_ns == i64::MAX {
            merged.order_by_key(|loss| loss.from_ns);
            merged.truncate(bounds::LOSSES);
            return merged;
        }
        gap_ns = gap_ns.max(1).saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use spandrel_query::Reader;
    use spandrel_storage::{Batch, LossRow, RunInfo, Store, StoreOptions};

    use super::*;

    #[test]
    fn neighbours_for_one_reason_are_one_with_the_sums_of_all_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
        let loss = |from_ns: i64, (spans, events, entries)| LossRow {
            reason: "ring_full",
            from_ns,
            to_ns: from_ns + 5,
            spans,
            events,
            entries,
            thread_id: None,
        };
        let lost = vec![loss(10, (1, 2, 3)), loss(16, (0, 0, 40)), loss(90_000, (0, 0, 7))];
        store.append(&mut Batch { losses: lost, ..Batch::default() }).unwrap();
        store.close().unwrap();
        let found = losses(Reader::open(&path).unwrap().losses(1).unwrap(), 10_000);
        let sums: Vec<_> = found.iter().map(|l| (l.spans, l.events, l.entries)).collect();
        assert_eq!(sums, [(1, 2, 43), (0, 0, 7)]);
    }
}
