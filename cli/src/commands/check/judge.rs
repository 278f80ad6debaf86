//! Rules applied to what was measured.
//!
//! A change fails a rule only when it passes the limit in percent *and* the absolute one, *and* all
//! of its interval lies beyond the limit in percent, *and* both sides have samples enough: noise has
//! to get past all four. What is exact, such as a count, has neither an interval nor too few samples. A written
//! rule that matches no span fails: it could never fail otherwise.

use std::collections::HashSet;

use spandrel_query::CountedBy;
use spandrel_query::OrderRows as _;
use spandrel_query::compare::{
    Bootstrap, Change, Comparison, JUDGED_MAX, Metric, SampleSet, Samples, SpanName,
};
use spandrel_query::nearest;

use super::longest::Longest;
use super::rules::{Bound, Quantity, Rule, Rules};
use super::wildcard::wildcard;
use crate::commands::sides::Side;
use crate::output::text;

/// The result of a rule for a name.
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
    /// Their target, if they are known.
    pub(super) target: Option<String>,
    /// What is counted of them, if they are known.
    pub(super) by: Option<CountedBy>,
    /// Whether spans of another target have that name, too.
    pub(super) is_ambiguous: bool,
    pub(super) quantity: Quantity,
    pub(super) limit: String,
    /// What was measured, in words, or why nothing was.
    pub(super) said: String,
    /// Nanoseconds or a number.
    pub(super) value: Option<f64>,
    pub(super) baseline: Option<f64>,
    /// Of the value for a limit, of the change (a share of one) for a change.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) samples: u64,
    /// Of how many names it is.
    pub(super) names: u64,
}

impl Verdict {
    /// Of one name, of which nothing was measured.
    fn not_judged(quantity: Quantity, span: &str, limit: String, said: &str) -> Self {
        Self {
            outcome: Outcome::NotJudged,
            span: span.into(),
            target: None,
            by: None,
            is_ambiguous: false,
            quantity,
            limit,
            said: said.into(),
            value: None,
            baseline: None,
            interval: None,
            samples: 0,
            names: 1,
        }
    }

    /// The name of the spans; with the target where that tells it from an equal one, and marked if their
    /// entries count.
    pub(super) fn name(&self) -> String {
        let name = match &self.target {
            Some(target) if self.is_ambiguous => format!("{} ({target})", self.span),
            _ => self.span.clone(),
        };
        if self.has_entries() { format!("{name} {}", text::LONG) } else { name }
    }

    pub(super) fn has_entries(&self) -> bool {
        self.by.is_some_and(CountedBy::has_entries)
    }
}

/// Verdicts of each outcome that are listed for a rule; one more says how many others there are.
const LISTED_MAX: usize = 2_000;

/// Why nothing is known of busy time.
const UNMEASURED: &str = "busy time was not measured: record with busy_time(true)";

/// A name, and what is known of it.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a SpanName,
    samples: Option<&'a Samples>,
    /// The comparison with the baseline, if there is one.
    change: Option<&'a Change<'a>>,
}

/// What is judged, and the rules.
pub(super) struct Judge<'a> {
    pub(super) side: &'a Side,
    pub(super) samples: &'a SampleSet,
    pub(super) baseline: Option<&'a Comparison<'a>>,
    /// The spans of the baseline.
    pub(super) before: Option<&'a SampleSet>,
    pub(super) longest: &'a Longest,
    pub(super) how: Bootstrap,
}

