//! What a trace waited for: at each moment, the one span that is to blame.
//!
//! As Jaeger does (`computeCriticalPath` and its parts in `jaeger-ui`, folder
//! `TracePage/CriticalPath`; described in Uber's CRISP, USENIX ATC 2022): from the end of a span one
//! walks backwards to the child that finished last, into it, and from its start on to the child that
//! finished last before that; what lies between is the span's own. So of children side by side the
//! last to finish is on the path, and of children one after the other all are.
//!
//! ```text
//!   request  ├──────────────────────────────┤      at the end: its own
//!     a        ├──────────┤·················       ended while c ran: not waited for, not on the path
//!     b        ├────┤  ◆                           the last to end before c began
//!     c                 ├────────────────┤  ◆      the last to end
//! ```
//!
//! Children count as far as they lie within their parent: one that outlives it was waited for until
//! then. Two things differ from Jaeger: a child that ends in the very nanosecond in which the
//! next one begins is on the path, and children whose parent is missing are taken for the root's.
//!
//! A span ends with its work, as it does for self time: at its last exit. That a child or a handle keeps it
//! open after that delays nothing while its parent goes on. When the root itself has been left, the trace
//! waits for the spans in it that still work, and of several for the one that ends last; time in which no
//! span works is in no section. A span that was never entered is never to blame.
//!
//! ```text
//!   request  ├────────┤ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┤      kept open by b: its work is over
//!     a        ├───┤                                 waited for
//!     b               ·  ├────────┤ ─ ─ ─ ─ ─ ┤      works on, and is kept open in its turn
//!     path   rraaaarrr    bbbbbbbbb
//! ```
//!
//! Entries count as children of the span that their thread was in (see [`Trace`]): what ran there was
//! not that span's work, whichever the parent is. So do visits, entries of spans that stand elsewhere
//! in the tree by their lifetimes; the span is to blame for them. The lifetime of a span that lives long is
//! on no path, and a trace whose root lives long has none: it is not one piece of work.
//!
//! Invariants: the sections do not overlap, and lie within the trace, so their lengths add up to what was
//! worked in it, at most its duration. Before the last exit of the root they lie end to end. It takes
//! n log n steps, and no recursion, however deep the trace.

mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::work::{Child, Frame, Work};
use super::Trace;
use crate::reader::Callsite;

/// What a trace waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalPath {
    sections: Vec<Section>,
    on_path: Vec<bool>,
}

/// A stretch of time, and the span that is to blame for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The place of the span or entry in the trace, see [`Trace::node`]; `None`: the root, which is
    /// missing.
    pub span: Option<usize>,
    /// Since when; nanoseconds since the start of the run.
    pub from_ns: i64,
    /// Until when.
    pub until_ns: i64,
}

impl Section {
    /// How long it is.
    pub fn length_ns(&self) -> i64 {
        self.until_ns.saturating_sub(self.from_ns)
    }
}

impl CriticalPath {
    /// Finds the critical path of a trace.
    pub fn of(trace: &Trace) -> Self {
        let mut path = Self { sections: Vec::new(), on_path: vec![false; trace.nodes()] };
        let root = trace.root();
        if root.is_some_and(|root| trace.lives_long(root)) {
            return path;
        }
        let work = Work::of(trace);
        let mut visited = HashSet::new();
        let mut frames = vec![work.whole()];
        while let Some(frame) = frames.last_mut() {
            let Some(child) = frame.last_to_finish() else {
                let from_ns = frame.from_ns;
                path.blame(frame, from_ns);
                let (span, is_to_blame) = (frame.span, frame.is_to_blame);
                frames.pop();
                if is_to_blame {
                    path.enter(span);
                    if let Some(above) = frames.last_mut() {
                        above.is_to_blame = true;
                    }
                }
                continue;
            };
            path.blame(frame, child.until_ns);
            frame.at_ns = child.from_ns;
            let Child { place, from_ns, until_ns } = child;
            let next = match trace.visited(place) {
                None => work.frame(place, from_ns, until_ns),
                // Spans that are entered in each other in the same nanosecond would have no end.
                Some(span) if !visited.insert((place, from_ns, until_ns)) => {
                    frame.is_to_blame |= path.push(Some(span), from_ns, until_ns);
                    path.enter(Some(span));
                    continue;
                }
                Some(span) => work.visit(span, from_ns, until_ns),
            };
            frames.push(next);
        }
        path.sections.reverse();
        path
    }

