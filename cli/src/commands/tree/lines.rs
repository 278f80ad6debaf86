//! Which lines a trace is shown by: what is left out is summed up where it would stand.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use spandrel_storage::query::Trace;

use super::Found;

/// What is to be shown.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) depth: Option<usize>,
    pub(super) min_ns: i64,
    /// Children of a span at most; 0: all.
    pub(super) children: usize,
    /// Lines at most, but for spans that were asked for and those around them.
    pub(super) lines: Option<usize>,
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
    /// Children that are left out, with all under them, and how long they took together.
    More { children: u64, spans: u64, ns: i64, depth: usize },
    /// Lines that are left out: the spans of them, and how long the outermost of these took together.
    Cut { spans: u64, ns: i64 },
}

impl Line {
    fn depth(self) -> usize {
        match self {
            Self::Span { depth, .. } | Self::Event { depth, .. } => depth,
            Self::Missing { depth, .. } | Self::More { depth, .. } => depth,
            Self::Cut { .. } => 0,
        }
    }
}

/// The lines of a trace, from the top.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    pub(super) fn of(found: &Found, wanted: &Wanted) -> Self {
        let kept = with_ancestors(found);
        let mut events: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, event) in found.events.iter().enumerate() {
            events.entry(event.span_id.unwrap_or(0)).or_default().push(place);
        }
        let mut lines = Vec::new();
        // The next one on top.
        let mut left: Vec<Line> = top(&found.trace).into_iter().rev().collect();
        while let Some(line) = left.pop() {
            lines.push(line);
            if let Line::Span { place, depth } = line {
                let id = found.trace.spans.get(place).map_or(0, |span| span.id);
                let events = events.remove(&id).unwrap_or_default();
                lines.extend(
                    events.into_iter().map(|place| Line::Event { place, depth: depth + 1 }),
                );
                let children: Vec<usize> = found.trace.children(place).collect();
                left.extend(chosen(found, wanted, &kept, &children, depth + 1).into_iter().rev());
            }
        }
        Self(match wanted.lines {
            Some(most) if lines.len() > most => cut(found, &kept, lines, most),
            _ => lines,
        })
    }
}

/// The spans that are shown whatever is left out: what was asked for, and what is around it.
fn with_ancestors(found: &Found) -> HashSet<usize> {
    let place = |id: u64| found.trace.spans.binary_search_by_key(&id, |span| span.id).ok();
    let mut kept = HashSet::new();
    // All that matches may be a whole trace of a million spans; what was asked for is one.
    for start in &found.marked {
        let mut next = Some(*start);
        while let Some(at) = next.filter(|at| kept.insert(*at)) {
            next = found.trace.spans.get(at).and_then(|span| place(span.parent_id?));
        }
    }
    kept
}

/// The first lines, and further down those of spans that are kept; a line for what is left out between.
fn cut(found: &Found, kept: &HashSet<usize>, lines: Vec<Line>, most: usize) -> Vec<Line> {
    let is_kept = |line: &Line| matches!(line, Line::Span { place, .. } if kept.contains(place));
    // The span that was asked for comes first, then the others that match as far as there is room.
    let asked: HashSet<usize> = ancestors_of_asked(found);
    let is_asked = |line: &Line| matches!(line, Line::Span { place, .. } if asked.contains(place));
    let certain = lines.iter().filter(|line| is_asked(line)).count();
    let mut room = most.saturating_sub(certain);
    let matching = lines.iter().filter(|line| is_kept(line) && !is_asked(line)).count().min(room);
    let mut plain = room - matching;
    room = matching;
    let mut shown = Vec::new();
    let mut hidden = Hidden::default();
    for line in lines {
        let budget = if is_kept(&line) { &mut room } else { &mut plain };
        if is_asked(&line) || *budget > 0 {
            *budget = if is_asked(&line) { *budget } else { *budget - 1 };
            shown.extend(std::mem::take(&mut hidden).line());
            shown.push(line);
        } else {
            hidden.add(found, line);
        }
    }
    shown.extend(hidden.line());
    shown
}

