//! A histogram of durations with a bounded relative error.
//!
//! Buckets are log-linear, as in HdrHistogram (Gil Tene, <https://hdrhistogram.org>): each octave
//! is cut into 64 buckets of equal width. DDSketch (Masson, Rim, Lee: "DDSketch: a fast and
//! fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019) gives the same
//! guarantee with logarithms; shifts are cheaper. Values below 128 have a bucket each. Above, a
//! bucket from `l` is at most `l / 64` wide, so its middle is within 0.8 % of each value in it.
//!
//! Only buckets in use are kept, in ascending order: a callsite touches tens to a few hundred of
//! the 3,776, and the store copies and encodes each histogram that a batch touches.
//!
//! # Encoding
//!
//! ```text
//! 01 | index of the first bucket, its count | gap to the next bucket, its count | ...
//! ```
//!
//! The first byte is the version. Numbers are LEB128; a gap counts the empty buckets between. There
//! is one encoding for each histogram, and what is not an encoding is refused.

use std::error;
use std::fmt;

use crate::memory::MemoryUse;

/// Octaves are cut into `1 << BITS` buckets.
const BITS: u32 = 6;
/// How many buckets there are for all of `u64`.
const BUCKETS: u16 = ((64 - BITS + 1) << BITS) as u16;
const VERSION: u8 = 1;
const HINTS: usize = 512;

/// Counts of values in log-linear buckets; any percentile is within 1 % of the exact one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count: the buckets ascend, no count is zero.
    buckets: Vec<(u16, u64)>,
}

/// Values from `low` to `high`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The smallest value that falls into the bucket.
    pub low: u64,
    /// The largest.
    pub high: u64,
    /// How many did.
    pub count: u64,
}

/// Bytes that are no encoding of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError(&'static str);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a histogram: {}", self.0)
    }
}

impl error::Error for DecodeError {}

impl Histogram {
    /// A histogram without values.
    pub const fn new() -> Self {
        Self { buckets: Vec::new() }
    }

    /// Memory for its buckets.
    pub(crate) fn memory(&self) -> MemoryUse {
        MemoryUse::of(&self.buckets)
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.add(index(value), 1);
    }

    /// Counts one value. Looks first where the last value of its bucket was counted.
    #[inline]
    #[doc(hidden)]
    pub fn record_near(&mut self, value: u64, hints: &mut Hints) {
        let bucket = index(value);
        let hint = &mut hints.0[usize::from(bucket) % HINTS];
        match self.buckets.get_mut(usize::from(*hint)) {
            Some(entry) if entry.0 == bucket => entry.1 = entry.1.saturating_add(1),
            _ => *hint = self.add_one(bucket),
        }
    }

    /// Counts all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether no value was counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The nearest-rank percentile at `q` from 0 to 1 (0.99 for p99), within 1 %; `None` when no
    /// value was counted.
    pub fn percentile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        // Less a hair, so that 0.07 x 100 = 7.000000000000001 is rank 7.
        let rank = (q.clamp(0.0, 1.0) * count as f64 * (1.0 - 2.0 * f64::EPSILON)).ceil() as u64;
        let rank = rank.clamp(1, count.max(1));
        let mut below = 0_u64;
        for &(bucket, count) in &self.buckets {
            below = below.saturating_add(count);
            if below >= rank {
                let (low, high) = bounds(bucket);
                return Some(low + (high - low) / 2);
            }
        }
        None
    }

    /// The same if the largest value is known: the middle of its bucket may be above it.
    pub fn percentile_up_to(&self, q: f64, max: i64) -> Option<u64> {
        Some(self.percentile(q)?.min(u64::try_from(max).unwrap_or(0)))
    }

    /// The number of the bucket of a value.
    pub fn bucket_of(value: u64) -> u16 {
        index(value)
    }

    /// The smallest and the largest value of a bucket.
    pub fn bounds_of(bucket: u16) -> (u64, u64) {
        bounds(bucket)
    }

    /// Counts so many values of a bucket.
    pub fn record_bucket(&mut self, bucket: u16, count: u64) {
        self.add(bucket, count);
    }

    /// The start of a bucket that is nearest to a value: within 1 % of it.
    pub fn edge_near(value: u64) -> u64 {
        let (low, high) = bounds(index(value));
        if value - low <= high - value { low } else { high.saturating_add(1) }
    }

    /// The buckets in use, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.buckets.iter().map(|&(bucket, count)| {
            let (low, high) = bounds(bucket);
            Bucket { low, high, count }
        })
    }

    /// The encoding; see the module's documentation.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 3 * self.buckets.len());
        self.encode_into(&mut bytes);
        bytes
    }

    /// The same into a buffer, which is cleared.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.push(VERSION);
        let mut next = 0;
        for &(bucket, count) in &self.buckets {
            put(bytes, u64::from(bucket - next));
            put(bytes, count);
            next = bucket + 1;
        }
    }

    /// Reads an encoding.
    ///
    /// # Errors
    ///
    /// When the bytes are not what [`encode`](Self::encode) makes of some histogram.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some((&VERSION, mut rest)) = bytes.split_first() else {
            return Err(DecodeError("unknown version"));
        };
        let mut buckets = Vec::with_capacity(rest.len() / 2);
        let mut next = 0_u64;
        while !rest.is_empty() {
            let bucket = next.checked_add(take(&mut rest)?).filter(|b| *b < u64::from(BUCKETS));
            let Some(bucket) = bucket else {
                return Err(DecodeError("no such bucket"));
            };
            let count = take(&mut rest)?;
            if count == 0 {
                return Err(DecodeError("impossible count"));
            }
            buckets.push((bucket as u16, count));
            next = bucket + 1;
        }
        Ok(Self { buckets })
    }

    #[cold]
    #[inline(never)]
    fn add_one(&mut self, bucket: u16) -> u16 {
        self.add(bucket, 1)
    }

    /// Adds to a bucket and says where it is; there are fewer than 65,536.
    fn add(&mut self, bucket: u16, count: u64) -> u16 {
        let at = match self.buckets.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(at) => {
                if let Some(entry) = self.buckets.get_mut(at) {
                    entry.1 = entry.1.saturating_add(count);
                }
                at
            }
            Err(at) => {
                self.buckets.insert(at, (bucket, count));
                at
            }
        };
        at as u16
    }
}

