//! From what was written to nanoseconds of a run.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::super::duration::DurationNs;
use super::clock::newest_within;
use super::{TimeError, TimeRange, TimeSpec};
use crate::reader::{Mark, Run};

/// When a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// Its start, nanoseconds since the Unix epoch.
    pub started_unix_ns: i64,
    /// The newest moment in its rows, nanoseconds since the start.
    pub last_ns: i64,
    /// Its end, nanoseconds since the Unix epoch; `None` for one that is live or was killed.
    pub ended_unix_ns: Option<i64>,
}

impl From<&Run> for RunTimes {
    fn from(run: &Run) -> Self {
        Self {
            started_unix_ns: run.info.started_unix_ns,
            // By its own clock; by the system's time only if that says nothing.
            last_ns: run.length_ns(),
            ended_unix_ns: run.ended_unix_ns.filter(|_| run.told_ns == 0),
        }
    }
}

impl RunTimes {
    /// The end of the run, or its newest moment, nanoseconds since the start. Not before the newest
    /// row: the end is a system time, which can be set back.
    pub fn end_ns(&self) -> i64 {
        let ended = self.ended_unix_ns.map(|ended| ended.saturating_sub(self.started_unix_ns));
        ended.unwrap_or(0).max(self.last_ns).max(0)
    }

    /// As system time, nanoseconds since the Unix epoch.
    fn unix_ns(&self, ns: i64) -> i128 {
        i128::from(self.started_unix_ns) + i128::from(ns)
    }

    /// Since the start of the run.
    fn since_start_ns(&self, unix_ns: i128) -> i64 {
        let ns = unix_ns - i128::from(self.started_unix_ns);
        let clamped = ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        i64::try_from(clamped).unwrap_or(i64::MAX)
    }
}

/// A time of a run, nanoseconds since its start: a span belongs to it if it starts in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first moment of it; `None` if there is no limit.
    pub from_ns: Option<i64>,
    /// The first moment behind it; `None` if there is no limit.
    pub until_ns: Option<i64>,
}

impl Window {
    /// Whether a span with this start belongs to it.
    pub fn contains(&self, start_ns: i64) -> bool {
        self.from_ns.is_none_or(|from| from <= start_ns)
            && self.until_ns.is_none_or(|until| start_ns < until)
    }

    /// Whether everything does.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// Which end of a range a moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Since,
    Until,
}

struct Resolver<'a> {
    run: &'a RunTimes,
    marks: &'a [Mark],
    zone: &'a TimeZone,
}

impl TimeRange {
    /// The window of a run.
    ///
    /// # Errors
    ///
    /// A mark that the run does not have, and a time in which nothing of the run can be: one that
    /// ends before it begins, or that is before the run or after it.
    pub fn resolve(
        &self,
        run: &RunTimes,
        marks: &[Mark],
        zone: &TimeZone,
    ) -> Result<Window, TimeError> {
        let resolver = Resolver { run, marks, zone };
        let window = match &self.section {
            Some(label) => resolver.section(label)?,
            None => {
                // The end first: a time of day at the beginning is one before it.
                let until = match &self.until {
                    Some(until) => resolver.moment(until, Side::Until, run.end_ns())?,
                    None => None,
                };
                let before = until.map_or(run.end_ns(), |until| until.min(run.end_ns()));
                let from = match &self.since {
                    Some(since) => resolver.moment(since, Side::Since, before)?,
                    None => None,
                };
                Window { from_ns: from, until_ns: until }
            }
        };
        resolver.refuse_empty(window)
    }
}

impl Resolver<'_> {
    /// Nanoseconds since the start of the run; `None` for the limits that the run itself is.
    fn moment(&self, spec: &TimeSpec, side: Side, before: i64) -> Result<Option<i64>, TimeError> {
        let end_ns = self.run.end_ns();
        Ok(Some(match spec {
            // Whatever starts in the last nanosecond belongs to it, too.
            TimeSpec::End if side == Side::Until => return Ok(None),
            TimeSpec::Start if side == Side::Since => return Ok(None),
            TimeSpec::End => end_ns,
            TimeSpec::Start => 0,
            TimeSpec::Ago(0) if side == Side::Until => return Ok(None),
            TimeSpec::Ago(ago) => end_ns.saturating_sub(*ago),
            TimeSpec::SinceStart(ns) => *ns,
            TimeSpec::Instant(instant) => self.run.since_start_ns(instant.as_nanosecond()),
            TimeSpec::Date(date) => {
                let instant = self.zone.to_timestamp(*date).map_err(|source| {
                    TimeError::new(format!("{date} is no moment of the calendar: {source}"))
                })?;
                self.run.since_start_ns(instant.as_nanosecond())
            }
            TimeSpec::Clock(time) => self.clock(*time, before)?,
            TimeSpec::Mark(label) => {
                let mark = self.mark(label)?;
                match side {
                    Side::Since => mark.at_ns,
                    Side::Until => mark.until_ns.unwrap_or(mark.at_ns),
                }
            }
        }))
    }

    fn clock(&self, time: Time, before: i64) -> Result<i64, TimeError> {
        let start = self.run.unix_ns(0);
        let before = self.run.unix_ns(before.max(0));
        newest_within(time, start, before, self.zone)
            .map(|unix_ns| self.run.since_start_ns(unix_ns))
            .ok_or_else(|| {
                TimeError::new("the run is out of the calendar; write +12.5s or 30s instead")
            })
    }

    /// The newest mark of the label.
    fn mark(&self, label: &str) -> Result<&Mark, TimeError> {
        let same = self.marks.iter().filter(|mark| mark.label == label);
        same.max_by_key(|mark| (mark.at_ns, mark.id)).ok_or_else(|| {
            let known: Vec<&str> = self.marks.iter().map(|mark| mark.label.as_str()).collect();
            TimeError::unknown_mark(label, &known)
        })
    }

    fn section(&self, label: &str) -> Result<Window, TimeError> {
        let mark = self.mark(label)?;
        match mark.until_ns {
            Some(until) => Ok(Window { from_ns: Some(mark.at_ns), until_ns: Some(until) }),
            None => Err(TimeError::new(format!(
                "the mark {label:?} is a moment and no section; \
                 write mark:\"{label}\".. for what comes after it"
            ))),
        }
    }

    fn refuse_empty(&self, window: Window) -> Result<Window, TimeError> {
        let end_ns = self.run.end_ns();
        let from = window.from_ns.unwrap_or(i64::MIN);
        let until = window.until_ns.unwrap_or(i64::MAX);
        let fault = if from >= until {
            "the time ends before it begins"
        } else if from > end_ns {
            "the time begins after the end of the run"
        } else if until <= 0 {
            "the time ends before the start of the run"
        } else {
            return Ok(window);
        };
        let asked = |limit: Option<i64>| limit.map_or_else(String::new, |ns| self.on_clock(ns));
        let (from, until) = (asked(window.from_ns), asked(window.until_ns));
        Err(TimeError::new(format!(
            "{fault}: asked for {from}..{until}, the run is from {} to {}, {} long",
            self.on_clock(0),
            self.on_clock(end_ns),
            DurationNs(end_ns)
        )))
    }

    /// In the time zone that is asked for, to the millisecond.
    fn on_clock(&self, ns: i64) -> String {
        match Timestamp::from_nanosecond(self.run.unix_ns(ns)) {
            Ok(instant) => {
                let zoned = instant.to_zoned(self.zone.clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
            }
            Err(_) => format!("{ns} ns after the start"),
        }
    }
}
