//! Lanes: rows in which slices nest as function calls do.
//!
//! Viewers draw a row of slices as a stack: what begins later is inside and has to end earlier. Spans of asynchronous
//! programs do not obey that: siblings overlap, children outlive their parents. So a span goes into the lane of its
//! parent only if the parent is the innermost open slice there and encloses it; all others get a free lane, the
//! lowest of their group (the thread of the outermost span), or a new one:
//!
//! ```text
//!  lane 1  |------------- request -------------|  |--- request ---|
//!             |-- query --|   |-- render --|
//!  lane 2             |-- second query --|
//! ```
//!
//! So within a lane, intervals nest or are disjoint, whatever the input; and a slice directly inside another one is
//! its child. Begins and ends are given in order of time, and at one moment in an order that keeps the stacks valid.
//!
//! In a run with entries, a thread's own lanes show what the thread did: its entries, and calls, each inside what the
//! thread was in. Spans that are merely open, whichever threads are inside, have separate, asynchronous lanes:
//!
//! ```text
//!  thread 1           |- frame ------------|  |- frame ----|
//!                        |- system -|           |- system -|
//!  thread 1, async |---------------- system ------------------...
//! ```
//!
//! Memory is bounded by what is open at one moment, and the number of groups.

mod open;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub(super) use self::open::{Entry, Open, Placement, Slice, What};

use spandrel_storage::internals::FastHashMap;

/// A row of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    /// The thread whose entries it shows, or that of the outermost span of the first lane.
    pub(super) group: u64,
    /// An asynchronous lane, apart from what the thread did.
    pub(super) is_async: bool,
    /// Counted from 0 in the group.
    pub(super) number: u32,
}

impl Lane {
    /// The name of the lane, behind the name of its thread.
    pub(super) fn name(self) -> String {
        match (self.is_async, self.number) {
            (false, 0) => String::new(),
            (false, number) => format!("overlapping {number}"),
            (true, 0) => "async".to_owned(),
            (true, number) => format!("async {number}"),
        }
    }
}

/// Receives the slices of the lanes.
pub(super) trait Slices {
    /// Why it can fail.
    type Error;

    /// A slice begins, inside the open slices of its lane. A late one begins before the last reported moment, in a
    /// lane where nothing was open at that time. The number is unique.
    fn begin(&mut self, lane: Lane, number: u64, slice: &Slice<'_>) -> Result<(), Self::Error>;

    /// The innermost slice of a lane ends; unfinished ones end last.
    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), Self::Error>;
}

/// See the [module](self)'s documentation.
pub(super) struct Lanes {
    groups: FastHashMap<(u64, bool), Group>,
    /// The open slices of each lane, the outermost first.
    stacks: FastHashMap<Lane, Vec<Open>>,
    /// The lane of each open slice, by its number.
    lane_of: FastHashMap<u64, Lane>,
    /// The number of a span's slice, by span id.
    spans: FastHashMap<u64, u64>,
    /// Ends of open slices, the earliest on top; inner ones first.
    ends: BinaryHeap<Reverse<(i64, Reverse<u64>)>>,
    begun: u64,
    late: u32,
    now_ns: i64,
}

/// Lanes from this number on hold one late slice each, as it is not known when they would be free.
const LATE: u32 = 1 << 31;

/// Lanes of a thread that are searched for the slice around an entry.
const SEARCHED_MAX: u32 = 8;

/// Start and length of an entry are rounded down, so its end may be this much behind that of the slice around it.
const ROUNDING_NS: i64 = 3;