impl Judge<'_> {
    /// The result of each rule for each name that it fits; and results for whatever makes the gate
    /// unable to fail.
    pub(super) fn judge(&self, rules: &Rules) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> =
            rules.rules.iter().flat_map(|rule| self.apply(rule)).collect();
        let ambiguous_names = self.ambiguous_names();
        for verdict in &mut verdicts {
            verdict.is_ambiguous = ambiguous_names.contains(verdict.span.as_str());
        }
        if !rules.rules.iter().any(|rule| rule.quantity == Quantity::Spans) {
            verdicts.extend(self.nothing_there());
        }
        verdicts.extend(nothing_judged(&verdicts));
        verdicts
    }

    /// Names that only the target tells apart.
    fn ambiguous_names(&self) -> HashSet<&str> {
        let sides = [Some(self.samples), self.before].into_iter().flatten();
        let mut names: Vec<&SpanName> =
            sides.flat_map(|side| side.iter().map(|(name, _)| name)).collect();
        // Two sorted parts, which takes a single pass.
        names.order_by(Ord::cmp);
        names.dedup();
        let pairs = names.iter().zip(names.iter().skip(1));
        pairs
            .filter(|(one, next)| one.name == next.name && one.target != next.target)
            .map(|(one, _)| one.name.as_str())
            .collect()
    }

    /// A failure for each side without spans, as no rule could fail on it.
    fn nothing_there(&self) -> Vec<Verdict> {
        let empty = |samples: &SampleSet, what: &str| {
            let said = format!("0: {what} has no closed span of what is asked about");
            (samples.calls() == 0).then(|| failed(Quantity::Spans, &said))
        };
        let checked = empty(self.samples, "what is checked");
        let before = self.before.and_then(|before| empty(before, "the baseline"));
        checked.into_iter().chain(before).collect()
    }

    fn apply(&self, rule: &Rule) -> Vec<Verdict> {
        if rule.quantity.is_of_run() {
            return vec![self.of_run(rule)];
        }
        if let (Bound::Change { .. }, None) = (rule.bound, self.baseline) {
            return vec![rule.not_judged(&rule.span, "there is no baseline; give --baseline")];
        }
        let names = self.names(rule);
        if names.iter().any(|named| named.samples.is_some_and(|s| s.calls() > 0)) {
            return self.of_names(rule, &names);
        }
        let said = self.absent(rule);
        let is_limit = !matches!(rule.bound, Bound::Change { .. });
        vec![match rule.quantity {
            // A name that is missing has zero calls, which is exact.
            Quantity::Metric(Metric::Calls) if is_limit => {
                rule.limited(&rule.span, 0.0, None, format!("0: {said}"), 0)
            }
            _ if rule.is_explicit => {
                Verdict { outcome: Outcome::Failed, ..rule.not_judged(&rule.span, &said) }
            }
            _ => rule.not_judged(&rule.span, &said),
        }]
    }

    /// A verdict on each name; there can be half a million, so that some are put together.
    fn of_names(&self, rule: &Rule, names: &[Named<'_>]) -> Vec<Verdict> {
        let is_change = matches!(rule.bound, Bound::Change { .. }) && !rule.quantity.is_count();
        let is_left =
            |named: &Named<'_>| is_change && named.change.is_some_and(|change| !change.is_judged());
        let (mut verdicts, mut left) = (Vec::new(), 0);
        let mut of = [Outcome::Failed, Outcome::Passed, Outcome::NotJudged].map(|one| (one, 0));
        for named in names {
            if is_left(named) {
                left += 1;
                continue;
            }
            let verdict = self.of_name(rule, named, names.len() > JUDGED_MAX);
            let counted = of.iter_mut().find(|(outcome, _)| *outcome == verdict.outcome);
            let Some((_, count)) = counted else { continue };
            *count += 1;
            if *count <= LISTED_MAX {
                let target = Some(named.name.target.to_string());
                verdicts.push(Verdict { target, by: Some(named.name.counted), ..verdict });
            }
        }
        let together = |outcome: Outcome, names: usize, said: &str| {
            let names = names as u64;
            let said = format!("{}{said}", text::counted(names, "name"));
            Verdict { outcome, names, ..rule.not_judged(&rule.span, &said) }
        };
        for (outcome, count) in of.into_iter().filter(|(_, count)| *count > LISTED_MAX) {
            verdicts.push(together(outcome, count - LISTED_MAX, " more that are not listed"));
        }
        if left > 0 {
            let said =
                format!("; of more than {JUDGED_MAX} those that rules name, and the heaviest, are");
            verdicts.push(together(Outcome::NotJudged, left, &said));
        }
        verdicts
    }

    /// Why a rule fits no name, and which name may have been meant.
    fn absent(&self, rule: &Rule) -> String {
        let known = self.samples.iter().map(|(name, _)| name.name.as_str());
        let near = nearest(&rule.span, known, 1).first().map(|name| text::clean(name));
        let only_before = self.before.is_some_and(|before| {
            before.iter().any(|(name, samples)| rule.is_for(name) && samples.calls() > 0)
        });
        match near {
            _ if only_before => "there is no such span; only the baseline has it".into(),
            Some(near) => format!("there is no such span; did you mean {near}?"),
            None => "there is no such span".into(),
        }
    }

    /// The names for a rule, from both sides, so that a name that is gone is reported.
    fn names(&self, rule: &Rule) -> Vec<Named<'_>> {
        let is_for = |named: &Named<'_>| rule.is_for(named.name);
        match (rule.bound, self.baseline) {
            (Bound::Change { .. }, Some(baseline)) => {
                let changes = baseline.changes.iter();
                let named = changes.map(|change| Named {
                    name: change.name,
                    samples: change.b,
                    change: Some(change),
                });
                named.filter(is_for).collect()
            }
            _ => {
                let named = |(name, samples)| Named { name, samples: Some(samples), change: None };
                self.samples.iter().map(named).filter(is_for).collect()
            }
        }
    }

    fn of_run(&self, rule: &Rule) -> Verdict {
        let value = match rule.quantity {
            Quantity::Dropped => self.side.dropped(),
            Quantity::Spans => self.samples.spans(),
            _ => self.side.unfinished(),
        };
        let said = text::count(value);
        rule.limited("", value as f64, None, said, u64::MAX)
    }

    /// With many names, an interval that cannot change the outcome is not computed.
    fn of_name(&self, rule: &Rule, named: &Named<'_>, of_many: bool) -> Verdict {
        let none = Samples::default();
        let (name, samples) = (named.name, named.samples.unwrap_or(&none));
        if let Bound::Change { percent, absolute } = rule.bound {
            return match named.change {
                Some(change) if rule.quantity.is_count() => {
                    rule.calls_changed(change, percent, absolute)
                }
                Some(change) => rule.changed(change, percent, absolute),
                None => rule.not_judged(&name.name, "there is no baseline; give --baseline"),
            };
        }
        let calls = samples.calls();
        let needed = match rule.quantity {
            Quantity::Metric(Metric::Calls) => return rule.calls(name, samples),
            Quantity::Metric(_) => rule.samples,
            _ => rule.samples_of_exact,
        };
        if calls < needed {
            let said = format!("{}, needs {}", text::counted(calls, "sample"), text::count(needed));
            return Verdict { samples: calls, ..rule.not_judged(&name.name, &said) };
        }
        let (value, interval) = match rule.quantity {
            Quantity::Metric(metric) if of_many && rule.is_kept(samples, metric) => {
                (samples.figure(metric).unwrap_or(0.0), None)
            }
            Quantity::Metric(metric) => match samples.measure(metric, &self.how) {
                Some(measured) => (measured.value, Some((measured.low, measured.high))),
                None if metric == Metric::Busy && samples.busy_ns().is_none() => {
                    return rule.not_judged(&name.name, UNMEASURED);
                }
                None => return rule.not_judged(&name.name, &too_few(samples, metric)),
            },
            Quantity::Longest => return self.longest.judge(rule, name, calls),
            Quantity::Max => (samples.max_ns() as f64, None),
            // A span fails once, however often it was entered; as long as none has closed, none has failed.
            _ => (samples.errors() as f64 / samples.spans().max(1) as f64, None),
        };
        rule.limited(&name.name, value, interval, rule.quantity.text(value), calls)
    }
}

