use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::reader::Entry;
use crate::test_profile::{TestProfile, count_steps};
use spandrel_storage::{EntryRow, SpanRow, Status};

/// A span; without a duration it is unfinished.
pub(crate) fn span(id: u64, parent_id: Option<u64>, start_ns: i64, end: Option<i64>) -> Span {
    Span {
        id,
        run_id: 1,
        parent_id,
        root_id: 1,
        start_ns,
        duration_ns: end.map(|end| end - start_ns),
        self_ns: end.map(|end| end - start_ns),
        entries: 1,
        status: if end.is_some() { Status::Ok } else { Status::Unfinished },
        ..Span::default()
    }
}

/// An entry on thread 0, of a span that may be anywhere.
pub(crate) fn entry(
    id: u64,
    span_id: u64,
    around_id: u64,
    from_ns: i64,
    end_ns: i64,
) -> TraceEntry {
    let entry = Entry {
        id,
        span_id,
        around_id: Some(around_id).filter(|around| *around > 0),
        start_ns: from_ns,
        duration_ns: end_ns - from_ns,
        self_ns: Some(0),
        ..Entry::default()
    };
    TraceEntry { entry, callsite: Arc::default(), thread: Arc::default(), fields: None }
}

/// A span that has closed and lived long.
pub(crate) fn long_lived(id: u64, parent_id: Option<u64>, start_ns: i64, end_ns: i64) -> Span {
    Span { self_ns: None, ..span(id, parent_id, start_ns, Some(end_ns)) }
}

/// Depth and id of what is below the root, and of what has lost its parent, as it stands from the top; ids
/// of entries are negative.
pub(super) fn below(trace: &Trace) -> Vec<(usize, i64)> {
    let mut next: Vec<(usize, usize)> =
        trace.orphans().flat_map(|(_, indexes)| indexes.iter().map(|at| (0, *at))).collect();
    next.extend(trace.root().map(|at| (0, at)));
    let mut all = Vec::new();
    while let Some((depth, at)) = next.pop() {
        all.push((
            depth,
            match trace.node(at).unwrap() {
                Node::Span(span) => span.id as i64,
                Node::Entry(one) => -(one.entry.id as i64),
            },
        ));
        let children: Vec<_> = trace.children(at).map(|child| (depth + 1, child)).collect();
        next.extend(children.into_iter().rev());
    }
    all
}

#[test]
fn entries_stand_where_the_thread_was_and_spans_in_the_entry_in_which_they_began() {
    // A frame, a schedule in it, and systems 10, 11 and 12 that are no one's children.
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 5, Some(95)),
        // Began inside 10, on its thread.
        span(3, Some(10), 12, Some(20)),
        // Below that.
        span(4, Some(3), 13, Some(15)),
        span(5, Some(2), 70, Some(80)),
    ];
    let entries = vec![
        entry(101, 10, 2, 10, 40),
        entry(102, 11, 10, 25, 35),
        // In a span that is there, within an entry that is, too.
        entry(103, 12, 4, 13, 14),
        entry(104, 10, 2, 50, 60),
        entry(105, 12, 5, 70, 80),
        // What was around it is not in the file, but something is around that.
        entry(106, 11, 999, 52, 55),
    ];
    let trace = Trace::new(1, spans, entries, 5, 200);
    let expected = [
        (0, 1),
        (1, 2),
        (2, -101),
        (3, 3),
        (4, 4),
        (5, -103),
        (3, -102),
        (2, -104),
        (3, -106),
        (2, 5),
        (3, -105),
    ];
    assert_eq!(below(&trace), expected);
}

