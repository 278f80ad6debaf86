//! The rules of a check: a TOML file, or the default ones.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use spandrel_query::CountedBy;
use spandrel_query::compare::Metric;

use crate::failure::{Failure, did_you_mean};

/// A file of rules. Unknown keys are errors: a rule that is misspelt would never fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default, rename = "rule")]
    rules: Vec<Entry>,
}

/// Defaults for rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Defaults {
    /// A change of fewer percent is no failure.
    percent: f64,
    /// Nor one of less than this, a length of time.
    absolute: String,
    /// Spans that each side needs at least.
    samples: u64,
    /// Confidence level of the intervals, as a share of one.
    pub(super) confidence: f64,
    /// By how many percent two runs differ if nothing has changed. The uncertainty of a side with a
    /// single run; with several runs it is measured.
    between_runs: f64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            percent: 5.0,
            absolute: "20us".into(),
            samples: 200,
            confidence: 0.95,
            between_runs: 5.0,
        }
    }
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    span: Option<String>,
    target: Option<String>,
    by: Option<String>,
    metric: OneOrMore,
    max: Option<Value>,
    min: Option<Value>,
    percent: Option<f64>,
    absolute: Option<Value>,
    samples: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A length of time as text, or a bare number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(f64),
}

const METRICS: [&str; 12] = [
    "p50",
    "p95",
    "p99",
    "mean",
    "busy",
    "max",
    "longest",
    "calls",
    "error_rate",
    "dropped",
    "unfinished",
    "spans",
];

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantity {
    /// A metric with an interval.
    Metric(Metric),
    /// The longest duration of a name.
    Max,
    /// The longest entry of a name on threads that run futures.
    Longest,
    /// The share of spans that failed or panicked, from 0 to 1.
    ErrorRate,
    /// Spans and events that the run lost.
    Dropped,
    /// Spans that the run left unfinished.
    Unfinished,
    /// Closed spans that the run has of what is asked about.
    Spans,
    /// Names that were judged; no metric of a rule.
    Judged,
}

impl Quantity {
    fn parse(text: &str) -> Option<Self> {
        let metric = Metric::ALL.into_iter().find(|metric| metric.as_str() == text);
        Some(match text {
            "max" => Self::Max,
            "longest" => Self::Longest,
            "error_rate" => Self::ErrorRate,
            "dropped" => Self::Dropped,
            "unfinished" => Self::Unfinished,
            "spans" => Self::Spans,
            _ => Self::Metric(metric?),
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.as_str(),
            Self::Max => "max",
            Self::Longest => "longest",
            Self::ErrorRate => "error_rate",
            Self::Dropped => "dropped",
            Self::Unfinished => "unfinished",
            Self::Spans => "spans",
            Self::Judged => "judged",
        }
    }

    /// Whether it is a length of time; a number otherwise.
    pub(super) fn is_time(self) -> bool {
        match self {
            Self::Metric(metric) => metric != Metric::Calls,
            Self::Max | Self::Longest => true,
            Self::ErrorRate | Self::Dropped | Self::Unfinished => false,
            Self::Spans | Self::Judged => false,
        }
    }

    /// Whether it is a count, which is exact however few there are.
    pub(super) fn is_count(self) -> bool {
        self.is_of_run() || self == Self::Metric(Metric::Calls)
    }

    /// Whether it belongs to the run, and not to a name.
    pub(super) fn is_of_run(self) -> bool {
        matches!(self, Self::Dropped | Self::Unfinished | Self::Spans | Self::Judged)
    }
}

/// When a rule fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// Above this, nanoseconds or a number.
    Max(f64),
    /// Below this.
    Min(f64),
    /// More than this over the baseline, in percent and, both, in nanoseconds or a number.
    Change { percent: f64, absolute: f64 },
}

/// A rule for each name that it fits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// A name of spans, `*` for any characters.
    pub(super) span: String,
    pub(super) target: Option<String>,
    /// Only spans that are counted in this way; `None`: all.
    pub(super) by: Option<CountedBy>,
    pub(super) quantity: Quantity,
    pub(super) bound: Bound,
    /// Spans that are needed to judge what has an interval.
    pub(super) samples: u64,
    /// How many spans are needed to judge something exact, except counts: only spans that the rule
    /// itself asks for.
    pub(super) samples_of_exact: u64,
    /// Whether a user has written it: then it has to fit something.
    pub(super) is_explicit: bool,
}

/// Rules, and what holds for all of them.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) confidence: f64,
    /// As a share of one.
    pub(super) between_runs: f64,
}

