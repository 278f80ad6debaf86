//! Trees of stacks against a plain model, on forests whose ids are out of the order of creation.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::test_profile::{TestProfile, cases};
use crate::{Columns, Scan};
use spandrel_storage::{EntryRow, SpanRow, Status};

const NAMES: [&str; 4] = ["a", "b", "c", "a"];

/// A span of a forest: its parent is one of those before it.
#[derive(Debug, Clone)]
struct Plan {
    parent: Option<prop::sample::Index>,
    callsite: usize,
    duration_ns: i64,
    self_share: i64,
    /// Not stored: dropped.
    is_missing: bool,
    is_unfinished: bool,
}

fn forest() -> impl Strategy<Value = Vec<Plan>> {
    vec(plan(), 0..200)
}

fn plan() -> impl Strategy<Value = Plan> {
    let parent = prop::option::weighted(0.9, any::<prop::sample::Index>());
    let profile = (parent, 0..NAMES.len(), 0_i64..1_000, 0_i64..=100, 0_u8..10, 0_u8..10);
    profile.prop_map(|(parent, callsite, duration_ns, self_share, missing, unfinished)| {
        let (is_missing, is_unfinished) = (missing == 0, unfinished == 0);
        Plan { parent, callsite, duration_ns, self_share, is_missing, is_unfinished }
    })
}

/// Rows by the ids of their creators' blocks: thread `n % threads` makes span `n`.
fn rows(forest: &[Plan], threads: usize, sites: &[i64]) -> Vec<SpanRow> {
    let id = |n: usize| 1 + ((n % threads) * 1_000 + n / threads) as u64;
    let mut roots = Vec::new();
    let mut rows = Vec::new();
    for (n, profile) in forest.iter().enumerate() {
        let parent = profile.parent.filter(|_| n > 0).map(|index| index.index(n));
        let root = parent.map_or(n, |parent| roots[parent]);
        roots.push(root);
        if profile.is_missing {
            continue;
        }
        let closed = (!profile.is_unfinished).then_some(profile.duration_ns);
        rows.push(SpanRow {
            parent_id: parent.map_or(0, id),
            root_id: id(root),
            duration_ns: closed,
            busy_ns: Some(profile.duration_ns / 2),
            self_ns: closed.map(|ns| ns * profile.self_share / 100),
            status: if profile.is_unfinished { Status::Unfinished } else { Status::Ok },
            ..TestProfile::span(id(n), sites[profile.callsite], n as i64, profile.duration_ns)
        });
    }
    rows
}

fn file() -> (TestProfile, Vec<i64>) {
    let mut file = TestProfile::new();
    let site = |n: usize| file.callsite(NAMES[n], &format!("t{n}"), n as u32);
    let sites = (0..NAMES.len()).map(site).collect();
    file.thread(1, None);
    (file, sites)
}

fn add_all(mut stacks: Stacks<'_>, reader: &Reader) -> StackTree {
    let scan = Scan::new(1).columns(Columns::Numbers);
    reader.scan(&scan, |span| stacks.add(span)).unwrap();
    stacks.finish().unwrap()
}

/// Paths with calls, unfinished, self time and time from open to close.
type Paths = BTreeMap<Vec<String>, (u64, u64, i64, i64)>;

fn paths(tree: &StackTree) -> Paths {
    let nodes = tree.nodes().iter().enumerate();
    let counted = nodes.filter(|(_, node)| node.sums.calls + node.sums.unfinished > 0);
    counted
        .map(|(at, StackNode { sums, .. })| {
            let path = tree.path(at).iter().map(|frame| frame.name().to_owned()).collect();
            (path, (sums.calls, sums.unfinished, sums.self_ns, sums.wall_ns))
        })
        .collect()
}

