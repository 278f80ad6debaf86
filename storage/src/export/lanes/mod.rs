//! Lanes: rows in which spans nest as function calls do.
//!
//! Viewers draw a row of slices by a stack: what begins later lies inside and has to end earlier. Spans of
//! asynchronous programs do not keep to that: siblings overlap, children outlive their parents. So a
//! span goes into the lane of its parent only if the parent is the innermost one open there, and
//! encloses it; all others get a lane that is free at their start, the lowest of their group (the
//! thread of the outermost span), or a new one:
//!
//! ```text
//!  lane 1  |------------- request -------------|  |--- request ---|
//!             |-- query --|   |-- render --|
//!  lane 2             |-- second query --|
//! ```
//!
//! So within a lane, intervals nest or are disjoint, whatever the input; and a slice that lies directly in
//! another one is its child. Begins and ends are handed on by time, and at one moment in an order
//! that keeps the stacks right.
//!
//! Memory: what is open at one moment, and the number of groups.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::quick_map::QuickMap;
use crate::reader::{Callsite, Span};

/// A row of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    /// The thread of the outermost span of the first lane.
    pub(super) group: u64,
    /// Counted from 0 in the group.
    pub(super) number: u32,
}

/// An open span.
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) end_ns: i64,
    pub(super) is_unfinished: bool,
    pub(super) callsite: Arc<Callsite>,
}

/// What lanes are told of.
pub(super) trait Slices {
    /// Why it can fail.
    type Error;

    /// A span begins, inside whatever is open in its lane. Late ones begin before the last moment
    /// that was told, in a lane where nothing was open then.
    fn begin(&mut self, lane: Lane, span: &Span) -> Result<(), Self::Error>;

    /// The innermost span of a lane ends; an unfinished one at the end of everything.
    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), Self::Error>;
}

/// See the [module](self)'s documentation.
pub(super) struct Lanes {
    groups: QuickMap<u64, Group>,
    /// Lanes in which something is open, from the outside inwards.
    stacks: QuickMap<Lane, Vec<Open>>,
    lane_of: QuickMap<u64, Lane>,
    /// By end, the inner ones first.
    ends: BinaryHeap<Reverse<(i64, Reverse<u64>, u64)>>,
    begun: u64,
    late: u32,
    now_ns: i64,
}

/// Lanes from this number on have one late span each, as nobody knows when they would be free.
const LATE: u32 = 1 << 31;

