//! The database beside the model: the same spans, events and links, ids aside.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use tracing::Level;

use crate::database::{Database, Fields, Span};
use crate::model::{Model, ModelSpan, Recording, Values};

/// Two models, one on each side of the profiler's layer.
///
/// `Registry` and the layers are told things in the order in which they were added, so the
/// profiler reads its clock after `below` and before `above` have read theirs.
#[derive(Debug, Clone, Default)]
pub struct Sandwich {
    pub below: Model,
    pub above: Model,
}

/// The two recordings at one moment.
#[derive(Debug)]
pub struct Slices {
    below: Recording,
    above: Recording,
    taken: Instant,
}

/// The profiler's clock may run this much faster or slower than `Instant`, per thousand ...
const DRIFT_PER_MILLE: i128 = 2;
/// ... and be this far off, in nanoseconds.
const TOLERANCE_NS: i128 = 20_000;

impl Sandwich {
    /// Two that a filter hides spans from, beside one without.
    pub fn beside(all: &Model) -> Self {
        Self { below: Model::beside(all), above: Model::beside(all) }
    }

    /// Both recordings as they are now.
    pub fn cut(&self) -> Slices {
        let (below, above) = (self.below.recording(), self.above.recording());
        Slices { below, above, taken: Instant::now() }
    }
}

impl Slices {
    /// The recording that both models agree on.
    pub fn recording(&self) -> &Recording {
        &self.below
    }

    /// Asserts that the only run of `db` is this recording, with events down to `threshold`.
    pub fn assert_equal(&self, db: &Database, threshold: Level) {
        let rows = db.spans();
        let by_n: BTreeMap<_, _> = rows.iter().map(|span| (span.n(), span)).collect();
        let by_id: HashMap<_, _> = rows.iter().map(|span| (span.id, span.n())).collect();
        let above: HashMap<_, _> = self.above.spans.iter().map(|span| (span.n(), span)).collect();
        assert_eq!(rows.len(), self.below.spans.len(), "number of spans");
        assert_eq!(by_n.len(), rows.len(), "each span once");
        for model in &self.below.spans {
            let row = by_n.get(&model.n()).unwrap_or_else(|| panic!("no row of {model:#?}"));
            self.assert_span(row, model, above[&model.n()], &by_id);
        }
        self.assert_starts(&by_n, &above);
        self.assert_threads(&by_n);
        self.assert_events(db, threshold, &by_id);
        let expected: BTreeSet<_> = (self.below.links.iter())
            .map(|(span, follows)| (self.n(*span), self.n(*follows)))
            .collect();
        let found: BTreeSet<_> =
            db.links().iter().map(|(span, follows)| (by_id[span], by_id[follows])).collect();
        assert_eq!(found, expected, "links");
    }

    /// The number of a span of the model.
    fn n(&self, index: usize) -> i64 {
        self.below.spans[index].n()
    }

    fn assert_span(
        &self,
        row: &Span,
        below: &ModelSpan,
        above: &ModelSpan,
        by_id: &HashMap<i64, i64>,
    ) {
        let context = || format!("{row:#?}\nagainst {below:#?}");
        assert_eq!(row.name, below.name, "{}", context());
        assert_eq!(row.level, below.level.to_string(), "{}", context());
        let parent = row.parent_id.map(|id| by_id.get(&id).copied().expect("the parent's row"));
        assert_eq!(parent, below.parent.map(|index| self.n(index)), "parent of {}", context());
        let mut root = below;
        while let Some(parent) = root.parent {
            root = &self.below.spans[parent];
        }
        assert_eq!(by_id.get(&row.root_id), Some(&root.n()), "root of {}", context());
        assert_fields(&row.fields, &below.fields, &context);
        assert_eq!(row.status, below.status(), "status of {}", context());
        assert_eq!(row.entries as u64, below.entries, "entries of {}", context());
        assert_eq!(row.duration_ns.is_some(), below.closed.is_some(), "end of {}", context());
        if let (Some(duration), Some(low), Some(high)) =
            (row.duration_ns, below.closed, above.closed)
        {
            let (low, high) = (between(above.created, low), between(below.created, high));
            assert_within("duration", duration, low, high, &context);
        }
        let (low, high) = self.busy(below, above);
        assert_within("busy time", row.busy_ns, low, high, &context);
        let threads: HashSet<_> = below.stretches.keys().chain(below.inside.keys()).collect();
        if let (0..=1, Some(duration)) = (threads.len(), row.duration_ns) {
            assert!(row.busy_ns <= duration, "busier than it lasted: {}", context());
        }
    }

