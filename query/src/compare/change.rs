//! What changed, name by name.

use std::collections::HashSet;

use super::blocks::Samples;
use super::bootstrap::{Bootstrap, Estimate};
use super::drawing::{Blocks, Buckets, DrawCount, Recording};
use super::samples::{SampleSet, SpanName};
use crate::statistics::benjamini_hochberg;
use crate::workers::{each_of, workers};
use spandrel_storage::Histogram;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// The median duration.
    P50,
    /// The 95th percentile of the durations.
    P95,
    /// The 99th percentile of the durations.
    P99,
    /// The mean duration.
    Mean,
    /// The mean time that threads were inside of a span.
    Busy,
    /// How many spans there are in a run.
    Calls,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::P50, Self::P95, Self::P99, Self::Mean, Self::Busy, Self::Calls];

    /// Its name: `p50`, `p95`, `p99`, `mean`, `busy` or `calls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Mean => "mean",
            Self::Busy => "busy",
            Self::Calls => "calls",
        }
    }

    /// Calls that each side needs: enough that some lie beyond the quantile.
    pub fn samples_min(self) -> u64 {
        match self {
            Self::P50 | Self::Mean | Self::Busy => 30,
            Self::P95 => 100,
            Self::P99 => 200,
            Self::Calls => 1,
        }
    }

    fn of(self, buckets: &Buckets, recording: &mut Recording<'_>) -> Option<f64> {
        match self {
            Self::P50 => recording.quantile(buckets, 0.5),
            Self::P95 => recording.quantile(buckets, 0.95),
            Self::P99 => recording.quantile(buckets, 0.99),
            Self::Mean => recording.mean_ns(),
            Self::Busy => recording.mean_busy_ns(),
            Self::Calls => Some(recording.calls()),
        }
    }
}

/// One metric of one name on both sides, in nanoseconds, or in calls a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Delta {
    /// On side A, the same figure as in other commands; `None` if it has no such span.
    pub a: Option<f64>,
    /// On side B; `None` if it has no such span.
    pub b: Option<f64>,
    /// B - A, more precise than the two figures, which are rounded to their histogram bucket.
    pub difference: Option<f64>,
    /// The relative change; `None` if either side has too few spans.
    pub estimate: Option<Estimate>,
    /// The largest [`Estimate::p_value`] that counts as significant.
    p_value_max: f64,
}

impl Delta {
    /// Whether the change is significant and larger than `noise`, a relative change.
    ///
    /// All figures of the [`Comparison`] are judged together: of the changes that are called significant, the
    /// expected share of false ones is at most one minus [`Bootstrap::confidence`] (Benjamini and Hochberg,
    /// "Controlling the false discovery rate", 1995). So a change can be not significant although its interval does
    /// not contain zero.
    pub fn is_significant(&self, noise: f64) -> bool {
        self.estimate.is_some_and(|estimate| {
            let beyond_chance = estimate.p_value <= self.p_value_max;
            let one_sided = estimate.low > 0.0 || estimate.high < 0.0;
            beyond_chance && one_sided && estimate.change.abs() > noise
        })
    }
}

/// One metric of one side with its confidence interval, in nanoseconds, or in calls.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// As measured.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Samples {
    /// The same figure as in other commands: percentiles of the histogram, capped at the longest duration; an exact
    /// mean. `None` without spans.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::P50 | Metric::P95 | Metric::P99 => self.figure_of(metric, &self.histogram()),
            _ => self.figure_of(metric, &Histogram::new()),
        }
    }

    /// The same with a given histogram of all calls.
    fn figure_of(&self, metric: Metric, all: &Histogram) -> Option<f64> {
        let percentile = |q: f64| all.percentile_up_to(q, self.max_ns()).map(|ns| ns as f64);
        let by_call = |all: f64| {
            let calls = self.calls() as f64;
            (calls > 0.0).then(|| all / calls)
        };
        match metric {
            Metric::P50 => percentile(0.5),
            Metric::P95 => percentile(0.95),
            Metric::P99 => percentile(0.99),
            Metric::Mean => by_call(self.sum_ns() as f64),
            Metric::Busy => by_call(self.busy_ns()? as f64),
            Metric::Calls => {
                let calls = self.calls() as f64;
                (calls > 0.0).then(|| calls / self.run_count())
            }
        }
    }

    /// Whether there are enough calls for a metric.
    fn has(&self, metric: Metric) -> bool {
        self.calls() > 0 && (metric != Metric::Busy || self.busy_ns().is_some())
    }

    /// The number of runs.
    fn run_count(&self) -> f64 {
        self.runs.max(1) as f64
    }

    /// A metric of one side with its interval; `None` if there are too few calls.
    pub fn measure(&self, metric: Metric, how: &Bootstrap) -> Option<Measured> {
        let buckets = Buckets::of([self, self]);
        let blocks = buckets.blocks(self);
        let value = metric.of(&buckets, &mut blocks.recording())?;
        let figure = self.figure(metric)?;
        if self.calls() < metric.samples_min() {
            return None;
        }
        let (mut low, mut high) = (value, value);
        for blocks in [blocks.long(), blocks] {
            let (mut random, mut drawn) = (how.random(), blocks.recording());
            let mut values = Vec::with_capacity(how.draws);
            for _ in 0..how.draws {
                drawn.draw(&mut random);
                values.extend(metric.of(&buckets, &mut drawn));
            }
            let interval = how.interval(value, &mut values, blocks.drawn())?;
            (low, high) = (low.min(interval.0), high.max(interval.1));
        }
        Some(Measured { value: figure, low: low.min(figure), high: high.max(figure) })
    }
}