    /// The sections, the first in front. In what lies before, between and behind them nobody
    /// worked: the trace was kept open.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether a span is on the path, be it with a section of its own or with those of its children.
    pub fn contains(&self, place: usize) -> bool {
        self.on_path.get(place).copied().unwrap_or(false)
    }

    /// How long all sections are: as long as the trace, less the time in which nobody worked.
    pub fn length_ns(&self) -> i64 {
        self.sections.iter().map(Section::length_ns).fold(0, i64::saturating_add)
    }

    /// How long nobody worked while the trace was open: it was kept open. 0 where there is no path as the root lives
    /// long.
    pub fn kept_open_ns(&self, trace: &Trace) -> i64 {
        if trace.root().is_some_and(|root| trace.lives_long(root)) {
            return 0;
        }
        let (from_ns, until_ns) = trace.interval_ns();
        until_ns.saturating_sub(from_ns).saturating_sub(self.length_ns()).max(0)
    }

    /// What the spans of each callsite are to blame for, most first; `None` stands for the root, by
    /// itself, whatever its callsite.
    pub fn by_callsite(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut root_ns = 0_i64;
        let mut sums: HashMap<i64, (Arc<Callsite>, i64)> = HashMap::new();
        for section in &self.sections {
            let span = section.span.filter(|place| trace.root() != Some(*place));
            let sum_ns = match span.and_then(|place| trace.node(place)) {
                Some(node) => {
                    let new = || (node.callsite().clone(), 0);
                    &mut sums.entry(node.callsite().id).or_insert_with(new).1
                }
                None => &mut root_ns,
            };
            *sum_ns = sum_ns.saturating_add(section.length_ns());
        }
        let callsites = sums.into_values().map(|(callsite, sum_ns)| (Some(callsite), sum_ns));
        let mut sums: Vec<_> = callsites.chain((root_ns > 0).then_some((None, root_ns))).collect();
        sums.sort_by_key(|(callsite, sum_ns)| {
            (std::cmp::Reverse(*sum_ns), callsite.as_ref().map(|callsite| callsite.id))
        });
        sums
    }

    /// The same by name and target, whatever the place in the source; the callsite is one of them.
    pub fn by_name(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut places: HashMap<(String, Arc<str>), usize> = HashMap::new();
        let mut sums: Vec<(Option<Arc<Callsite>>, i64)> = Vec::new();
        for (callsite, ns) in self.by_callsite(trace) {
            let key = callsite.as_ref().map(|c| (c.name.clone(), c.target.clone()));
            let next = sums.len();
            let at = key.map_or(next, |key| *places.entry(key).or_insert(next));
            match sums.get_mut(at) {
                Some((_, sum)) => *sum = sum.saturating_add(ns),
                None => sums.push((callsite, ns)),
            }
        }
        // Stable: of equals the order of callsites remains.
        sums.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        sums
    }

    fn enter(&mut self, place: Option<usize>) {
        if let Some(mark) = place.and_then(|place| self.on_path.get_mut(place)) {
            *mark = true;
        }
    }

    /// The span of a frame, from a moment to where the walk stands, as far as it worked.
    fn blame(&mut self, frame: &mut Frame, from_ns: i64) {
        let until_ns = frame.at_ns.min(frame.worked_until_ns);
        frame.is_to_blame |= self.push(frame.span, from_ns, until_ns);
    }

    /// Whether there is such a section.
    fn push(&mut self, span: Option<usize>, from_ns: i64, until_ns: i64) -> bool {
        if from_ns >= until_ns {
            return false;
        }
        match self.sections.last_mut().filter(|next| next.span == span && next.from_ns == until_ns)
        {
            Some(next) => next.from_ns = from_ns,
            None => self.sections.push(Section { span, from_ns, until_ns }),
        }
        true
    }
}

#[cfg(test)]
mod tests;
