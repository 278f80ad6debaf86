//! How much of a span's duration was spent in its children, by their names: of a sample of spans.
//!
//! Children are met in a second pass, so the spans whose children count must be few enough to be
//! remembered: a sample of each class that is drawn while the spans go by (Vitter's algorithm R), with
//! a generator that draws the same each time.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::SpanRef;
use super::significance::Moments;
use crate::quick_map::QuickMap;

/// Spans of a class whose children are looked at.
pub(super) const SAMPLE_MAX: usize = 10_000;
/// Pairs of a span and a name of its children; those beyond are not counted.
const PAIRS_MAX: usize = 400_000;

#[derive(Debug, Clone, Copy)]
struct Drawn {
    id: u64,
    start_ns: i64,
    duration_ns: i64,
}

#[derive(Debug)]
pub(super) struct Children {
    samples: [Vec<Drawn>; 2],
    met: [u64; 2],
    random: u64,
    /// From id to class and place; made when the sample is complete.
    places: QuickMap<u64, (usize, usize)>,
    /// By name and target.
    names: HashMap<(String, Arc<str>), usize>,
    of_callsite: QuickMap<i64, usize>,
    /// By class, place and name: nanoseconds.
    spent: HashMap<(usize, usize, usize), i64>,
}

impl Children {
    pub(super) fn new() -> Self {
        Self {
            samples: [Vec::new(), Vec::new()],
            met: [0; 2],
            random: 0x9E37_79B9_7F4A_7C15,
            places: QuickMap::default(),
            names: HashMap::new(),
            of_callsite: QuickMap::default(),
            spent: HashMap::new(),
        }
    }

    /// A span that may be drawn.
    pub(super) fn offer(&mut self, span: &SpanRef<'_>, class: usize, duration_ns: i64) {
        let drawn = Drawn { id: span.id, start_ns: span.start_ns, duration_ns };
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
        if let Some(place) = sample.get_mut((self.random % *met) as usize) {
            *place = drawn;
        }
    }

    /// The sample is complete: children may come.
    pub(super) fn begin(&mut self) {
        for (class, sample) in self.samples.iter().enumerate() {
            let placed = sample.iter().enumerate().map(|(at, drawn)| (drawn.id, (class, at)));
            self.places.extend(placed);
        }
    }

    /// A span that may be a child of one that was drawn.
    pub(super) fn add(&mut self, span: &SpanRef<'_>) {
        let Some((class, at)) = span.parent_id.and_then(|id| self.places.get(&id).copied()) else {
            return;
        };
        let drawn = self.samples.get(class).and_then(|sample| sample.get(at));
        let (Some(drawn), Some(end_ns)) = (drawn, span.end_ns()) else { return };
        // Only what lies within the parent.
        let parent_end_ns = drawn.start_ns.saturating_add(drawn.duration_ns);
        let from_ns = span.start_ns.max(drawn.start_ns);
        let inside_ns = end_ns.min(parent_end_ns).saturating_sub(from_ns).max(0);
        let name = match self.of_callsite.get(&span.callsite.id) {
            Some(name) => *name,
            None => {
                let next = self.names.len();
                let callsite = span.callsite;
                let key = (callsite.name.clone(), callsite.target.clone());
                let name = *self.names.entry(key).or_insert(next);
                self.of_callsite.insert(span.callsite.id, name);
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
        // In an order of their own: sums of fractions depend on it, and the same question has one answer.
        let mut all: Vec<_> = self.spent.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        for ((class, place, name), spent) in all {
            let drawn = self.samples.get(*class).and_then(|sample| sample.get(*place));
            let row = by_number.get(name).and_then(|row| shares.get_mut(*row));
            if let (Some(drawn), Some((_, moments))) = (drawn, row)
                && let Some(moments) = moments.get_mut(*class)
                && drawn.duration_ns > 0
            {
                moments.add((*spent as f64 / drawn.duration_ns as f64).min(1.0));
            }
        }
        // Those without such a child spent nothing in it.
        for (_, moments) in &mut shares {
            for (moments, sample) in moments.iter_mut().zip(&self.samples) {
                moments.count = sample.len() as f64;
            }
        }
        shares.sort_by(|(one, _), (other, _)| one.cmp(other));
        shares
    }
}
