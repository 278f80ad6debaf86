//! The calls of a name in the block of time that is at hand, in a table by bucket: to count one is to add one to a
//! number. Once calls of another block come, they go to the samples, which are a sorted list.

use super::blocks::{BlockKey, Samples};

/// Buckets that are made room for at once, an octave; there are fewer than 64 of them.
const OCTAVE: u16 = 64;

/// Calls that the samples do not have yet.
#[derive(Debug, Default)]
pub(super) struct BlockAtHand {
    block: u8,
    /// The bucket that `counts` begins with.
    first: u16,
    counts: Vec<u32>,
    busy_ns: u64,
    /// A bit for each octave that has calls, so that nobody looks for some in the others.
    octaves: u64,
}

impl BlockAtHand {
    /// Counts a call of a bucket, with the time inside.
    #[inline]
    pub(super) fn add(&mut self, samples: &mut Samples, (block, bucket): (u8, u16), busy_ns: u64) {
        if block != self.block {
            self.give_to(samples);
            self.block = block;
        }
        self.busy_ns = self.busy_ns.saturating_add(busy_ns);
        let at = usize::from(bucket.wrapping_sub(self.first));
        match self.counts.get_mut(at).and_then(|count| Some((count.checked_add(1)?, count))) {
            Some((more, count)) => {
                *count = more;
                self.octaves |= 1 << (bucket / OCTAVE);
            }
            None => self.add_with_room(samples, bucket),
        }
    }

    /// Makes room for a bucket, or for larger counts, and counts a call of it.
    #[cold]
    #[inline(never)]
    fn add_with_room(&mut self, samples: &mut Samples, bucket: u16) {
        self.give_to(samples);
        let first = bucket - bucket % OCTAVE;
        if self.counts.is_empty() {
            self.first = first;
        }
        let before = self.first.saturating_sub(first);
        self.counts.splice(..0, std::iter::repeat_n(0, usize::from(before)));
        self.first -= before;
        let octaves = usize::from(first - self.first) + usize::from(OCTAVE);
        self.counts.resize(self.counts.len().max(octaves), 0);
        if let Some(count) = self.counts.get_mut(usize::from(bucket - self.first)) {
            *count += 1;
        }
        self.octaves = 1 << (bucket / OCTAVE);
    }

    /// Gives the samples what they do not have yet.
    #[cold]
    #[inline(never)]
    pub(super) fn give_to(&mut self, samples: &mut Samples) {
        let busy_ns = std::mem::take(&mut self.busy_ns);
        if busy_ns > 0 {
            samples.put(BlockKey::of_busy(self.block), busy_ns);
        }
        while self.octaves != 0 {
            let first = self.octaves.trailing_zeros() as u16 * OCTAVE;
            self.octaves &= self.octaves - 1;
            let from = usize::from(first.wrapping_sub(self.first));
            let counts = self.counts.get_mut(from..from + usize::from(OCTAVE));
            let counts = (first..).zip(counts.into_iter().flatten());
            for (bucket, count) in counts.filter(|(_, count)| **count > 0) {
                samples.put(BlockKey::of_bucket(self.block, bucket), std::mem::take(count).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_full_go_to_the_samples() {
        let (mut at_hand, mut samples) = (BlockAtHand::default(), Samples::default());
        at_hand.add(&mut samples, (3, 70), 5);
        at_hand.counts[6] = u32::MAX;
        at_hand.add(&mut samples, (3, 70), 5);
        assert_eq!((samples.calls(), samples.busy_ns()), (u32::MAX.into(), Some(10)));
        at_hand.give_to(&mut samples);
        assert_eq!((samples.calls(), samples.busy_ns()), (1 << 32, Some(10)));
        at_hand.give_to(&mut samples);
        assert_eq!(samples.calls(), 1 << 32, "they are given once");
    }
}
