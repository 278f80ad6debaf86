//! Profiles in which the cause of the slow spans is known.

use std::ops::ControlFlow;

use super::*;
use crate::test_profile::TestProfile;
use crate::{Columns, IdSet, Scan};
use spandrel_storage::{EntryRow, SpanRow};

const SLOW_NS: i64 = 20_000_000;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Makes `count` requests by `make`: of a number its duration, fields, and time in the child.
fn explained(
    count: u64,
    mut make: impl FnMut(u64, &mut Random) -> (i64, String, i64),
) -> Explanation {
    let mut profile = TestProfile::new();
    let (site, child) = (profile.callsite("request", "shop", 1), profile.callsite("db", "shop", 2));
    profile.thread(1, Some("main"));
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for n in 0..count {
        let (ns, fields, in_child) = make(n, &mut random);
        let (id, start_ns) = (2 * n + 1, n as i64 * 1_000_000);
        let request =
            SpanRow { self_ns: Some(ns - in_child), ..TestProfile::span(id, site, start_ns, ns) };
        profile.add(request, &fields);
        let db = TestProfile::span(id + 1, child, start_ns, in_child);
        profile.add(SpanRow { parent_id: id, root_id: id, ..db }, "");
    }
    let reader = profile.reader();
    let mut explain = Explain::new(count as i64 * 1_000_000);
    let scan = Scan::new(1).columns(Columns::All);
    let pass = |each: &mut dyn FnMut(&SpanRef<'_>)| {
        let go_on = |span: &SpanRef<'_>| {
            each(span);
            ControlFlow::Continue(())
        };
        reader.scan(&scan, go_on).unwrap();
    };
    let mut each = |span: &SpanRef<'_>| {
        if span.callsite.name == "request" {
            explain.add(span, span.duration_ns >= Some(SLOW_NS));
        }
    };
    pass(&mut each);
    explain.begin_children();
    let inside = IdSet::new(&explain.drawn_spans().collect::<Vec<_>>());
    reader.child_times_in(&Scan::new(1), &inside, |child| explain.add_child(child)).unwrap();
    explain.finish(false)
}

fn shown(explanation: &Explanation) -> Vec<String> {
    let findings = explanation.findings.iter();
    findings.map(|f| format!("{} {:?} {:.2}", f.name, f.value, f.difference())).collect()
}

