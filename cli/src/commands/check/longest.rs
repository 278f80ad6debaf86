//! Rules about the longest entry, as `spandrel stalls` finds it: on threads that run futures.
//!
//! Only spans with an entry beyond the lowest limit of the rules are looked at; of a name without one it is
//! known that it keeps them all.

use std::collections::HashMap;
use std::sync::Arc;

use spandrel_query::compare::SpanName;
use spandrel_query::{Columns, StallsOn};

use super::judge::Verdict;
use super::rules::{Bound, Quantity, Rule, Rules};
use crate::commands::prelude::*;
use crate::commands::sides::Side;

/// The longest entries of a side that are beyond some limit.
#[derive(Debug, Default)]
pub(super) struct Longest {
    by_name: HashMap<(String, Arc<str>), i64>,
    /// Threads that run futures.
    threads: usize,
    /// Spans of futures of which entries are not known.
    unmeasured: u64,
    /// Whether a run of it has none that are known.
    is_untimed: bool,
}

impl Longest {
    /// Reads them if a rule asks for them.
    pub(super) fn of(side: &Side, rules: &Rules, context: &Context) -> Result<Self, Failure> {
        let mut longest = Self::default();
        let limits = rules.rules.iter().filter_map(|rule| match (rule.quantity, rule.bound) {
            (Quantity::Longest, Bound::Max(max)) => Some(max as i64),
            _ => None,
        });
        let Some(limit) = limits.min() else { return Ok(longest) };
        let wanted = &context.wanted;
        longest.is_untimed = side.runs.iter().any(|run| !run.has_busy_times());
        for run in &side.runs {
            let scan = side.scan(wanted, run, Columns::Entries)?;
            let (stalls, threads) = side.reader.stalls(
                &scan,
                &wanted.filter()?,
                limit.saturating_add(1),
                StallsOn::Runtimes,
            )?;
            for stall in stalls {
                let callsite = &stall.worst.callsite;
                let key = (callsite.name.clone(), callsite.target.clone());
                let kept = longest.by_name.entry(key).or_default();
                *kept = (*kept).max(stall.longest_ns());
            }
            let threads = threads.unwrap_or_default();
            longest.threads += threads.len();
            longest.unmeasured = longest.unmeasured.saturating_add(threads.unmeasured());
        }
        Ok(longest)
    }

    /// The verdict of a rule on a name that has `calls` spans.
    pub(super) fn judge(&self, rule: &Rule, name: &SpanName, calls: u64) -> Verdict {
        let key = (name.name.clone(), name.target.clone());
        match self.by_name.get(&key) {
            Some(ns) => {
                let said = text::duration_in_words(*ns);
                rule.limited(&name.name, *ns as f64, None, said, calls)
            }
            None if self.is_untimed => {
                let said = "entries were not measured: record with busy_time(true)";
                rule.not_judged(&name.name, said)
            }
            None if self.threads == 0 => rule.not_judged(&name.name, "no thread runs futures"),
            None if self.unmeasured > 0 => rule.not_judged(&name.name, "entries were not measured"),
            None => {
                let said = "none is longer on a thread that runs futures".to_owned();
                Verdict { value: None, ..rule.limited(&name.name, 0.0, None, said, calls) }
            }
        }
    }
}
