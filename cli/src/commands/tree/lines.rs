//! Which lines show a trace. What is left out is summed up in its place.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use spandrel_query::OrderRows as _;
use spandrel_query::Trace;
use spandrel_query::trace::Node;

use super::TraceAnalysis;
use super::meanwhile::chosen as meanwhile;

/// Entries of a span inside the same node that are shown one by one; more are summed up.
const ENTRIES_EACH: usize = 5;
/// Names of entries that are left out, of which each has a line.
const NAMES_LEFT_OUT: usize = 5;

#[derive(Debug, Clone)]
pub(super) struct LineLimits {
    pub(super) depth: Option<usize>,
    pub(super) min_ns: i64,
    /// Most children of a span; 0: all.
    pub(super) children: usize,
    /// Most lines, except for spans that were asked for and those around them.
    pub(super) lines: Option<usize>,
    /// Most lines of what ran on other threads meanwhile; 0: all.
    pub(super) meanwhile: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A span or an entry, by its index in the trace.
    Span { index: usize, depth: usize },
    /// Entries inside the same node as one line: all entries of a span, or those of a name that are left
    /// out. The index is that of one of them.
    Entries { entries: u64, ns: i64, longest_ns: i64, more: bool, index: usize, depth: usize },
    /// An event, by its index among those that were found.
    Event { index: usize, depth: usize },
    /// A parent that is missing; its children follow.
    Missing { id: u64, depth: usize },
    /// Children that are left out, with everything below them, and their time together.
    More { children: u64, spans: u64, ns: i64, depth: usize },
    /// Lines that are left out: the number of spans, and the time of the outermost of them together.
    Cut { spans: u64, ns: i64 },
    /// Says that what follows is not part of the tree.
    Meanwhile,
    /// What ran on other threads meanwhile, by its index there.
    Ran { at: usize },
    /// Entries on other threads that are left out.
    MoreRan { entries: u64, ns: i64 },
}

impl Line {
    fn depth(self) -> usize {
        match self {
            Self::Span { depth, .. } | Self::Event { depth, .. } => depth,
            Self::Missing { depth, .. } | Self::More { depth, .. } => depth,
            Self::Entries { depth, .. } => depth,
            Self::Cut { .. } | Self::Meanwhile | Self::Ran { .. } | Self::MoreRan { .. } => 0,
        }
    }
}

/// The lines of a trace, from the top.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    pub(super) fn of(found: &TraceAnalysis, wanted: &LineLimits) -> Self {
        let kept = with_ancestors(found);
        let mut events: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, event) in found.events.iter().enumerate() {
            events.entry(event.span_id.unwrap_or(0)).or_default().push(index);
        }
        let mut lines = Vec::new();
        // The next one on top.
        let mut left: Vec<Line> = top(&found.trace).into_iter().rev().collect();
        while let Some(line) = left.pop() {
            lines.push(line);
            if let Line::Span { index, depth } = line {
                // Events in an entry are shown with the span.
                let id = found.trace.spans.get(index).map_or(0, |span| span.id);
                let events = events.remove(&id).unwrap_or_default();
                lines.extend(
                    events.into_iter().map(|index| Line::Event { index, depth: depth + 1 }),
                );
                let children: Vec<usize> = found.trace.children(index).collect();
                left.extend(chosen(found, wanted, &kept, &children, depth + 1).into_iter().rev());
            }
        }
        let mut lines = match wanted.lines {
            Some(most) if lines.len() > most => cut(found, &kept, lines, most),
            _ => lines,
        };
        lines.extend(found.trace.meanwhile.iter().flat_map(|ran| meanwhile(ran, wanted)));
        Self(lines)
    }
}

/// The spans that are always shown: those that were asked for, and those around them.
fn with_ancestors(found: &TraceAnalysis) -> HashSet<usize> {
    let mut kept = HashSet::new();
    // The spans that match may be a whole trace of a million; only one was asked for.
    for start in &found.marked {
        let mut next = Some(*start);
        while let Some(at) = next.filter(|at| kept.insert(*at)) {
            next = found.trace.parent(at);
        }
    }
    kept
}

