//! The path by its definition, and by hand.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::trace::tests::{entry, long_lived, span};
use crate::trace::{Node, TraceEntry};

/// When a span was left for the last time; `None`: it did not work.
fn left(trace: &Trace, index: usize) -> Option<i64> {
    let (start, end) = trace.bounds_ns(index).unwrap();
    let left = match trace.node(index).unwrap() {
        Node::Span(span) if span.entries == 0 => start,
        Node::Span(span) => span.last_exit_ns.map_or(end, |ns| start + ns),
        Node::Entry(_) => end,
    };
    Some(left).filter(|left| *left > start)
}

/// When the last one of a span and those below was left, while all above were open.
fn done(trace: &Trace, index: usize) -> Option<i64> {
    if trace.lives_long(index) {
        return None;
    }
    let below = trace.children(index).filter_map(|child| done(trace, child));
    let (_, closed) = trace.bounds_ns(index).unwrap();
    left(trace, index).into_iter().chain(below).max().map(|done| done.min(closed))
}

/// Who is to blame for the nanosecond that begins at `now`, by the definition: looked up anew for
/// each nanosecond, over all spans, with neither order nor cursor. `None`: nobody; the root may be
/// missing.
fn blamed(trace: &Trace, now: i64) -> Option<Option<usize>> {
    let (mut from, mut until) = trace.interval_ns();
    let mut at = trace.root();
    loop {
        let left_at = at.map_or(Some(until), |at| left(trace, at)).unwrap_or(from);
        let left_at = left_at.clamp(from, until);
        // Children are waited for until they were left; when the span has been left itself, the trace waits for
        // whatever still goes on inside.
        let is_over = now >= left_at;
        let (lo, hi) = if is_over { (left_at, until) } else { (from, left_at) };
        let until_of = if is_over { done } else { left };
        let clip = |index: usize| {
            let (start, _) = trace.bounds_ns(index).unwrap();
            let clipped = (start.max(lo), until_of(trace, index)?.min(hi));
            Some(clipped).filter(|(from, until)| from < until)
        };
        let is_child = |index: usize| match trace.parent(index) {
            _ if Some(index) == trace.root() || trace.lives_long(index) => false,
            None => at == trace.root(),
            parent => at == parent,
        };
        let mut limit = hi;
        loop {
            let last = (0..trace.nodes())
                .filter(|index| is_child(*index))
                .filter_map(|index| Some((index, clip(index)?)))
                .filter(|(_, (_, until))| *until <= limit)
                .max_by_key(|(index, (from, until))| (*until, -from, -(*index as i64)));
            match last {
                Some((_, clipped)) if now < clipped.0 => limit = clipped.0,
                Some((child, clipped)) if now < clipped.1 => {
                    (from, until) = clipped;
                    at = Some(child);
                    break;
                }
                _ => return (!is_over).then_some(at),
            }
        }
    }
}

/// Any trace: parents anywhere before their children or missing, children that begin before and
/// end after them, empty ones, unfinished ones, ones that were left before they closed, or never entered, and
/// ones that live long, with entries anywhere.
fn trace() -> impl Strategy<Value = Trace> {
    let one = (any::<prop::sample::Index>(), 0_u8..16, 0_i64..60, 0_i64..40);
    let entry_of = (any::<prop::sample::Index>(), 0_i64..60, 0_i64..20);
    let parts = (vec(one, 0..24), vec(entry_of, 0..8), any::<bool>(), 0_u8..3, 1_i64..60);
    parts.prop_map(|(spans, entries, has_root, root_kind, length)| {
        let root = span(1, None, 5, Some(5 + length));
        let mut all = vec![match root_kind {
            0 => root,
            1 => left_early(root, length / 2),
            _ => never_entered(root),
        }];
        for (n, (parent, kind, start, length)) in spans.into_iter().enumerate() {
            let id = n as u64 + 2;
            let parent = if kind == 0 { 1_000 } else { all[parent.index(all.len())].id };
            let end = (kind != 1 && kind != 4).then_some(start + length);
            let plain = span(id, Some(parent), start, end);
            all.push(match kind {
                2 | 3 => long_lived(id, Some(parent), start, start + length),
                4 | 5 => never_entered(plain),
                6..=10 => left_early(plain, length * i64::from(kind - 5) / 6),
                _ => plain,
            });
        }
        let entries = entries.into_iter().enumerate().map(|(n, (around, start, length))| {
            let around = all[around.index(all.len())].id;
            entry(1_000 + n as u64, 500 + n as u64 % 3, around, start, start + length)
        });
        let entries: Vec<_> = entries.collect();
        if !has_root && all.len() > 1 {
            all.remove(0);
        }
        let total = all.len() as u64;
        Trace::new(1, all, entries, total, 70)
    })
}