impl Rules {
    /// Without a file: nothing must be lost, and no name must get slower.
    pub(super) fn default(with_baseline: bool) -> Result<Self, Failure> {
        let changes = "[[rule]]\nspan = \"*\"\nmetric = [\"p50\", \"p95\", \"p99\"]\n";
        let lost = "[[rule]]\nmetric = \"dropped\"\nmax = 0\n";
        let text = format!("{}{lost}", if with_baseline { changes } else { "" });
        let mut rules = Self::parse(&text, "the rules")?;
        rules.rules.iter_mut().for_each(|rule| rule.is_explicit = false);
        Ok(rules)
    }

    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|source| {
            Failure::usage(format!("cannot read the rules {}: {source}", path.display()))
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, of: &str) -> Result<Self, Failure> {
        let file: File = toml::from_str(text)
            .map_err(|error| Failure::usage(format!("{of}: {}", error.to_string().trim_end())))?;
        let confidence = file.defaults.confidence;
        if !(confidence > 0.5 && confidence < 1.0) {
            let message = format!("{of}: confidence is {confidence}");
            return Err(Failure::usage(message).hint("a share between 0.5 and 1, such as 0.95"));
        }
        let between_runs = file.defaults.between_runs / 100.0;
        if !(0.0..10.0).contains(&between_runs) {
            let message = format!("{of}: between_runs is {}", file.defaults.between_runs);
            return Err(Failure::usage(message).hint("a percentage, such as 5"));
        }
        if file.rules.is_empty() {
            return Err(Failure::usage(format!("{of}: there is no [[rule]] in it")));
        }
        let mut rules = Vec::new();
        for (at, entry) in file.rules.iter().enumerate() {
            let of = format!("{of}: rule {}", at + 1);
            entry.rules(&file.defaults, &of, &mut rules)?;
        }
        Ok(Self { rules, confidence, between_runs })
    }
}

impl Entry {
    fn rules(&self, defaults: &Defaults, of: &str, to: &mut Vec<Rule>) -> Result<(), Failure> {
        let metrics = match &self.metric {
            OneOrMore::One(metric) => std::slice::from_ref(metric),
            OneOrMore::More(metrics) => metrics,
        };
        for metric in metrics {
            let quantity = Quantity::parse(metric).ok_or_else(|| {
                let near = did_you_mean(metric, METRICS);
                Failure::usage(format!("{of}: there is no metric {metric:?}"))
                    .hint(format!("{near}there are {}", METRICS.join(", ")))
            })?;
            if self.span.is_none() && !quantity.is_of_run() {
                let message = format!("{of}: says no span");
                return Err(Failure::usage(message).hint("span = \"NAME\", * for any characters"));
            }
            if self.span.is_some() && quantity.is_of_run() {
                let message = format!("{of}: {metric} is of the run, and not of a span");
                return Err(Failure::usage(message).hint("leave out span"));
            }
            to.push(Rule {
                span: self.span.clone().unwrap_or_default(),
                target: self.target.clone(),
                by: self.counted(quantity, of)?,
                quantity,
                bound: self.bound(quantity, defaults, of)?,
                samples: self.samples.unwrap_or(defaults.samples),
                samples_of_exact: self.samples.unwrap_or(1),
                is_explicit: true,
            });
        }
        Ok(())
    }

    /// Which spans of a name are meant, if some are long-lived and some are not.
    fn counted(&self, quantity: Quantity, of: &str) -> Result<Option<CountedBy>, Failure> {
        let Some(text) = &self.by else { return Ok(None) };
        if quantity.is_of_run() {
            let message = format!("{of}: {} is of the run, and not of a span", quantity.as_str());
            return Err(Failure::usage(message).hint("leave out by"));
        }
        let known = [CountedBy::Lifetime, CountedBy::Entries];
        known.into_iter().find(|known| known.as_str() == text).map(Some).ok_or_else(|| {
            Failure::usage(format!("{of}: by = {text:?} is nothing that spans count by"))
                .hint("there are \"lifetime\", and \"entries\" for spans that live long")
        })
    }

