//! Notes on rows of the table that are worth a second look.

use spandrel_query::OrderRows as _;
use spandrel_query::{By, CountedBy, Group, Key};

use crate::output::text;

/// A row needs this share of all self time to be worth a note.
const SELF_SHARE_MIN: f64 = 0.05;
/// If this share of the time is not inside the span, it is waiting.
const IDLE_SHARE_MIN: f64 = 0.5;
/// Of one call, less than this is what making and entering a span takes, or to park a thread and wake it,
/// and nobody waited.
const IDLE_NS_MIN: f64 = 10_000.0;
/// Of all calls, less than this may be a single accident, a time slice that the system gave to another program
/// or the cold first call of a program: nobody waited, unless the median of many calls says so.
const SLICE_NS: f64 = 4_000_000.0;
/// How many times the median the 95th or 99th percentile has to be.
const TAILS_MIN: [(&str, f64); 2] = [("p95", 4.0), ("p99", 10.0)];
/// How many calls are needed for a tail, and for a meaningful median.
const CALLS_MIN: u64 = 40;
/// Larger busy shares than this are explained; smaller excesses are due to how the clock is read.
const BUSY_ABOVE_MIN: f64 = 1.02;
/// The share of calls of long-lived spans that were over before they were recorded one by one.
const SUMMED_SHARE_MIN: f64 = 0.02;
/// How many names without a row are named.
const NAMED: usize = 3;
/// Share of failed spans.
const ERROR_SHARE_MIN: f64 = 0.01;

/// A note on the row with the most self time that has something odd, and one on failures.
pub(super) fn notes(by: &By, groups: &[Group], percentiles: &[Vec<Option<i64>>]) -> Vec<String> {
    let mut rows: Vec<(&Group, &[Option<i64>])> =
        groups.iter().zip(percentiles.iter().map(Vec::as_slice)).collect();
    let has_calls = |group: &Group| group.calls > 0 || group.spans > 0;
    rows.retain(|(group, _)| has_calls(group) && group.key != Key::Others);
    rows.order_by_key(|(group, _)| std::cmp::Reverse(group.self_ns));
    let self_ns = rows.iter().map(|(group, _)| group.self_ns as f64).sum::<f64>();
    let heavy = rows
        .iter()
        .take_while(|(group, _)| group.self_ns as f64 >= self_ns * SELF_SHARE_MIN && self_ns > 0.0);
    let odd = heavy.filter_map(|(group, percentiles)| odd(by, group, percentiles)).next();
    let failing = rows
        .iter()
        .filter(|(group, _)| group.errors as f64 >= group.spans as f64 * ERROR_SHARE_MIN)
        .filter(|(group, _)| group.errors > 0)
        .max_by_key(|(group, _)| group.errors)
        .map(|(group, _)| failing(by, group));
    odd.into_iter().chain(failing).collect()
}

/// A note on why a share of the duration is more than 100 %.
pub(super) fn busy_above(groups: &[Group]) -> Option<String> {
    let share = |group: &Group| {
        let busy = group.busy_ns.filter(|_| group.sum_ns > 0 && group.key != Key::Others)?;
        Some(busy as f64 / group.sum_ns as f64)
    };
    let shares = groups.iter().filter_map(|group| Some((share(group)?, group)));
    let (share, group) = shares.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (share >= BUSY_ABOVE_MIN).then(|| {
        format!(
            "note: {} is busy {:.0}% of its duration: several threads were inside of a span at once",
            name(group),
            share * 100.0
        )
    })
}

/// A note on why the self time of long-lived spans is less than their time, and the median not that of
/// all calls.
pub(super) fn summed_only(groups: &[Group]) -> Option<String> {
    let group = groups.iter().max_by_key(|group| group.summed_only())?;
    let (summed, calls) = (group.summed_only(), group.calls);
    (summed as f64 > calls as f64 * SUMMED_SHARE_MIN).then(|| {
        format!(
            "note: of {} calls of {}, {} are known by their sum only: no percentile has them, nor self",
            text::count(calls),
            name(group),
            text::count(summed)
        )
    })
}

