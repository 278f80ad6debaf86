//! How long something waits in the ring of a program that is collected. A collector says twice a second that it lives, also
//! while its profile takes nothing; but then records stay where they are.

use std::fs::File;
use std::io;

use spandrel_ring::file::{Reader, monotonic_ns};

use crate::recorder::clock::Clock;
use crate::recorder::record;
use crate::recorder::ring_file::layout::anchors;

/// So many records of a partition are looked at: links have no moment.
const LOOKED_AT: u64 = 16;

/// How long that waits which waits longest, in nanoseconds: of each partition the records that come next. `None` if nothing
/// waits, or the clock of the run is none of this machine's, now.
pub(super) fn longest_ns(reader: &mut Reader<File>) -> io::Result<Option<u64>> {
    let (kind, said) = reader.clock();
    let is_its_clock = reader.owner().is_of_this_boot();
    let Some(clock) = Clock::of_another(kind, &said).filter(|_| is_its_clock) else {
        return Ok(None);
    };
    let mut oldest: Option<u64> = None;
    for partition in 0..reader.partitions() {
        let seen = reader.partition(partition)?;
        let Some(from) = seen.given_back.filter(|from| *from < seen.tail) else { continue };
        reader.drain(partition, from, false, LOOKED_AT, |found| {
            let end = record::read(found.words).and_then(|record| record.end());
            oldest = oldest.into_iter().chain(end).min();
        })?;
    }
    let (origin, now) = (said[anchors::ORIGIN_TICKS], clock.ticks());
    let passed_ns = monotonic_ns().saturating_sub(said[anchors::ORIGIN_MONOTONIC_NS]);
    // A moment that was not is no moment.
    let oldest = oldest.filter(|ticks| (origin..=now).contains(ticks));
    Ok(oldest.map(|ticks| {
        // By the rate of the counter over all of the run.
        let share = u128::from(now - ticks) * u128::from(passed_ns);
        u64::try_from(share / u128::from(now - origin).max(1)).unwrap_or(u64::MAX)
    }))
}