/// If none of the spans of a rule could be judged, the rule would pass whatever they did.
fn nothing_judged(verdicts: &[Verdict]) -> Option<Verdict> {
    let mut of_spans = verdicts.iter().filter(|verdict| !verdict.quantity.is_of_run()).peekable();
    of_spans.peek()?;
    let is_judged = |verdict: &Verdict| verdict.outcome != Outcome::NotJudged;
    (!of_spans.any(is_judged)).then(|| {
        let said = "0: nothing is known of any span, which is no pass";
        failed(Quantity::Judged, said)
    })
}

/// The verdict on what every check requires, where it is missing.
fn failed(quantity: Quantity, said: &str) -> Verdict {
    Verdict {
        outcome: Outcome::Failed,
        value: Some(0.0),
        samples: u64::MAX,
        ..Verdict::not_judged(quantity, "", ">= 1".into(), said)
    }
}

/// How many names have this outcome.
pub(super) fn count(verdicts: &[Verdict], outcome: Outcome) -> u64 {
    let such = verdicts.iter().filter(|verdict| verdict.outcome == outcome);
    such.map(|verdict| verdict.names).sum()
}

fn too_few(samples: &Samples, metric: Metric) -> String {
    let (calls, needed) = (samples.calls(), text::count(metric.samples_min()));
    format!("{}, {} needs {needed}", text::counted(calls, "sample"), metric.as_str())
}

