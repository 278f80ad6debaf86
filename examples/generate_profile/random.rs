//! Random numbers that are the same everywhere for the same seed.

/// splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ value >> 31
    }

    /// 0 up to, and without, `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// 0 up to, and without, 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Small numbers more often than large ones: the first of `n` as often as the last half together.
    pub fn few(&mut self, n: u64) -> u64 {
        let unit = self.unit();
        (unit * unit * unit * n as f64) as u64
    }

    /// From one arrival to the next, when they come independently of each other.
    pub fn arrival(&mut self, mean_ns: f64) -> i64 {
        (-(1.0 - self.unit()).ln() * mean_ns) as i64
    }

    /// A duration that is `median_ns` in the middle and has its longer half in a longer tail: its
    /// logarithm is spread by `spread`, nearly as a normal distribution.
    pub fn duration(&mut self, median_ns: f64, spread: f64) -> i64 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xFFFF).sum();
        // Four uniform numbers: the sum of their variances is a third.
        let normal = (sum as f64 / 65_536.0 - 2.0) * 3_f64.sqrt();
        (median_ns * (normal * spread).exp()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_lie_about_their_median() {
        let mut random = Random::new(7);
        let mut durations: Vec<_> = (0..10_001).map(|_| random.duration(1e6, 0.2)).collect();
        durations.sort_unstable();
        assert!((990_000..1_010_000).contains(&durations[5_000]), "{}", durations[5_000]);
        // One standard deviation.
        assert!((1_190_000..1_250_000).contains(&durations[8_413]), "{}", durations[8_413]);
    }

    #[test]
    fn arrivals_have_their_mean() {
        let mut random = Random::new(7);
        let sum: i64 = (0..100_000).map(|_| random.arrival(1_000.0)).sum();
        assert!((99_000_000..101_000_000).contains(&sum), "{sum}");
    }
}