fn model(rows: &[SpanRow], sites: &[i64], wanted: impl Fn(&SpanRow) -> bool) -> Paths {
    let by_id: HashMap<u64, &SpanRow> = rows.iter().map(|row| (row.id, row)).collect();
    let name = |row: &SpanRow| {
        NAMES[sites.iter().position(|site| *site == row.callsite_id).unwrap()].to_owned()
    };
    let mut paths = Paths::new();
    for row in rows.iter().filter(|row| wanted(row)) {
        let mut path = vec![name(row)];
        let mut at = row;
        while at.parent_id != 0 {
            let Some(parent) = by_id.get(&at.parent_id) else {
                path.push("(missing parent)".into());
                break;
            };
            path.push(name(parent));
            at = parent;
        }
        path.reverse();
        let sums = paths.entry(path).or_default();
        match row.duration_ns {
            Some(ns) => sums.0 += u64::from(ns >= 0),
            None => sums.1 += 1,
        }
        sums.2 += row.self_ns.unwrap_or(0);
        sums.3 += row.duration_ns.unwrap_or(0);
    }
    paths
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn equal_a_plain_model(
        forest in forest(),
        threads in 1_usize..5,
        recent_bits in 0_u32..9,
        looked_up_max in 1_usize..40,
    ) {
        let (mut file, sites) = file();
        let rows = rows(&forest, threads, &sites);
        let reader = file.reader_of(rows.clone());
        let known = NodeCache::with_capacity(recent_bits, looked_up_max);
        let tree = add_all(Stacks::with(&reader, 1, TreeBuilder::new(), known).unwrap(), &reader);
        prop_assert_eq!(paths(&tree), model(&rows, &sites, |_| true));
        prop_assert_eq!(tree.cut(), 0);

        // Parents that were not selected are found all the same.
        let mut stacks = Stacks::new(&reader, 1).unwrap();
        reader.scan(&Scan::new(1), |span| match span.id % 3 {
            0 => stacks.add(span),
            _ => ControlFlow::Continue(()),
        }).unwrap();
        let some = stacks.finish().unwrap();
        prop_assert_eq!(paths(&some), model(&rows, &sites, |row| row.id % 3 == 0));

        // Sums of the roots are the sums of all spans, and nothing is lost on the way up.
        let self_ns: i64 = rows.iter().filter_map(|row| row.self_ns).sum();
        let of_roots = |widths: Vec<i64>| -> i64 {
            let nodes = tree.nodes().iter().zip(widths);
            nodes.filter(|(node, _)| node.parent.is_none()).map(|(_, width)| width).sum()
        };
        prop_assert_eq!(of_roots(tree.widths(Weight::SelfTime)), self_ns);
        for weight in [Weight::SelfTime, Weight::Busy, Weight::Wall, Weight::Calls] {
            let own = tree.own(weight);
            prop_assert!(own.iter().all(|own| *own >= 0));
            prop_assert_eq!(own.iter().sum::<i64>(), of_roots(tree.widths(weight)));
        }
    }

    /// Node by node, in the same order, whichever part a span and its parent are in.
    #[test]
    fn several_threads_make_the_tree_of_one(
        forest in vec(plan(), 150..400),
        threads in 1_usize..5,
        bounds in prop_oneof![3 => Just((512, 65_536)), 1 => (1_u32..6, 1_usize..30)],
        is_open in any::<bool>(),
    ) {
        let (mut file, sites) = file();
        let rows = rows(&forest, threads, &sites);
        rows.iter().for_each(|row| file.add(row.clone(), ""));
        if is_open {
            // Of a recording that was killed: some of those that are missing.
            let id = rows.iter().map(|row| row.parent_id).find(|id| rows.iter().all(|row| row.id != *id));
            file.open(TestProfile::span(id.unwrap_or(7_000), sites[1], 0, 1), 9);
        }
        file.commit();
        let mut reader = file.in_small_pages(0);
        let mut answers = Vec::new();
        for threads in [0, 1, 2, 5] {
            reader.read_ahead_by(TestProfile::by_threads(threads));
            let tree = TreeBuilder::within(bounds.0, bounds.1);
            let mut stacks = Stacks::with(&reader, 1, tree, NodeCache::new()).unwrap();
            reader.add_stacks(&Scan::new(1), &mut stacks).unwrap();
            answers.push(stacks.finish().unwrap());
            let mut stacks = Stacks::by_callsite(&reader, 1).unwrap();
            reader.add_stacks(&Scan::new(1).ids(20, 3_050), &mut stacks).unwrap();
            answers.push(stacks.finish().unwrap());
        }
        prop_assert_eq!(answers[0].spans(), rows.len() as u64);
        for several in answers.chunks(2).skip(1) {
            prop_assert_eq!(several, &answers[..2]);
        }
    }

    #[test]
    fn bounds_cut_and_lose_nothing(
        forest in forest(),
        depth_max in 1_u32..6,
        nodes_max in 1_usize..12,
    ) {
        let (mut file, sites) = file();
        let rows = rows(&forest, 3, &sites);
        let reader = file.reader_of(rows.clone());
        let tree = TreeBuilder::within(depth_max, nodes_max);
        let tree = add_all(Stacks::with(&reader, 1, tree, NodeCache::new()).unwrap(), &reader);
        // Under each node, missing parents and the top included, one for what is cut.
        prop_assert!(tree.nodes().len() <= 2 * (nodes_max + 1) + 1);
        prop_assert!(tree.nodes().iter().all(|node| node.depth <= depth_max));
        let counted: u64 =
            tree.nodes().iter().map(|node| node.sums.calls + node.sums.unfinished).sum();
        prop_assert_eq!(counted, rows.len() as u64);
    }

    #[test]
    fn without_recursion_each_path_has_a_name_once(forest in forest()) {
        let (mut file, sites) = file();
        let rows = rows(&forest, 2, &sites);
        let reader = file.reader_of(rows.clone());
        let tree = add_all(Stacks::new(&reader, 1).unwrap(), &reader);
        let folded = tree.without_recursion();
        for at in 0..folded.nodes().len() {
            let mut names: Vec<_> = folded.path(at).iter().map(|f| f.name().to_owned()).collect();
            names.sort();
            let all = names.len();
            names.dedup();
            prop_assert_eq!(names.len(), all);
        }
        let sum = |tree: &StackTree, of: fn(&Sums) -> i64| -> i64 {
            tree.nodes().iter().map(|node| of(&node.sums)).sum()
        };
        prop_assert_eq!(sum(&folded, |s| s.self_ns), sum(&tree, |s| s.self_ns));
        prop_assert_eq!(sum(&folded, |s| s.calls as i64), sum(&tree, |s| s.calls as i64));
        prop_assert!(sum(&folded, |s| s.wall_ns) <= sum(&tree, |s| s.wall_ns));
    }
}

