//! A parsed moment, independent of a run.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};

use super::super::duration::parse_duration_ns;
use super::TimeError;

/// A moment as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeSpec {
    /// So many nanoseconds before the end of the run, or before its newest moment.
    Ago(i64),
    /// So many nanoseconds after the start of the run.
    SinceStart(i64),
    /// A time of day, of a day of the run.
    Clock(Time),
    /// A date and a time of day, in the time zone that is asked for.
    Date(DateTime),
    /// A moment that is the same everywhere.
    Instant(Timestamp),
    /// The newest mark of this label.
    Mark(String),
    /// The start of the run.
    Start,
    /// The end of the run, or its newest moment.
    End,
}

impl TimeSpec {
    /// Understands a moment.
    ///
    /// # Errors
    ///
    /// A text that is none; the message says how one is written.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Some(label) = text.strip_prefix("mark:") {
            return Ok(Self::Mark(mark_label(label)?));
        }
        match text {
            "start" => return Ok(Self::Start),
            "end" => return Ok(Self::End),
            _ => {}
        }
        let first = text.chars().next();
        let refused = || {
            TimeError::new(format!(
                "{text:?} is no time; write 30s (before the end), +12.5s (after the start), \
                 14:05, 2026-11-20 14:02, mark:LABEL, start or end"
            ))
        };
        if let Some(offset) = text.strip_prefix('+') {
            return match parse_duration_ns(offset) {
                Ok(offset) => Ok(Self::SinceStart(offset)),
                Err(error) => Err(TimeError::new(error.to_string())),
            };
        }
        if !first.is_some_and(|first| first.is_ascii_digit() || first == '.') {
            return Err(refused());
        }
        if is_date(text) {
            return date(text);
        }
        if text.contains(':') {
            return clock(text).map(Self::Clock).ok_or_else(|| {
                TimeError::new(format!("{text:?} is no time of day; write 14:05 or 14:05:06.250"))
            });
        }
        match parse_duration_ns(text) {
            Ok(ago) => Ok(Self::Ago(ago)),
            Err(error) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(TimeError::new(format!("{error}, or {text}:00 for a time of day")))
            }
            Err(_) => Err(refused()),
        }
    }
}

fn mark_label(label: &str) -> Result<String, TimeError> {
    let quoted = label.len() >= 2 && label.starts_with('"') && label.ends_with('"');
    let label = if quoted { &label[1..label.len() - 1] } else { label };
    if label.is_empty() {
        return Err(TimeError::new("the label of the mark is missing; write mark:LABEL"));
    }
    Ok(label.to_owned())
}

/// Whether it begins as a date does, `2026-`.
fn is_date(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits >= 4 && text.as_bytes().get(digits) == Some(&b'-')
}

fn date(text: &str) -> Result<TimeSpec, TimeError> {
    // With an offset first, since without one the offset would be passed over.
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(TimeSpec::Instant(instant));
    }
    let plain = text.get(10..).is_none_or(|time| !time.contains(['+', '-', '[', 'Z', 'z']));
    match text.parse::<DateTime>() {
        Ok(date) if plain => Ok(TimeSpec::Date(date)),
        _ => Err(TimeError::new(format!(
            "{text:?} is no date; write 2026-11-20, 2026-11-20 14:02 or 2026-11-20T14:02:00Z"
        ))),
    }
}

/// `14:05`, `14:05:06` or `14:05:06.25`.
fn clock(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 24)?;
    let minute = number(parts.next()?, 60)?;
    let (second, nanosecond) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let digits = (1..=9).contains(&fraction.len());
            if !digits || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let nanosecond: i32 = format!("{fraction:0<9}").parse().ok()?;
            (number(seconds, 60)?, nanosecond)
        }
    };
    match parts.next() {
        Some(_) => None,
        None => Time::new(hour, minute, second, nanosecond).ok(),
    }
}

/// One or two digits.
fn number(text: &str, below: i8) -> Option<i8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: i8 = text.parse().ok().filter(|_| digits)?;
    (number < below).then_some(number)
}