/// A span that something has kept open, by what it worked.
fn left_early(span: crate::Span, worked_ns: i64) -> crate::Span {
    crate::Span { last_exit_ns: Some(worked_ns), entries: 2, self_ns: Some(worked_ns), ..span }
}

fn never_entered(span: crate::Span) -> crate::Span {
    let self_ns = span.duration_ns.map(|_| 0);
    crate::Span { entries: 0, self_ns, busy_ns: Some(0), ..span }
}

proptest! {
    #[test]
    fn each_nanosecond_is_blamed_on_the_span_that_the_definition_names(trace in trace()) {
        let path = CriticalPath::of(&trace);
        let (from, until) = trace.interval_ns();
        let mut blame = std::collections::HashMap::new();
        let mut at = from;
        for section in path.sections() {
            prop_assert!(section.from_ns >= at && section.from_ns < section.until_ns);
            blame.extend((section.from_ns..section.until_ns).map(|now| (now, section.span)));
            at = section.until_ns;
        }
        prop_assert!(at <= until);
        for now in from..until {
            prop_assert_eq!(blame.get(&now).copied(), blamed(&trace, now), "{}", now);
        }
        prop_assert_eq!(path.length_ns(), blame.len() as i64);
        prop_assert_eq!(path.kept_open_ns(&trace), until - from - blame.len() as i64);
        let sum: i64 = path.by_callsite(&trace).iter().map(|(_, ns)| ns).sum();
        prop_assert_eq!(sum, blame.len() as i64);
        for section in path.sections() {
            prop_assert!(section.span.is_none_or(|index| path.contains(index)));
        }
        for index in (0..trace.nodes()).filter(|index| path.contains(*index)) {
            let own = path.sections().iter().any(|section| section.span == Some(index));
            prop_assert!(!own || left(&trace, index).is_some(), "never entered: {}", index);
            let orphans = trace.orphans().flat_map(|(_, indexes)| indexes);
            let below = trace.children(index).any(|child| path.contains(child));
            let below = below || trace.root() == Some(index)
                && orphans.into_iter().any(|child| path.contains(*child));
            prop_assert!(own || below, "{}", index);
        }
    }

    /// What a thread does one after the other: then the path of a span is its self time, wherever and by
    /// whomever it was kept open.
    #[test]
    fn in_a_tree_of_one_thread_the_path_is_the_self_time_of_each_span(
        steps in vec((0_u8..4, 1_i64..9, 0_i64..40), 1..40),
    ) {
        let (trace, self_ns) = one_thread(&steps);
        let path = CriticalPath::of(&trace);
        let mut own = vec![0; trace.nodes()];
        for section in path.sections() {
            own[section.span.unwrap()] += section.length_ns();
        }
        prop_assert_eq!(own, self_ns);
    }
}