/// An entry of one of the spans that live long: which, in which span the thread was, how long, and those before.
type Entered = (prop::sample::Index, Option<prop::sample::Index>, i64, bool);

fn entered() -> impl Strategy<Value = Vec<Entered>> {
    let around = prop::option::weighted(0.8, any::<prop::sample::Index>());
    vec((any::<prop::sample::Index>(), around, 0_i64..1_000, any::<bool>()), 0..60)
}

fn entry_rows(rows: &[SpanRow], entered: &[Entered]) -> Vec<EntryRow> {
    let long: Vec<&SpanRow> =
        rows.iter().filter(|row| row.duration_ns.is_some() && row.self_ns.is_none()).collect();
    if long.is_empty() {
        return Vec::new();
    }
    let entry = |(n, (span, around, ns, is_first)): (usize, &Entered)| {
        let span = long[span.index(long.len())];
        EntryRow {
            id: 100_000 + n as u64,
            span_id: span.id,
            callsite_id: span.callsite_id,
            thread_id: 1,
            // Nothing begins inside of another one.
            start_ns: 1_000_000_000_000 + n as i64 * 10_000,
            duration_ns: *ns,
            around_id: around.map_or(0, |around| rows[around.index(rows.len())].id),
            // Some do not count.
            self_ns: (n % 7 != 6).then_some(*ns / 3),
            earlier_entries: if *is_first { 5 } else { 0 },
            earlier_ns: if *is_first { 50 } else { 0 },
        }
    };
    entered.iter().enumerate().map(entry).collect()
}

/// Paths with calls and self times, of spans and entries, by the definition.
fn model_of_entries(
    rows: &[SpanRow],
    entries: &[EntryRow],
    sites: &[i64],
) -> BTreeMap<Vec<String>, (u64, i64)> {
    let by_id: HashMap<u64, &SpanRow> = rows.iter().map(|row| (row.id, row)).collect();
    let plain =
        |site: i64| NAMES[sites.iter().position(|known| *known == site).unwrap()].to_owned();
    let is_long = |row: &SpanRow| row.duration_ns.is_some() && row.self_ns.is_none();
    let path_of = |id: u64| {
        let (mut path, mut next) = (Vec::new(), id);
        while next != 0 {
            let Some(row) = by_id.get(&next) else {
                path.push("(missing parent)".to_owned());
                break;
            };
            let mark = if is_long(row) { " ⟳" } else { "" };
            path.push(plain(row.callsite_id) + mark);
            next = row.parent_id;
        }
        path.reverse();
        path
    };
    let mut paths: BTreeMap<Vec<String>, (u64, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.self_ns.is_some()) {
        let sums = paths.entry(path_of(row.id)).or_default();
        (sums.0, sums.1) = (sums.0 + 1, sums.1 + row.self_ns.unwrap());
    }
    for entry in entries.iter().filter(|entry| entry.self_ns.is_some()) {
        let mut path = path_of(entry.around_id);
        path.push(plain(entry.callsite_id) + " ⟳");
        let sums = paths.entry(path).or_default();
        sums.0 += 1 + entry.earlier_entries;
        sums.1 += entry.self_ns.unwrap();
    }
    paths
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn entries_stand_below_what_is_around_them_and_sum_up_to_the_self_times_of_top(
        forest in forest(),
        entered in entered(),
    ) {
        let (mut file, sites) = file();
        let mut rows = rows(&forest, 3, &sites);
        for row in rows.iter_mut().filter(|row| row.id % 5 == 0 && row.duration_ns.is_some()) {
            row.self_ns = None;
        }
        let entries = entry_rows(&rows, &entered);
        let expected = model_of_entries(&rows, &entries, &sites);
        entries.into_iter().for_each(|entry| file.entry(entry));
        drop(file.reader_of(rows));
        let path = file.ended();
        let found = |tree: &StackTree| -> BTreeMap<Vec<String>, (u64, i64)> {
            let called = |(path, sums): (Vec<String>, (u64, u64, i64, i64))| {
                (sums.0 > 0).then_some((path, (sums.0, sums.2)))
            };
            paths(tree).into_iter().filter_map(called).collect()
        };
        for is_optimized in [false, true] {
            if is_optimized {
                crate::optimize(&path, |_| ()).unwrap();
            }
            let reader = Reader::open(&path).unwrap();
            let mut stacks = Stacks::new(&reader, 1).unwrap();
            reader.add_stacks(&Scan::new(1), &mut stacks).unwrap();
            let in_sum = stacks.finish().unwrap();
            prop_assert_eq!(&found(&in_sum), &expected, "{}", is_optimized);
            let mut stacks = Stacks::new(&reader, 1).unwrap();
            let all = crate::Filter::all();
            reader.scan_calls(&Scan::new(1), &all, |span| stacks.add(span)).unwrap();
            prop_assert_eq!(&found(&stacks.finish().unwrap()), &expected);
            let top: i64 = reader.top(1, usize::MAX).unwrap().iter().map(|top| top.self_ns).sum();
            prop_assert_eq!(in_sum.own(Weight::SelfTime).iter().sum::<i64>(), top);
        }
    }
}