impl FromStr for TimeSpec {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text)
    }
}

/// A text that is understood as the same moment.
impl fmt::Display for TimeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(ns) => write!(f, "{ns}ns"),
            Self::SinceStart(ns) => write!(f, "+{ns}ns"),
            Self::Clock(time) => write!(f, "{time}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::Instant(instant) => write!(f, "{instant}"),
            Self::Mark(label) => write!(f, "mark:\"{label}\""),
            Self::Start => f.write_str("start"),
            Self::End => f.write_str("end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn spec(text: &str) -> TimeSpec {
        TimeSpec::parse(text).unwrap()
    }

    #[test]
    fn moments() {
        assert_eq!(spec("30s"), TimeSpec::Ago(30_000_000_000));
        assert_eq!(spec(" 1h30m "), TimeSpec::Ago(5_400_000_000_000));
        assert_eq!(spec("0"), TimeSpec::Ago(0));
        assert_eq!(spec("+12.5s"), TimeSpec::SinceStart(12_500_000_000));
        assert_eq!(spec("start"), TimeSpec::Start);
        assert_eq!(spec("end"), TimeSpec::End);
        assert_eq!(spec("mark:deploy"), TimeSpec::Mark("deploy".to_owned()));
        assert_eq!(spec("mark:\"a..b c\""), TimeSpec::Mark("a..b c".to_owned()));
        assert_eq!(spec("14:05"), TimeSpec::Clock(jiff::civil::time(14, 5, 0, 0)));
        assert_eq!(spec("4:05:06.25"), TimeSpec::Clock(jiff::civil::time(4, 5, 6, 250_000_000)));
        let date = jiff::civil::date(2026, 11, 20);
        assert_eq!(spec("2026-11-20"), TimeSpec::Date(date.at(0, 0, 0, 0)));
        assert_eq!(spec("2026-11-20 14:02"), TimeSpec::Date(date.at(14, 2, 0, 0)));
        assert_eq!(spec("2026-11-20T14:02:03.5"), TimeSpec::Date(date.at(14, 2, 3, 500_000_000)));
        let noon = Timestamp::from_second(1_795_176_000).unwrap();
        for text in ["2026-11-20T12:00:00Z", "2026-11-20 12:00Z", "2026-11-20T13:00:00+01:00"] {
            assert_eq!(spec(text), TimeSpec::Instant(noon), "{text:?}");
        }
    }

    #[test]
    fn texts_that_are_none() {
        for text in [
            "",
            "now",
            "-30s",
            "+",
            "+x",
            "24:00",
            "14:60",
            "14:05:60",
            "14",
            "14:5:6:7",
            "14:",
            "14:05:06.",
            "14:05:06.1234567890",
            "mark:",
            "mark:\"\"",
            "2026-13-01",
            "2026-11-20 25:00",
            "2026-11-20T12:00+",
            "2026-11-20T12:00[Mars/Base]",
            "yesterday",
            "5 parsecs",
            "é",
        ] {
            assert!(TimeSpec::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_number_alone_is_told_what_it_could_be() {
        let error = TimeSpec::parse("14").unwrap_err().to_string();
        assert!(error.ends_with("or 14:00 for a time of day"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "\\PC{0,24}|[0-9:.+TZ -]{0,24}") {
            if let Ok(spec) = TimeSpec::parse(&text) {
                prop_assert_eq!(TimeSpec::parse(&spec.to_string()), Ok(spec));
            }
        }

        #[test]
        fn dates_are_those_of_jiff(
            second in -9_000_000_000_i64..200_000_000_000,
            nanos in 0..1_000_000_000_i32,
        ) {
            let instant = Timestamp::new(second, nanos).unwrap();
            prop_assert_eq!(spec(&instant.to_string()), TimeSpec::Instant(instant));
            let date = TimeZone::UTC.to_datetime(instant);
            prop_assert_eq!(spec(&date.to_string()), TimeSpec::Date(date));
            prop_assert_eq!(spec(&date.time().to_string()), TimeSpec::Clock(date.time()));
        }
    }
}