/// Where buckets of a histogram were found last, by their last digits: of eight octaves at once.
#[derive(Debug)]
pub struct Hints([u16; HINTS]);

impl Default for Hints {
    fn default() -> Self {
        Self([0; HINTS])
    }
}

#[inline]
fn index(value: u64) -> u16 {
    let octave = (63 - (value | 1).leading_zeros()).max(BITS) - BITS;
    // Below 128 the first term is zero and the second is the value itself.
    ((octave << BITS) as u64 + (value >> octave)) as u16
}

fn bounds(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    let octave = (bucket >> BITS).saturating_sub(1);
    let low = (bucket - (octave << BITS)) << octave;
    (low, low + ((1 << octave) - 1))
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, tail)) = rest.split_first() else {
            return Err(DecodeError("cut short"));
        };
        *rest = tail;
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err(DecodeError("a number with needless bytes"));
            }
            return Ok(value);
        }
    }
    Err(DecodeError("a number above 64 bits"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    /// Durations of all magnitudes.
    fn durations() -> impl Strategy<Value = u64> {
        (0_u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift)
    }

    #[test]
    fn buckets_tile_all_of_u64() {
        let mut next = 0_u64;
        for bucket in 0..BUCKETS {
            let (low, high) = bounds(bucket);
            assert_eq!(low, next);
            assert_eq!((index(low), index(high)), (bucket, bucket));
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends at u64::MAX");
    }

    #[test]
    fn a_percentile_of_nothing_is_none() {
        assert_eq!(Histogram::new().percentile(0.5), None);
        assert_eq!(Histogram::decode(&[VERSION]).unwrap(), Histogram::new());
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [
            &[][..],
            &[2],
            &[1, 5],
            &[1, 5, 0],
            &[1, 5, 0x80],
            &[1, 0x85, 0, 1],
            &[1, 0xFF, 0x7F, 1],
            &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
        ] {
            Histogram::decode(bytes).unwrap_err();
        }
    }

    #[test]
    fn one_that_grew_beyond_all_counts_is_still_read() {
        let mut histogram =
            Histogram::decode(&[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
        let histogram = histogram.as_mut().unwrap();
        histogram.record(0);
        histogram.record(1_000);
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(Histogram::decode(&histogram.encode()).as_ref(), Ok(&*histogram));
    }

    proptest! {
        #[test]
        fn encode_and_decode_round_trip(values in vec(durations(), 0..300)) {
            let histogram = of(&values);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(Histogram::decode(&histogram.encode()).unwrap(), histogram);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in vec(any::<u8>(), 0..40)) {
            let bytes = [&[VERSION], &bytes[..]].concat();
            if let Ok(histogram) = Histogram::decode(&bytes) {
                prop_assert_eq!(histogram.encode(), bytes);
            }
        }

        #[test]
        fn percentiles_are_within_one_percent(
            mut values in vec(durations(), 1..400),
            q in 0.0_f64..=1.0,
        ) {
            let histogram = of(&values);
            values.sort_unstable();
            for q in [q, 0.0, 0.5, 0.95, 0.99, 1.0] {
                let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
                let (exact, got) = (values[rank - 1], histogram.percentile(q).unwrap());
                prop_assert!(exact.abs_diff(got) as f64 <= exact as f64 * 0.01, "{exact} {got}");
            }
        }

        #[test]
        fn merge_is_union(a in vec(durations(), 0..200), b in vec(durations(), 0..200)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }
}