/// Spans that a thread makes, enters and leaves in turns, each kept open for a while, and the time that it was in
/// each of them and in no other.
fn one_thread(steps: &[(u8, i64, i64)]) -> (Trace, Vec<i64>) {
    let mut all = vec![span(1, None, 0, None)];
    let (mut own, mut inside, mut kept, mut now) = (vec![0], vec![0], vec![0], 0);
    for (kind, length, keep) in steps {
        let here = *inside.last().unwrap();
        match kind {
            0 | 1 => {
                inside.push(all.len());
                all.push(span(all.len() as u64 + 1, Some(all[here].id), now, None));
                own.push(0);
                kept.push(*keep);
            }
            2 if inside.len() > 1 => {
                inside.pop();
                all[here] = left_early(all[here].clone(), now - all[here].start_ns);
            }
            // Nobody enters it.
            3 => {
                let never = span(all.len() as u64 + 1, Some(all[here].id), now, Some(now + keep));
                all.push(never_entered(never));
                own.push(0);
                kept.push(*keep);
            }
            _ => {}
        }
        let here = *inside.last().unwrap();
        own[here] += length;
        now += length;
    }
    for at in inside {
        all[at] = left_early(all[at].clone(), now - all[at].start_ns);
    }
    // A child keeps its parents open.
    let mut closed: Vec<i64> = all
        .iter()
        .zip(&kept)
        .map(|(span, kept)| span.start_ns + span.last_exit_ns.unwrap_or(0) + kept)
        .collect();
    for at in (1..all.len()).rev() {
        let above = all[at].parent_id.unwrap() as usize - 1;
        closed[above] = closed[above].max(closed[at]);
    }
    for (span, closed) in all.iter_mut().zip(closed) {
        span.duration_ns = Some(closed - span.start_ns);
    }
    (Trace::new(1, all, Vec::new(), 0, 0), own)
}

fn on_path(spans: Vec<crate::Span>) -> Vec<(u64, i64, i64)> {
    with_entries(spans, Vec::new())
}

fn with_entries(spans: Vec<crate::Span>, entries: Vec<TraceEntry>) -> Vec<(u64, i64, i64)> {
    let trace = Trace::new(1, spans, entries, 0, 0);
    let of = |section: &Section| {
        let id = section.span.map_or(0, |index| trace.node(index).unwrap().span_id());
        (id, section.from_ns, section.until_ns)
    };
    CriticalPath::of(&trace).sections().iter().map(of).collect()
}

/// The naive "child that finished last" would name the last one only.
#[test]
fn children_one_after_the_other_are_all_on_the_path() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 1, Some(10)),
        span(3, Some(1), 10, Some(90)),
        span(4, Some(1), 92, Some(99)),
    ];
    let path = [(1, 0, 1), (2, 1, 10), (3, 10, 90), (1, 90, 92), (4, 92, 99), (1, 99, 100)];
    assert_eq!(on_path(spans), path);
}

#[test]
fn of_children_side_by_side_the_last_to_finish_is_on_the_path() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 0, Some(60)),
        span(3, Some(1), 20, Some(100)),
        span(4, Some(1), 5, Some(20)),
    ];
    assert_eq!(on_path(spans), [(1, 0, 5), (4, 5, 20), (3, 20, 100)]);
}

#[test]
fn a_child_that_outlives_its_parent_counts_until_the_parent_ends() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 40, Some(500)),
        span(3, Some(2), 90, Some(400)),
        span(4, Some(1), 200, Some(300)),
    ];
    assert_eq!(on_path(spans), [(1, 0, 40), (2, 40, 90), (3, 90, 100)]);
}

/// The symptom: self 10 of 100, and all of it on the path.
#[test]
fn what_is_behind_the_last_exit_is_not_on_the_path_of_what_was_kept_open() {
    let root = left_early(span(1, None, 0, Some(100)), 10);
    let path = |spans: &[crate::Span]| on_path(spans.to_vec());
    assert_eq!(path(std::slice::from_ref(&root)), [(1, 0, 10)], "by a handle");
    let idle = left_early(span(2, Some(1), 2, Some(100)), 3);
    assert_eq!(path(&[root.clone(), idle]), [(1, 0, 2), (2, 2, 5), (1, 5, 10)], "by a child");
    let busy = left_early(span(2, Some(1), 20, Some(100)), 60);
    assert_eq!(path(&[root.clone(), busy]), [(1, 0, 10), (2, 20, 80)], "by its work");
    // One that keeps its parent open while the root goes on is not waited for.
    let spans = [
        span(1, None, 0, Some(100)),
        left_early(span(2, Some(1), 10, Some(90)), 20),
        left_early(span(3, Some(2), 40, Some(90)), 50),
    ];
    assert_eq!(path(&spans), [(1, 0, 10), (2, 10, 30), (1, 30, 100)]);
    // But where the root has been left, it is.
    let spans = [left_early(spans[0].clone(), 50), spans[1].clone(), spans[2].clone()];
    let expected = [(1, 0, 10), (2, 10, 30), (1, 30, 50), (3, 50, 90)];
    assert_eq!(path(&spans), expected);
}

