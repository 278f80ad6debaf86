//! The critical path of a trace: the spans without which it would have been over sooner.
//!
//! Walked backwards from the end, as Jaeger does ("Critical path analysis of distributed traces",
//! <https://github.com/jaegertracing/jaeger-ui/pull/1582>): of a span's children, the one that ended
//! last before the moment looked at is what the span waited for; the time from its end on belongs to
//! the span itself. The walk goes on inside that child, and from its start back through the children
//! that had ended by then, until the span's own start. Children are clipped to their parent; those
//! that are unfinished, or wholly outside, block nothing.

use std::collections::HashMap;

use super::row::Row;

/// A stretch of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Place of its span in the list.
    pub at: usize,
    pub from_ns: i64,
    pub until_ns: i64,
}

/// A span on the way: what of it lies before `until_ns` is still to be looked at.
#[derive(Debug)]
struct Visit {
    at: usize,
    from_ns: i64,
    until_ns: i64,
    /// Its children in the order of their ends, the latest last.
    children: Vec<Child>,
}

/// A child, clipped to its parent.
#[derive(Debug, Clone, Copy)]
struct Child {
    at: usize,
    from_ns: i64,
    until_ns: i64,
}

/// The path through `rows`, of which the one with the id `root` is the outermost; the latest stretch
/// comes first. Empty if the root is not there or unfinished.
pub(crate) fn critical_path(rows: &[Row], root: u64) -> Vec<Stretch> {
    let mut below: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(parent) = row.parent.filter(|parent| *parent != row.id) {
            below.entry(parent).or_default().push(at);
        }
    }
    let first = rows.iter().position(|row| row.id == root);
    let Some((first, row)) = first.and_then(|at| rows.get(at).map(|row| (at, row))) else {
        return Vec::new();
    };
    if row.duration_ns.is_none() {
        return Vec::new();
    }
    let mut path = Vec::new();
    let outermost = Child { at: first, from_ns: row.start_ns, until_ns: row.end_ns() };
    let mut stack = vec![visit(rows, &mut below, outermost)];
    while let Some(top) = stack.last_mut() {
        let Some(child) = top.children.pop() else {
            let stretch = Stretch { at: top.at, from_ns: top.from_ns, until_ns: top.until_ns };
            if stretch.from_ns < stretch.until_ns {
                path.push(stretch);
            }
            stack.pop();
            continue;
        };
        // One that ended after this moment ran beside what the span waited for.
        if child.until_ns > top.until_ns {
            continue;
        }
        if child.until_ns < top.until_ns {
            path.push(Stretch { at: top.at, from_ns: child.until_ns, until_ns: top.until_ns });
        }
        top.until_ns = child.from_ns;
        let next = visit(rows, &mut below, child);
        stack.push(next);
    }
    path
}

/// Takes the children of a span out of the map: a damaged file may hold a circle.
fn visit(rows: &[Row], below: &mut HashMap<u64, Vec<usize>>, of: Child) -> Visit {
    let children = rows.get(of.at).and_then(|row| below.remove(&row.id)).unwrap_or_default();
    let mut children: Vec<Child> = children
        .into_iter()
        .filter_map(|at| {
            let row = rows.get(at).filter(|row| row.duration_ns.is_some())?;
            let from_ns = row.start_ns.max(of.from_ns);
            let until_ns = row.end_ns().min(of.until_ns);
            (from_ns < until_ns).then_some(Child { at, from_ns, until_ns })
        })
        .collect();
    children.sort_by_key(|child| (child.until_ns, std::cmp::Reverse(child.from_ns)));
    Visit { at: of.at, from_ns: of.from_ns, until_ns: of.until_ns, children }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::span;
    use super::*;

    fn path(rows: &[Row]) -> Vec<(u64, i64, i64)> {
        let stretches = critical_path(rows, 1);
        stretches.iter().map(|s| (rows[s.at].id, s.from_ns, s.until_ns)).collect()
    }

    #[test]
    fn it_goes_through_all_blocking_siblings_and_not_the_last_only() {
        let rows = [
            span(1, 0, 0, 0, 5_471),
            span(2, 1, 1, 5, 46),
            span(3, 1, 2, 52, 5_326),
            span(4, 1, 3, 5_380, 89),
        ];
        assert_eq!(
            path(&rows),
            [
                (1, 5_469, 5_471),
                (4, 5_380, 5_469),
                (1, 5_378, 5_380),
                (3, 52, 5_378),
                (1, 51, 52),
                (2, 5, 51),
                (1, 0, 5),
            ]
        );
    }

    #[test]
    fn of_children_side_by_side_the_one_that_ended_last_counts() {
        let rows = [span(1, 0, 0, 0, 100), span(2, 1, 1, 10, 60), span(3, 1, 1, 20, 70)];
        assert_eq!(path(&rows), [(1, 90, 100), (3, 20, 90), (1, 0, 20)]);
    }

    #[test]
    fn a_child_that_outlives_its_parent_is_clipped() {
        let rows = [span(1, 0, 0, 0, 100), span(2, 1, 1, 50, 500), span(3, 1, 1, 200, 10)];
        assert_eq!(path(&rows), [(2, 50, 100), (1, 0, 50)]);
    }

    #[test]
    fn unfinished_spans_and_circles_block_nothing() {
        let open = Row { duration_ns: None, ..span(2, 1, 1, 10, 0) };
        assert_eq!(path(&[span(1, 0, 0, 0, 100), open]), [(1, 0, 100)]);
        assert_eq!(path(&[span(1, 2, 0, 0, 100), span(2, 1, 0, 0, 100)]), [(1, 0, 100)]);
        assert_eq!(path(&[Row { duration_ns: None, ..span(1, 0, 0, 0, 0) }]), []);
        assert_eq!(path(&[]), []);
    }

    proptest! {
        #[test]
        fn the_path_covers_the_root_without_a_gap_or_an_overlap(
            shape in proptest::collection::vec((0_usize..20, 0_i64..900, 1_i64..900), 0..120),
        ) {
            let mut rows = vec![span(1, 0, 0, 100, 800)];
            for (at, (up, start_ns, duration_ns)) in shape.iter().enumerate() {
                let parent = (at + 1).saturating_sub(*up).max(1);
                rows.push(span(at as u64 + 2, parent as u64, 1, *start_ns, *duration_ns));
            }
            let mut until = 900;
            for (_, from_ns, until_ns) in path(&rows) {
                prop_assert_eq!(until_ns, until);
                prop_assert!(from_ns < until_ns);
                until = from_ns;
            }
            prop_assert_eq!(until, 100);
        }
    }
}
