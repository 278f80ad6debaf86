//! spandrel's best front ends against the fastest rival, on the same trees in the same rounds; and what
//! must hold.

use std::fmt;

use super::figures::{Figures, Key, Spread};
use super::text::ratio;
use crate::case::Case;
use crate::recorder::{Entry, Result};
use crate::recorders::{self, FASTEST_RIVAL, spandrel};

/// What the fastest rival must take at least without rests, in times of what spandrel takes. (Three
/// times is the aim, and out of reach as long as both read the clock twice: that alone is a third of
/// what either takes.)
const LEAST: f64 = 1.0;
const TREES: Key = Key::Loop(Case::Tree);
const MEAN: &str = "mean_ns";

/// One line for each front end.
#[derive(Debug)]
pub struct Headline(Vec<Pair>);

/// The ratios of the rounds.
#[derive(Debug)]
struct Pair {
    ours: &'static Entry,
    /// In the loops, where both have their rests.
    times: Spread,
    /// At full speed, where both have their threads beside them.
    without_rests: Spread,
}

impl Headline {
    pub fn of(figures: &Figures) -> Result<Self> {
        let pair = |entry: &'static Entry| {
            let of = |ours: Key, theirs: Key| {
                let rounds = 0..figures.rounds(entry, ours, MEAN);
                let ratios = rounds.filter_map(|round| {
                    let ours = figures.in_round(entry, ours, MEAN, round)?;
                    Some(figures.in_round(FASTEST_RIVAL, theirs, MEAN, round)? / ours)
                });
                Spread::of(ratios).ok_or("nothing was measured that could be compared")
            };
            let burst = Key::roomiest_burst;
            Ok(Pair {
                ours: entry,
                times: of(TREES, TREES)?,
                without_rests: of(burst(entry), burst(FASTEST_RIVAL))?,
            })
        };
        spandrel::FASTEST.into_iter().map(pair).collect::<Result<_>>().map(Self)
    }

    /// Fails if spandrel is not so much faster, or has lost a span where there was room for it, or one
    /// that it did not count.
    pub fn check(&self, figures: &Figures) -> Result<()> {
        let mut broken = Vec::new();
        for pair in self.0.iter().filter(|pair| pair.without_rests.median < LEAST) {
            broken.push(format!(
                "{} vs {} (trees of 100, without rests): {}, and not {LEAST} x",
                pair.ours.name,
                FASTEST_RIVAL.name,
                Times(pair.without_rests),
            ));
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
        for (index, Pair { ours, times, without_rests }) in self.0.iter().enumerate() {
            let pair = format!("{} vs {}", ours.name, FASTEST_RIVAL.name);
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{pair} (trees of 100): {}", Times(*times))?;
            write!(
                f,
                "{pair} (trees of 100, at full speed without rests): {}",
                Times(*without_rests)
            )?;
        }
        Ok(())
    }
}

struct Times(Spread);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self.0;
        write!(f, "{} x ({}..{})", ratio(median), ratio(min), ratio(max))
    }
}
