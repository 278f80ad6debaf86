//! What a viewer makes of lanes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use spandrel_query::{Span, Thread};

/// What a viewer makes of the lanes: stacks, and where each span lay.
#[derive(Default)]
struct Viewer {
    stacks: HashMap<Lane, Vec<u64>>,
    last: HashMap<Lane, i64>,
    numbers: HashMap<u64, u64>,
    parents: HashMap<u64, Option<u64>>,
    lanes: HashMap<u64, Lane>,
    ended: HashMap<u64, i64>,
    lateness: usize,
    now: i64,
}

impl Viewer {
    fn at(&mut self, lane: Lane, ns: i64) {
        let last = self.last.entry(lane).or_insert(i64::MIN);
        assert!(*last <= ns, "lane {lane:?} goes back from {last} to {ns}");
        *last = ns;
        self.lateness += usize::from(ns < self.now);
        self.now = self.now.max(ns);
    }
}

impl Slices for Viewer {
    type Error = Infallible;

    fn begin(&mut self, lane: Lane, number: u64, slice: &Slice<'_>) -> Result<(), Infallible> {
        let id = id_of(slice);
        assert!(self.numbers.insert(number, id).is_none());
        self.at(lane, slice.from_ns);
        let stack = self.stacks.entry(lane).or_default();
        assert!(self.parents.insert(id, stack.last().copied()).is_none());
        stack.push(id);
        self.lanes.insert(id, lane);
        Ok(())
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), Infallible> {
        self.at(lane, open.end_ns);
        let id = self.numbers[&open.number];
        assert_eq!(self.stacks.get_mut(&lane).unwrap().pop(), Some(id));
        self.ended.insert(id, open.end_ns);
        Ok(())
    }
}

/// What tests know a slice by: a span by its id, an entry by when it was.
fn id_of(slice: &Slice<'_>) -> u64 {
    match slice.what {
        What::Span(span) => span.id,
        What::Entry(_) => 1_000 + slice.from_ns as u64,
    }
}

fn thread_of(id: i64) -> Arc<Thread> {
    let mut thread = Thread::default();
    thread.id = id;
    Arc::new(thread)
}

/// `(parent's index, start, duration)`, a negative duration for unfinished, as spans with ids from 1.
fn spans(rows: &[(Option<usize>, i64, i64)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (at, (parent, start_ns, duration)) in rows.iter().enumerate() {
        let id = at as u64 + 1;
        let parent = parent.filter(|parent| *parent < at).map(|parent| &spans[parent]);
        let mut span = Span::default();
        (span.id, span.run_id, span.entries) = (id, 1, 1);
        span.parent_id = parent.map(|parent| parent.id);
        span.root_id = parent.map_or(id, |parent| parent.root_id);
        span.start_ns = *start_ns;
        span.duration_ns = Some(*duration).filter(|ns| *ns >= 0);
        (span.thread, span.longest_thread) = (thread_of(at as i64 % 3), thread_of(at as i64 % 3));
        spans.push(span);
    }
    spans
}

fn view(spans: &[Span]) -> Viewer {
    let (mut lanes, mut viewer) = (Lanes::new(), Viewer { now: i64::MIN, ..Viewer::default() });
    for span in spans {
        lanes.assign(&Slice::of_span(span), Placement::WithParent, &mut viewer).unwrap();
    }
    lanes.finish(&mut viewer).unwrap();
    assert!(lanes.lane_of.is_empty() && lanes.stacks.is_empty());
    viewer
}

fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start_ns, Reverse(Slice::of_span(span).interval().1), span.id));
    spans
}

#[test]
fn children_lie_in_their_parents_and_siblings_one_after_the_other() {
    let trees = spans(&[
        (None, 0, 10),
        (Some(0), 0, 4),
        (Some(0), 4, 6),
        (Some(2), 10, 0),
        (None, 10, 5),
        (Some(4), 10, 0),
        (Some(5), 10, 0),
    ]);
    let viewer = view(&sorted(trees));
    assert_eq!(viewer.parents[&2], Some(1));
    assert_eq!(viewer.parents[&3], Some(1));
    assert_eq!(viewer.parents[&6], Some(5));
    assert_eq!(viewer.parents[&7], Some(6), "a child without length in a parent without length");
    assert_eq!(viewer.lanes[&1], viewer.lanes[&2]);
}

#[test]
fn a_sibling_that_overlaps_and_a_child_that_outlives_get_lanes_of_their_own() {
    let trees = spans(&[
        (None, 0, 10),
        (Some(0), 1, 5),
        (Some(0), 2, 6),  // overlaps
        (Some(2), 3, 1),  // follows its parent there
        (Some(0), 9, 10), // outlives
    ]);
    let viewer = view(&sorted(trees));
    assert_eq!((viewer.parents[&2], viewer.parents[&3]), (Some(1), None));
    assert_eq!((viewer.parents[&4], viewer.parents[&5]), (Some(3), None));
    assert_eq!(viewer.lanes[&4], viewer.lanes[&3]);
    assert_eq!(viewer.lanes[&5].number, 1, "the lane that is free again");
}

#[test]
fn many_roots_at_one_moment_share_a_lane_when_they_have_no_length() {
    let roots = spans(&vec![(None, 7, 0); 300]);
    let viewer = view(&roots);
    assert_eq!(viewer.lanes.values().map(|lane| lane.number).max(), Some(0));
}

