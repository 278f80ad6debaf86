//! Groups from the rollups, from a scan, and from a sorted list say the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::reader::Reader;
use crate::test_profile::{TestProfile, cases};
use crate::{Columns, ExactPercentiles, Scan};
use spandrel_storage::SpanRow;

const QUANTILES: [f64; 5] = [0.0, 0.5, 0.95, 0.99, 1.0];

/// Callsite, thread, status, duration, field.
type Span = (usize, i64, u8, i64, u8);

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let duration = (0_u32..40, any::<i64>()).prop_map(|(bits, ns)| ns & ((1 << bits) - 1));
    vec((0_usize..4, 1_i64..4, 0_u8..8, duration, 0_u8..4), 1..300)
}

fn stored(spans: &[Span]) -> (TestProfile, Reader) {
    let mut profile = TestProfile::new();
    // Two lines of one name and target, and that name in another target.
    let sites = [("a", "t", 1), ("a", "t", 2), ("a", "u", 3), ("b", "t", 4)];
    let sites = sites.map(|(name, target, line)| profile.callsite(name, target, line));
    for number in 1..4 {
        profile.thread(number, (number > 1).then_some("worker"));
    }
    for (n, &(site, thread_id, status, ns, field)) in spans.iter().enumerate() {
        let id = 1 + n as u64;
        let unfinished = status >= 7;
        let row = SpanRow {
            thread_id,
            status: [
                Status::Ok,
                Status::Error,
                Status::Panicked,
                Status::Unfinished,
                Status::Crashed,
            ][usize::from(status.saturating_sub(4))],
            duration_ns: (!unfinished).then_some(ns),
            self_ns: (!unfinished).then_some(ns / 3),
            busy_ns: Some(ns / 2),
            ..TestProfile::span(id, sites[site], n as i64 * 50_000_000, ns)
        };
        let fields = ["", "{}", r#"{"shard":7}"#, r#"{"x":{"y":"é\n"},"shard":"7"}"#];
        profile.add(row, fields[usize::from(field)]);
    }
    let reader = profile.reader();
    (profile, reader)
}

fn scanned(reader: &Reader, by: By, mut each: impl FnMut(&mut Groups, &SpanRef<'_>)) -> Groups {
    let mut groups = Groups::new(by);
    pass(reader, |span| each(&mut groups, span));
    groups
}

fn pass(reader: &Reader, mut each: impl FnMut(&SpanRef<'_>)) {
    let scan = Scan::new(1).columns(Columns::All);
    reader
        .scan(&scan, |span| {
            each(span);
            ControlFlow::Continue(())
        })
        .unwrap();
}

/// Calls, errors, sum, busy, self, max and histogram.
type Sums = (u64, u64, i64, Option<i64>, i64, i64, Vec<u8>);

/// By key.
fn exact_figures(groups: &Groups) -> BTreeMap<String, Sums> {
    let groups = groups.groups().iter().filter(|group| group.calls > 0);
    groups
        .map(|g| {
            let key = format!("{:?} {}", g.key, g.callsite.target);
            let histogram = g.histogram.encode();
            (key, (g.calls, g.errors, g.sum_ns, g.busy_ns, g.self_ns, g.max_ns, histogram))
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn rollups_and_scan_agree(spans in spans()) {
        let (_made, reader) = stored(&spans);
        let mut summed = Groups::new(By::Name);
        reader.top(1, usize::MAX).unwrap().iter().for_each(|top| summed.add_top(top));
        let scanned = scanned(&reader, By::Name, |groups, span| groups.add(span));
        prop_assert_eq!(exact_figures(&summed), exact_figures(&scanned));
        let all = reader.top(1, usize::MAX).unwrap();
        for name in ["a", "b", "c"] {
            let named: Vec<_> = all.iter().filter(|top| top.callsite.name == name).cloned().collect();
            prop_assert_eq!(reader.top_named(1, name).unwrap(), named);
        }
        let closed: u64 = all.iter().map(|top| top.calls).sum();
        prop_assert_eq!(reader.closed_spans(1).unwrap(), closed);
        let unfinished: u64 = scanned.groups().iter().map(|group| group.unfinished).sum();
        prop_assert_eq!(unfinished, spans.iter().filter(|span| span.2 >= 7).count() as u64);
    }

    #[test]
    fn percentiles_are_those_of_a_sorted_list(spans in spans()) {
        let (_made, reader) = stored(&spans);
        let mut of_group: Vec<Vec<i64>> = Vec::new();
        let mut groups = scanned(&reader, By::Callsite, |groups, span| {
            groups.add(span);
            let at = groups.assign(span);
            of_group.resize_with(groups.groups().len(), Vec::new);
            of_group[at].extend(span.duration_ns);
        });
        let mut exact = ExactPercentiles::new(&groups, &QUANTILES);
        let mut passes = 0;
        while exact.begin_pass() {
            pass(&reader, |span| exact.add(&mut groups, span));
            exact.end_pass();
            passes += 1;
        }
        prop_assert!(passes <= 4, "{passes}");
        for (at, (group, mut values)) in groups.groups().iter().zip(of_group).enumerate() {
            values.sort_unstable();
            let of_sorted = QUANTILES.map(|q| {
                let rank = ((q * values.len() as f64).ceil() as usize).max(1);
                values.get(rank - 1).copied()
            });
            prop_assert_eq!(exact.of(at), of_sorted.to_vec());
            for (q, ns) in QUANTILES.iter().zip(of_sorted) {
                let near = group.percentile_ns(*q);
                prop_assert_eq!(near.is_some(), ns.is_some());
                let (near, ns) = (near.unwrap_or(0), ns.unwrap_or(0));
                prop_assert!(near.abs_diff(ns) as f64 <= ns as f64 * 0.01, "{near} {ns}");
            }
        }
    }
}

fn keys(by: By, spans: &[Span]) -> Vec<(String, u64)> {
    let (_made, reader) = stored(spans);
    let groups = scanned(&reader, by, |groups, span| groups.add(span)).into_groups();
    let text = |key: &Key| match key {
        Key::Value(value) => value.clone(),
        other => format!("{other:?}"),
    };
    let mut keys: Vec<_> = groups.iter().map(|g| (text(&g.key), g.calls)).collect();
    keys.sort();
    keys
}

#[test]
fn groups_have_what_they_are_named_for_in_common() {
    let spans = [(0, 1, 0, 5, 0), (1, 2, 0, 5, 2), (2, 3, 0, 5, 3), (3, 3, 0, 5, 1)];
    let of = |by| keys(by, &spans).into_iter().map(|(k, n)| format!("{k}:{n}")).collect::<Vec<_>>();
    assert_eq!(of(By::Name), ["a:1", "a:2", "b:1"]);
    assert_eq!(of(By::Target), ["t:3", "u:1"]);
    assert_eq!(of(By::Callsite), ["a:1", "a:1", "a:1", "b:1"]);
    assert_eq!(of(By::Level), ["INFO:4"]);
    assert_eq!(of(By::Thread), ["thread 1:1", "worker:1", "worker:2"]);
    assert_eq!(of(By::Field("shard".into())), ["7:2", "NoField:2"]);
    assert_eq!(of(By::Field("x.y".into())), ["NoField:3", "é\n:1"]);
}

#[test]
fn groups_beyond_the_bound_are_one() {
    let spans: Vec<Span> = (0..4).map(|site| (site, 1, 0, 9, 0)).collect();
    let (_made, reader) = stored(&spans);
    let mut groups = Groups { groups_max: 2, ..Groups::new(By::Callsite) };
    for _ in 0..2 {
        pass(&reader, |span| groups.add(span));
    }
    let calls: Vec<u64> = groups.groups().iter().map(|group| group.calls).collect();
    assert_eq!(calls, [2, 2, 4]);
    assert_eq!(groups.groups()[2].key, Key::Others);
}

/// Which values are kept apart depends on the order in which they come by.
#[test]
fn groups_beyond_the_bound_are_one_however_many_threads_there_are() {
    let spans: Vec<Span> = (0..400_usize)
        .map(|n| (n * 7 % 4, 1 + n as i64 * 7 % 3, 0, n as i64, (n / 90 % 4) as u8))
        .collect();
    let (mut profile, _) = stored(&spans);
    let mut reader = profile.in_small_pages(0);
    for (by, groups_max) in [(By::Callsite, 2), (By::Thread, 1), (By::Field("shard".into()), 1)] {
        let scan = Scan::new(1).columns(by.columns());
        let mut answers = Vec::new();
        for threads in [0, 1, 2, 5] {
            reader.read_ahead_by(TestProfile::by_threads(threads));
            let mut groups = Groups { groups_max, ..Groups::new(by.clone()) };
            reader.add_calls(&scan, &crate::Filter::all(), &mut groups).unwrap();
            answers.push(format!("{:?}", groups.groups()));
        }
        assert!(answers[0].contains("Others"), "{by:?}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{by:?}");
    }
}

#[test]
fn no_percentile_is_above_the_longest_span() {
    let longest_ns = 48_640;
    let (_made, reader) = stored(&[(0, 1, 0, longest_ns, 0)]);
    let tops = reader.top(1, usize::MAX).unwrap();
    assert!(tops[0].histogram.percentile(0.5) > Some(longest_ns as u64), "by its bucket alone");
    assert_eq!(tops[0].percentile_ns(0.5), Some(longest_ns));
    let mut groups = Groups::new(By::Name);
    tops.iter().for_each(|top| groups.add_top(top));
    for q in QUANTILES {
        assert_eq!(groups.groups()[0].percentile_ns(q), Some(longest_ns));
    }
}