/// The first lines; further down those of spans that are always shown; and lines for what is left out
/// between them.
fn cut(found: &TraceAnalysis, kept: &HashSet<usize>, lines: Vec<Line>, most: usize) -> Vec<Line> {
    let is_kept = |line: &Line| matches!(line, Line::Span { index, .. } if kept.contains(index));
    // The span that was asked for comes first, then the others that match, as long as there is room.
    let asked: HashSet<usize> = ancestors_of_asked(found);
    let is_asked = |line: &Line| matches!(line, Line::Span { index, .. } if asked.contains(index));
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

fn ancestors_of_asked(found: &TraceAnalysis) -> HashSet<usize> {
    let index = |id: u64| found.trace.spans.binary_search_by_key(&id, |span| span.id).ok();
    let mut all = HashSet::new();
    let mut next = found.asked.and_then(index);
    while let Some(at) = next.filter(|at| all.insert(*at)) {
        next = found.trace.parent(at);
    }
    all
}

/// Consecutive lines that are left out.
#[derive(Debug, Default)]
struct Hidden {
    spans: u64,
    ns: i64,
    /// The depth of the outermost one: deeper ones are part of its time.
    outermost: Option<usize>,
    any: bool,
}

impl Hidden {
    fn add(&mut self, found: &TraceAnalysis, line: Line) {
        self.any = true;
        let (spans, ns) = match line {
            Line::Span { index, .. } => {
                let is_span = index < found.trace.spans.len();
                (u64::from(is_span), length(&found.trace, index))
            }
            Line::More { spans, ns, .. } => (spans, ns),
            Line::Entries { ns, .. } => (0, ns),
            _ => return,
        };
        self.spans += spans;
        if self.outermost.is_none_or(|depth| line.depth() <= depth) {
            self.ns = self.ns.saturating_add(ns);
            // Its siblings have the same depth, and count, too.
            self.outermost = Some(line.depth());
        }
    }

    fn line(self) -> Option<Line> {
        self.any.then_some(Line::Cut { spans: self.spans, ns: self.ns })
    }
}

/// How long it took; the lifetime of a long-lived span is not work.
fn length(trace: &Trace, index: usize) -> i64 {
    let bounds = trace.bounds_ns(index).filter(|_| !trace.lives_long(index));
    bounds.map_or(0, |(from, until)| until.saturating_sub(from))
}

/// The root, then all spans without a parent.
fn top(trace: &Trace) -> Vec<Line> {
    let mut lines: Vec<Line> =
        trace.root().map(|index| Line::Span { index, depth: 0 }).into_iter().collect();
    let depth = usize::from(trace.root().is_some());
    for (id, indices) in trace.orphans() {
        lines.push(Line::Missing { id, depth });
        lines.extend(indices.iter().map(|index| Line::Span { index: *index, depth: depth + 1 }));
    }
    lines
}

/// All spans and entries of a trace with their depths, in the order in which they are shown.
pub(super) fn all(trace: &Trace) -> Vec<(usize, usize)> {
    let mut all = Vec::with_capacity(trace.nodes());
    let mut left: Vec<(usize, usize)> = Vec::new();
    for line in top(trace).into_iter().rev() {
        if let Line::Span { index, depth } = line {
            left.push((index, depth));
        }
    }
    while let Some((index, depth)) = left.pop() {
        all.push((index, depth));
        let children = trace.children(index);
        let first = left.len();
        left.extend(children.map(|child| (child, depth + 1)));
        left[first..].reverse();
    }
    all
}

/// A child; or entries of a span in one line.
struct Item {
    indices: Vec<usize>,
    ns: i64,
    on_path: bool,
}

/// The children that are shown, by start; and the ones that are left out.
fn chosen(
    found: &TraceAnalysis,
    wanted: &LineLimits,
    kept: &HashSet<usize>,
    children: &[usize],
    depth: usize,
) -> Vec<Line> {
    let trace = &found.trace;
    let is_long = |item: &Item| {
        let is_open = item
            .indices
            .iter()
            .any(|index| trace.node(*index).is_some_and(|node| node.duration_ns().is_none()));
        item.ns >= wanted.min_ns || is_open
    };
    let too_deep = wanted.depth.is_some_and(|max| depth > max);
    let (asked, others): (Vec<usize>, Vec<usize>) =
        children.iter().copied().partition(|index| kept.contains(index));
    let mut shown: Vec<Item> = if too_deep {
        Vec::new()
    } else {
        items(found, others, wanted.children > 0).into_iter().filter(is_long).collect()
    };
    let room = wanted.children.saturating_sub(asked.len());
    if wanted.children > 0 && shown.len() > room {
        // The critical path first, then what took long. Then sorted by start, to be read from the top.
        shown.order_by_key(|item| (Reverse(item.on_path), Reverse(item.ns)));
        shown.truncate(room);
    }
    shown.extend(items(found, asked, false));
    let first = |item: &Item| item.indices.first().copied().unwrap_or(0);
    shown.order_by_key(|item| {
        let node = trace.node(first(item));
        node.map(|node| (node.start_ns(), node.span_id()))
    });
    let is_shown: HashSet<usize> = shown.iter().flat_map(|item| &item.indices).copied().collect();
    let left_out: Vec<usize> =
        children.iter().copied().filter(|index| !is_shown.contains(index)).collect();
    let line = |item: Item| match item.indices.as_slice() {
        [index] => Line::Span { index: *index, depth },
        indices => entries(trace, indices, false, depth),
    };
    let mut lines: Vec<Line> = shown.into_iter().map(line).collect();
    lines.extend(more(trace, left_out, too_deep, depth));
    lines
}

/// Children one by one; many entries of the same span are summed up if that is wanted.
fn items(found: &TraceAnalysis, children: Vec<usize>, sum_up: bool) -> Vec<Item> {
    let trace = &found.trace;
    let entry_of = |index: &usize| match trace.node(*index) {
        Some(Node::Entry(one)) if sum_up => Some(one.entry.span_id),
        _ => None,
    };
    let mut entries: HashMap<u64, Vec<usize>> = HashMap::new();
    for index in &children {
        if let Some(span) = entry_of(index) {
            entries.entry(span).or_default().push(*index);
        }
    }
    let item = |indices: Vec<usize>| Item {
        ns: sum(trace, &indices),
        on_path: indices.iter().any(|index| found.path.contains(*index)),
        indices,
    };
    let mut items = Vec::new();
    for index in children {
        let many = entry_of(&index)
            .filter(|span| entries.get(span).is_none_or(|indices| indices.len() > ENTRIES_EACH));
        match many {
            None => items.push(item(vec![index])),
            // With the first of them.
            Some(span) => items.extend(entries.remove(&span).map(item)),
        }
    }
    items
}

fn sum(trace: &Trace, indices: &[usize]) -> i64 {
    indices.iter().map(|index| length(trace, *index)).fold(0, i64::saturating_add)
}

fn entries(trace: &Trace, indices: &[usize], more: bool, depth: usize) -> Line {
    let longest = indices.iter().copied().max_by_key(|index| length(trace, *index)).unwrap_or(0);
    let (entries, ns) = (indices.len() as u64, sum(trace, indices));
    Line::Entries { entries, ns, longest_ns: length(trace, longest), more, index: longest, depth }
}

/// What is left out: entries by name, for the names with the most time; then the rest.
fn more(trace: &Trace, mut left_out: Vec<usize>, too_deep: bool, depth: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if !too_deep {
        let mut by_name: HashMap<i64, Vec<usize>> = HashMap::new();
        for index in &left_out {
            if let Some(Node::Entry(one)) = trace.node(*index) {
                by_name.entry(one.callsite.id).or_default().push(*index);
            }
        }
        let mut by_name: Vec<(i64, Vec<usize>)> = by_name.into_iter().collect();
        by_name.order_by_key(|(id, indices)| (Reverse(sum(trace, indices)), *id));
        by_name.truncate(NAMES_LEFT_OUT);
        let summed: HashSet<usize> = by_name.iter().flat_map(|(_, p)| p).copied().collect();
        lines.extend(by_name.iter().map(|(_, indices)| entries(trace, indices, true, depth)));
        left_out.retain(|index| !summed.contains(index));
    }
    if !left_out.is_empty() {
        let ns = sum(trace, &left_out);
        let (children, spans) = (left_out.len() as u64, with_descendants(trace, left_out));
        lines.push(Line::More { children, spans, ns, depth });
    }
    lines
}

/// The number of these spans, with everything below them.
fn with_descendants(trace: &Trace, mut left: Vec<usize>) -> u64 {
    let mut spans = 0;
    while let Some(index) = left.pop() {
        spans += u64::from(index < trace.spans.len());
        left.extend(trace.children(index));
    }
    spans
}