/// One name on both sides.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The name.
    pub name: &'a SpanName,
    /// Its calls on side A, if there are any.
    pub a: Option<&'a Samples>,
    /// Its calls on side B, if there are any.
    pub b: Option<&'a Samples>,
    /// `None` if the name is not judged, since there are too many.
    deltas: Option<Box<[Delta; Metric::ALL.len()]>>,
}

impl<'a> Change<'a> {
    /// Whether its changes were tested for significance: only the names with the most self time are.
    pub fn is_judged(&self) -> bool {
        self.deltas.is_some()
    }

    /// A metric on both sides.
    pub fn delta(&self, metric: Metric) -> Delta {
        let at = Metric::ALL.iter().position(|known| *known == metric);
        let known = at.zip(self.deltas.as_ref()).and_then(|(at, deltas)| deltas.get(at));
        known.copied().unwrap_or_else(|| {
            let [a, b] = [self.a, self.b].map(|side| side?.figure(metric));
            let difference = a.zip(b).map(|(a, b)| b - a);
            Delta { a, b, difference, estimate: None, p_value_max: 0.0 }
        })
    }

    fn self_ns(&self) -> i64 {
        let [a, b] = [self.a, self.b].map(|side| side.map_or(0, Samples::self_ns));
        a.saturating_add(b)
    }

    #[cfg(test)]
    fn of(
        name: &'a SpanName,
        a: Option<&'a Samples>,
        b: Option<&'a Samples>,
        how: &Bootstrap,
    ) -> Self {
        let mut change = Self { name, a, b, deltas: None };
        change.judge(how);
        change
    }

    fn judge(&mut self, how: &Bootstrap) {
        let none = Samples::default();
        let sides = [self.a, self.b].map(|side| side.unwrap_or(&none));
        let buckets = Buckets::of(sides);
        let blocks = sides.map(|side| buckets.blocks(side));
        let mut measured = [blocks[0].recording(), blocks[1].recording()];
        let all = sides.map(Samples::histogram);
        let runs = sides.map(Samples::run_count);
        let mut drawn = [draw(&buckets, &blocks, runs, how), {
            let long = [blocks[0].long(), blocks[1].long()];
            draw(&buckets, &long, runs, how)
        }];
        let single = sides.iter().any(|side| side.runs < 2);
        let calls_min = sides[0].calls().min(sides[1].calls());
        let mut at = 0..;
        let deltas = Metric::ALL.map(|metric| {
            let at = at.next().unwrap_or_default();
            let ratios = drawn.each_mut().map(|(ratios, things)| {
                (ratios.get_mut(at).map(std::mem::take).unwrap_or_default(), *things)
            });
            let mut of = |at: usize| {
                let value = metric.of(&buckets, &mut measured[at]);
                let value = value.filter(|_| sides[at].has(metric))?;
                Some(if metric == Metric::Calls { value / sides[at].run_count() } else { value })
            };
            let (from, to) = (of(0), of(1));
            let judged = calls_min >= metric.samples_min();
            let estimate = judged.then(|| estimate(from?, to?, ratios, single, how)).flatten();
            let [a, b] = [0, 1].map(|at| sides[at].figure_of(metric, &all[at]));
            let difference = from.zip(to).map(|(from, to)| to - from);
            Delta { a, b, difference, estimate, p_value_max: 1.0 - how.confidence }
        });
        self.deltas = Some(Box::new(deltas));
    }
}

