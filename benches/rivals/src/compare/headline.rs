//! spandrel's best front end against the fastest rival, on the same trees in the same rounds; and what
//! must hold.

use std::fmt;

use super::figures::{Figures, Key, Spread};
use super::text::ratio;
use crate::case::Case;
use crate::recorder::{Entry, Result};
use crate::recorders::{self, FASTEST_RIVAL, spandrel};

/// What the fastest rival must take at least, in times of what spandrel takes.
const LEAST: f64 = 3.0;
const TREES: Key = Key::Loop(Case::Tree);

/// The ratios of the rounds.
#[derive(Debug)]
pub struct Headline {
    times: Spread,
}

impl Headline {
    pub fn of(figures: &Figures) -> Result<Self> {
        let mean = |entry, round| figures.in_round(entry, TREES, "mean_ns", round);
        let rounds = figures.rounds(spandrel::FASTEST, TREES, "mean_ns");
        let ratios = (0..rounds).filter_map(|round| {
            Some(mean(FASTEST_RIVAL, round)? / mean(spandrel::FASTEST, round)?)
        });
        let times = Spread::of(ratios).ok_or("nothing was measured that could be compared")?;
        Ok(Self { times })
    }

    /// Fails if spandrel is not so much faster, or has lost a span where there was room for it, or one
    /// that it did not count.
    pub fn check(&self, figures: &Figures) -> Result<()> {
        let mut broken = Vec::new();
        if self.times.median < LEAST {
            broken.push(format!("{self}, which is below {LEAST}"));
        }
        for entry in recorders::ALL.iter().filter(|entry| is_spandrel(entry)) {
            for (where_, key) in [("paced", Key::Singly), ("enlarged", Key::EnlargedBurst)] {
                let lost = figures.spread(entry, key, "lost").map_or(f64::NAN, |lost| lost.max);
                if lost != 0.0 {
                    broken.push(format!("{} has lost {lost} spans, {where_}", entry.name));
                }
            }
            let lost = figures.lost_in_loops(entry);
            if lost > 0.0 {
                broken.push(format!("{} has lost {lost} spans in the loops", entry.name));
            }
            for round in 0..figures.rounds(entry, Key::Burst, "lost") {
                let [lost, said] = ["lost", "said_lost"]
                    .map(|name| figures.in_round(entry, Key::Burst, name, round));
                if lost != said {
                    broken.push(format!("{} lost {lost:?} spans and counts {said:?}", entry.name));
                }
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("\nrivals: ").into()) }
    }
}

fn is_spandrel(entry: &Entry) -> bool {
    entry.packages.contains(&"spandrel")
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self.times;
        write!(
            f,
            "{} vs {} (trees of 100): {} x ({}..{})",
            spandrel::FASTEST.name,
            FASTEST_RIVAL.name,
            ratio(median),
            ratio(min),
            ratio(max),
        )
    }
}