fn ancestors_of_asked(found: &Found) -> HashSet<usize> {
    let place = |id: u64| found.trace.spans.binary_search_by_key(&id, |span| span.id).ok();
    let mut all = HashSet::new();
    let mut next = found.asked.and_then(place);
    while let Some(at) = next.filter(|at| all.insert(*at)) {
        next = found.trace.spans.get(at).and_then(|span| place(span.parent_id?));
    }
    all
}

/// Lines that are left out one after the other.
#[derive(Debug, Default)]
struct Hidden {
    spans: u64,
    ns: i64,
    /// The depth of the outermost one: what is deeper lies in its time.
    outermost: Option<usize>,
    any: bool,
}

impl Hidden {
    fn add(&mut self, found: &Found, line: Line) {
        self.any = true;
        let (spans, ns) = match line {
            Line::Span { place, .. } => (1, length(&found.trace, place)),
            Line::More { spans, ns, .. } => (spans, ns),
            _ => return,
        };
        self.spans += spans;
        if self.outermost.is_none_or(|depth| line.depth() <= depth) {
            self.ns = self.ns.saturating_add(ns);
            // Its siblings are as deep, and count, too.
            self.outermost = Some(line.depth());
        }
    }

    fn line(self) -> Option<Line> {
        self.any.then_some(Line::Cut { spans: self.spans, ns: self.ns })
    }
}

fn length(trace: &Trace, place: usize) -> i64 {
    trace.spans.get(place).map_or(0, |span| trace.end_ns(span).saturating_sub(span.start_ns))
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

/// The children that are shown, by start, and what is left out of them.
fn chosen(
    found: &Found,
    wanted: &Wanted,
    kept: &HashSet<usize>,
    children: &[usize],
    depth: usize,
) -> Vec<Line> {
    let trace = &found.trace;
    let is_long = |place: &usize| {
        let is_open = trace.spans.get(*place).is_some_and(|span| span.duration_ns.is_none());
        length(trace, *place) >= wanted.min_ns || is_open
    };
    let too_deep = wanted.depth.is_some_and(|max| depth > max);
    let (asked, others): (Vec<usize>, Vec<usize>) =
        children.iter().copied().partition(|place| kept.contains(place));
    let mut shown: Vec<usize> =
        if too_deep { Vec::new() } else { others.into_iter().filter(is_long).collect() };
    let room = wanted.children.saturating_sub(asked.len());
    if wanted.children > 0 && shown.len() > room {
        // What matters: the path, then what took long. By start again, to be read from the top.
        shown.sort_by_key(|place| {
            (Reverse(found.path.contains(*place)), Reverse(length(trace, *place)))
        });
        shown.truncate(room);
    }
    shown.extend(asked);
    shown.sort_by_key(|place| trace.spans.get(*place).map(|span| (span.start_ns, span.id)));
    let is_shown: HashSet<usize> = shown.iter().copied().collect();
    let left_out: Vec<usize> =
        children.iter().copied().filter(|place| !is_shown.contains(place)).collect();
    let mut lines: Vec<Line> = shown.into_iter().map(|place| Line::Span { place, depth }).collect();
    if !left_out.is_empty() {
        let ns = left_out.iter().map(|place| length(trace, *place)).fold(0, i64::saturating_add);
        let (children, spans) = (left_out.len() as u64, with_descendants(trace, left_out));
        lines.push(Line::More { children, spans, ns, depth });
    }
    lines
}

/// How many spans these are with all under them.
fn with_descendants(trace: &Trace, mut left: Vec<usize>) -> u64 {
    let mut spans = 0;
    while let Some(place) = left.pop() {
        spans += 1;
        left.extend(trace.children(place));
    }
    spans
}