impl Rule {
    /// Whether a rule names this name, instead of all.
    pub(super) fn names(&self, name: &SpanName) -> bool {
        self.is_explicit && self.span != "*" && self.is_for(name)
    }

    fn is_for(&self, name: &SpanName) -> bool {
        let target = self.target.as_ref();
        wildcard(&self.span, &name.name)
            && target.is_none_or(|target| wildcard(target, &name.target))
            && self.by.is_none_or(|by| by == name.counted)
    }

    /// Whether the value keeps a limit, regardless of its interval.
    fn is_kept(&self, samples: &Samples, metric: Metric) -> bool {
        let is_enough = samples.calls() >= metric.samples_min();
        let value = samples.figure(metric).filter(|_| is_enough);
        value.is_some_and(|value| match self.bound {
            Bound::Max(max) => value <= max,
            Bound::Min(min) => value >= min,
            Bound::Change { .. } => false,
        })
    }

    pub(super) fn not_judged(&self, span: &str, said: &str) -> Verdict {
        Verdict::not_judged(self.quantity, span, self.limit(), said)
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

    /// Judges the value by a limit. If it has an interval, all of it must lie beyond the limit to fail.
    pub(super) fn limited(
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

    /// Judges the change from the baseline.
    fn changed(&self, change: &Change<'_>, percent: f64, absolute: f64) -> Verdict {
        let Quantity::Metric(metric) = self.quantity else {
            return self.not_judged(&change.name.name, "cannot be compared");
        };
        let delta = change.delta(metric);
        let [a, b] = [change.a, change.b].map(|side| side.map_or(0, Samples::calls));
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
        let is_measured =
            |side: Option<&Samples>| side.is_some_and(|side| side.busy_ns().is_some());
        match (metric, delta.a) {
            (Metric::Busy, _) if !(is_measured(change.a) && is_measured(change.b)) => {
                return not_judged(UNMEASURED);
            }
            (Metric::Busy, Some(0.0)) => {
                return not_judged("the baseline was never busy: there is no share of nothing");
            }
            _ => {}
        }
        let (Some(estimate), Some(before), Some(now)) = (delta.estimate, delta.a, delta.b) else {
            return not_judged(&format!("{a} and {}, needs {needed}", text::counted(b, "sample")));
        };
        if a.min(b) < needed {
            return not_judged(&format!("{a} and {}, needs {needed}", text::counted(b, "sample")));
        }
        let limit = percent / 100.0;
        let (low, high) = (estimate.low, estimate.high);
        let failed = estimate.change > limit
            && delta.difference.is_some_and(|more| more > absolute)
            && low > limit;
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
