//! To which day a time of day belongs.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// The newest moment at this time of day that is between the two, both included. If there is none, the
/// moment on the day of both; if they are on two days, on the day for which it is nearer.
///
/// `None` if the moments are outside of the calendar.
pub(super) fn newest_within(
    time: Time,
    from_unix_ns: i128,
    until_unix_ns: i128,
    zone: &TimeZone,
) -> Option<i128> {
    let first = day(from_unix_ns, zone)?;
    let last = day(until_unix_ns, zone)?;
    let moment = |date: Date| {
        zone.to_timestamp(date.to_datetime(time)).ok().map(|moment| moment.as_nanosecond())
    };
    let outside = |moment: &i128| (from_unix_ns - moment).max(moment - until_unix_ns).max(0);
    // However long the interval is, the newest is on its last day or the one before.
    let newest = [Some(last), last.yesterday().ok()].into_iter().flatten().filter_map(moment);
    newest
        .filter(|moment| outside(moment) == 0)
        .max()
        .or_else(|| [first, last].into_iter().filter_map(moment).min_by_key(outside))
}

fn day(unix_ns: i128, zone: &TimeZone) -> Option<Date> {
    Some(zone.to_datetime(Timestamp::from_nanosecond(unix_ns).ok()?).date())
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i128 {
        text.parse::<Timestamp>().unwrap().as_nanosecond()
    }

    fn newest(hour: i8, from: &str, until: &str) -> String {
        let found = newest_within(time(hour, 0, 0, 0), at(from), at(until), &TimeZone::UTC);
        Timestamp::from_nanosecond(found.unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_day_of_the_run() {
        let (from, until) = ("2026-11-20T13:02:00Z", "2026-11-20T15:02:00Z");
        assert_eq!(newest(14, from, until), "2026-11-20T14:00:00Z");
        // Before the run, and after it: of the same day.
        assert_eq!(newest(13, from, until), "2026-11-20T13:00:00Z");
        assert_eq!(newest(16, from, until), "2026-11-20T16:00:00Z");
        assert_eq!(newest(3, from, until), "2026-11-20T03:00:00Z");
        assert_eq!(newest(2, from, until), "2026-11-20T02:00:00Z");
    }

    #[test]
    fn over_midnight() {
        let (from, until) = ("2026-11-20T22:00:00Z", "2026-11-21T02:00:00Z");
        assert_eq!(newest(23, from, until), "2026-11-20T23:00:00Z");
        assert_eq!(newest(1, from, until), "2026-11-21T01:00:00Z");
        assert_eq!(newest(21, from, until), "2026-11-20T21:00:00Z");
        assert_eq!(newest(3, from, until), "2026-11-21T03:00:00Z");
    }

    #[test]
    fn over_days_the_newest() {
        let (from, until) = ("2026-11-10T12:00:00Z", "2026-11-20T12:00:00Z");
        assert_eq!(newest(11, from, until), "2026-11-20T11:00:00Z");
        assert_eq!(newest(12, from, until), "2026-11-20T12:00:00Z");
        assert_eq!(newest(13, from, until), "2026-11-19T13:00:00Z");
    }

    #[test]
    fn moments_out_of_the_calendar_are_none() {
        let huge = i128::from(i64::MAX) * 1_000;
        assert_eq!(newest_within(time(1, 0, 0, 0), huge, huge, &TimeZone::UTC), None);
    }

    proptest! {
        /// Against all days of the run, in zones with and without summer time.
        #[test]
        fn as_looking_at_every_day(
            from in 1_700_000_000_i64..1_800_000_000,
            seconds in 0..1_000_000_i64,
            hour in 0..24_i8,
            minute in 0..60_i8,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns"]),
        ) {
            let Ok(zone) = TimeZone::get(zone) else { return Ok(()) };
            let time = time(hour, minute, 0, 0);
            let from = i128::from(from) * 1_000_000_000;
            let until = from + i128::from(seconds) * 1_000_000_000;
            let mut date = day(from, &zone).unwrap();
            let mut inside = Vec::new();
            let mut outside = Vec::new();
            while date <= day(until, &zone).unwrap() {
                let moment = zone.to_timestamp(date.to_datetime(time)).unwrap().as_nanosecond();
                if (from..=until).contains(&moment) {
                    inside.push(moment);
                } else {
                    outside.push((from - moment).max(moment - until));
                }
                date = date.tomorrow().unwrap();
            }
            let found = newest_within(time, from, until, &zone).unwrap();
            match inside.iter().max() {
                Some(newest) => prop_assert_eq!(found, *newest),
                None => {
                    let distance = *outside.iter().min().unwrap();
                    prop_assert_eq!((from - found).max(found - until), distance);
                }
            }
        }
    }
}