/// A note on spans without a row: none of what is known about them is a call.
pub(super) fn without_calls(groups: &[Group]) -> Option<String> {
    let without = groups.iter().filter(|group| group.calls == 0 && group.spans > 0);
    let spans = without.clone().map(|group| group.spans).fold(0, u64::saturating_add);
    let names: Vec<String> = without.clone().take(NAMED).map(name).collect();
    let more = if without.count() > NAMED { " and others" } else { "" };
    (spans > 0).then(|| {
        let (names, mark) = (names.join(", "), text::LONG);
        let (spans, matches) =
            (text::counted(spans, "span"), text::agree(spans, "matches", "match"));
        format!(
            "note: no row for {names} {mark}{more}: {spans} {matches}, but no entry that was recorded \
             by itself"
        )
    })
}

fn name(group: &Group) -> String {
    match &group.key {
        Key::Value(value) => text::clean(value),
        _ => "(no such field)".into(),
    }
}

fn odd(by: &By, group: &Group, percentiles: &[Option<i64>]) -> Option<String> {
    let (idle, tail) = (idle(group, percentiles), tail(group, percentiles));
    let name = name(group);
    let mut line = match (idle, tail) {
        (None, None) => return None,
        (None, Some((which, times))) => {
            format!("note: the {which} of {name} is {times:.0}x its p50")
        }
        (Some(idle), tail) => {
            let tail = tail.map(|(which, times)| format!(". Its {which} is {times:.0}x its p50"));
            format!(
                "note: {name} is {:.0}% idle (waiting){}",
                idle * 100.0,
                tail.unwrap_or_default()
            )
        }
    };
    if tail.is_some() && matches!(by, By::Name | By::Callsite) {
        line.push_str(&format!(": try `spandrel explain {}`", text::shell(&name)));
    }
    Some(line)
}

/// The share of the time in which the spans were open and nobody was inside, if that is most of it and too
/// long to be anything but waiting.
fn idle(group: &Group, percentiles: &[Option<i64>]) -> Option<f64> {
    let busy_ns = group.busy_ns? as f64;
    let (sum_ns, calls) = (group.sum_ns as f64, group.calls as f64);
    let idle_ns = sum_ns - busy_ns;
    let long = idle_ns >= sum_ns * IDLE_SHARE_MIN && idle_ns >= calls * IDLE_NS_MIN;
    // A single long accident does not change the median.
    let of_median = || percentiles.first()?.map(|p50| p50 as f64 - busy_ns / calls);
    let usual = || group.calls >= CALLS_MIN && of_median().is_some_and(|ns| ns >= IDLE_NS_MIN);
    (sum_ns > 0.0 && long && (idle_ns >= SLICE_NS || usual())).then_some(idle_ns / sum_ns)
}

/// Which percentile is far from the median, and by what factor.
fn tail(group: &Group, percentiles: &[Option<i64>]) -> Option<(&'static str, f64)> {
    if group.counted == CountedBy::Both {
        return None; // lifetimes and entries together have no common length
    }
    let (p50, rest) = percentiles.split_first()?;
    let p50 = p50.filter(|p50| *p50 > 0 && group.calls >= CALLS_MIN)?;
    let times = rest.iter().map(|ns| ns.unwrap_or(0) as f64 / p50 as f64);
    let mut tails = TAILS_MIN.into_iter().zip(times);
    tails.find(|((_, min), times)| times >= min).map(|((which, _), times)| (which, times))
}

