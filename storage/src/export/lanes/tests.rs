//! What a viewer makes of lanes.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::reader::Thread;
use crate::record::Status;

/// What a viewer makes of the lanes: stacks, and where each span lay.
#[derive(Default)]
struct Viewer {
    stacks: HashMap<Lane, Vec<u64>>,
    last: HashMap<Lane, i64>,
    inside: HashMap<u64, Option<u64>>,
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

    fn begin(&mut self, lane: Lane, span: &Span) -> Result<(), Infallible> {
        self.at(lane, span.start_ns);
        let stack = self.stacks.entry(lane).or_default();
        assert!(self.inside.insert(span.id, stack.last().copied()).is_none());
        stack.push(span.id);
        self.lanes.insert(span.id, lane);
        Ok(())
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), Infallible> {
        self.at(lane, open.end_ns);
        assert_eq!(self.stacks.get_mut(&lane).unwrap().pop(), Some(open.id));
        self.ended.insert(open.id, open.end_ns);
        Ok(())
    }
}

/// `(parent's index, start, duration)`, a negative duration for unfinished, as spans with ids from 1.
fn spans(rows: &[(Option<usize>, i64, i64)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (at, (parent, start_ns, duration)) in rows.iter().enumerate() {
        let id = at as u64 + 1;
        let parent = parent.filter(|parent| *parent < at).map(|parent| &spans[parent]);
        spans.push(Span {
            id,
            run_id: 1,
            parent_id: parent.map(|parent| parent.id),
            root_id: parent.map_or(id, |parent| parent.root_id),
            callsite: Arc::default(),
            thread: Arc::new(Thread { id: at as i64 % 3, ..Thread::default() }),
            start_ns: *start_ns,
            duration_ns: Some(*duration).filter(|ns| *ns >= 0),
            busy_ns: None,
            self_ns: None,
            entries: 1,
            first_entry_ns: None,
            longest_entry_ns: None,
            last_exit_ns: None,
            longest_thread: Arc::new(Thread { id: at as i64 % 3, ..Thread::default() }),
            status: Status::Ok,
            fields: None,
            entry: None,
        });
    }
    spans
}

fn view(spans: &[Span]) -> Viewer {
    let (mut lanes, mut viewer) = (Lanes::new(), Viewer { now: i64::MIN, ..Viewer::default() });
    for span in spans {
        lanes.place(span, &mut viewer).unwrap();
    }
    lanes.finish(&mut viewer).unwrap();
    assert!(lanes.lane_of.is_empty() && lanes.stacks.is_empty());
    viewer
}

fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start_ns, Reverse(interval(span).1), span.id));
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
    assert_eq!(viewer.inside[&2], Some(1));
    assert_eq!(viewer.inside[&3], Some(1));
    assert_eq!(viewer.inside[&6], Some(5));
    assert_eq!(viewer.inside[&7], Some(6), "a child without length in a parent without length");
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
    assert_eq!((viewer.inside[&2], viewer.inside[&3]), (Some(1), None));
    assert_eq!((viewer.inside[&4], viewer.inside[&5]), (Some(3), None));
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
            if let Some(outer) = viewer.inside[&span.id] {
                prop_assert_eq!(Some(outer), span.parent_id);
            }
            prop_assert_eq!(viewer.ended[&span.id], interval(span).1);
        }
    }

    #[test]
    fn so_does_one_in_no_order(rows in rows()) {
        let spans = spans(&rows);
        prop_assert_eq!(view(&spans).ended.len(), spans.len());
    }
}