#[derive(Default)]
struct Group {
    lanes: u32,
    free: BinaryHeap<Reverse<u32>>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            groups: FastHashMap::default(),
            stacks: FastHashMap::default(),
            lane_of: FastHashMap::default(),
            spans: FastHashMap::default(),
            ends: BinaryHeap::new(),
            begun: 0,
            late: 0,
            now_ns: i64::MIN,
        }
    }

    /// Assigns a slice to a lane. Slices come by start; late ones are accepted.
    pub(super) fn assign<S: Slices>(
        &mut self,
        slice: &Slice<'_>,
        placement: Placement,
        to: &mut S,
    ) -> Result<(), S::Error> {
        let (start, mut end) = slice.interval();
        let is_late = start < self.now_ns;
        if !is_late {
            self.now_ns = start;
            // A slice of length 0 may be inside one that ends at the same moment.
            self.close_until(if start == end { start } else { start.saturating_add(1) }, to)?;
        }
        let nested = match is_late {
            true => None,
            false => self.nested_lane(slice, placement, &mut end, to)?,
        };
        let lane = match nested {
            Some(lane) => lane,
            None => self.free_lane(slice, placement, is_late, to)?,
        };
        self.begun += 1;
        to.begin(lane, self.begun, slice)?;
        self.open(lane, slice, placement, end);
        Ok(())
    }

    /// Ends all open slices.
    pub(super) fn finish<S: Slices>(&mut self, to: &mut S) -> Result<(), S::Error> {
        while let Some(Reverse((_, Reverse(number)))) = self.ends.pop() {
            self.close(number, to)?;
        }
        Ok(())
    }

    fn open(&mut self, lane: Lane, slice: &Slice<'_>, placement: Placement, end_ns: i64) {
        self.ends.push(Reverse((end_ns, Reverse(self.begun))));
        self.lane_of.insert(self.begun, lane);
        let open = Open::new(self.begun, slice, placement, end_ns);
        if open.is_span {
            self.spans.insert(open.span_id, self.begun);
        }
        self.stacks.entry(lane).or_default().push(open);
    }

    /// Ends the slices that ended before `until_ns`.
    fn close_until<S: Slices>(&mut self, until_ns: i64, to: &mut S) -> Result<(), S::Error> {
        while let Some(Reverse((end, Reverse(number)))) = self.ends.peek().copied() {
            if end >= until_ns {
                break;
            }
            self.ends.pop();
            self.close(number, to)?;
        }
        Ok(())
    }

    /// Ends a slice, which is the innermost of its lane; does nothing if it has ended already.
    fn close<S: Slices>(&mut self, number: u64, to: &mut S) -> Result<(), S::Error> {
        let Some(lane) = self.lane_of.remove(&number) else { return Ok(()) };
        let Some(stack) = self.stacks.get_mut(&lane) else { return Ok(()) };
        if let Some(open) = stack.pop() {
            if open.is_span {
                self.spans.remove(&open.span_id);
            }
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
        if let Some(group) = self.groups.get_mut(&(lane.group, lane.is_async)) {
            group.free.push(Reverse(lane.number));
        }
    }

    /// The lane in which the slice is inside of another one.
    fn nested_lane<S: Slices>(
        &mut self,
        slice: &Slice<'_>,
        placement: Placement,
        end: &mut i64,
        to: &mut S,
    ) -> Result<Option<Lane>, S::Error> {
        let parent = slice.parent_id().and_then(|id| self.open_span(id));
        let parent_is_beside = parent.is_some_and(|(lane, _)| lane.is_async);
        match placement {
            Placement::WithParent => self.inside_parent(slice, *end, to),
            Placement::Open { .. } if parent_is_beside => self.inside_parent(slice, *end, to),
            Placement::Open { .. } => Ok(None),
            Placement::Call => {
                // It is not known when its thread was inside the parent.
                let is_shown_there = parent.is_some_and(|(_, open)| !open.has_entries);
                if parent_is_beside
                    && is_shown_there
                    && let Some(lane) = self.inside_parent(slice, *end, to)?
                {
                    return Ok(Some(lane));
                }
                self.on_thread(slice, end, to)
            }
            Placement::OnThread => self.on_thread(slice, end, to),
        }
    }

    /// The open slice of a span.
    fn open_span(&self, id: u64) -> Option<(Lane, &Open)> {
        let number = *self.spans.get(&id)?;
        let lane = *self.lane_of.get(&number)?;
        let open = self.stacks.get(&lane)?.iter().rfind(|open| open.number == number)?;
        Some((lane, open))
    }

    /// The lane of the parent, if the span can be directly inside the parent.
    fn inside_parent<S: Slices>(
        &mut self,
        slice: &Slice<'_>,
        end: i64,
        to: &mut S,
    ) -> Result<Option<Lane>, S::Error> {
        let Some(parent_id) = slice.parent_id() else { return Ok(None) };
        let Some((lane, parent)) = self.open_span(parent_id) else { return Ok(None) };
        // An unfinished slice is not inside one that ends, however late.
        let encloses = parent.end_ns >= end && (parent.is_unfinished || slice.to_ns.is_some());
        let number = parent.number;
        let Some(stack) = self.stacks.get(&lane) else { return Ok(None) };
        let inner = || stack.iter().rev().take_while(|open| open.number != number);
        // Slices that end at this moment are still open, for the sake of slices of length 0.
        if !encloses || inner().any(|open| open.end_ns > slice.from_ns) {
            return Ok(None);
        }
        let ended: Vec<u64> = inner().map(|open| open.number).collect();
        for number in ended {
            self.close(number, to)?;
        }
        Ok(Some(lane))
    }

    /// The lane of the slice's thread in which a slice encloses it: that of the span around it, if known.
    fn on_thread<S: Slices>(
        &mut self,
        slice: &Slice<'_>,
        end: &mut i64,
        to: &mut S,
    ) -> Result<Option<Lane>, S::Error> {
        let group = slice.thread.id as u64;
        let lanes = self.groups.get(&(group, false)).map_or(0, |group| group.lanes);
        let mut found: Option<(Lane, u64, i64)> = None;
        for number in 0..lanes.min(SEARCHED_MAX) {
            let lane = Lane { group, is_async: false, number };
            let Some(stack) = self.stacks.get(&lane) else { continue };
            let is_around = |open: &Open| slice.around_id() == Some(open.span_id);
            // A slice that ends at this moment is not around it, unless it is known to be.
            let outer = stack.iter().rfind(|open| open.end_ns > slice.from_ns || is_around(open));
            let Some(outer) = outer else { continue };
            if outer.end_ns.saturating_add(ROUNDING_NS) < *end {
                continue;
            }
            let is_better = found.is_none() || is_around(outer);
            if is_better {
                found = Some((lane, outer.number, outer.end_ns));
            }
            if is_around(outer) {
                break;
            }
        }
        let Some((lane, outer, outer_end)) = found else { return Ok(None) };
        *end = outer_end.min(*end);
        let stack = self.stacks.get(&lane).map_or(&[][..], Vec::as_slice);
        let inner = stack.iter().rev().take_while(|open| open.number != outer);
        let ended: Vec<u64> = inner.map(|open| open.number).collect();
        for number in ended {
            self.close(number, to)?;
        }
        Ok(Some(lane))
    }

    /// A lane in which nothing is open; a new one if necessary.
    fn free_lane<S: Slices>(
        &mut self,
        slice: &Slice<'_>,
        placement: Placement,
        is_late: bool,
        to: &mut S,
    ) -> Result<Lane, S::Error> {
        let is_async = matches!(placement, Placement::Open { .. });
        // In the group of its ancestors, where those are shown; what a thread did is in the thread's group.
        let parent = match placement {
            Placement::WithParent | Placement::Open { .. } => slice.parent_id(),
            Placement::Call | Placement::OnThread => None,
        };
        let parent = parent.and_then(|id| self.open_span(id));
        let group = parent.map_or(slice.thread.id as u64, |(lane, _)| lane.group);
        if is_late {
            self.late += 1;
            return Ok(Lane { group, is_async, number: LATE | self.late });
        }
        let key = (group, is_async);
        if self.groups.get(&key).is_some_and(|group| group.free.is_empty()) {
            self.close_until(slice.from_ns.saturating_add(1), to)?;
        }
        let lanes = self.groups.entry(key).or_default();
        let number = match lanes.free.pop() {
            Some(Reverse(number)) => number,
            None => {
                lanes.lanes += 1;
                lanes.lanes - 1
            }
        };
        Ok(Lane { group, is_async, number })
    }
}

#[cfg(test)]
mod tests;
