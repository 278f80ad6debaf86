//! The share of a call's duration that was spent in its children, by their names, for a sample of calls.
//!
//! A call is a span by its lifetime, whose children are all that has it for its parent or was entered in it; or an
//! entry of a span that lives long, with what began or was entered on its thread meanwhile.
//!
//! Children come in a second pass, so the calls must be few enough to be remembered: a sample of each class that is
//! drawn in the first pass (Vitter's algorithm R), with a fixed seed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::{ChildTime, SpanRef};
use super::significance::Moments;
use crate::order_rows::OrderRows as _;
use spandrel_storage::internals::FastHashMap;

/// Calls in the sample of a class.
pub(super) const SAMPLE_MAX: usize = 10_000;
/// Entries of a span that are tested to find the one that contains a child.
const OVERLAPPING_MAX: usize = 64;
/// Pairs of a call and a child name at most; further ones are not counted.
const PAIRS_MAX: usize = 400_000;

#[derive(Debug, Clone, Copy)]
struct SampledSpan {
    id: u64,
    /// Of an entry.
    thread_id: Option<i64>,
    start_ns: i64,
    duration_ns: i64,
}

#[derive(Debug)]
pub(super) struct Children {
    samples: [Vec<SampledSpan>; 2],
    met: [u64; 2],
    random: u64,
    /// From span id to its calls in `calls`; built when the sample is complete.
    calls_of: FastHashMap<u64, Range<usize>>,
    /// Class and index in the sample, sorted by span id and start.
    calls: Vec<(usize, usize)>,
    /// By name and target.
    names: HashMap<(String, Arc<str>), usize>,
    of_callsite: FastHashMap<i64, usize>,
    /// By class, index in the sample and name: nanoseconds.
    spent: HashMap<(usize, usize, usize), i64>,
}

impl Children {
    pub(super) fn new() -> Self {
        Self {
            samples: [Vec::new(), Vec::new()],
            met: [0; 2],
            random: 0x9E37_79B9_7F4A_7C15,
            calls_of: FastHashMap::default(),
            calls: Vec::new(),
            names: HashMap::new(),
            of_callsite: FastHashMap::default(),
            spent: HashMap::new(),
        }
    }