#[test]
fn a_span_that_lives_long_is_no_work_of_its_parent() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        long_lived(2, Some(1), 10, 5_000),
        // Began in its entry in the trace, and after it.
        span(3, Some(2), 25, Some(28)),
        span(4, Some(2), 700, Some(800)),
    ];
    let trace = Trace::new(1, spans, vec![entry(101, 2, 1, 20, 30)], 4, 6_000);
    assert_eq!(below(&trace), [(0, 1), (1, 2), (2, 4), (1, -101), (2, 3)]);
    assert!(trace.lives_long(1) && !trace.lives_long(0));
    assert_eq!(trace.interval_ns(), (0, 100));
    assert_eq!(trace.extent_ns(), (0, 800), "not to the end of the one that lives long");
}

#[test]
fn a_span_with_a_place_of_its_own_is_not_shown_again_by_its_entries() {
    // 3 is the child of 1, and is entered while the thread is in 2.
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 5, Some(95)),
        span(3, Some(1), 1, Some(90)),
    ];
    let entries = vec![entry(101, 3, 2, 10, 30), entry(102, 3, 1, 2, 4)];
    let entries = entries
        .into_iter()
        .map(|one| TraceEntry { entry: Entry { self_ns: None, ..one.entry }, ..one });
    let trace = Trace::new(1, spans, entries.collect(), 3, 200);
    assert_eq!(below(&trace), [(0, 1), (1, 3), (1, 2)]);
    assert_eq!(trace.visits(1).count(), 1, "but the time is not that of 2");
    assert_eq!(trace.visits(0).count(), 0, "and in that of 1 it is anyhow");
}

#[test]
fn circles_through_entries_lose_nothing() {
    // 2 is below the entry that is in 2.
    let spans = vec![span(1, None, 0, Some(100)), span(2, Some(10), 20, Some(90))];
    let trace = Trace::new(1, spans, vec![entry(101, 10, 2, 20, 30)], 2, 200);
    let mut reached: Vec<i64> = below(&trace).into_iter().map(|(_, id)| id).collect();
    reached.sort_unstable();
    assert_eq!(reached, [-101, 1, 2]);
}

/// Frames of one thread in commits of their own, each with entries of systems that live long.
fn frames(frames: u64) -> TestProfile {
    let mut profile = TestProfile::new();
    let callsite = profile.callsite("system", "", 1);
    profile.thread(1, None);
    for frame in 0..frames {
        let (id, at) = (1_000 + frame * 100, frame as i64 * 10_000);
        let guest = TestProfile::span(id + 1, callsite, at + 200, 50);
        profile.add(SpanRow { parent_id: 1, root_id: 1, ..guest }, "");
        profile.add(TestProfile::span(id, callsite, at, 8_000), "");
        for n in 0..20 {
            profile.entry(EntryRow {
                id: id + 10 + n,
                span_id: 1 + n % 4,
                callsite_id: callsite,
                thread_id: 1,
                start_ns: at + 100 + n as i64 * 300,
                duration_ns: 290,
                around_id: id,
                self_ns: Some(240),
                earlier_entries: 0,
                earlier_ns: 0,
            });
        }
        profile.commit();
    }
    for id in 1..=4 {
        let long = TestProfile::span(id, callsite, 0, frames as i64 * 10_000);
        profile.add(SpanRow { self_ns: None, entries: frames * 5, ..long }, "");
    }
    profile.commit();
    profile
}

#[test]
fn the_entries_of_a_trace_are_found_without_looking_at_all() {
    let mut profile = frames(500);
    let path = profile.ended();
    let read = || {
        let mut reader = Reader::open(&path).unwrap();
        let steps = count_steps(&mut reader);
        let trace = Trace::read(&reader, 1_000 + 250 * 100, 1_000).unwrap().unwrap();
        (below(&trace), trace.entries_total, steps.load(Ordering::Relaxed))
    };
    let (by_map, entries, few) = read();
    assert_eq!((by_map.len(), entries), (1 + 20 + 1, 20));
    assert!(by_map.contains(&(2, 1_000 + 250 * 100 + 1)), "{by_map:?}");
    // Where commits do not tell all, all is looked at, and the same found.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("DELETE FROM batch_range WHERE batch_id = 7", []).unwrap();
    let (by_scan, _, many) = read();
    assert_eq!(by_map, by_scan);
    assert!(few * 4 < many, "{few} steps, not {many}");
}

