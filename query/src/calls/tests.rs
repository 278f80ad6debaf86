//! Rollups, passes over calls and a plain model of the same rows say the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::reader::{CountedBy, Reader};
use crate::test_profile::{TestProfile, cases};
use crate::{By, Columns, ExactPercentiles, Filter, Groups, Scan, SlowBy, SlowScope, Slowest};
use spandrel_storage::Histogram;
use spandrel_storage::Status;
use spandrel_storage::{EntryRow, SpanRow};

const SECOND: i64 = 1_000_000_000;

/// What becomes of a span that lives long, or of one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lifetime,
    Closed,
    Failed,
    Open,
    /// It was open when the recording ended.
    Left,
}

/// A span: what it is, its callsite, when it begins, and its entries: which thread, when, how long.
#[derive(Debug, Clone)]
struct Plan {
    kind: Kind,
    site: usize,
    start_ns: i64,
    entries: Vec<(i64, i64, i64)>,
    earlier: (u64, i64),
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let kind = prop_oneof![
        Just(Kind::Lifetime),
        Just(Kind::Closed),
        Just(Kind::Failed),
        Just(Kind::Open),
        Just(Kind::Left)
    ];
    let entry = (1_i64..4, 0..4 * SECOND, 1_i64..50_000_000);
    let plan = (kind, 0_usize..3, 0..SECOND, vec(entry, 1..40), (0_u64..3, 0_i64..1_000));
    let plan = plan.prop_map(|(kind, site, start_ns, entries, earlier)| {
        let earlier_ns = if earlier.0 == 0 { 0 } else { earlier.1 };
        Plan { kind, site, start_ns, entries, earlier: (earlier.0, earlier_ns) }
    });
    vec(plan, 1..12)
}

/// The longest entry of a span, one that was not recorded.
const LONGEST: i64 = 60_000_000;