    /// Offers a call to the sample.
    pub(super) fn offer(&mut self, span: &SpanRef<'_>, class: usize, duration_ns: i64) {
        let thread_id = span.entry.map(|entry| entry.thread_id);
        let drawn = SampledSpan { id: span.id, thread_id, start_ns: span.start_ns, duration_ns };
        let (Some(sample), Some(met)) = (self.samples.get_mut(class), self.met.get_mut(class))
        else {
            return;
        };
        *met += 1;
        if sample.len() < SAMPLE_MAX {
            sample.push(drawn);
            return;
        }
        // Xorshift, by Marsaglia.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if let Some(kept) = sample.get_mut((self.random % *met) as usize) {
            *kept = drawn;
        }
    }

    /// The sample is complete: children may come.
    pub(super) fn begin(&mut self) {
        let samples = self.samples.iter().enumerate();
        let all = samples.flat_map(|(class, s)| (0..s.len()).map(move |at| (class, at)));
        let mut calls: Vec<(usize, usize)> = all.collect();
        calls.sort_unstable_by_key(|call| self.drawn_at(*call).map(|one| (one.id, one.start_ns)));
        let mut first = 0;
        while let Some(id) = calls.get(first).and_then(|call| self.drawn_at(*call)).map(|d| d.id) {
            let rest = calls.get(first..).unwrap_or_default();
            let is_same = |call: &(usize, usize)| self.drawn_at(*call).is_some_and(|d| d.id == id);
            let next = first + rest.partition_point(is_same);
            self.calls_of.insert(id, first..next);
            first = next;
        }
        self.calls = calls;
    }

    /// The spans whose calls were drawn.
    pub(super) fn drawn_spans(&self) -> impl Iterator<Item = u64> {
        self.samples.iter().flatten().map(|drawn| drawn.id)
    }

    fn drawn_at(&self, (class, at): (usize, usize)) -> Option<&SampledSpan> {
        self.samples.get(class)?.get(at)
    }

    /// The sampled call that contains a piece of child time.
    fn around(&self, child: &ChildTime) -> Option<((usize, usize), SampledSpan)> {
        let calls = self.calls.get(self.calls_of.get(&child.inside_id)?.clone())?;
        let drawn = |call: &(usize, usize)| self.drawn_at(*call).copied();
        let start = |call: &(usize, usize)| drawn(call).map_or(i64::MIN, |one| one.start_ns);
        if let [call] = calls
            && let Some(one) = drawn(call).filter(|one| one.thread_id.is_none())
        {
            return Some((*call, one));
        }
        let begun = calls.partition_point(|call| start(call) <= child.start_ns);
        // Entries overlap if several threads are inside at once.
        let begun = calls.get(..begun)?.iter().rev().take(OVERLAPPING_MAX);
        begun.filter_map(|call| Some((*call, drawn(call)?))).find(|(_, one)| {
            let end_ns = one.start_ns.saturating_add(one.duration_ns);
            one.thread_id == Some(child.thread_id) && child.start_ns <= end_ns
        })
    }

    /// Adds child time, if it is inside a sampled call.
    pub(super) fn add(&mut self, child: &ChildTime) {
        let Some(((class, at), drawn)) = self.around(child) else { return };
        // Only what lies within the parent.
        let parent_end_ns = drawn.start_ns.saturating_add(drawn.duration_ns);
        let from_ns = child.start_ns.max(drawn.start_ns);
        let inside_ns = child.end_ns.min(parent_end_ns).saturating_sub(from_ns).max(0);
        let name = match self.of_callsite.get(&child.callsite.id) {
            Some(name) => *name,
            None => {
                let next = self.names.len();
                let callsite = &child.callsite;
                let key = (callsite.name.clone(), callsite.target.clone());
                let name = *self.names.entry(key).or_insert(next);
                self.of_callsite.insert(child.callsite.id, name);
                name
            }
        };
        if self.spent.len() < PAIRS_MAX || self.spent.contains_key(&(class, at, name)) {
            let spent = self.spent.entry((class, at, name)).or_insert(0);
            *spent = spent.saturating_add(inside_ns);
        }
    }

    /// Spans that were drawn of each class.
    pub(super) fn drawn(&self) -> [u64; 2] {
        [0, 1].map(|class| self.samples.get(class).map_or(0, |sample| sample.len() as u64))
    }

    /// By name of the children, the shares of duration in both classes; the target is said where it tells
    /// equal names apart. Children side by side make at most the whole.
    pub(super) fn shares(&self) -> Vec<(String, [Moments; 2])> {
        let mut targets: HashMap<&str, usize> = HashMap::new();
        self.names.keys().for_each(|(name, _)| *targets.entry(name).or_insert(0) += 1);
        let label = |(name, target): &(String, Arc<str>)| match targets.get(name.as_str()) {
            Some(1) => name.clone(),
            _ => format!("{name} ({target})"),
        };
        let mut by_number: HashMap<usize, usize> = HashMap::new();
        let mut shares: Vec<(String, [Moments; 2])> = Vec::with_capacity(self.names.len());
        for (key, number) in &self.names {
            by_number.insert(*number, shares.len());
            shares.push((label(key), [Moments::default(); 2]));
        }
        // In a fixed order, since floating-point sums depend on it: the same question has one answer.
        let mut all: Vec<_> = self.spent.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        for ((class, index, name), spent) in all {
            let drawn = self.samples.get(*class).and_then(|sample| sample.get(*index));
            let row = by_number.get(name).and_then(|row| shares.get_mut(*row));
            if let (Some(drawn), Some((_, moments))) = (drawn, row)
                && let Some(moments) = moments.get_mut(*class)
                && drawn.duration_ns > 0
            {
                moments.add((*spent as f64 / drawn.duration_ns as f64).min(1.0));
            }
        }
        // Calls without such a child spent nothing in it.
        for (_, moments) in &mut shares {
            for (moments, sample) in moments.iter_mut().zip(&self.samples) {
                moments.count = sample.len() as f64;
            }
        }
        shares.order_by(|(one, _), (other, _)| one.cmp(other));
        shares
    }
}