#[test]
fn the_slow_shard_comes_first_and_noise_does_not_come() {
    let explanation = explained(4_000, |n, random| {
        let shard = random.below(10);
        let is_slow = shard == 7 && random.below(2) == 0;
        let mark = if is_slow || random.below(500) == 0 { r#","slow":1"# } else { "" };
        let (user, coin) = (random.below(1_000_000), random.below(2));
        let fields = format!(
            r#"{{"route":"/cart","shard":{shard},"request":"r{n}","user":{user},"coin":{coin}{mark}}}"#
        );
        let own = 1_400_000 + random.below(100_000) as i64;
        let db = if is_slow { 18_600_001 + random.below(30_000_000) as i64 } else { 2_000_000 };
        (own + db, fields, db)
    });
    let lines = shown(&explanation);
    assert!(lines[0].starts_with("slow Text(\"1\") 1.00"), "{lines:?}");
    assert!(lines[1].starts_with("shard Text(\"7\") 0.9"), "{lines:?}");
    assert!(lines[2].starts_with("child time Text(\"db\") 0.3"), "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let folded: Vec<&str> = explanation.folded.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(folded, ["request", "user"]);
    assert!(explanation.folded[0].distinct.abs_diff(4_000) < 320);
    assert_eq!(explanation.selected + explanation.rest, 4_000);
    assert_eq!(explanation.children_of.0, explanation.selected);
}

#[test]
fn large_numbers_are_told_by_a_threshold() {
    let explanation = explained(3_000, |_, random| {
        let bytes = random.below(100_000);
        let ns = if bytes >= 90_000 { 30_000_000 } else { 1_000_000 };
        (ns, format!(r#"{{"bytes":{bytes}}}"#), 0)
    });
    let first = &explanation.findings[0];
    let Value::AtLeast(bytes) = first.value else { panic!("{first:?}") };
    assert!((90_000.0..90_700.0).contains(&bytes), "{bytes}");
    assert_eq!((first.name.as_str(), explanation.findings.len()), ("bytes", 1));
}

#[test]
fn spans_of_a_bad_moment_are_told_by_their_window() {
    let explanation = explained(4_000, |n, random| {
        let is_bad = (1_000..1_200).contains(&n) || random.below(400) == 0;
        (if is_bad { 30_000_000 } else { 1_000_000 }, String::new(), 0)
    });
    let first = &explanation.findings[0];
    let Value::Window { from_ns, until_ns } = first.value else { panic!("{first:?}") };
    assert!(from_ns.abs_diff(1_000_000_000) < 10_000_000, "{from_ns}");
    assert!(until_ns.abs_diff(1_200_000_000) < 10_000_000, "{until_ns}");
    assert!(first.selected > 0.9 && first.other < 0.05);
}

#[test]
fn a_field_that_only_slow_spans_lack_is_told() {
    let explanation = explained(1_000, |n, random| {
        let is_slow = n % 10 == 0;
        let fields = if is_slow { "{}".into() } else { format!(r#"{{"c":{}}}"#, random.below(3)) };
        (if is_slow { 30_000_000 } else { 1_000_000 }, fields, 0)
    });
    let lines = shown(&explanation);
    assert_eq!(lines, ["c Absent 1.00"]);
}

#[test]
fn chance_alone_explains_nothing() {
    for round in 0..20 {
        let explanation = explained(2_000, |n, random| {
            (0..round).for_each(|_| assert!(random.below(2) < 2));
            let fields: Vec<String> =
                (0..20).map(|f| format!(r#""f{f}":{}"#, random.below(2 + f))).collect();
            let ns = if random.below(20) == 0 { 30_000_000 } else { 1_000_000 };
            (ns, format!("{{{},\"n\":{n}}}", fields.join(",")), 0)
        });
        assert!(explanation.tested > 200);
        // One in a hundred of what is shown may be chance.
        assert!(explanation.findings.len() <= 1, "{:?}", shown(&explanation));
    }
}

#[test]
fn without_two_classes_there_is_nothing_to_compare() {
    for ns in [1_000, 30_000_000] {
        let explanation = explained(50, |_, _| (ns, r#"{"a":1}"#.into(), 0));
        assert_eq!(explanation.findings, []);
    }
}

#[test]
fn entries_are_child_time_of_the_span_around_them_and_lifetimes_of_long_spans_are_not() {
    let mut profile = TestProfile::new();
    let sites = ["request", "pool", "lock", "disk"].map(|name| profile.callsite(name, "shop", 1));
    profile.thread(1, Some("main"));
    let (pool, disk) = (1, 2);
    let entry = |id, span_id, callsite_id, around_id, start_ns, duration_ns| EntryRow {
        id,
        span_id,
        callsite_id,
        thread_id: 1,
        start_ns,
        duration_ns,
        around_id,
        self_ns: Some(duration_ns),
        earlier_entries: 0,
        earlier_ns: 0,
    };
    let count = 400;
    for n in 0..count {
        let (id, start_ns) = (10 + 10 * n, n as i64 * 100_000_000);
        let in_pool = if n % 10 == 0 { 80_000_000 } else { 4_000_000 };
        // Inside the pool, on its thread: a child of the pool, and the disk.
        let lock = TestProfile::span(id + 1, sites[2], start_ns + 2_000_000, in_pool / 4);
        profile.add(SpanRow { parent_id: pool, root_id: pool, ..lock }, "");
        let from_ns = start_ns + 2_000_000 + in_pool / 4;
        profile.entry(entry(id + 2, disk, sites[3], pool, from_ns, in_pool / 2));
        profile.entry(entry(id + 3, pool, sites[1], id, start_ns + 1_000_000, in_pool));
        let ns = in_pool + 2_000_000;
        profile.add(
            SpanRow { self_ns: Some(2_000_000), ..TestProfile::span(id, sites[0], start_ns, ns) },
            "",
        );
    }
    // The pool was made by the first request, and lives as long as the program.
    let whole = count as i64 * 100_000_000;
    for (id, site, parent_id) in [(pool, sites[1], 10), (disk, sites[3], 0)] {
        let span = TestProfile::span(id, site, 0, whole);
        let root_id = if parent_id > 0 { parent_id } else { id };
        profile.add(SpanRow { parent_id, root_id, self_ns: None, entries: count, ..span }, "");
    }
    let reader = profile.reader();
    let explained = |name: &str| {
        let mut explain = Explain::new(whole);
        let scan = Scan::new(1).columns(Columns::All);
        let filter = crate::Filter::parse(&format!("name={name}")).unwrap();
        let each = |span: &SpanRef<'_>| {
            explain.add(span, span.duration_ns >= Some(SLOW_NS));
            ControlFlow::Continue(())
        };
        reader.scan_calls(&scan, &filter, each).unwrap();
        explain.begin_children();
        reader.child_times(&Scan::new(1), |child| explain.add_child(child)).unwrap();
        explain.finish(false)
    };
    let share = |explanation: &Explanation, name: &str| {
        let of = |f: &&Finding| f.kind == Kind::Child && f.value == Value::Text(name.into());
        let found = explanation.findings.iter().find(of);
        found.map(|found| [found.selected, found.other].map(|share| (share * 100.0).round()))
    };
    let request = explained("request");
    assert_eq!((request.counted, request.selected), (Some(CountedBy::Lifetime), 40));
    assert_eq!(share(&request, "pool"), Some([98.0, 67.0]), "{:?}", shown(&request));
    assert_eq!(share(&request, "lock"), None, "that is inside the pool");
    // An entry of the pool is explained as a span would be.
    let pool = explained("pool");
    assert_eq!((pool.counted, pool.selected, pool.rest), (Some(CountedBy::Entries), 40, 360));
    let shares = pool.children_of;
    assert_eq!(shares, (40, 360));
}
