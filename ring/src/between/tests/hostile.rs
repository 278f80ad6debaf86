//! Words that somebody else has changed: nobody panics, hangs, or leaves the memory; and what is whole is read.

use super::super::{Ring, Start};
use super::*;
use crate::sync::Ordering;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// How many words: `SPANDREL_FLIPS=2000000`.
fn flips() -> u64 {
    let asked = std::env::var("SPANDREL_FLIPS").ok().and_then(|flips| flips.parse().ok());
    asked.unwrap_or(if cfg!(miri) { 100 } else { 100_000 })
}

/// Does what anybody may do, and looks at nothing: whatever comes of it, it comes to an end.
fn use_all(ring: &Ring) {
    let mut slot = [0; 16];
    let mut many = [0; 16 * 5];
    let mut writer = ring.writer().ok();
    let mut reader = ring.reader(Start::Oldest).ok();
    if let Some(writer) = &mut writer {
        for sent in 0..3 {
            _ = writer.try_send(&bytes(sent));
        }
        _ = writer.try_claim().map(std::mem::forget);
        _ = writer.send(&bytes(9), Duration::ZERO);
    }
    if let Some(reader) = &mut reader {
        _ = reader.lag();
        _ = reader.try_read_many(&mut many);
        _ = reader.read_all(|_, slot| assert_eq!(slot.len(), 16));
        _ = reader.read(&mut slot, Duration::ZERO);
        _ = reader.skip_to_newest();
        _ = reader.try_read(&mut slot);
    }
    drop(reader);
    if let Ok(mut worker) = ring.holding_worker(1, Start::Oldest) {
        _ = worker.try_read(&mut slot);
        _ = worker.try_read(&mut slot);
    }
    if let Ok(mut reader) = ring.holding_reader() {
        if let Some(writer) = &mut writer {
            _ = writer.try_send(&bytes(4));
        }
        _ = reader.try_peek().map(|held| held.len());
        _ = reader.read_all(|_, _| ());
    }
    _ = ring.participants();
    _ = (ring.counts(), ring.claimed());
}

#[test]
fn no_word_makes_anybody_panic_or_go_on_for_ever() {
    let mut state = 0x2545_F491_4F6C_DD1D;
    let seen = &mut state;
    let mut left = flips();
    while left > 0 {
        let (ring, lives) = ring(SIZES, AT_ONCE);
        use_all(&ring);
        for _ in 0..left.min(20) {
            left -= 1;
            let from = super::super::layout::HINT;
            let words = ring.shared.layout.words;
            // Those that are used, mostly.
            let at = from + (random(seen) as usize % (words - from)).min(400);
            let near = random(seen) % 8;
            let word = match random(seen) % 5 {
                0 => random(seen),
                1 => random(seen) % 64,
                2 => ring.shared.word(at).load(Ordering::Relaxed) ^ 1 << (random(seen) % 64),
                3 => u64::MAX - near,
                // A state, or a place, of some lap or generation.
                _ => near << 16 | (random(seen) % 8) << 12 | (random(seen) % 6),
            };
            ring.shared.word(at).store(word, Ordering::Relaxed);
            if random(seen).is_multiple_of(4) {
                lives.kill((random(seen) % 4) as usize);
            }
            use_all(&ring);
        }
    }
}

/// A ring that was spoilt once is used again, if what was spoilt is no end of it.
#[test]
fn zeros_in_all_slots_are_claimed_again() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    (0..9).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    for slot in 0..4 {
        ring.shared.state(slot).store(0, Ordering::Relaxed);
    }
    let mut reader = ring.reader(Start::Next).unwrap();
    let sent: Vec<_> = (0..9).map(|sent| writer.try_send(&bytes(sent)).unwrap()).collect();
    assert_eq!(sent, [9, 10, 11, 12, 13, 14, 15, 16, 17]);
    let mut slot = [0; 16];
    assert!(reader.try_read(&mut slot).is_err());
    assert!(reader.try_read(&mut slot).is_ok());
}
