//! Which spans to explain: `p95..`, `20ms..`, `10ms..50ms`, or a filter.

use spandrel_query::{Filter, Matcher, Run, SpanRef, Subject, parse_duration_ns};

use crate::commands::hist::Durations;
use crate::failure::Failure;
use crate::output::{text, unmeasured_by};

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SelectionSpec {
    /// Durations from here to before there.
    Between(Option<Bound>, Option<Bound>),
    /// Spans for which a filter holds.
    Filter(Filter),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    Percentile(f64),
    Ns(i64),
}

/// Which spans are selected, after percentiles were looked up.
#[derive(Debug)]
pub(super) enum Selection {
    Between(Option<i64>, Option<i64>),
    Filter(Box<Matcher>),
}

pub(super) fn parse(text: &str) -> Result<SelectionSpec, Failure> {
    let Some((from, until)) = text.split_once("..").filter(|_| is_range(text)) else {
        let filter = Filter::parse(text)
            .map_err(|error| Failure::usage(format!("--sel: {}", error.render())))?;
        return Ok(SelectionSpec::Filter(filter));
    };
    Ok(SelectionSpec::Between(bound(from)?, bound(until)?))
}

/// A range begins with a digit, a `p` and a digit, or with the dots.
fn is_range(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix('p').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with("..")
}

fn bound(text: &str) -> Result<Option<Bound>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(percent) = text.strip_prefix('p') {
        return match percent.parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Some(Bound::Percentile(percent))),
            _ => Err(Failure::usage(format!("--sel: {text:?} is no percentile"))
                .hint("such as p95 or p99.9")),
        };
    }
    let ns = parse_duration_ns(text);
    ns.map(|ns| Some(Bound::Ns(ns))).map_err(|error| {
        Failure::usage(format!("--sel: {error}"))
            .hint("p95.., 20ms.., 10ms..50ms, or a filter such as 'field.shard=7'")
    })
}

impl SelectionSpec {
    /// What is needed to decide whether a span is selected, besides its duration.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Between(..) => Vec::new(),
            Self::Filter(filter) => filter.subjects(),
        }
    }

    /// Why no span of a run can be selected, if the selection needs what was not measured.
    pub(super) fn unmeasured(&self, run: &Run) -> Option<String> {
        match self {
            Self::Between(..) => None,
            Self::Filter(filter) => unmeasured_by(filter, std::slice::from_ref(run)),
        }
    }

    /// Looks up the percentiles among these durations.
    pub(super) fn of(&self, durations: &Durations) -> Selection {
        let ns = |bound: &Bound| match bound {
            Bound::Ns(ns) => *ns,
            Bound::Percentile(percent) => {
                let ns = durations.percentile(percent / 100.0).unwrap_or(0);
                i64::try_from(ns).unwrap_or(i64::MAX)
            }
        };
        match self {
            Self::Between(from, until) => {
                Selection::Between(from.as_ref().map(ns), until.as_ref().map(ns))
            }
            Self::Filter(filter) => Selection::Filter(Box::new(filter.matcher())),
        }
    }

    /// `dur >= p95 = 29.47 ms`.
    pub(super) fn in_words(&self, selection: &Selection) -> String {
        let (Self::Between(from, until), Selection::Between(from_ns, until_ns)) = (self, selection)
        else {
            return match self {
                Self::Filter(filter) => text::clean(&filter.to_string()),
                Self::Between(..) => String::new(),
            };
        };
        let side = |sign: &str, bound: &Option<Bound>, ns: &Option<i64>| {
            let ns = text::duration_in_words((*ns)?);
            Some(match (*bound)? {
                Bound::Percentile(percent) => format!("dur {sign} p{percent} = {ns}"),
                Bound::Ns(_) => format!("dur {sign} {ns}"),
            })
        };
        let sides = [side(">=", from, from_ns), side("<", until, until_ns)];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        if sides.is_empty() { "all".into() } else { sides.join(", ") }
    }
}

impl Selection {
    pub(super) fn has(&mut self, span: &SpanRef<'_>) -> bool {
        match self {
            Self::Between(from, until) => span.duration_ns.is_some_and(|ns| {
                from.is_none_or(|from| ns >= from) && until.is_none_or(|until| ns < until)
            }),
            Self::Filter(matcher) => matcher.matches(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_read() {
        let ms = |ms: i64| Some(Bound::Ns(ms * 1_000_000));
        let p = |percent| Some(Bound::Percentile(percent));
        for (text, wanted) in [
            ("p95..", SelectionSpec::Between(p(95.0), None)),
            ("..p50", SelectionSpec::Between(None, p(50.0))),
            ("p99.9..", SelectionSpec::Between(p(99.9), None)),
            ("20ms..", SelectionSpec::Between(ms(20), None)),
            ("10ms..50ms", SelectionSpec::Between(ms(10), ms(50))),
            ("p50 .. 20ms", SelectionSpec::Between(p(50.0), ms(20))),
        ] {
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        }
        for text in ["field.shard=7", "name=a..b", "panic", "target~^a..b"] {
            assert!(matches!(parse(text).unwrap(), SelectionSpec::Filter(_)), "{text}");
        }
        for text in ["p101..", "p9x..", "20..", "20ms..x", "nmae=1 ("] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn said_in_words() {
        let mut durations = Durations::default();
        (1..=100).for_each(|ms| durations.record(ms * 1_000_000));
        let words = |text: &str| {
            let wanted = parse(text).unwrap();
            let selection = wanted.of(&durations);
            wanted.in_words(&selection)
        };
        assert!(words("p95..").starts_with("dur >= p95 = 9"), "{}", words("p95.."));
        assert_eq!(words("10ms..50ms"), "dur >= 10.00 ms, dur < 50.00 ms");
        assert_eq!(words(".."), "all");
        assert_eq!(words("field.shard=7"), "field.shard=7");
    }
}
