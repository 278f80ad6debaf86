//! Which lines a trace is shown by: what is left out is summed up where it would stand.

use std::cmp::Reverse;

use spandrel_storage::query::Trace;

use super::Found;

/// Lines of spans at most, whatever else is asked for.
const LINES_MAX: usize = 2_000;

/// What is to be shown.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) depth: Option<usize>,
    pub(super) min_ns: i64,
    /// Children of a span at most; 0: all.
    pub(super) children: usize,
}

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A span, by its place in the trace.
    Span { place: usize, depth: usize },
    /// An event, by its place among those that were found.
    Event { place: usize, depth: usize },
    /// A parent that is not there; its children follow.
    Missing { id: u64, depth: usize },
    /// Spans that are left out, with all under them, and how long they took together.
    More { spans: u64, ns: i64, depth: usize },
}

/// The lines of a trace, from the top.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    pub(super) fn of(found: &Found, wanted: &Wanted) -> Self {
        let mut lines = Vec::new();
        // The next one on top.
        let mut left: Vec<Line> = top(&found.trace).into_iter().rev().collect();
        let mut cut = 0;
        while let Some(line) = left.pop() {
            if lines.len() >= LINES_MAX {
                cut += u64::from(matches!(line, Line::Span { .. }));
                continue;
            }
            lines.push(line);
            if let Line::Span { place, depth } = line {
                lines.extend(events_in(found, place, depth + 1));
                let children: Vec<usize> = found.trace.children(place).collect();
                left.extend(chosen(found, wanted, &children, depth + 1).into_iter().rev());
            }
        }
        if cut > 0 {
            lines.push(Line::More { spans: cut, ns: 0, depth: 0 });
        }
        Self(lines)
    }
}

/// The root, then whatever has lost its parent.
fn top(trace: &Trace) -> Vec<Line> {
    let mut lines: Vec<Line> =
        trace.root().map(|place| Line::Span { place, depth: 0 }).into_iter().collect();
    let depth = usize::from(trace.root().is_some());
    for (id, places) in trace.orphans() {
        lines.push(Line::Missing { id, depth });
        lines.extend(places.iter().map(|place| Line::Span { place: *place, depth: depth + 1 }));
    }
    lines
}

/// All spans of a trace with their depths, in the order in which they are shown.
pub(super) fn all(trace: &Trace) -> Vec<(usize, usize)> {
    let mut all = Vec::with_capacity(trace.spans.len());
    let mut left: Vec<(usize, usize)> = Vec::new();
    for line in top(trace).into_iter().rev() {
        if let Line::Span { place, depth } = line {
            left.push((place, depth));
        }
    }
    while let Some((place, depth)) = left.pop() {
        all.push((place, depth));
        let children = trace.children(place);
        let first = left.len();
        left.extend(children.map(|child| (child, depth + 1)));
        left[first..].reverse();
    }
    all
}

fn events_in(found: &Found, place: usize, depth: usize) -> impl Iterator<Item = Line> {
    let id = found.trace.spans.get(place).map(|span| span.id);
    let events = found.events.iter().enumerate();
    events
        .filter(move |(_, event)| event.span_id == id)
        .map(move |(place, _)| Line::Event { place, depth })
}

/// The children that are shown, by start, and what is left out of them.
fn chosen(found: &Found, wanted: &Wanted, children: &[usize], depth: usize) -> Vec<Line> {
    let trace = &found.trace;
    let length = |place: usize| {
        trace.spans.get(place).map_or(0, |span| trace.end_ns(span).saturating_sub(span.start_ns))
    };
    let is_long = |place: &usize| {
        let is_open = trace.spans.get(*place).is_some_and(|span| span.duration_ns.is_none());
        length(*place) >= wanted.min_ns || is_open
    };
    let mut kept: Vec<usize> = if wanted.depth.is_some_and(|max| depth > max) {
        Vec::new()
    } else {
        children.iter().copied().filter(is_long).collect()
    };
    if wanted.children > 0 && kept.len() > wanted.children {
        // What matters: the path, then what took long. By start again, to be read from the top.
        kept.sort_by_key(|place| (Reverse(found.path.contains(*place)), Reverse(length(*place))));
        kept.truncate(wanted.children);
        kept.sort_by_key(|place| trace.spans.get(*place).map(|span| (span.start_ns, span.id)));
    }
    let left_out = children.len() - kept.len();
    let sum = |places: &[usize]| {
        places.iter().fold(0_i64, |sum, place| sum.saturating_add(length(*place)))
    };
    let ns = sum(children).saturating_sub(sum(&kept));
    let mut lines: Vec<Line> = kept.into_iter().map(|place| Line::Span { place, depth }).collect();
    if left_out > 0 {
        lines.push(Line::More { spans: left_out as u64, ns, depth });
    }
    lines
}