#[derive(Default)]
struct Group {
    lanes: u32,
    free: BinaryHeap<Reverse<u32>>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            groups: QuickMap::default(),
            stacks: QuickMap::default(),
            lane_of: QuickMap::default(),
            ends: BinaryHeap::new(),
            begun: 0,
            late: 0,
            now_ns: i64::MIN,
        }
    }

    /// Places a span. They come by start; late ones are let in.
    pub(super) fn place<S: Slices>(&mut self, span: &Span, to: &mut S) -> Result<(), S::Error> {
        let (start, end) = interval(span);
        let is_late = start < self.now_ns;
        if !is_late {
            self.now_ns = start;
            // A span without length may lie in a parent that ends at the same moment.
            self.close_until(if start == end { start } else { start.saturating_add(1) }, to)?;
        }
        let inside = if is_late { None } else { self.inside_parent(span, end, to)? };
        let lane = match inside {
            Some(lane) => lane,
            None => self.free_lane(span, is_late, to)?,
        };
        to.begin(lane, span)?;
        self.open(lane, span, end);
        Ok(())
    }

    /// Ends what is open, at the end of everything.
    pub(super) fn finish<S: Slices>(&mut self, to: &mut S) -> Result<(), S::Error> {
        while let Some(Reverse((_, _, id))) = self.ends.pop() {
            self.close(id, to)?;
        }
        Ok(())
    }

    fn open(&mut self, lane: Lane, span: &Span, end_ns: i64) {
        self.begun += 1;
        self.ends.push(Reverse((end_ns, Reverse(self.begun), span.id)));
        self.lane_of.insert(span.id, lane);
        self.stacks.entry(lane).or_default().push(Open {
            id: span.id,
            end_ns,
            is_unfinished: span.duration_ns.is_none(),
            callsite: span.callsite.clone(),
        });
    }

    /// Ends what ended before `until_ns`.
    fn close_until<S: Slices>(&mut self, until_ns: i64, to: &mut S) -> Result<(), S::Error> {
        while let Some(Reverse((end, _, id))) = self.ends.peek().copied() {
            if end >= until_ns {
                break;
            }
            self.ends.pop();
            self.close(id, to)?;
        }
        Ok(())
    }

    /// Ends a span, which is the innermost of its lane; nothing if it was ended before.
    fn close<S: Slices>(&mut self, id: u64, to: &mut S) -> Result<(), S::Error> {
        let Some(lane) = self.lane_of.remove(&id) else { return Ok(()) };
        let Some(stack) = self.stacks.get_mut(&lane) else { return Ok(()) };
        if let Some(open) = stack.pop() {
            to.end(lane, &open)?;
        }
        if stack.is_empty() {
            self.stacks.remove(&lane);
            self.give_back(lane);
        }
        Ok(())
    }

    fn give_back(&mut self, lane: Lane) {
        if lane.number >= LATE {
            return;
        }
        if let Some(group) = self.groups.get_mut(&lane.group) {
            group.free.push(Reverse(lane.number));
        }
    }

    /// The lane of the parent, if the span can lie directly in the parent.
    fn inside_parent<S: Slices>(
        &mut self,
        span: &Span,
        end: i64,
        to: &mut S,
    ) -> Result<Option<Lane>, S::Error> {
        let Some(parent_id) = span.parent_id else { return Ok(None) };
        let Some(lane) = self.lane_of.get(&parent_id).copied() else { return Ok(None) };
        let Some(stack) = self.stacks.get(&lane) else { return Ok(None) };
        let Some(at) = stack.iter().rposition(|open| open.id == parent_id) else { return Ok(None) };
        // What never ends does not lie in what ends, however late.
        let encloses = stack.get(at).is_some_and(|parent| {
            parent.end_ns >= end && (parent.is_unfinished || span.duration_ns.is_some())
        });
        let inner = stack.get(at + 1..).unwrap_or_default();
        // What ended at this very moment is still open for the sake of spans without length.
        if !encloses || inner.iter().any(|open| open.end_ns > span.start_ns) {
            return Ok(None);
        }
        let ended: Vec<u64> = inner.iter().rev().map(|open| open.id).collect();
        for id in ended {
            self.close(id, to)?;
        }
        Ok(Some(lane))
    }

    /// A lane in which nothing is open.
    fn free_lane<S: Slices>(
        &mut self,
        span: &Span,
        is_late: bool,
        to: &mut S,
    ) -> Result<Lane, S::Error> {
        // With its ancestors, where those are shown.
        let parent = span.parent_id.and_then(|parent| self.lane_of.get(&parent));
        let key = parent.map_or(span.thread.id as u64, |lane| lane.group);
        if is_late {
            self.late += 1;
            return Ok(Lane { group: key, number: LATE | self.late });
        }
        if self.groups.get(&key).is_some_and(|group| group.free.is_empty()) {
            self.close_until(span.start_ns.saturating_add(1), to)?;
        }
        let group = self.groups.entry(key).or_default();
        let number = match group.free.pop() {
            Some(Reverse(number)) => number,
            None => {
                group.lanes += 1;
                group.lanes - 1
            }
        };
        Ok(Lane { group: key, number })
    }
}

/// From start to end; an unfinished span has none, and no span ends before it starts.
fn interval(span: &Span) -> (i64, i64) {
    let start = span.start_ns;
    (start, span.duration_ns.map_or(i64::MAX, |ns| start.saturating_add(ns.max(0))))
}

#[cfg(test)]
mod tests;
