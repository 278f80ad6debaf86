//! Rules applied to what was measured.
//!
//! A change fails a rule only when it passes the limit in percent *and* the absolute one, *and* all
//! of its interval lies beyond the limit in percent, *and* both sides have samples enough: noise has
//! to get past all four.

use spandrel_storage::query::compare::{
    Bootstrap, Change, Comparison, Metric, SampleSet, Samples, SpanName,
};

use super::rules::{Bound, Quantity, Rule, Rules};
use crate::commands::sides::Side;
use crate::output::text;

/// What a rule says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// Too little is known.
    NotJudged,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotJudged => "not_judged",
        }
    }

    pub(super) fn in_words(self) -> String {
        self.as_str().replace('_', " ")
    }
}

/// A rule and a name.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// The name of the spans; nothing for a rule of the run.
    pub(super) span: String,
    pub(super) quantity: Quantity,
    /// The limit, in words.
    pub(super) limit: String,
    /// What was measured, in words, or why nothing was.
    pub(super) said: String,
    /// Nanoseconds or a number.
    pub(super) value: Option<f64>,
    pub(super) baseline: Option<f64>,
    /// Of the value for a limit, of the change (a share of one) for a change.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) samples: u64,
}

/// What is judged, and by what.
pub(super) struct Judge<'a> {
    pub(super) side: &'a Side,
    pub(super) samples: &'a SampleSet,
    pub(super) baseline: Option<&'a Comparison>,
    pub(super) how: Bootstrap,
}

impl Judge<'_> {
    /// The verdict of each rule on each name that it fits.
    pub(super) fn judge(&self, rules: &Rules) -> Vec<Verdict> {
        rules.rules.iter().flat_map(|rule| self.apply(rule)).collect()
    }

    fn apply(&self, rule: &Rule) -> Vec<Verdict> {
        if rule.quantity.is_of_run() {
            return vec![self.of_run(rule)];
        }
        let names = self.names(rule);
        if names.is_empty() {
            return vec![rule.not_judged(&rule.span, "there is no such span")];
        }
        names.into_iter().map(|name| self.of_name(rule, name)).collect()
    }

    /// The names that the rule is for; on either side, so that one that is gone is told of.
    fn names(&self, rule: &Rule) -> Vec<&SpanName> {
        let fits = |name: &&SpanName| {
            let target = rule.target.as_ref();
            wildcard(&rule.span, &name.name)
                && target.is_none_or(|target| wildcard(target, &name.target))
        };
        match (rule.bound, self.baseline) {
            (Bound::Change { .. }, Some(baseline)) => {
                baseline.changes.iter().map(|change| &change.name).filter(fits).collect()
            }
            _ => self.samples.iter().map(|(name, _)| name).filter(fits).collect(),
        }
    }

    fn of_run(&self, rule: &Rule) -> Verdict {
        let value = match rule.quantity {
            Quantity::Dropped => self.side.dropped(),
            _ => self.side.unfinished(),
        };
        let said = text::count(value);
        rule.limited("", value as f64, None, said, u64::MAX)
    }

    fn of_name(&self, rule: &Rule, name: &SpanName) -> Verdict {
        let none = Samples::default();
        let samples = self.samples.get(name).unwrap_or(&none);
        if let Bound::Change { percent, absolute } = rule.bound {
            let change = self.baseline.and_then(|all| all.changes.iter().find(|c| c.name == *name));
            return match change {
                Some(change) => rule.changed(change, percent, absolute),
                None => rule.not_judged(&name.name, "there is no baseline; give --baseline"),
            };
        }
        let calls = samples.calls();
        if calls < rule.samples {
            let said =
                format!("{}, needs {}", text::counted(calls, "sample"), text::count(rule.samples));
            return Verdict { samples: calls, ..rule.not_judged(&name.name, &said) };
        }
        let (value, interval) = match rule.quantity {
            Quantity::Metric(metric) => match samples.measure(metric, &self.how) {
                Some(measured) => (measured.value, Some((measured.low, measured.high))),
                None => return rule.not_judged(&name.name, &too_few(samples, metric)),
            },
            Quantity::Max => (samples.max_ns() as f64, None),
            _ => (samples.errors() as f64 / calls as f64, None),
        };
        rule.limited(&name.name, value, interval, rule.quantity.text(value), calls)
    }
}

