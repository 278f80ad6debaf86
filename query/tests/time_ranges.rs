//! Times as people write them become the nanoseconds of a run, and what the run does not have is
//! refused with what it has.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use spandrel_query::Mark;
use spandrel_query::{RunTimes, TimeRange, Window};

const SECOND_NS: i64 = 1_000_000_000;

/// From 14:02:00 UTC on, for half an hour.
fn run() -> RunTimes {
    let started = "2026-11-20T14:02:00Z".parse::<jiff::Timestamp>().unwrap();
    let started_unix_ns = i64::try_from(started.as_nanosecond()).unwrap();
    RunTimes {
        started_unix_ns,
        last_ns: 1_799 * SECOND_NS,
        ended_unix_ns: Some(started_unix_ns + 1_800 * SECOND_NS),
    }
}

fn marks() -> Vec<Mark> {
    let mark = |id, label: &str, at: i64, until: Option<i64>| {
        let mut mark = Mark::default();
        (mark.id, mark.run_id, mark.at_ns) = (id, 1, at * SECOND_NS);
        mark.until_ns = until.map(|until| until * SECOND_NS);
        mark.label = label.to_owned();
        mark
    };
    vec![
        mark(1, "deploy", 60, None),
        mark(2, "load", 100, Some(160)),
        mark(3, "deploy", 600, None),
        mark(4, "load", 700, Some(760)),
    ]
}

fn resolve_in(text: &str, run: &RunTimes, zone: &TimeZone) -> Result<Window, String> {
    let range = TimeRange::parse(None, None, Some(text)).map_err(|error| error.to_string())?;
    range.resolve(run, &marks(), zone).map_err(|error| error.to_string())
}

/// In seconds.
fn resolve(text: &str) -> (Option<f64>, Option<f64>) {
    let window = resolve_in(text, &run(), &TimeZone::UTC).unwrap();
    let seconds = |ns: Option<i64>| ns.map(|ns| ns as f64 / 1e9);
    (seconds(window.from_ns), seconds(window.until_ns))
}

fn refused(text: &str) -> String {
    resolve_in(text, &run(), &TimeZone::UTC).unwrap_err()
}

#[test]
fn moments_of_a_run() {
    assert_eq!(resolve(".."), (None, None));
    assert_eq!(resolve("start..end"), (None, None));
    assert_eq!(resolve("30s.."), (Some(1_770.0), None));
    assert_eq!(resolve("30s..0s"), (Some(1_770.0), None));
    assert_eq!(resolve("1m..30s"), (Some(1_740.0), Some(1_770.0)));
    assert_eq!(resolve("+12.5s..+1m"), (Some(12.5), Some(60.0)));
    assert_eq!(resolve("14:05..14:05:06.250"), (Some(180.0), Some(186.25)));
    assert_eq!(resolve("2026-11-20 14:03..2026-11-20T14:04:00Z"), (Some(60.0), Some(120.0)));
    assert_eq!(resolve("2026-11-20T15:03:00+01:00.."), (Some(60.0), None));
    assert_eq!(resolve("end.."), (Some(1_800.0), None));
    // Longer ago than the run is old: all of it.
    assert_eq!(resolve("2h.."), (Some(-5_400.0), None));
    assert_eq!(resolve("14:00.."), (Some(-120.0), None));
}

