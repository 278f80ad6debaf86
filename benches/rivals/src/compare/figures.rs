//! Every number of every round, and what they come to.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::recorder::Entry;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Instructions(Case),
    Loop(Case),
    Singly,
    Burst,
    EnlargedBurst,
}

/// The middle of the rounds, and their ends.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of none there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// All numbers, by recorder, measurement, name and round.
#[derive(Debug, Default)]
pub struct Figures {
    values: BTreeMap<(&'static str, Key, String), BTreeMap<usize, f64>>,
}

impl Key {
    /// The burst in which a recorder has room for everything, if it can be given it.
    pub fn roomiest_burst(entry: &Entry) -> Self {
        if entry.has_queue_size { Self::EnlargedBurst } else { Self::Burst }
    }
}

impl Figures {
    pub fn add(&mut self, entry: &Entry, key: Key, name: &str, round: usize, value: f64) {
        self.values.entry((entry.name, key, name.to_owned())).or_default().insert(round, value);
    }

    /// One number of one round.
    pub fn in_round(&self, entry: &Entry, key: Key, name: &str, round: usize) -> Option<f64> {
        self.values.get(&(entry.name, key, name.to_owned()))?.get(&round).copied()
    }

    /// The rounds of one number.
    pub fn spread(&self, entry: &Entry, key: Key, name: &str) -> Option<Spread> {
        Spread::of(self.values.get(&(entry.name, key, name.to_owned()))?.values().copied())
    }

    /// One number of all recorders and rounds.
    pub fn overall(&self, key: Key, name: &str) -> Option<Spread> {
        let rounds = self.values.iter().filter(|((_, of, called), _)| *of == key && called == name);
        Spread::of(rounds.flat_map(|(_, rounds)| rounds.values().copied()))
    }

    /// How many rounds there were of a measurement.
    pub fn rounds(&self, entry: &Entry, key: Key, name: &str) -> usize {
        self.values.get(&(entry.name, key, name.to_owned())).map_or(0, BTreeMap::len)
    }

    /// Spans lost in the loops, where nobody may lose any: a figure would be that of losing.
    pub fn lost_in_loops(&self, entry: &Entry) -> f64 {
        let lost = Case::ALL.map(|case| self.spread(entry, Key::Loop(case), "lost"));
        lost.into_iter().flatten().map(|spread| spread.max).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        let spread = spread.map(|spread| (spread.median, spread.min, spread.max));
        assert_eq!(spread, Some((2.5, 1.0, 4.0)));
        assert!(Spread::of([]).is_none());
    }
}
