//! What is missing, in as few rows as say it: losses for one reason, one after the other, are one.

use spandrel_storage::Loss;

use crate::report::bounds;
use crate::report::data::LossFact;

/// Losses in the order of their beginning. Neighbours are put together until there are few enough.
pub(crate) fn losses(mut all: Vec<Loss>, length_ns: i64) -> Vec<LossFact> {
    all.sort_by(|a, b| (&a.reason, a.from_ns).cmp(&(&b.reason, b.from_ns)));
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
                }
                _ => merged.push(LossFact {
                    reason: loss.reason.clone(),
                    from_ns: loss.from_ns,
                    to_ns: loss.to_ns,
                    spans: loss.spans,
                    events: loss.events,
                }),
            }
        }
        if merged.len() <= bounds::LOSSES || gap_ns == i64::MAX {
            merged.sort_by_key(|loss| loss.from_ns);
            merged.truncate(bounds::LOSSES);
            return merged;
        }
        gap_ns = gap_ns.max(1).saturating_mul(4);
    }
}
