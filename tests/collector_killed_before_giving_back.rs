//! A collector that was killed between a commit and giving the slots back: the next one gives them back.

use std::os::unix::fs::FileExt;
use std::path::Path;

use spandrel_tests::collecting::{Collector, record, rings, small_in};
use spandrel_tests::prelude::*;

fn words(path: &Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// Writes what was given back, a word and its complement, as it was before. Says how many words these were.
fn take_back(path: &Path, before: &[u64]) -> usize {
    let now = words(path);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let mut found = 0;
    for at in 0..now.len() - 1 {
        let is_gate = now[at] == !now[at + 1] && before[at] == !before[at + 1];
        if is_gate && before[at] < now[at] && now[at] < 1 << 40 {
            for word in [at, at + 1] {
                file.write_all_at(&before[word].to_ne_bytes(), word as u64 * 8).unwrap();
            }
            found += 1;
        }
    }
    found
}

#[test]
fn slots_that_a_killed_collector_has_committed_are_given_back_by_the_next_one() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    // More than the ring holds.
    record(&profiler, 0..8_000);
    let dropped = profiler.stats().dropped.total();
    assert!(dropped > 0);
    let ring = std::fs::read_dir(rings.path()).unwrap().next().unwrap().unwrap().path();
    let before = words(&ring);
    let (done, _) = Collector::start(rings.path(), scratch.db()).stop();
    assert_eq!(done.going_on, 1);
    assert!(take_back(&ring, &before) > 0);
    let collector = Collector::start(rings.path(), scratch.db());
    profiler.flush(Duration::from_secs(20)).unwrap();
    record(&profiler, 8_000..8_010);
    assert_eq!(profiler.stats().dropped.total(), dropped);
    collector.stop();
}