    /// The least and the most that a span can have been busy.
    fn busy(&self, below: &ModelSpan, above: &ModelSpan) -> (i128, i128) {
        let (mut low, mut high) = (0, 0);
        for (thread, stretches) in &below.stretches {
            for (inner, outer) in above.stretches[thread].iter().zip(stretches) {
                low += between(inner.0, outer.1).max(0);
                high += between(outer.0, inner.1);
            }
        }
        // Entered and not left: until now at the most.
        for (since, _) in below.inside.values() {
            high += between(*since, self.taken);
        }
        (low, high)
    }

    /// One origin explains all starts.
    fn assert_starts(&self, by_n: &BTreeMap<i64, &Span>, above: &HashMap<i64, &ModelSpan>) {
        let Some(first) = self.below.spans.first() else { return };
        // Where the origin must lie, before the first span, by each start in turn.
        let (mut least, mut most) = (i128::MIN, i128::MAX);
        for below in &self.below.spans {
            let start = i128::from(by_n[&below.n()].start_ns);
            least = least.max(between(first.created, below.created) - start);
            most = most.min(between(first.created, above[&below.n()].created) - start);
        }
        // They are nearly in the order in which they were created: a thread may have been sent away meanwhile.
        let apart = self.below.spans.iter().map(|one| between(first.created, one.created).abs());
        let span = apart.max().unwrap_or(0);
        assert!(
            least <= most + TOLERANCE_NS + span * DRIFT_PER_MILLE / 1000,
            "no origin explains all starts: {least} to {most}"
        );
    }

    /// Threads are told apart as the model tells them apart.
    fn assert_threads(&self, by_n: &BTreeMap<i64, &Span>) {
        let pairs: BTreeSet<_> = (self.below.spans.iter())
            .map(|span| (format!("{:?}", span.thread), by_n[&span.n()].thread_id))
            .collect();
        let models: BTreeSet<_> = pairs.iter().map(|(model, _)| model).collect();
        let rows: BTreeSet<_> = pairs.iter().map(|(_, row)| row).collect();
        assert_eq!((models.len(), rows.len()), (pairs.len(), pairs.len()), "{pairs:?}");
    }

    fn assert_events(&self, db: &Database, threshold: Level, by_id: &HashMap<i64, i64>) {
        let rows: BTreeMap<_, _> =
            db.events().into_iter().map(|event| (event.fields.number("n"), event)).collect();
        let expected: BTreeMap<_, _> = (self.below.events.iter())
            .filter(|event| event.level <= threshold)
            .map(|event| (event.n(), event))
            .collect();
        let numbers = |keys: Vec<&i64>| keys.into_iter().copied().collect::<Vec<_>>();
        assert_eq!(
            numbers(rows.keys().collect()),
            numbers(expected.keys().collect()),
            "numbers of the events"
        );
        for (n, model) in expected {
            let row = &rows[&n];
            let context = || format!("{row:#?}\nagainst {model:#?}");
            assert_eq!(row.level, model.level.to_string(), "{}", context());
            assert_eq!(row.message, model.message, "message of {}", context());
            assert_fields(&row.fields, &model.fields, &context);
            let span = row.span_id.map(|id| by_id.get(&id).copied().expect("the span's row"));
            assert_eq!(span, model.span.map(|index| self.n(index)), "span of {}", context());
        }
    }
}

fn assert_fields(row: &Fields, model: &Values, context: &dyn Fn() -> String) {
    assert!(row.cut().is_empty(), "nothing was that long: {}", context());
    let names: Vec<_> = model.keys().copied().collect();
    assert_eq!(row.names(), names, "field names of {}", context());
    for (name, value) in model {
        let raw = row.raw(name).unwrap_or_default();
        assert!(value.is(raw), "field {name} is {raw}, not {value:?}: {}", context());
    }
}

fn assert_within(what: &str, found: i64, low: i128, high: i128, context: &dyn Fn() -> String) {
    let found = i128::from(found);
    let slack = |bound: i128| TOLERANCE_NS + bound * DRIFT_PER_MILLE / 1000;
    assert!(
        low - slack(low) <= found && found <= high + slack(high),
        "{what} is {found} ns, not between {low} and {high}: {}",
        context()
    );
}

/// Nanoseconds from `from` to `to`, negative if it is the other way round.
fn between(from: Instant, to: Instant) -> i128 {
    match to.checked_duration_since(from) {
        Some(after) => after.as_nanos() as i128,
        None => -(from.duration_since(to).as_nanos() as i128),
    }
}