/// A tree of spans given as (id, parent, callsite), each of 100 ns of which 10 are self time.
fn tree_of(spans: &[(u64, u64, usize)]) -> StackTree {
    let (mut file, sites) = file();
    let profile = Plan {
        parent: None,
        callsite: 0,
        duration_ns: 100,
        self_share: 10,
        is_missing: false,
        is_unfinished: false,
    };
    let one = rows(&[profile], 1, &sites).remove(0);
    let spans = spans.iter().map(|&(id, parent_id, site)| SpanRow {
        id,
        parent_id,
        callsite_id: sites[site],
        ..one.clone()
    });
    let reader = file.reader_of(spans.collect());
    add_all(Stacks::new(&reader, 1).unwrap(), &reader)
}

fn lines(tree: &StackTree) -> Vec<String> {
    let path = |path: &Vec<String>| path.join(";");
    paths(tree).iter().map(|(p, sums)| format!("{} {}", path(p), sums.0)).collect()
}

#[test]
fn a_circle_of_parents_ends() {
    for spans in [&[(1, 1, 0)][..], &[(1, 3, 0), (2, 1, 1), (3, 2, 2)]] {
        let tree = tree_of(spans);
        let calls: u64 = tree.nodes().iter().map(|node| node.sums.calls).sum();
        assert_eq!(calls, spans.len() as u64);
        assert_eq!(tree.path(0)[0], &Frame::MissingParent);
    }
}

#[test]
fn recursion_is_folded_to_the_outer_span() {
    let tree = tree_of(&[(1, 0, 0), (2, 1, 1), (3, 2, 0), (4, 3, 1), (5, 4, 2)]);
    assert_eq!(lines(&tree), ["a 1", "a;b 1", "a;b;a 1", "a;b;a;b 1", "a;b;a;b;c 1"]);
    let folded = tree.without_recursion();
    assert_eq!(lines(&folded), ["a 2", "a;b 2", "a;b;c 1"]);
    let root = folded.nodes()[0].sums;
    assert_eq!((root.self_ns, root.wall_ns, root.busy_ns), (20, 100, Some(50)));
}

#[test]
fn rooted_at_a_name_adds_up_its_subtrees() {
    let tree = tree_of(&[(1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 0, 1), (5, 4, 2), (6, 5, 1)]);
    assert_eq!(lines(&tree.rooted_at("b")), ["b 2", "b;c 2", "b;c;b 1"]);
    assert_eq!(lines(&tree.rooted_at("x")), Vec::<String>::new());
}

#[test]
fn a_parent_that_is_still_open_has_its_name() {
    let (mut file, sites) = file();
    let closed =
        SpanRow { parent_id: 1, root_id: 1, busy_ns: None, ..TestProfile::span(2, sites[1], 1, 3) };
    file.open(SpanRow { id: 1, parent_id: 0, callsite_id: sites[0], ..closed.clone() }, 5);
    let reader = file.reader_of(vec![closed]);
    let tree = add_all(Stacks::new(&reader, 1).unwrap(), &reader);
    assert_eq!(lines(&tree), ["a;b 1"]);
    assert!(!tree.has_busy());
}
