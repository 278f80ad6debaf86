//! Rules about how many spans there are, which is exact: one more than the limit is beyond it.
//!
//! Of several runs each has to keep the limit, and a change is one only if it is one whichever two runs of
//! the sides are compared.

use spandrel_query::compare::{Change, Samples, SpanName};

use super::judge::{Outcome, Verdict};
use super::rules::{Bound, Rule};
use crate::output::text;

impl Rule {
    /// By a limit on the number of calls in each run.
    pub(super) fn calls(&self, name: &SpanName, samples: &Samples) -> Verdict {
        let counts = Counts::of(Some(samples));
        let value = if let Bound::Min(_) = self.bound { counts.least } else { counts.most };
        self.limited(&name.name, value as f64, None, counts.in_words(), samples.calls())
    }

    /// By how many more calls a run has.
    pub(super) fn calls_changed(
        &self,
        change: &Change<'_>,
        percent: f64,
        absolute: f64,
    ) -> Verdict {
        let [a, b] = [change.a, change.b].map(Counts::of);
        let [before, now] = [a.mean(), b.mean()];
        let not_judged = |said: &str| Verdict {
            value: Some(now),
            baseline: Some(before),
            samples: b.all,
            ..self.not_judged(&change.name.name, said)
        };
        if a.all == 0 {
            return not_judged("new: the baseline has none");
        }
        let more =
            |now: f64, before: f64| if before > 0.0 { now / before - 1.0 } else { f64::INFINITY };
        let (low, high) =
            (more(b.least as f64, a.most as f64), more(b.most as f64, a.least as f64));
        let failed = low > percent / 100.0 && now - before > absolute;
        let mean = more(now, before) * 100.0;
        let said = format!("{mean:+.1}%   {} -> {}", a.in_words(), b.in_words());
        Verdict {
            outcome: if failed { Outcome::Failed } else { Outcome::Passed },
            interval: Some((low, high)).filter(|(low, high)| low.is_finite() && high.is_finite()),
            ..not_judged(&said)
        }
    }
}

/// Calls in the runs of a side.
struct Counts {
    least: u64,
    most: u64,
    all: u64,
    runs: usize,
}

impl Counts {
    fn of(samples: Option<&Samples>) -> Self {
        let counts = samples.map(Samples::calls_by_run).unwrap_or_default();
        Self {
            least: counts.iter().copied().min().unwrap_or(0),
            most: counts.iter().copied().max().unwrap_or(0),
            all: counts.iter().sum(),
            runs: counts.len(),
        }
    }

    /// Calls a run.
    fn mean(&self) -> f64 {
        self.all as f64 / self.runs.max(1) as f64
    }

    /// `71`, or `70..75 a run`.
    fn in_words(&self) -> String {
        if self.least == self.most {
            return text::count(self.most);
        }
        format!("{}..{} a run", text::count(self.least), text::count(self.most))
    }
}
