//! How long operations took: counts by duration, exact to 3 %, however long.

/// Bits of a duration that are told apart.
const BITS: u32 = 5;
const STEPS: usize = 1 << BITS;
const PLACES: usize = (64 - BITS as usize) * STEPS + STEPS;

/// Durations in ticks of the [clock](crate::clock).
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    samples: u64,
    sum: u128,
    longest: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; PLACES], samples: 0, sum: 0, longest: 0 }
    }

    #[inline]
    pub fn add(&mut self, ticks: u64) {
        self.counts[place(ticks)] += 1;
        self.samples += 1;
        self.sum += u128::from(ticks);
        self.longest = self.longest.max(ticks);
    }

    pub fn join(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.samples += other.samples;
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
    }

    pub fn samples(&self) -> u64 {
        self.samples
    }

    pub fn longest(&self) -> u64 {
        self.longest
    }

    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.samples.max(1) as f64
    }

    /// No more than this share of the operations took longer: the upper end of a step, so that nothing is said to be shorter
    /// than it was.
    pub fn at(&self, share: f64) -> u64 {
        let wanted = ((self.samples as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for (place, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= wanted {
                return upper(place).min(self.longest);
            }
        }
        self.longest
    }
}

/// Up to 64 each duration has its own place; then there are 32 for each power of two.
fn place(ticks: u64) -> usize {
    let shift = (63 - ticks.max(1).leading_zeros()).saturating_sub(BITS);
    shift as usize * STEPS + (ticks >> shift) as usize
}

fn upper(place: usize) -> u64 {
    if place < 2 * STEPS {
        return place as u64;
    }
    let shift = place / STEPS - 1;
    let step = (place % STEPS + STEPS) as u64;
    (((u128::from(step) + 1) << shift) - 1) as u64
}

#[test]
fn each_duration_is_in_a_step_of_3_per_cent_that_ends_behind_it() {
    let mut before = 0;
    for ticks in (0..2_000).chain((11..64).map(|bits| (1 << bits) - 1)).chain([u64::MAX]) {
        let here = place(ticks);
        assert!(here >= before && here < PLACES, "{ticks} is at {here}, after {before}");
        let end = upper(here);
        assert!(end >= ticks && (end - ticks) as f64 <= ticks as f64 / 32.0, "{ticks}: {end}");
        before = here;
    }
}

#[test]
fn shares_are_of_all_that_was_added_and_joined() {
    let (mut some, mut others) = (Histogram::new(), Histogram::new());
    (1..=60).for_each(|ticks| some.add(ticks));
    (0..40).for_each(|_| others.add(1 << 40));
    some.join(&others);
    assert_eq!((some.samples(), some.longest()), (100, 1 << 40));
    assert_eq!([0.01, 0.5, 0.6].map(|share| some.at(share)), [1, 50, 60]);
    assert_eq!([0.61, 1.0].map(|share| some.at(share)), [1 << 40; 2]);
}
