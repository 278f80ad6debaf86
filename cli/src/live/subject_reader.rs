//! Reads spans themselves, which the table does not need: each read is bounded.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use spandrel_query::OrderRows as _;
use spandrel_query::{
    Columns, CountedBy, Gauge, OpenSpan, Reader, Run, Scan, SlowBy, Slowest, SpanRef, Stacks,
};
use spandrel_storage::Error;

use super::page::{Blocked, Coverage, Detail, Flame, OpenLine, Point, Row, RowKey};
use super::window::{SECOND_NS, floor};

/// Most ids that are read, from the end of the window backwards.
const IDS_MAX: u64 = 50_000;
/// An entry of this length or longer is too long for an executor.
pub(crate) const BLOCKING_NS: i64 = 10_000_000;
/// Slow spans that are kept.
const SLOWEST: usize = 20;
/// Most points of percentiles over time.
const POINTS: i64 = 60;
/// The longest time that percentiles are shown over.
const OVER_TIME_MAX_NS: i64 = 300 * SECOND_NS;
/// An open span is stalled if it is older than this many times the p99 of its name ...
const STALLED_P99: i64 = 10;
/// ... and older than this.
const STALLED_MIN_NS: i64 = SECOND_NS;
/// If no span of a name ended in the window, open ones older than this are stalled.
const STALLED_UNKNOWN_NS: i64 = 30 * SECOND_NS;

/// Samples of gauges that are read, the newest ones.
const SAMPLES_MAX: u32 = 50_000;
/// Columns of the trend of a gauge.
const TREND_PARTS: usize = 60;

/// The part of a run that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) run: &'a Run,
    pub(crate) from_ns: i64,
    pub(crate) until_ns: i64,
    /// Whether nothing is stored after it.
    pub(crate) is_end: bool,
    /// What is open, if that was read elsewhere than in the profile.
    pub(crate) open_now: Option<&'a [OpenSpan]>,
}

impl Part<'_> {
    /// What is open, as its ring file has it, or as the recording last looked.
    pub(crate) fn open_spans(&self, reader: &Reader) -> Result<Vec<OpenSpan>, Error> {
        match self.open_now {
            Some(open) => Ok(open.to_vec()),
            None => reader.open_spans(self.run.id),
        }
    }

    /// Calls `each` for the last spans of the part, and for the last entries of long-lived ones.
    fn scan(
        &self,
        reader: &Reader,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<Coverage, Error> {
        let run = self.run;
        let end = if self.is_end {
            run.last_id.saturating_add(1)
        } else {
            reader.id_near(run.id, self.until_ns)?
        };
        let bound = end.saturating_sub(IDS_MAX).max(run.first_id);
        let begin = reader.id_near(run.id, self.from_ns)?.max(bound);
        let scan = Scan::new(run.id)
            .columns(Columns::Entries)
            .ids(begin, end.saturating_sub(1))
            .window(Some(self.from_ns), Some(self.until_ns));
        let is_all = begin > bound || bound == run.first_id;
        let mut coverage = Coverage { spans: 0, entries: 0, from_ns: None, is_all };
        let mut one = |call: &SpanRef<'_>| {
            let seen =
                if call.entry.is_some() { &mut coverage.entries } else { &mut coverage.spans };
            *seen += 1;
            coverage.from_ns =
                Some(coverage.from_ns.map_or(call.start_ns, |from| from.min(call.start_ns)));
            each(call)
        };
        reader.scan(&scan, &mut one)?;
        reader.scan_entries_between(&scan, begin, end.saturating_sub(1), one)?;
        Ok(coverage)
    }
}

/// Values that the program has set.
pub(crate) fn gauges(reader: &Reader, part: &Part<'_>) -> Result<Vec<Gauge>, Error> {
    let Part { run, from_ns, until_ns, .. } = *part;
    reader.gauges(run.id, from_ns, until_ns, TREND_PARTS, Some(SAMPLES_MAX))
}

/// One name: over time, its slowest spans, and those that are open.
pub(crate) fn detail(
    reader: &Reader,
    part: &Part<'_>,
    key: &RowKey,
    row: Option<&Row>,
) -> Result<Detail, Error> {
    let callsites: Vec<i64> =
        row.iter().flat_map(|row| &row.callsites).map(|callsite| callsite.id).collect();
    let points = if callsites.is_empty() {
        Vec::new()
    } else {
        over_time(reader, part, &callsites, key.counted)?
    };
    let is_named =
        |span: &SpanRef<'_>| span.callsite.name == key.name && *span.callsite.target == *key.target;
    let is_it = |span: &SpanRef<'_>| is_named(span) && span.counted() == key.counted;
    let mut slowest = Slowest::new(SlowBy::Duration, SLOWEST);
    let coverage = part.scan(reader, |span| {
        if is_it(span) {
            slowest.add(span);
        }
        ControlFlow::Continue(())
    })?;
    let mut slowest = slowest.into_spans();
    reader.read_fields(&mut slowest)?;
    reader.read_owners(&mut slowest)?;
    for span in &mut slowest {
        if let Some(around_id) = span.entry.and_then(|entry| entry.around_id)
            && let Some(root_id) = reader.root_of(around_id)?
        {
            span.root_id = root_id;
        }
    }
    let mut open = part.open_spans(reader)?;
    open.retain(|open| {
        let is_long = part.run.entries > 0 && open.lives_long();
        is_named(&SpanRef::from(&open.span)) && is_long == key.counted.has_entries()
    });
    open.order_by_key(|open| open.span.start_ns);
    Ok(Detail { key: key.clone(), points, slowest, coverage, open })
}