#[test]
fn a_span_that_was_never_entered_is_on_no_path() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        never_entered(span(2, Some(1), 10, Some(100))),
        // The work of a task below one.
        never_entered(span(3, Some(1), 20, Some(60))),
        span(4, Some(3), 30, Some(40)),
        never_entered(span(5, Some(1), 50, None)),
    ];
    let trace = Trace::new(1, spans.clone(), Vec::new(), 0, 0);
    let path = CriticalPath::of(&trace);
    assert_eq!(
        (0..5).map(|at| path.contains(at)).collect::<Vec<_>>(),
        [true, false, false, false, false]
    );
    assert_eq!(path.length_ns(), 100);
    let root = never_entered(span(1, None, 0, Some(100)));
    assert_eq!(on_path(vec![root.clone()]), []);
    assert!(!CriticalPath::of(&Trace::new(1, vec![root.clone()], Vec::new(), 0, 0)).contains(0));
    let below = [&[root], &spans[1..]].concat();
    assert_eq!(on_path(below), [(4, 30, 40)]);
}

#[test]
fn spans_that_are_entered_in_each_other_in_the_same_nanosecond_end_the_walk() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 0, Some(90)),
        span(3, Some(1), 1, Some(80)),
    ];
    let visit = |id, of, around| TraceEntry {
        entry: crate::Entry { self_ns: None, ..entry(id, of, around, 20, 21).entry },
        ..entry(id, of, around, 20, 21)
    };
    let entries = vec![visit(101, 3, 2), visit(102, 2, 3)];
    let path = with_entries(spans, entries);
    assert_eq!(path.iter().map(|(_, from, until)| until - from).sum::<i64>(), 100);
}

#[test]
fn an_entry_is_child_time_of_what_is_around_it_and_lifetimes_of_long_are_not() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 10, Some(90)),
        long_lived(3, Some(1), 5, 99),
        // Began in an entry of 9, which is not of this trace.
        span(4, Some(9), 25, Some(30)),
    ];
    let entries = vec![entry(101, 9, 2, 20, 60), entry(102, 3, 9, 40, 50)];
    let path = [(1, 0, 10), (2, 10, 20), (9, 20, 25), (4, 25, 30), (9, 30, 40), (3, 40, 50)];
    let path = [&path[..], &[(9, 50, 60), (2, 60, 90), (1, 90, 100)]].concat();
    assert_eq!(with_entries(spans, entries), path);
    // A root that lives long is not one piece of work.
    let spans = vec![long_lived(1, None, 0, 100), span(2, Some(1), 10, Some(90))];
    assert_eq!(on_path(spans), []);
}

#[test]
fn a_span_that_is_entered_in_another_one_is_to_blame_there_with_what_is_below_it() {
    let spans = vec![
        span(1, None, 0, Some(100)),
        span(2, Some(1), 0, Some(95)),
        // A future of 1 that is polled while the thread is in 2.
        span(3, Some(1), 1, Some(90)),
        span(4, Some(3), 30, Some(35)),
        span(5, Some(3), 55, Some(59)),
    ];
    let visit = |id, from, end| TraceEntry {
        entry: crate::Entry { self_ns: None, ..entry(id, 3, 2, from, end).entry },
        ..entry(id, 3, 2, from, end)
    };
    let entries = vec![visit(101, 20, 40), visit(102, 50, 60)];
    let path = [(2, 0, 20), (3, 20, 30), (4, 30, 35), (3, 35, 40), (2, 40, 50), (3, 50, 55)];
    let path = [&path[..], &[(5, 55, 59), (3, 59, 60), (2, 60, 95), (1, 95, 100)]].concat();
    assert_eq!(with_entries(spans, entries), path);
}

#[test]
fn a_hundred_thousand_spans_deep_is_not_too_deep() {
    let spans = (1..=100_000).map(|id| {
        let at = id as i64;
        span(id, (id > 1).then(|| id - 1), at, Some(400_000 - at))
    });
    let trace = Trace::new(1, spans.collect(), Vec::new(), 100_000, 0);
    let path = CriticalPath::of(&trace);
    assert_eq!(path.length_ns(), 400_000 - 2);
    assert_eq!(path.sections().len(), 199_999);
    assert!(path.contains(99_999));
}
