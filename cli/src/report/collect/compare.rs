//! The run beside a baseline: what got slower or faster, and how sure that is.
//!
//! The comparison is that of `spandrel diff`; here it gets words, and numbers for names.

use spandrel_query::compare::{Bootstrap, Change, Comparison, Delta, Metric, SampleSet, Samples};

use super::names::Names;
use super::text::cut;
use crate::report::bounds;
use crate::report::data::{Diff, DiffQuantile, DiffRow};

/// A change of less is not called one, whatever its interval: percentiles are within 1 % each.
const NOISE: f64 = 0.02;

const METRICS: [(Metric, f64); 3] = [(Metric::P50, 0.5), (Metric::P95, 0.95), (Metric::P99, 0.99)];

/// The run that the report's run is compared with.
#[derive(Debug)]
pub(crate) struct Baseline {
    /// What the baseline is, in words.
    pub words: String,
    pub before: SampleSet,
    pub after: SampleSet,
    pub is_complete: bool,
}

pub(crate) fn compare(baseline: &Baseline, names: &mut Names) -> Diff {
    let how = Bootstrap::default();
    let single = [&baseline.before, &baseline.after].iter().any(|side| side.runs() < 2);
    let mut diff = Diff {
        baseline: cut(&baseline.words, bounds::NAME_CHARS),
        baseline_spans: baseline.before.iter().map(|(_, samples)| samples.calls()).sum(),
        baseline_complete: baseline.is_complete,
        confidence: how.confidence,
        between_runs: single.then_some(how.between_runs),
        ..Diff::default()
    };
    for change in &Comparison::new(&baseline.before, &baseline.after, &how).changes {
        let mut number =
            || names.of_text(&change.name.name, &change.name.target, change.name.counted);
        let has_room = |length: usize| length < bounds::DIFF_ROWS;
        match (change.a, change.b) {
            (Some(a), Some(b)) if has_room(diff.rows.len()) => {
                diff.rows.push(row(number(), a, b, change));
            }
            (None, Some(_)) if has_room(diff.appeared.len()) => diff.appeared.push(number()),
            (Some(_), None) if has_room(diff.vanished.len()) => diff.vanished.push(number()),
            // There can be half a million.
            _ => diff.left_out += 1,
        }
    }
    diff
}

fn row(name: i64, a: &Samples, b: &Samples, change: &Change<'_>) -> DiffRow {
    let quantiles = METRICS.map(|(metric, q)| quantile(q, &change.delta(metric)));
    DiffRow { name, calls_before: a.calls(), calls_after: b.calls(), quantiles: quantiles.into() }
}

fn quantile(q: f64, delta: &Delta) -> DiffQuantile {
    let ns = |side: Option<f64>| side.unwrap_or(0.0).max(0.0) as u64;
    let percent = |share: f64| (share * 1e4).round() / 1e2;
    let (before_ns, after_ns) = (ns(delta.a), ns(delta.b));
    let plain = after_ns as f64 / before_ns.max(1) as f64 - 1.0;
    let (change, low, high) = match delta.estimate {
        Some(estimate) => (estimate.change, estimate.low, estimate.high),
        None => (plain, plain, plain),
    };
    let verdict = match delta.estimate {
        None => "unsure",
        Some(_) if !delta.is_significant(NOISE) => "same",
        Some(estimate) if estimate.change > 0.0 => "slower",
        Some(_) => "faster",
    };
    let [change, low, high] = [change, low, high].map(percent);
    DiffQuantile { q, before_ns, after_ns, change, low, high, verdict }
}