fn ids(trace: &Trace, indexes: impl IntoIterator<Item = usize>) -> Vec<u64> {
    indexes.into_iter().map(|at| trace.spans[at].id).collect()
}

#[test]
fn children_stand_by_start_and_orphans_by_the_parent_that_is_missing() {
    let trace = Trace::new(
        1,
        vec![
            span(5, Some(1), 10, Some(20)),
            span(1, None, 0, Some(100)),
            span(3, Some(1), 50, Some(60)),
            span(7, Some(6), 70, Some(80)),
            span(8, Some(5), 11, None),
        ],
        Vec::new(),
        9,
        100,
    );
    assert_eq!(trace.root(), Some(0));
    assert_eq!(ids(&trace, trace.children(0)), [5, 3]);
    assert_eq!(ids(&trace, trace.children(2)), [8]);
    assert_eq!(trace.children(3).len(), 0);
    let orphans: Vec<_> = trace.orphans().collect();
    assert_eq!(orphans.len(), 1);
    assert_eq!((orphans[0].0, ids(&trace, orphans[0].1.to_vec())), (6, vec![7]));
    assert_eq!(trace.interval_ns(), (0, 100));
    assert!(trace.is_truncated());
    assert_eq!(trace.end_ns(&trace.spans[4]), 100, "unfinished: the last known moment");
}

#[test]
fn without_a_root_the_interval_is_that_of_all_spans() {
    let spans = vec![span(2, Some(1), 5, Some(9)), span(3, Some(1), 7, Some(30))];
    let trace = Trace::new(1, spans, Vec::new(), 2, 0);
    assert_eq!((trace.root(), trace.interval_ns()), (None, (5, 30)));
    assert_eq!(trace.orphans().next().unwrap().1.len(), 2);
}

#[test]
fn every_span_is_reached_once_also_in_circles() {
    let spans = vec![
        span(1, Some(2), 0, Some(9)), // a root that says it has a parent
        span(2, Some(3), 0, Some(9)),
        span(3, Some(4), 0, Some(9)),
        span(4, Some(2), 0, Some(9)),
        span(5, Some(5), 0, Some(9)),
        span(6, Some(1), 0, Some(9)),
    ];
    let trace = Trace::new(1, spans, Vec::new(), 6, 9);
    let mut reached = Vec::new();
    let mut next: Vec<usize> = trace.root().into_iter().collect();
    next.extend(trace.orphans().flat_map(|(_, indexes)| indexes.to_vec()));
    while let Some(at) = next.pop() {
        reached.push(trace.spans[at].id);
        next.extend(trace.children(at));
    }
    reached.sort_unstable();
    assert_eq!(reached, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_span_that_was_asked_for_is_kept_of_a_trace_that_is_cut() {
    use crate::test_profile::TestProfile;
    let mut profile = TestProfile::new();
    let callsite = profile.callsite("n", "t", 1);
    profile.thread(1, None);
    for id in 1..=100_u64 {
        // Two chains: the even ids below each other, and the odd ones.
        let span = TestProfile::span(id, callsite, id as i64, 1_000);
        profile.add(
            spandrel_storage::SpanRow { parent_id: id.saturating_sub(2), root_id: 1, ..span },
            "",
        );
    }
    let reader = profile.reader();
    let kept = |trace: Option<Trace>| -> Vec<u64> {
        trace.unwrap().spans.iter().map(|span| span.id).collect()
    };
    assert_eq!(kept(Trace::read(&reader, 1, 4).unwrap()), [1, 2, 3, 4]);
    let around = Trace::read_around(&reader, 1, 4, 9).unwrap();
    assert_eq!(around.as_ref().unwrap().total, 100);
    assert_eq!(kept(around), [1, 2, 3, 4, 5, 7, 9]);
    assert_eq!(kept(Trace::read_around(&reader, 1, 200, 9).unwrap()).len(), 100);
}
