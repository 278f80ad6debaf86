//! Moments, ranges, durations and runs, as people write them.

use super::Input;
use spandrel_query::{
    DurationNs, RunSelector, RunTimes, TimeRange, TimeSpec, TimeZone, parse_duration_ns,
};
use spandrel_query::{Mark, Run};
use spandrel_storage::RunInfo;

/// A line of text; then the times of a run, of a mark, and a time zone.
pub fn time(data: &[u8]) {
    let mut input = Input(data);
    let Ok(text) = std::str::from_utf8(input.line()) else { return };
    durations(text);
    runs(text);
    if let Ok(spec) = TimeSpec::parse(text) {
        assert_eq!(TimeSpec::parse(&spec.to_string()), Ok(spec));
    }
    let run = RunTimes {
        started_unix_ns: input.i64(),
        last_ns: input.i64(),
        ended_unix_ns: Some(input.i64()).filter(|ended| *ended != 0),
    };
    let mut mark = Mark::default();
    (mark.id, mark.run_id, mark.at_ns) = (1, 1, input.i64());
    mark.until_ns = Some(input.i64()).filter(|until| *until != 0);
    mark.label = "a".to_owned();
    let marks = [mark];
    let zone = zone(input.byte());
    for range in [
        TimeRange::parse(None, None, Some(text)),
        TimeRange::parse(Some(text), None, None),
        TimeRange::parse(None, Some(text), None),
    ] {
        let Ok(range) = range else { continue };
        // A label with a quote in it cannot be told from its quotes.
        if !range.needs_marks() {
            assert_eq!(TimeRange::parse(None, None, Some(&range.to_string())), Ok(range.clone()));
        }
        match range.resolve(&run, &marks, &zone) {
            Ok(window) => {
                let from = window.from_ns.unwrap_or(i64::MIN);
                let until = window.until_ns.unwrap_or(i64::MAX);
                assert!(from < until && from <= run.end_ns() && until > 0);
                assert!(window.contains(from.max(i64::MIN + 1)) || window.from_ns.is_none());
                assert!(window.until_ns.is_none_or(|until| !window.contains(until)));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn durations(text: &str) {
    let Ok(ns) = parse_duration_ns(text) else { return };
    assert!(ns >= 0);
    for written in [DurationNs(ns).to_string(), format!("{:#}", DurationNs(ns))] {
        // The longest may be rounded up to more than there is.
        if ns < i64::MAX - 3_600_000_000_000 {
            let read = parse_duration_ns(&written).unwrap();
            assert!(read.abs_diff(ns) as f64 <= ns as f64 * 0.03, "{ns} {written}");
        }
    }
}

fn runs(text: &str) {
    let Ok(selector) = RunSelector::parse(text) else { return };
    assert_eq!(RunSelector::parse(&selector.to_string()).as_ref(), Ok(&selector));
    let run = |id: i64, uuid: &str, label: &str| {
        let mut run = Run::default();
        (run.id, run.first_id, run.last_id) = (id, 1, 1);
        run.info = RunInfo { uuid: uuid.into(), label: Some(label.into()), ..RunInfo::default() };
        run
    };
    let runs = [run(3, "abcdef01", "a"), run(7, "abcdef02", "3"), run(9, "c0ffee", "abcdef")];
    match selector.resolve(&runs) {
        Ok(found) => assert!(runs.contains(found)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert!(selector.resolve(&[]).is_err());
}

fn zone(byte: u8) -> TimeZone {
    let named = ["America/New_York", "Pacific/Apia", "Asia/Kathmandu", "Australia/Lord_Howe"];
    let zone = named.get(usize::from(byte)).map(|name| TimeZone::get(name).ok());
    zone.flatten().unwrap_or(TimeZone::UTC)
}