/// The estimate from ratios drawn in short and in long blocks: the wider interval and the larger probability count.
fn estimate(
    a: f64,
    b: f64,
    ratios: [(Vec<f64>, DrawCount); 2],
    single: bool,
    how: &Bootstrap,
) -> Option<Estimate> {
    let measured = ratio(a, b)?;
    let (mut low, mut high, mut p_value) = (measured, measured, 0.0_f64);
    for (mut ratios, things) in ratios {
        let mut interval = how.interval(measured, &mut ratios, things)?;
        if single {
            interval = how.of_single_runs(measured, interval);
        }
        (low, high) = (low.min(interval.0), high.max(interval.1));
        p_value = p_value.max(how.chance(measured, interval, things));
    }
    Some(Estimate { change: measured - 1.0, low: low - 1.0, high: high - 1.0, p_value })
}

/// `b / a`.
fn ratio(a: f64, b: f64) -> Option<f64> {
    (a > 0.0).then(|| b / a)
}

/// For each metric, the ratio of each pair of drawn recordings.
type Ratios = [Vec<f64>; Metric::ALL.len()];

fn draw(
    buckets: &Buckets,
    sides: &[Blocks; 2],
    runs: [f64; 2],
    how: &Bootstrap,
) -> (Ratios, DrawCount) {
    let mut random = how.random();
    let [mut a, mut b] = [sides[0].recording(), sides[1].recording()];
    let mut ratios = Ratios::default();
    for _ in 0..how.draws {
        a.draw(&mut random);
        b.draw(&mut random);
        for (metric, ratios) in Metric::ALL.iter().zip(&mut ratios) {
            let drawn = metric.of(buckets, &mut a).zip(metric.of(buckets, &mut b));
            let drawn = drawn.and_then(|(a, b)| ratio(a, b));
            // Calls are compared per run.
            let scale = if *metric == Metric::Calls { runs[0] / runs[1] } else { 1.0 };
            ratios.extend(drawn.map(|ratio| ratio * scale));
        }
    }
    let [one, other] = [sides[0].drawn(), sides[1].drawn()];
    (ratios, DrawCount(one.0.min(other.0)))
}

/// Names that are judged at most: each takes over a thousand draws, some milliseconds.
pub const JUDGED_MAX: usize = 500;

/// Two sides, name by name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Comparison<'a> {
    /// The names that either side has, those with most self time on the two sides first.
    pub changes: Vec<Change<'a>>,
}

impl<'a> Comparison<'a> {
    /// Compares side B with side A. If there are more than [`JUDGED_MAX`] names, those are judged that have the most
    /// self time and enough calls for a median.
    pub fn new(a: &'a SampleSet, b: &'a SampleSet, how: &Bootstrap) -> Self {
        Self::first(a, b, how, |_| false)
    }

    /// The same; some names, such as those that the user asked about, are judged before others.
    pub fn first(
        a: &'a SampleSet,
        b: &'a SampleSet,
        how: &Bootstrap,
        is_first: impl Fn(&SpanName) -> bool,
    ) -> Self {
        Self::judge(a, b, how, &is_first)
    }

    fn judge(
        a: &'a SampleSet,
        b: &'a SampleSet,
        how: &Bootstrap,
        is_first: &dyn Fn(&SpanName) -> bool,
    ) -> Self {
        let mut changes = side_by_side(a, b);
        changes.sort_by_cached_key(|change| std::cmp::Reverse(change.self_ns()));
        let are_many = changes.len() > JUDGED_MAX;
        let goes_first =
            |at: &usize| are_many && changes.get(*at).is_some_and(|change| is_first(change.name));
        let (mut order, others): (Vec<usize>, Vec<usize>) =
            (0..changes.len()).partition(goes_first);
        order.extend(others);
        // With few calls, only their number can be compared.
        let is_worth_it = |change: &Change<'_>| {
            let [a, b] = [change.a, change.b].map(|side| side.map_or(0, Samples::calls));
            a.min(b) >= Metric::P50.samples_min()
        };
        let is_judged = |at: &usize| {
            let change = changes.get(*at);
            change.is_some_and(|c| !are_many || is_worth_it(c) || is_first(c.name))
        };
        let judged: HashSet<usize> = order.into_iter().filter(is_judged).take(JUDGED_MAX).collect();
        let all = changes.iter_mut().enumerate();
        let judged = all.filter(|(at, _)| judged.contains(at)).map(|(_, change)| change).collect();
        each_of(judged, workers(), |change: &mut Change<'_>| change.judge(how));
        limit_false_discoveries(&mut changes, 1.0 - how.confidence);
        Self { changes }
    }