    fn bound(&self, quantity: Quantity, defaults: &Defaults, of: &str) -> Result<Bound, Failure> {
        let changes = self.percent.is_some() || self.absolute.is_some();
        match (&self.max, &self.min) {
            (Some(_), Some(_)) => {
                Err(Failure::usage(format!("{of}: has both max and min"))
                    .hint("make two rules of it"))
            }
            (Some(_), None) | (None, Some(_)) if changes => {
                Err(Failure::usage(format!("{of}: has a limit and a change"))
                    .hint("max or min is a limit; percent and absolute are of a change"))
            }
            (Some(max), None) => Ok(Bound::Max(max.number(quantity, of)?)),
            (None, Some(_)) if quantity == Quantity::Longest => {
                let message = format!("{of}: {} needs max", quantity.as_str());
                Err(Failure::usage(message).hint("shorter entries are not looked at"))
            }
            (None, Some(min)) => Ok(Bound::Min(min.number(quantity, of)?)),
            (None, None) if matches!(quantity, Quantity::Metric(_)) => {
                let absolute = match &self.absolute {
                    Some(absolute) => absolute.number(quantity, of)?,
                    None if quantity.is_time() => {
                        Value::Text(defaults.absolute.clone()).number(quantity, of)?
                    }
                    None => 0.0,
                };
                Ok(Bound::Change { percent: self.percent.unwrap_or(defaults.percent), absolute })
            }
            (None, None) => Err(Failure::usage(format!("{of}: {} needs max", quantity.as_str()))
                .hint("changes are judged of p50, p95, p99, mean, busy and calls")),
        }
    }
}

impl Value {
    fn number(&self, quantity: Quantity, of: &str) -> Result<f64, Failure> {
        match self {
            Self::Text(text) if quantity.is_time() => {
                let ns = spandrel_query::parse_duration_ns(text);
                ns.map(|ns| ns as f64).map_err(|error| Failure::usage(format!("{of}: {error}")))
            }
            Self::Number(number) if !quantity.is_time() || *number == 0.0 => Ok(*number),
            Self::Number(number) => {
                let message = format!("{of}: {number} has no unit");
                Err(Failure::usage(message).hint(format!("\"{number}ms\", or us, ns, s")))
            }
            Self::Text(text) => {
                let message =
                    format!("{of}: {text:?} is a text; {} is a number", quantity.as_str());
                Err(Failure::usage(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let text = r#"
            [defaults]
            percent = 3
            [[rule]]
            span = "http.request"
            metric = "p99"
            max = "60ms"
            [[rule]]
            span = "db.*"
            metric = ["p50", "calls"]
            absolute = "0.05ms"
            samples = 10
            [[rule]]
            metric = "dropped"
            max = 0
        "#;
        // A number of calls has no absolute length of time.
        assert!(Rules::parse(text, "x").unwrap_err().message.contains("rule 2"));
        let rules =
            Rules::parse(&text.replace("[\"p50\", \"calls\"]", "\"p50\""), "x").unwrap().rules;
        assert_eq!(rules[0].bound, Bound::Max(6e7));
        assert_eq!(rules[1].bound, Bound::Change { percent: 3.0, absolute: 5e4 });
        assert_eq!((rules[1].samples, rules[0].samples), (10, 200));
        assert_eq!((rules[2].quantity, rules[2].bound), (Quantity::Dropped, Bound::Max(0.0)));
        assert!(rules.iter().all(|rule| rule.is_explicit));
        assert!(Rules::default(true).unwrap().rules.iter().all(|rule| !rule.is_explicit));
        assert_eq!(Rules::default(true).unwrap().rules.len(), 4);
        assert_eq!(Rules::default(false).unwrap().rules.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "no [[rule]]"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"p42\"", "p42"),
            ("[[rule]]\nmetric = \"p50\"", "no span"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"p50\"\nmaximum = 1", "maximum"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"p50\"\nmax = 5", "no unit"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"p50\"\nmax = \"5 parsec\"", "rule 1"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"p50\"\nmax = \"5ms\"\npercent = 3", "a change"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"max\"", "max needs max"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"longest\"", "longest needs max"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"longest\"\nmin = \"1ms\"", "longest needs max"),
            ("[[rule]]\nspan = \"a\"\nmetric = \"dropped\"\nmax = 0", "of the run"),
            ("[defaults]\nconfidence = 95\n[[rule]]\nmetric = \"dropped\"\nmax = 0", "confidence"),
            ("[defaults]\nbetween_runs = -1\n[[rule]]\nmetric = \"dropped\"\nmax = 0", "between"),
            ("[[rule]]\nspan = \"a\"\nby = \"entry\"\nmetric = \"p50\"", "entries"),
            ("[[rule]]\nby = \"entries\"\nmetric = \"dropped\"\nmax = 0", "of the run"),
            ("[[rule", "x"),
        ] {
            let failure = Rules::parse(text, "x").unwrap_err();
            let said = format!("{} {:?}", failure.message, failure.hint);
            assert!(said.contains(named), "{text:?}: {said}");
        }
    }
}
