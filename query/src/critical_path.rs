//! The critical path of a trace: what it waited for at each moment.
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
//! As for self time, a span's work ends at its last exit. A child or a handle that keeps it open longer delays
//! nothing while its parent goes on. After the last exit of the root, the trace waits for the spans in it that still
//! work, and of several for the one that ends last; time in which no span works is in no section. A span that was
//! never entered is never on the path.
//!
//! ```text
//!   request  ├────────┤ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┤      kept open by b: its work is over
//!     a        ├───┤                                 waited for
//!     b               ·  ├────────┤ ─ ─ ─ ─ ─ ┤      works on, and is kept open in its turn
//!     path   rraaaarrr    bbbbbbbbb
//! ```
//!
//! An entry counts as a child of the span that its thread was in (see [`Trace`]), whichever its parent is: what ran
//! there was not that span's work. So do visits: entries of spans that stand elsewhere in the tree by their lifetime;
//! the section is then the visited span's. The lifetime of a long-lived span is on no path, and a trace with a
//! long-lived root has none: it is not one piece of work.
//!
//! Invariants: sections do not overlap and lie within the trace, so the sum of their lengths is at most its duration.
//! Up to the last exit of the root there is no gap between them. It takes n log n steps and no recursion, however
//! deep the trace.

mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::work::{Child, Frame, Work};
use super::Trace;
use crate::order_rows::OrderRows as _;
use crate::reader::Callsite;

/// The critical path of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalPath {
    sections: Vec<Section>,
    on_path: Vec<bool>,
}

/// An interval of time, and the span that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The index of the span or entry in the trace, see [`Trace::node`]; `None`: the root, which is
    /// missing.
    pub span: Option<usize>,
    /// Start, nanoseconds since the start of the run.
    pub from_ns: i64,
    /// End, likewise.
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
            let Child { index, from_ns, until_ns } = child;
            let next = match trace.visited(index) {
                None => work.frame(index, from_ns, until_ns),
                // Spans that are entered in each other within the same nanosecond would make an endless loop.
                Some(span) if !visited.insert((index, from_ns, until_ns)) => {
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

    /// The sections by time. In the gaps before, between and after them no span worked: the trace was only kept open.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether a span, or something below it, has a section.
    pub fn contains(&self, index: usize) -> bool {
        self.on_path.get(index).copied().unwrap_or(false)
    }

    /// The sum of all sections: the length of the trace without the time in which no span worked.
    pub fn length_ns(&self) -> i64 {
        self.sections.iter().map(Section::length_ns).fold(0, i64::saturating_add)
    }

    /// How long the trace was open while no span worked. 0 where there is no path, as the root is long-lived.
    pub fn kept_open_ns(&self, trace: &Trace) -> i64 {
        if trace.root().is_some_and(|root| trace.lives_long(root)) {
            return 0;
        }
        let (from_ns, until_ns) = trace.interval_ns();
        until_ns.saturating_sub(from_ns).saturating_sub(self.length_ns()).max(0)
    }

    /// Time on the path by callsite, most first; `None` stands for a missing root.
    pub fn by_callsite(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut root_ns = 0_i64;
        let mut sums: HashMap<i64, (Arc<Callsite>, i64)> = HashMap::new();
        for section in &self.sections {
            let span = section.span.filter(|index| trace.root() != Some(*index));
            let sum_ns = match span.and_then(|index| trace.node(index)) {
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
        sums.order_by_key(|(callsite, sum_ns)| {
            (std::cmp::Reverse(*sum_ns), callsite.as_ref().map(|callsite| callsite.id))
        });
        sums
    }

    /// The same by name and target; of several callsites one is given.
    pub fn by_name(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut indexes: HashMap<(String, Arc<str>), usize> = HashMap::new();
        let mut sums: Vec<(Option<Arc<Callsite>>, i64)> = Vec::new();
        for (callsite, ns) in self.by_callsite(trace) {
            let key = callsite.as_ref().map(|c| (c.name.clone(), c.target.clone()));
            let next = sums.len();
            let at = key.map_or(next, |key| *indexes.entry(key).or_insert(next));
            match sums.get_mut(at) {
                Some((_, sum)) => *sum = sum.saturating_add(ns),
                None => sums.push((callsite, ns)),
            }
        }
        // A stable sort, so that equal sums stay in the order of callsites.
        sums.order_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        sums
    }

    fn enter(&mut self, index: Option<usize>) {
        if let Some(mark) = index.and_then(|index| self.on_path.get_mut(index)) {
            *mark = true;
        }
    }

    /// Gives the frame's span the time from `from_ns` to the walk's position, as far as it worked.
    fn blame(&mut self, frame: &mut Frame, from_ns: i64) {
        let until_ns = frame.at_ns.min(frame.worked_until_ns);
        frame.is_to_blame |= self.push(frame.span, from_ns, until_ns);
    }

    /// Appends a section; false if it would be empty.
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