fn too_few(samples: &Samples, metric: Metric) -> String {
    let (calls, needed) = (samples.calls(), text::count(metric.samples_min()));
    format!("{}, {} needs {needed}", text::counted(calls, "sample"), metric.as_str())
}

impl Rule {
    fn not_judged(&self, span: &str, said: &str) -> Verdict {
        Verdict {
            outcome: Outcome::NotJudged,
            span: span.into(),
            quantity: self.quantity,
            limit: self.limit(),
            said: said.into(),
            value: None,
            baseline: None,
            interval: None,
            samples: 0,
        }
    }

    /// The limit in words: `<= 60.00 ms`, `+5% and +50.00 µs`.
    fn limit(&self) -> String {
        match self.bound {
            Bound::Max(max) => format!("<= {}", self.quantity.text(max)),
            Bound::Min(min) => format!(">= {}", self.quantity.text(min)),
            Bound::Change { percent, absolute } if absolute > 0.0 => {
                format!("+{percent}% and +{}", self.quantity.text(absolute))
            }
            Bound::Change { percent, .. } => format!("+{percent}%"),
        }
    }

    /// By a limit on the value. With an interval, all of it must lie beyond.
    fn limited(
        &self,
        span: &str,
        value: f64,
        interval: Option<(f64, f64)>,
        said: String,
        samples: u64,
    ) -> Verdict {
        let (low, high) = interval.unwrap_or((value, value));
        let failed = match self.bound {
            Bound::Max(max) => value > max && low > max,
            Bound::Min(min) => value < min && high < min,
            Bound::Change { .. } => false,
        };
        Verdict {
            outcome: if failed { Outcome::Failed } else { Outcome::Passed },
            value: Some(value),
            interval,
            samples,
            said,
            ..self.not_judged(span, "")
        }
    }

    /// By a change from the baseline.
    fn changed(&self, change: &Change, percent: f64, absolute: f64) -> Verdict {
        let Quantity::Metric(metric) = self.quantity else {
            return self.not_judged(&change.name.name, "cannot be compared");
        };
        let delta = change.delta(metric);
        let [a, b] = [&change.a, &change.b].map(|side| side.as_ref().map_or(0, Samples::calls));
        let not_judged = |said: &str| Verdict {
            value: delta.b,
            baseline: delta.a,
            samples: b,
            ..self.not_judged(&change.name.name, said)
        };
        match (a, b) {
            (0, _) => return not_judged("new: the baseline has none"),
            (_, 0) => return not_judged("gone: only the baseline has it"),
            _ => {}
        }
        let needed = self.samples.max(metric.samples_min());
        let (Some(estimate), Some(before), Some(now)) = (delta.estimate, delta.a, delta.b) else {
            return not_judged(&format!("{a} and {}, needs {needed}", text::counted(b, "sample")));
        };
        if a.min(b) < needed {
            return not_judged(&format!("{a} and {}, needs {needed}", text::counted(b, "sample")));
        }
        let limit = percent / 100.0;
        let (low, high) = (estimate.low, estimate.high);
        let failed = estimate.change > limit && now - before > absolute && low > limit;
        let percent = |share: f64| format!("{:+.1}", share * 100.0);
        let said = format!(
            "{}% [{}, {}]   {} -> {}   n {} / {}",
            percent(estimate.change),
            percent(low),
            percent(high),
            self.quantity.text(before),
            self.quantity.text(now),
            text::count(a),
            text::count(b),
        );
        Verdict {
            outcome: if failed { Outcome::Failed } else { Outcome::Passed },
            interval: Some((low, high)),
            ..not_judged(&said)
        }
    }
}

impl Quantity {
    /// A value in words.
    pub(super) fn text(self, value: f64) -> String {
        if self.is_time() {
            text::duration_in_words(value as i64)
        } else if self == Self::ErrorRate {
            text::share(value)
        } else {
            text::count(value as u64)
        }
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // What stands between stars is taken where it comes first: more is then left for the others.
    let mut rest = rest;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("db.*", "db.query", true),
            ("db.*", "adb.query", false),
            ("*.query", "db.query", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} {text}");
        }
    }
}