/// Percentiles over the window; if it is long, over its end.
fn over_time(
    reader: &Reader,
    part: &Part<'_>,
    callsites: &[i64],
    counted: CountedBy,
) -> Result<Vec<Point>, Error> {
    let length = part.until_ns.saturating_sub(part.from_ns).clamp(SECOND_NS, OVER_TIME_MAX_NS);
    let step = floor(length + (POINTS - 1) * SECOND_NS, POINTS * SECOND_NS) / POINTS;
    let step = step.max(SECOND_NS);
    let until = floor(part.until_ns.saturating_sub(1), SECOND_NS).saturating_add(SECOND_NS);
    let from = floor(until.saturating_sub(length), step).max(0);
    let count = (until.saturating_sub(from)).div_euclid(step) + 1;
    let mut points: Vec<Point> = (0..count.clamp(1, POINTS + 2))
        .map(|at| Point { at_ns: from.saturating_add(at * step), ..Point::default() })
        .filter(|point| point.at_ns < until)
        .collect();
    reader.rollups(part.run.id, from, until, callsites, |rollup| {
        if rollup.counted != counted {
            return;
        }
        let at = rollup.at_ns.saturating_sub(from).div_euclid(step);
        if let Some(point) = usize::try_from(at).ok().and_then(|at| points.get_mut(at)) {
            point.calls = point.calls.saturating_add(rollup.calls);
            point.max_ns = point.max_ns.max(rollup.max_ns);
            point.histogram.merge(&rollup.histogram);
        }
    })?;
    Ok(points)
}

/// Where the time went, by path.
pub(crate) fn flame(reader: &Reader, part: &Part<'_>) -> Result<Flame, Error> {
    let mut stacks = Stacks::new(reader, part.run.id)?;
    let coverage = part.scan(reader, |span| stacks.add(span))?;
    Ok(Flame { tree: stacks.finish()?, coverage })
}

/// What blocked the executor: from the spans at the end of the window, and those that are open now.
pub(crate) fn stalls(reader: &Reader, part: &Part<'_>) -> Result<Blocked, Error> {
    let open = if part.is_end { part.open_spans(reader)? } else { Vec::new() };
    let mut coverage = Coverage::default();
    let stalls = reader.stalls_among(BLOCKING_NS, |each| {
        coverage = part.scan(reader, |span| {
            each(span);
            ControlFlow::Continue(())
        })?;
        open.iter().for_each(|open| each(&SpanRef::from(&open.span)));
        Ok(())
    })?;
    Ok(Blocked { stalls, coverage })
}

/// The open spans by thread, children under their parents; threads with a stalled span first. Long-lived
/// spans are recognised if their entries are recorded.
pub(crate) fn lines(has_entries: bool, open: Vec<OpenSpan>, rows: &[Row]) -> Vec<OpenLine> {
    let p99: HashMap<(&str, &str), i64> = rows
        .iter()
        .filter(|row| !row.key.counted.has_entries())
        .map(|row| ((row.key.name.as_str(), row.key.target.as_str()), row.p99_ns))
        .collect();
    let lines = nested(open).into_iter().map(|(span, depth)| {
        let age_ns = span.seen_ns.saturating_sub(span.span.start_ns).max(0);
        let callsite = &span.span.callsite;
        let usual = p99.get(&(callsite.name.as_str(), &*callsite.target));
        // A long-lived span is never too old.
        let lives_long = has_entries && span.lives_long();
        let is_stalled = !lives_long && age_ns > stalled_after_ns(usual.copied());
        OpenLine { span, depth, age_ns, is_stalled, lives_long }
    });
    let mut lines: Vec<OpenLine> = lines.collect();
    let stalled: HashSet<i64> =
        lines.iter().filter(|line| line.is_stalled).map(|line| line.span.span.thread.id).collect();
    lines.order_by_key(|line| !stalled.contains(&line.span.span.thread.id));
    lines
}

/// The age at which an open span is stalled, for a name with this p99.
fn stalled_after_ns(p99_ns: Option<i64>) -> i64 {
    p99_ns.map_or(STALLED_UNKNOWN_NS, |p99| p99.saturating_mul(STALLED_P99).max(STALLED_MIN_NS))
}

/// Spans by thread, each after its parent, with the number of spans of the same thread around it.
fn nested(mut spans: Vec<OpenSpan>) -> Vec<(OpenSpan, usize)> {
    let name = |open: &OpenSpan| open.span.thread.name.clone();
    spans.sort_by_cached_key(|open| (name(open), open.span.thread.id, open.span.id));
    let threads: HashMap<u64, i64> =
        spans.iter().map(|open| (open.span.id, open.span.thread.id)).collect();
    let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    for (at, open) in spans.iter().enumerate() {
        let parent = open.span.parent_id.filter(|parent| {
            threads.get(parent) == Some(&open.span.thread.id) && *parent != open.span.id
        });
        match parent {
            Some(parent) => children.entry(parent).or_default().push(at),
            None => roots.push(at),
        }
    }
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
    let mut to_place: Vec<(usize, usize)> = roots.into_iter().rev().map(|at| (at, 0)).collect();
    while let Some((at, depth)) = to_place.pop() {
        order.push((at, depth));
        let id = spans.get(at).map_or(0, |open| open.span.id);
        let below = children.remove(&id).unwrap_or_default();
        to_place.extend(below.into_iter().rev().map(|at| (at, depth + 1)));
    }
    let mut spans: Vec<Option<OpenSpan>> = spans.into_iter().map(Some).collect();
    let mut take = |at: usize| spans.get_mut(at).and_then(Option::take);
    let mut placed: Vec<(OpenSpan, usize)> =
        order.into_iter().filter_map(|(at, depth)| Some((take(at)?, depth))).collect();
    // A cycle of parents, which only a damaged file has.
    placed.extend(spans.into_iter().flatten().map(|open| (open, 0)));
    placed
}