fn failing(by: &By, group: &Group) -> String {
    let what = if group.counted.has_entries() { "span" } else { "call" };
    let (errors, calls) = (text::count(group.errors), text::counted(group.spans, what));
    let share = text::share(group.errors as f64 / group.spans as f64);
    let name = name(group);
    let mut line = format!("note: {errors} of {calls} of {name} failed ({share})");
    if matches!(by, By::Name | By::Callsite) {
        line.push_str(&format!(": try `spandrel slow {} -w has:error`", text::shell(&name)));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use spandrel_query::{Groups, Scan};

    use super::*;
    use crate::commands::test_profile;

    /// The notes on spans of the names, with durations and busy times in microseconds.
    fn notes_on(spans: &[(&'static str, i64, i64)]) -> Vec<String> {
        let spans = spans.iter().map(|&(name, us, busy_us)| test_profile::Span {
            busy_ns: Some(busy_us * 1000),
            is_error: us == 13,
            ..test_profile::Span::new(name, us * 1000)
        });
        let (_folder, reader) = test_profile::profile(spans);
        let mut groups = Groups::new(By::Name);
        let scan = Scan::new(1);
        reader
            .scan(&scan, |span| {
                groups.add(span);
                ControlFlow::Continue(())
            })
            .unwrap();
        let quantiles = |group: &Group| [0.5, 0.95, 0.99].map(|q| group.percentile_ns(q)).to_vec();
        let percentiles: Vec<_> = groups.groups().iter().map(quantiles).collect();
        notes(&By::Name, groups.groups(), &percentiles)
    }

    /// A game's system with 500 calls, a hundred of them before they were recorded, and its frames.
    #[cfg(feature = "tui")]
    #[test]
    fn calls_that_are_in_no_percentile_are_told() {
        let (_folder, path) = crate::live::test_pages::long_lived();
        let reader = spandrel_query::Reader::open(&path).unwrap();
        let mut groups = Groups::new(By::Name);
        reader.top(1, usize::MAX).unwrap().iter().for_each(|top| groups.add_top(top));
        let mut groups = groups.into_groups();
        let line = "note: of 500 calls of system, 100 are known by their sum only: no percentile has \
                    them, nor self";
        assert_eq!(summed_only(&groups).as_deref(), Some(line));
        groups.retain(|group| group.counted == CountedBy::Lifetime);
        assert_eq!((groups.is_empty(), summed_only(&groups)), (false, None));
    }

    #[test]
    fn nothing_odd_has_no_note() {
        assert_eq!(notes_on(&[]), Vec::<String>::new());
        assert_eq!(notes_on(&[("a", 100, 100); 50]), Vec::<String>::new());
    }

    #[test]
    fn what_making_a_span_takes_is_no_waiting() {
        assert_eq!(notes_on(&[("tick", 5, 1); 50]), Vec::<String>::new());
        assert_eq!(notes_on(&[("tick", 50, 10); 50]), ["note: tick is 80% idle (waiting)"]);
    }

    #[test]
    fn a_span_too_short_to_tell_did_not_wait() {
        let nothing = Vec::<String>::new();
        // The quick start's first call: between the readings of the clock a thread is made known to the
        // recording, and may lose the processor.
        assert_eq!(notes_on(&[("greet", 53, 25)]), nothing);
        assert_eq!(notes_on(&[("greet", 3_900, 10)]), nothing);
        assert_eq!(notes_on(&[("greet", 50, 10); 39]), nothing);
        // One of many lost it, and the others took no time.
        let mut spans = vec![("greet", 5, 4); 99];
        spans.push(("greet", 3_000, 4));
        let notes = notes_on(&spans);
        assert!(notes.iter().all(|note| !note.contains("idle")), "{notes:?}");
        // Whoever sleeps, sleeps for longer: once, or many times.
        assert_eq!(notes_on(&[("fetch", 5_000, 10)]), ["note: fetch is 100% idle (waiting)"]);
        assert_eq!(notes_on(&[("fetch", 500, 100); 10]), ["note: fetch is 80% idle (waiting)"]);
        assert_eq!(notes_on(&[("fetch", 50, 10); 40]), ["note: fetch is 80% idle (waiting)"]);
    }

    #[test]
    fn waiting_and_a_tail_are_told_of_the_heaviest() {
        let mut spans = vec![("light", 1, 0); 100];
        spans.extend([("db query", 2_000, 200); 90]);
        spans.extend([("db query", 28_000, 2_800); 10]);
        let line = "note: db query is 90% idle (waiting). Its p95 is 14x its p50: try `spandrel \
                    explain 'db query'`";
        assert_eq!(notes_on(&spans), [line]);
    }

    #[test]
    fn failures_are_told() {
        let mut spans = vec![("a", 100, 100); 90];
        spans.extend([("a", 13, 13); 10]);
        let line = "note: 10 of 100 calls of a failed (10.0%): try `spandrel slow a -w has:error`";
        assert_eq!(notes_on(&spans), [line]);
    }
}
