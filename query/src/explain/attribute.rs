//! The values of one field, or of another attribute, in both classes.

use std::collections::BTreeSet;

use super::finding::{Candidate, Kind, Value};
use super::frequent::{Distinct, Frequent};
use super::numbers::Numbers;
use super::significance;

/// Counters for values; a share is too low by at most one part in this many.
pub(super) const COUNTERS: usize = 512;
/// A threshold is looked for if there are at least this many different numbers.
const THRESHOLD_DISTINCT_MIN: u64 = 8;
/// A value is tested if at least this many spans have it.
const COUNT_MIN: u64 = 5;

#[derive(Debug)]
pub(super) struct Attribute {
    present: [u64; 2],
    values: [Frequent; 2],
    distinct: Distinct,
    numbers: Numbers,
}

impl Attribute {
    pub(super) fn new() -> Self {
        Self {
            present: [0; 2],
            values: [Frequent::with_capacity(COUNTERS), Frequent::with_capacity(COUNTERS)],
            distinct: Distinct::new(),
            numbers: Numbers::new(),
        }
    }

    pub(super) fn add(&mut self, value: &str, number: Option<f64>, class: usize) {
        if let (Some(present), Some(values)) =
            (self.present.get_mut(class), self.values.get_mut(class))
        {
            *present += 1;
            values.add(value);
        }
        self.distinct.add(value);
        if let Some(number) = number {
            self.numbers.add(number, class);
        }
    }

    pub(super) fn distinct(&self) -> u64 {
        self.distinct.estimate()
    }

    /// Values and thresholds that may distinguish the classes, which have `all` spans each.
    pub(super) fn candidates(
        &self,
        kind: Kind,
        name: &str,
        all: [u64; 2],
        candidates: &mut Vec<Candidate>,
    ) {
        let share =
            |counts: [u64; 2]| [counts[0] as f64 / all[0] as f64, counts[1] as f64 / all[1] as f64];
        let mut push = |value, counts: [u64; 2], p_value, error| {
            let (name, shares) = (name.to_owned(), share(counts));
            let counts = Some(counts);
            candidates.push(Candidate { kind, name, value, shares, counts, p_value, error });
        };
        let errors = share([self.values[0].error(), self.values[1].error()]);
        let error = errors[0].max(errors[1]);
        let values: BTreeSet<&str> = self.values.iter().flat_map(Frequent::values).collect();
        for value in values {
            let counts = [self.values[0].count(value), self.values[1].count(value)];
            if counts[0] + counts[1] >= COUNT_MIN {
                let p_value = significance::proportions(counts, all);
                push(Value::Text(value.to_owned()), counts, p_value, error);
            }
        }
        let absent = [all[0] - self.present[0], all[1] - self.present[1]];
        if absent[0] + absent[1] >= COUNT_MIN {
            push(Value::Absent, absent, significance::proportions(absent, all), 0.0);
        }
        if self.distinct() >= THRESHOLD_DISTINCT_MIN
            && let Some(threshold) = self.numbers.threshold(all)
        {
            let at = threshold.at;
            let value = if threshold.is_at_least { Value::AtLeast(at) } else { Value::Below(at) };
            push(value, threshold.counts, threshold.p_value, 0.0);
        }
    }
}