#[test]
fn of_marks_the_newest() {
    assert_eq!(resolve("mark:deploy.."), (Some(600.0), None));
    assert_eq!(resolve("mark:load"), (Some(700.0), Some(760.0)));
    assert_eq!(resolve("mark:load..mark:load"), (Some(700.0), Some(760.0)));
    assert_eq!(resolve("mark:deploy..mark:load"), (Some(600.0), Some(760.0)));
    assert_eq!(
        refused("mark:deplyo.."),
        r#"there is no mark "deplyo"; the run has "deploy", "load""#
    );
    assert!(refused("mark:deploy").contains("is a moment and no section"));
    let none = TimeRange::parse(Some("mark:x"), None, None).unwrap();
    let error = none.resolve(&run(), &[], &TimeZone::UTC).unwrap_err().to_string();
    assert_eq!(error, r#"there is no mark "x"; the run has no marks"#);
}

#[test]
fn what_no_span_can_be_in_is_refused_with_the_bounds() {
    let bounds = "the run is from 2026-11-20 14:02:00.000 to 2026-11-20 14:32:00.000, 30m 00s long";
    for (text, fault) in [
        ("30s..1m", "the time ends before it begins"),
        ("14:06..14:05", "the time ends before it begins"),
        ("..start", "the time ends before the start of the run"),
        ("..14:00", "the time ends before the start of the run"),
        ("15:00..", "the time begins after the end of the run"),
        ("2027-01-01..", "the time begins after the end of the run"),
        ("..2025-01-01", "the time ends before the start of the run"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(fault) && error.ends_with(bounds), "{text:?}: {error}");
    }
}

#[test]
fn a_live_run_ends_with_its_newest_moment() {
    let live = RunTimes { ended_unix_ns: None, ..run() };
    let window = resolve_in("30s..", &live, &TimeZone::UTC).unwrap();
    assert_eq!(window.from_ns, Some(1_769 * SECOND_NS));
    // A clock that was set back does not end the run before its rows.
    let set_back = RunTimes { ended_unix_ns: Some(0), ..run() };
    assert_eq!(set_back.end_ns(), 1_799 * SECOND_NS);
}

#[test]
fn over_midnight_a_time_of_day_is_inside_the_run() {
    let started = "2026-11-20T23:50:00Z".parse::<jiff::Timestamp>().unwrap();
    let started_unix_ns = i64::try_from(started.as_nanosecond()).unwrap();
    let run = RunTimes { started_unix_ns, last_ns: 1_200 * SECOND_NS, ended_unix_ns: None };
    let window = resolve_in("23:55..00:05", &run, &TimeZone::UTC).unwrap();
    assert_eq!((window.from_ns, window.until_ns), (Some(300 * SECOND_NS), Some(900 * SECOND_NS)));
}

#[test]
fn of_many_days_the_beginning_is_before_the_end() {
    let run = RunTimes { last_ns: 10 * 86_400 * SECOND_NS, ended_unix_ns: None, ..run() };
    // The last 14:00 is of the eleventh day; the run has a 14:01 after it, but the one before it is
    // meant.
    let window = resolve_in("14:01..14:00", &run, &TimeZone::UTC).unwrap();
    let length = window.until_ns.unwrap() - window.from_ns.unwrap();
    assert_eq!(length, (24 * 3_600 - 60) * SECOND_NS);
    assert_eq!(window.until_ns, Some((10 * 86_400 - 120) * SECOND_NS));
}

#[test]
fn times_of_day_are_of_the_zone() {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let window = resolve_in("15:05..", &run(), &zone).unwrap();
    assert_eq!(window.from_ns, Some(180 * SECOND_NS));
    let window = resolve_in("2026-11-20 15:05..", &run(), &zone).unwrap();
    assert_eq!(window.from_ns, Some(180 * SECOND_NS));
}

#[test]
fn a_span_belongs_to_the_window_that_it_starts_in() {
    let window = Window { from_ns: Some(10), until_ns: Some(20) };
    let inside: Vec<i64> = (0..30).filter(|start| window.contains(*start)).collect();
    assert_eq!(inside, (10..20).collect::<Vec<_>>());
    assert!(Window::default().contains(i64::MIN) && Window::default().contains(i64::MAX));
    assert!(Window::default().is_all() && !window.is_all());
}

#[test]
fn runs_out_of_the_calendar_are_refused_or_resolved() {
    for started_unix_ns in [i64::MIN, 0, i64::MAX] {
        for last_ns in [i64::MIN, -1, 0, i64::MAX] {
            let run = RunTimes { started_unix_ns, last_ns, ended_unix_ns: Some(i64::MIN) };
            for text in
                ["14:05..", "..14:05", "2026-11-20..", "-9999-01-01..", "1s..", "..+1s", "end.."]
            {
                let _ = resolve_in(text, &run, &TimeZone::UTC);
            }
        }
    }
}

proptest! {
    /// What `jiff` prints of a moment of the run is that moment, in any zone.
    #[test]
    fn dates_as_printed(second in 0..1_800_i64, nanos in 0..SECOND_NS, hours in -12..13_i8) {
        let ns = second * SECOND_NS + nanos;
        let zone = TimeZone::fixed(jiff::tz::offset(hours));
        let unix_ns = i128::from(run().started_unix_ns + ns);
        let moment = jiff::Timestamp::from_nanosecond(unix_ns).unwrap();
        let zoned = moment.to_zoned(zone.clone());
        for text in [
            zoned.datetime().to_string(),
            zoned.time().to_string(),
            moment.to_string(),
            zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
            format!("+{ns}ns"),
            format!("{}ns", 1_800 * SECOND_NS - ns),
        ] {
            let window = resolve_in(&format!("{text}.."), &run(), &zone).unwrap();
            prop_assert_eq!(window.from_ns, Some(ns), "{}", text);
        }
    }
}