    /// Names that were not judged, as there were too many.
    pub fn not_judged(&self) -> usize {
        self.changes.iter().filter(|change| !change.is_judged()).count()
    }
}

/// Joins the names of both sides, in their order.
fn side_by_side<'a>(a: &'a SampleSet, b: &'a SampleSet) -> Vec<Change<'a>> {
    let (mut of_a, mut of_b) = (a.iter().peekable(), b.iter().peekable());
    let mut changes = Vec::with_capacity(a.names().max(b.names()));
    loop {
        let next = match (of_a.peek(), of_b.peek()) {
            (Some((name, _)), Some((other, _))) => (*name).min(other),
            (Some((name, _)), None) | (None, Some((name, _))) => *name,
            (None, None) => return changes,
        };
        let a = of_a.next_if(|(name, _)| *name == next).map(|(_, samples)| samples);
        let b = of_b.next_if(|(name, _)| *name == next).map(|(_, samples)| samples);
        changes.push(Change { name: next, a, b, deltas: None });
    }
}

/// Sets the bound on p-values such that the expected share of false discoveries among all figures is `rate`.
fn limit_false_discoveries(changes: &mut [Change<'_>], rate: f64) {
    let deltas = || changes.iter().filter_map(|change| change.deltas.as_deref()).flatten();
    let p_values: Vec<f64> = deltas().filter_map(|d| Some(d.estimate?.p_value)).collect();
    // If nothing is significant, a bound below every p-value.
    let p_value_max = benjamini_hochberg::limit(&p_values, rate).unwrap_or(-1.0);
    for delta in changes.iter_mut().filter_map(|c| c.deltas.as_deref_mut()).flatten() {
        delta.p_value_max = p_value_max;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations about `center_ns` in 64 blocks of 100 spans.
    fn samples(center_ns: f64, seed: u64) -> Samples {
        let how = Bootstrap { seed, ..Bootstrap::default() };
        let mut random = how.random();
        let mut one = || {
            let around: f64 = (0..12).map(|_| random.below(1_000) as f64 / 1e3).sum::<f64>() - 6.0;
            (center_ns * (1.0 + 0.1 * around)) as u64
        };
        let blocks: Vec<Vec<u64>> = (0..64).map(|_| (0..100).map(|_| one()).collect()).collect();
        Samples::of_run_of_blocks(&blocks)
    }

    /// Of sides that differ in nothing but what is drawn.
    const HOW: Bootstrap =
        Bootstrap { draws: 400, confidence: 0.95, between_runs: 0.0, seed: 0x5350_414E };

    fn delta(a: &Samples, b: &Samples, metric: Metric, how: &Bootstrap) -> Delta {
        let name = SpanName::named("n".into(), "t".into());
        Change::of(&name, Some(a), Some(b), how).delta(metric)
    }

    fn side(names: impl IntoIterator<Item = (String, Samples)>) -> SampleSet {
        let mut side = SampleSet::new();
        let named = |(name, samples)| (SpanName::named(name, "t".into()), samples);
        side.add_names(names.into_iter().map(named).collect());
        side
    }

    #[test]
    fn of_very_many_names_those_with_most_self_time_and_those_that_are_asked_about_are_judged() {
        let one = |n: i64| {
            let samples = Samples::of_run_of_blocks(&[[1_000; 30]]);
            (n.to_string(), Samples { self_ns: n, ..samples })
        };
        let side = side((0..JUDGED_MAX as i64 + 50).map(one));
        let how = Bootstrap { draws: 2, ..HOW };
        let is_asked = |name: &SpanName| name.name == "7";
        let found = Comparison::first(&side, &side, &how, is_asked);
        assert_eq!((found.changes.len(), found.not_judged()), (JUDGED_MAX + 50, 50));
        let judged = |name: &str| {
            let mut all = found.changes.iter();
            all.find(|change| change.name.name == name).map(Change::is_judged)
        };
        assert_eq!(
            ["7", "8", "50", "51", "549"].map(judged),
            [true, false, false, true, true].map(Some)
        );
        let left = found.changes.iter().find(|change| !change.is_judged()).unwrap();
        assert_eq!(left.delta(Metric::Calls).a, Some(30.0), "figures are known all the same");
    }

    #[test]
    fn ten_percent_more_is_found() {
        for seed in 0..5 {
            let [a, b] = [samples(1e6, seed), samples(1.1e6, seed + 100)];
            for metric in [Metric::P50, Metric::P95, Metric::P99, Metric::Mean] {
                let delta = delta(&a, &b, metric, &HOW);
                assert!(delta.is_significant(0.02), "{metric:?}: {delta:?}");
                let estimate = delta.estimate.unwrap();
                assert!(estimate.low < 0.11 && estimate.high > 0.09, "{metric:?}: {delta:?}");
            }
            assert!(!delta(&a, &b, Metric::Calls, &HOW).is_significant(0.02));
        }
    }

    #[test]
    fn intervals_hold_what_is_so() {
        // At 95 %, 100 comparisons of the same with the same find some 5 changes of each metric.
        let mut alarms = [0; Metric::ALL.len()];
        for seed in 0..100 {
            let [a, b] = [samples(1e6, seed), samples(1e6, seed + 1_000)];
            let name = SpanName::named("n".into(), "t".into());
            let found = Change::of(&name, Some(&a), Some(&b), &HOW);
            for (alarms, metric) in alarms.iter_mut().zip(Metric::ALL) {
                *alarms += usize::from(found.delta(metric).is_significant(0.0));
            }
        }
        assert!(alarms.iter().all(|alarms| *alarms <= 14), "{alarms:?}");
        assert!(alarms.iter().sum::<usize>() > 0, "the intervals are too wide: {alarms:?}");
    }

    #[test]
    fn of_many_names_the_one_that_changed_is_found() {
        let (mut single, mut together) = (0, 0);
        for round in 0..4 {
            let side = |seed: u64, slower: f64| {
                side((0..20).map(|n| {
                    let factor = if n == 7 { slower } else { 1.0 };
                    (format!("span {n}"), samples(1e6 * factor, round * 1_000 + seed + n))
                }))
            };
            let [a, b] = [side(0, 1.0), side(100, 1.1)];
            let comparison = Comparison::new(&a, &b, &HOW);
            for change in &comparison.changes {
                for delta in Metric::ALL.map(|metric| change.delta(metric)) {
                    let is_significant = delta.is_significant(0.0);
                    if change.name.name == "span 7" {
                        let moved = delta.estimate.is_some_and(|e| e.change.abs() > 0.05);
                        assert_eq!(is_significant, moved, "{delta:?}");
                    } else {
                        let by_itself = delta.estimate.is_some_and(|e| e.p_value <= 0.05);
                        single += usize::from(by_itself);
                        together += usize::from(is_significant);
                    }
                }
            }
        }
        // Of 380 figures that have not changed some 15 look changed.
        assert!(single >= 5 && together <= 2, "{single} by themselves, {together} together");
    }

    #[test]
    fn single_runs_are_taken_to_differ() {
        let [a, b] = [samples(1e6, 1), samples(1.04e6, 2)];
        let p50 = |a: &Samples, b: &Samples, between_runs: f64| {
            delta(a, b, Metric::P50, &Bootstrap { between_runs, ..HOW })
        };
        assert!(p50(&a, &b, 0.0).is_significant(0.0));
        let wider = p50(&a, &b, 0.02);
        assert!(!wider.is_significant(0.0), "4 % are no more than two runs of 2 % make");
        let estimate = wider.estimate.unwrap();
        assert!(estimate.low < 0.0 && estimate.high > 0.09 && estimate.p_value > 0.05);
        // Of several runs on each side it is known.
        assert!(p50(&a.repeated(5), &b.repeated(5), 0.02).is_significant(0.0));
        assert!(!p50(&a.repeated(5), &b, 0.02).is_significant(0.0));
    }

    #[test]
    fn one_side_alone_has_an_interval_too() {
        let side = samples(1e6, 3);
        let p95 = side.measure(Metric::P95, &Bootstrap::default()).unwrap();
        assert!(p95.low <= p95.value && p95.value <= p95.high && p95.low < p95.high, "{p95:?}");
        assert!((p95.value / 1.164e6 - 1.0).abs() < 0.02, "{p95:?}");
        assert_eq!(Samples::default().measure(Metric::P50, &Bootstrap::default()), None);
    }

    #[test]
    fn too_few_spans_are_not_judged() {
        let few = Samples::of_run_of_blocks(&[[1_000; 29]]);
        let found = delta(&few, &samples(2_000.0, 1), Metric::P50, &HOW);
        assert_eq!(found.estimate, None);
        assert!(found.a.is_some());
        let name = SpanName::named("n".into(), "t".into());
        let gone = Change::of(&name, Some(&few), None, &Bootstrap::default());
        assert_eq!((gone.delta(Metric::P50).b, gone.delta(Metric::Calls).estimate), (None, None));
    }
}