fn rows() -> impl Strategy<Value = Vec<(Option<usize>, i64, i64)>> {
    let time = prop_oneof![8 => 0_i64..40, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let row = (proptest::option::of(0_usize..20), time, -1_i64..20);
    proptest::collection::vec(row, 0..60)
}

proptest! {
    #[test]
    fn any_forest_nests(rows in rows()) {
        let spans = sorted(spans(&rows));
        let viewer = view(&spans);
        prop_assert_eq!(viewer.lateness, 0);
        for span in &spans {
            // Whatever lies in another span is its child.
            if let Some(outer) = viewer.parents[&span.id] {
                prop_assert_eq!(Some(outer), span.parent_id);
            }
            prop_assert_eq!(viewer.ended[&span.id], Slice::of_span(span).interval().1);
        }
    }

    #[test]
    fn so_does_one_in_no_order(rows in rows()) {
        let spans = spans(&rows);
        prop_assert_eq!(view(&spans).ended.len(), spans.len());
    }
}

/// What a thread does: enters a span, or leaves one of those that it is in.
fn steps() -> impl Strategy<Value = Vec<(bool, u64, i64)>> {
    proptest::collection::vec((any::<bool>(), 1_u64..9, 0_i64..4), 0..80)
}

/// An entry: its thread, span, from, to, and what was around it.
type EntryOf = (i64, u64, i64, i64, Option<u64>);

/// Does the steps on a thread, whose clock goes on by what they say. Spans are left in any order, or the last
/// one first.
fn entries(thread: i64, steps: &[(bool, u64, i64)], in_order: bool) -> Vec<EntryOf> {
    let (mut now, mut inside, mut entries) = (thread, Vec::<(u64, i64)>::new(), Vec::new());
    let mut leave = |inside: &mut Vec<(u64, i64)>, at: usize, now: i64| {
        let (span, from) = inside.remove(at);
        let around = at.checked_sub(1).map(|below| inside[below].0);
        entries.push((thread, span, from, now, around));
    };
    for (enters, n, ticks) in steps {
        now += ticks;
        let span = thread as u64 * 10 + n;
        match enters {
            true if inside.iter().all(|(other, _)| *other != span) => inside.push((span, now)),
            false if !inside.is_empty() => {
                let at = if in_order { inside.len() - 1 } else { *n as usize % inside.len() };
                leave(&mut inside, at, now);
            }
            _ => {}
        }
    }
    while let Some(at) = inside.len().checked_sub(1) {
        leave(&mut inside, at, now + 1);
    }
    entries
}

/// What a viewer has: for each lane and each begin the entry, and the one that it lies in.
#[derive(Default)]
struct Threads {
    open: HashMap<Lane, Vec<u64>>,
    last: HashMap<Lane, i64>,
    found: Vec<(Lane, u64, Option<u64>)>,
    ends: HashMap<u64, i64>,
}

impl Slices for Threads {
    type Error = Infallible;

    fn begin(&mut self, lane: Lane, number: u64, slice: &Slice<'_>) -> Result<(), Infallible> {
        let What::Entry(entry) = slice.what else { panic!("no span") };
        let stack = self.open.entry(lane).or_default();
        let outer = stack.last().map(|number| self.found[*number as usize - 1].1);
        stack.push(number);
        assert_eq!(self.found.len() as u64 + 1, number);
        assert_eq!((lane.group, lane.is_async), (slice.thread.id as u64, false));
        assert!(self.last.insert(lane, slice.from_ns).is_none_or(|last| last <= slice.from_ns));
        self.found.push((lane, entry.span_id, outer));
        Ok(())
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), Infallible> {
        assert_eq!(self.open.get_mut(&lane).unwrap().pop(), Some(open.number));
        assert!(self.last.insert(lane, open.end_ns).is_none_or(|last| last <= open.end_ns));
        assert!(self.ends.insert(open.number, open.end_ns).is_none());
        Ok(())
    }
}

/// Places entries as the timeline does.
fn threads(mut entries: Vec<(usize, EntryOf)>) -> (Vec<(usize, EntryOf)>, Threads) {
    entries.sort_by_key(|(at, (_, _, from, to, _))| (*from, Reverse(*to), Reverse(*at)));
    let (mut lanes, mut threads) = (Lanes::new(), Threads::default());
    for (_, (thread, span_id, from_ns, to_ns, around_id)) in &entries {
        let thread = thread_of(*thread);
        let entry = Entry { span_id: *span_id, around_id: *around_id, ..Entry::default() };
        let slice = Slice {
            from_ns: *from_ns,
            to_ns: Some(*to_ns),
            callsite: &Arc::default(),
            thread: &thread,
            what: What::Entry(&entry),
        };
        lanes.assign(&slice, Placement::OnThread, &mut threads).unwrap();
    }
    lanes.finish(&mut threads).unwrap();
    (entries, threads)
}

proptest! {
    #[test]
    fn an_entry_lies_in_what_its_thread_was_in_around_it(
        programs in proptest::collection::vec(steps(), 1..4), in_order in any::<bool>(),
    ) {
        let programs = programs.iter().enumerate();
        let all = programs.flat_map(|(at, steps)| entries(at as i64, steps, in_order));
        let (entries, threads) = threads(all.enumerate().collect());
        prop_assert_eq!(threads.ends.len(), entries.len());
        for (number, ((_, entry), (lane, span, outer))) in (1..).zip(entries.iter().zip(&threads.found)) {
            let (_, span_id, from, to, around) = *entry;
            prop_assert_eq!(*span, span_id);
            let rounded = to - threads.ends[&number];
            prop_assert!((0..=ROUNDING_NS).contains(&rounded), "{} in {:?}", rounded, lane);
            if in_order {
                // Whatever has some length lies in one row, and in what was around it.
                prop_assert_eq!(lane.number, 0);
                prop_assert!(*outer == around || from == to, "{:?} in {:?}", entry, outer);
            }
        }
    }
}