fn profile(plans: &[Plan]) -> TestProfile {
    let mut profile = TestProfile::new();
    let sites =
        [("a", 1), ("a", 2), ("b", 3)].map(|(name, line)| profile.callsite(name, "t", line));
    for number in 1..4 {
        profile.thread(number, Some("worker"));
    }
    let mut next = 1_000;
    for (at, plan) in plans.iter().enumerate() {
        let id = at as u64 + 1;
        let long = plan.kind != Kind::Lifetime;
        let status = if plan.kind == Kind::Failed { Status::Error } else { Status::Ok };
        let row = SpanRow {
            entries: 1_000 + plan.earlier.0,
            longest_entry_ns: Some(LONGEST),
            last_exit_ns: Some(5 * SECOND),
            self_ns: (!long).then_some(SECOND),
            status,
            ..TestProfile::span(id, sites[plan.site], plan.start_ns, 8 * SECOND)
        };
        match plan.kind {
            Kind::Open => profile.open(row, 8 * SECOND),
            Kind::Left => {
                let status =
                    if id.is_multiple_of(2) { Status::Unfinished } else { Status::Crashed };
                let left = SpanRow { duration_ns: None, self_ns: None, status, ..row };
                profile.add(left, r#"{"shard":7}"#);
            }
            _ => profile.add(row, r#"{"shard":7}"#),
        }
        for (n, &(thread_id, start_ns, duration_ns)) in plan.entries.iter().enumerate() {
            next += 1;
            let is_first = long && n == 0;
            profile.entry(EntryRow {
                id: next,
                span_id: id,
                callsite_id: sites[plan.site],
                thread_id,
                start_ns: plan.start_ns + start_ns,
                duration_ns,
                around_id: 0,
                self_ns: long.then_some(duration_ns / 2),
                earlier_entries: if is_first { plan.earlier.0 } else { 0 },
                earlier_ns: if is_first { plan.earlier.1 } else { 0 },
            });
        }
        // One commit a span, but for the open ones, which are told all at once.
        if !plans.iter().any(|plan| plan.kind == Kind::Open) {
            profile.commit();
        }
    }
    profile
}

/// Calls, spans, errors, total, self, longest, durations.
#[derive(Debug, Default, PartialEq)]
struct Figures(u64, u64, u64, i64, i64, i64, Histogram);

type ByName = BTreeMap<(String, CountedBy), Figures>;

/// What there is of a name of those that begin from a moment on, and take as long at least.
fn model(plans: &[Plan], from_ns: Option<i64>, least_ns: i64) -> ByName {
    let mut all = ByName::new();
    let is_in = |start_ns: i64| from_ns.is_none_or(|from| start_ns >= from);
    for plan in plans {
        let name = ["a", "a", "b"][plan.site].to_owned();
        if plan.kind == Kind::Lifetime {
            if is_in(plan.start_ns) {
                let figures = all.entry((name, CountedBy::Lifetime)).or_default();
                figures.0 += 1;
                figures.1 += 1;
                figures.3 += 8 * SECOND;
                figures.4 += SECOND;
                figures.5 = 8 * SECOND;
                figures.6.record(8 * SECOND as u64);
            }
            continue;
        }
        let figures = all.entry((name, CountedBy::Entries)).or_default();
        let has_closed = !matches!(plan.kind, Kind::Open | Kind::Left);
        if has_closed && is_in(plan.start_ns) && LONGEST >= least_ns {
            figures.1 += 1;
            figures.2 += u64::from(plan.kind == Kind::Failed);
        }
        if from_ns.is_none() && least_ns == 0 {
            figures.5 = LONGEST;
        }
        for (n, &(_, start_ns, duration_ns)) in plan.entries.iter().enumerate() {
            if !is_in(plan.start_ns + start_ns) || duration_ns < least_ns {
                continue;
            }
            let counts_earlier = n == 0 && is_in(plan.start_ns) && least_ns == 0;
            let (earlier, earlier_ns) = if counts_earlier { plan.earlier } else { (0, 0) };
            figures.0 += 1 + earlier;
            figures.3 += duration_ns + earlier_ns;
            figures.4 += duration_ns / 2;
            // All entries of the span are in the window, and the longest may be one of the earlier ones.
            let has_longest = from_ns.is_some() && earlier > 0;
            figures.5 = figures.5.max(duration_ns).max(if has_longest { LONGEST } else { 0 });
            figures.6.record(duration_ns as u64);
        }
    }
    all.retain(|_, figures| figures.0 > 0 || figures.1 > 0);
    all
}

fn figures(groups: &Groups) -> ByName {
    let groups = groups.groups().iter().filter(|group| group.calls > 0 || group.spans > 0);
    groups
        .map(|group| {
            let figures = Figures(
                group.calls,
                group.spans,
                group.errors,
                group.sum_ns,
                group.self_ns,
                group.max_ns,
                group.histogram.clone(),
            );
            ((group.callsite.name.clone(), group.counted), figures)
        })
        .collect()
}

fn scanned(reader: &Reader, by: By, scan: &Scan, filter: &str) -> Groups {
    let mut groups = Groups::new(by);
    let each = |span: &crate::SpanRef<'_>| {
        groups.add(span);
        ControlFlow::Continue(())
    };
    reader.scan_calls(scan, &Filter::parse(filter).unwrap(), each).unwrap();
    groups
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn rollups_and_passes_count_long_lived_spans_by_their_entries(plans in plans()) {
        let mut profile = profile(&plans);
        let reader = profile.reader();
        let expected = model(&plans, None, 0);
        let mut summed = Groups::new(By::Name);
        reader.top(1, usize::MAX).unwrap().iter().for_each(|top| summed.add_top(top));
        prop_assert_eq!(&figures(&summed), &expected);
        let found = reader.contradictions(1).unwrap();
        prop_assert!(found.iter().all(|found| !found.what.starts_with("callsites")), "{:?}", found);
        prop_assert_eq!(&figures(&scanned(&reader, By::Name, &Scan::new(1), "")), &expected);
        let with_fields = Scan::new(1).columns(Columns::All);
        let seven = figures(&scanned(&reader, By::Name, &with_fields, "has:field.shard dur>=0s"));
        let counted = |all: &ByName| all.values().map(|figures| figures.6.count()).sum::<u64>();
        let open = plans.iter().filter(|plan| plan.kind == Kind::Open);
        let of_open: usize = open.map(|plan| plan.entries.len()).sum();
        prop_assert_eq!(counted(&seven), counted(&expected) - of_open as u64);
        for least_ns in [1, 10_000_000] {
            let found = scanned(&reader, By::Name, &Scan::new(1), &format!("dur>={least_ns}ns"));
            let mut expected = model(&plans, None, least_ns);
            for ((_, counted), figures) in &mut expected {
                // A longest entry that was not recorded is asked for nothing.
                if *counted == CountedBy::Entries && figures.0 == 0 {
                    figures.5 = 0;
                }
            }
            prop_assert_eq!(figures(&found), expected, "{}", least_ns);
        }
    }

    #[test]
    fn a_window_has_the_entries_of_its_time_with_indexes_and_without(
        plans in plans(),
        from_ns in 1..5 * SECOND,
    ) {
        let mut plans = plans;
        plans.retain(|plan| plan.kind != Kind::Open);
        prop_assume!(!plans.is_empty());
        let mut profile = profile(&plans);
        let expected = model(&plans, Some(from_ns), 0);
        let window = Scan::new(1).window(Some(from_ns), None);
        let mut reader = profile.reader();
        for round in 0..2 {
            let mut groups = Groups::new(By::Name);
            reader.add_window(&window, &mut groups).unwrap();
            prop_assert_eq!(&figures(&groups), &expected);
            prop_assert_eq!(&figures(&scanned(&reader, By::Name, &window, "")), &expected);
            if round == 0 {
                reader = profile.optimized();
                prop_assert!(reader.indexes().unwrap().windows);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn the_slowest_calls_are_those_of_a_pass_over_all(plans in plans(), limit in 1_usize..30) {
        let mut profile = profile(&plans);
        let reader = profile.reader();
        let window = Scan::new(1).window(Some(SECOND), Some(3 * SECOND));
        for (scan, which) in [
            (Scan::new(1), SlowScope::All),
            (Scan::new(1), SlowScope::Named("a")),
            (window, SlowScope::All),
        ] {
            for by in [SlowBy::Duration, SlowBy::SelfTime, SlowBy::Busy] {
                let mut all = Slowest::new(by, limit);
                let name = if which == SlowScope::All { "" } else { "name=a" };
                let each = |span: &crate::SpanRef<'_>| {
                    all.add(span);
                    ControlFlow::Continue(())
                };
                reader.scan_calls(&scan, &Filter::parse(name).unwrap(), each).unwrap();
                let mut expected = all.into_spans();
                reader.read_fields(&mut expected).unwrap();
                reader.read_owners(&mut expected).unwrap();
                let found = reader.slowest(&scan, which, by, limit).unwrap();
                let of = |spans: &[crate::Span]| -> Vec<_> {
                    let entry = |span: &crate::Span| span.entry.map(|entry| entry.id);
                    spans.iter().map(|span| (entry(span), span.id, span.fields.clone())).collect()
                };
                prop_assert_eq!(of(&found), of(&expected), "{:?} {:?}", which, by);
            }
        }
    }
}

#[test]
fn threads_have_the_entries_that_were_on_them() {
    let plan = |kind, entries| Plan { kind, site: 0, start_ns: 0, entries, earlier: (0, 0) };
    let long = plan(Kind::Closed, vec![(2, 10, 7), (3, 30, 5), (2, 50, 7)]);
    let mut profile = profile(&[long, plan(Kind::Lifetime, vec![(3, 1, 1)])]);
    let reader = profile.reader();
    let groups = scanned(&reader, By::Thread, &Scan::new(1).columns(Columns::Entries), "");
    let mut found: Vec<_> =
        groups.groups().iter().map(|g| (g.calls, g.sum_ns, g.counted)).collect();
    found.sort_unstable();
    let lifetime = (1, 8 * SECOND, CountedBy::Both);
    assert_eq!(found, [(1, 5, CountedBy::Entries), lifetime, (2, 14, CountedBy::Entries)]);
    let on_third = scanned(&reader, By::Name, &Scan::new(1), "thread=worker dur<6ns");
    assert_eq!(on_third.groups().iter().map(|group| group.calls).sum::<u64>(), 1);
    let mut groups = scanned(&reader, By::Callsite, &Scan::new(1), "");
    let mut exact = ExactPercentiles::new(&groups, &[0.5]);
    while exact.begin_pass() {
        let each = |span: &crate::SpanRef<'_>| {
            exact.add(&mut groups, span);
            ControlFlow::Continue(())
        };
        reader.scan_calls(&Scan::new(1), &Filter::all(), each).unwrap();
        exact.end_pass();
    }
    let place = groups.groups().iter().position(|g| g.counted == CountedBy::Entries).unwrap();
    assert_eq!(exact.of(place), [Some(7)]);
}
