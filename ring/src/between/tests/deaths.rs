//! Participants that are killed between two steps, and others that are only stopped.

use super::super::state::{Phase, State};
use super::super::{ReadError, Start, WriteError, Writer};
use super::*;
use crate::sync::Ordering;

/// The writer is killed with a claim in hand.
fn die_with_claim(mut writer: Writer, lives: &Pretended) -> u64 {
    let claim = writer.try_claim().unwrap();
    let sequence = claim.sequence();
    std::mem::forget(claim);
    writer.die(lives);
    sequence
}

#[test]
fn a_claim_of_a_dead_writer_is_skipped_by_who_waits_for_it_and_counted_once() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let mut readers = [ring.reader(Start::Next).unwrap(), ring.holding_reader().unwrap()];
    assert_eq!(die_with_claim(ring.writer().unwrap(), &lives), 0);
    writer.try_send(&bytes(1)).unwrap();
    for reader in &mut readers {
        assert_eq!(reader.try_read(&mut [0; 16]), Ok(1));
        assert_eq!((reader.without_value(), reader.missed()), (1, 0));
    }
    assert_eq!((ring.counts().dead_claims, ring.counts().dead_participants), (1, 1));
}

#[test]
fn a_claim_of_a_dead_writer_is_skipped_by_a_writer_that_comes_round() {
    let (ring, lives) = ring(SIZES, NEVER_PASSED);
    let mut writer = ring.writer().unwrap();
    die_with_claim(ring.writer().unwrap(), &lives);
    for sent in 1..100 {
        assert_eq!(writer.try_send(&bytes(sent)), Ok(sent));
    }
    assert_eq!((ring.counts().dead_claims, ring.counts().passed_over), (1, 0));
}

#[test]
fn a_ring_ends_when_its_last_writer_is_dead() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut writer = ring.writer().unwrap();
    writer.try_send(&bytes(1)).unwrap();
    die_with_claim(writer, &lives);
    assert_eq!(reader.try_read(&mut [0; 16]), Ok(0));
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Ended));
    assert_eq!((reader.without_value(), ring.counts().dead_claims), (1, 1));
}

#[test]
fn a_dead_reader_holds_nobody() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let readers = [ring.holding_reader().unwrap(), ring.holding_reader().unwrap()];
    let worker = ring.holding_worker(0, Start::Next).unwrap();
    (0..4).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(writer.try_send(&bytes(4)), Err(WriteError::Full));
    readers.iter().for_each(|reader| lives.kill(reader.place()));
    assert_eq!(writer.try_send(&bytes(4)), Err(WriteError::Full));
    lives.kill(worker.place());
    (4..100).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(ring.counts().dead_participants, 3);
    std::mem::forget((readers, worker));
}

#[test]
fn a_place_of_a_dead_writer_is_taken_again_when_its_claims_are_skipped() {
    let (ring, lives) = ring(SIZES, NEVER_PASSED);
    let mut reader = ring.holding_reader().unwrap();
    for _ in 0..3 {
        die_with_claim(ring.writer().unwrap(), &lives);
    }
    // Nobody was asked for yet, and their places are all there are.
    let mut later: Vec<_> = (0..3).map(|_| ring.writer().unwrap()).collect();
    assert_eq!((ring.counts().dead_claims, ring.counts().dead_participants), (3, 3));
    let claims = later[0].try_claim().unwrap();
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Empty));
    assert_eq!(reader.without_value(), 3, "those of the dead, and not that of who lives");
    claims.publish().unwrap();
    assert_eq!(reader.try_read(&mut [0; 16]), Ok(3));
}

#[test]
fn a_writer_that_is_stopped_is_passed_over_and_told_so() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut stopped = ring.writer().unwrap();
    let mut writer = ring.writer().unwrap();
    let claim = stopped.try_claim().unwrap();
    // Three behind it; the fourth sequence of the next lap is the one that has no value.
    let sent: Vec<_> = (1..12).map(|number| writer.try_send(&bytes(number)).unwrap()).collect();
    assert_eq!(sent, [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14]);
    assert_eq!(ring.counts().passed_over, 3);
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Overtaken(11)));
    let mut slot = [0; 16];
    assert_eq!(reader.try_read(&mut slot), Ok(11));
    assert_eq!(reader.try_read(&mut slot), Ok(13), "12 has no value, and nobody waits for it");
    assert_eq!(claim.publish(), Err(WriteError::Overrun));
    // The slot is as any other again.
    assert_eq!(writer.try_send(&bytes(1)), Ok(15));
    assert_eq!(writer.try_send(&bytes(1)), Ok(16));
    assert_eq!(stopped.try_send(&bytes(2)), Ok(17));
    let seen: Vec<_> = std::iter::from_fn(|| reader.try_read(&mut slot).ok()).collect();
    assert_eq!(seen, [14, 15, 16, 17]);
    assert_eq!((reader.without_value(), reader.missed()), (1, 11));
}

#[test]
fn a_writer_that_is_passed_over_and_dies_gives_its_slot_back() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let mut stopped = ring.writer().unwrap();
    std::mem::forget(stopped.try_claim().unwrap());
    (1..9).for_each(|number| _ = writer.try_send(&bytes(number)).unwrap());
    let before = ring.counts();
    assert!(before.passed_over > 0);
    stopped.die(&lives);
    let sent: Vec<_> = (0..8).map(|_| writer.try_send(&bytes(1)).unwrap()).collect();
    assert!(sent.windows(2).all(|two| two[1] == two[0] + 1), "{sent:?}");
    assert_eq!(ring.counts().passed_over, before.passed_over);
}

#[test]
fn who_lives_is_waited_for_and_not_skipped() {
    let (ring, _) = ring(SIZES, NEVER_PASSED);
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut slow = ring.writer().unwrap();
    let mut writer = ring.writer().unwrap();
    let claim = slow.try_claim().unwrap();
    (1..4).for_each(|number| _ = writer.try_send(&bytes(number)).unwrap());
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Empty));
    assert_eq!(writer.try_send(&bytes(4)), Err(WriteError::Full));
    assert_eq!(claim.publish(), Ok(0));
    assert_eq!(writer.try_send(&bytes(4)), Ok(4));
}

/// Killed behind the claim and before the hint: others find their way.
#[test]
fn a_hint_that_is_old_or_wrong_leads_to_the_tail() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    (0..21).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    let hint = ring.shared.word(super::super::layout::HINT);
    for wrong in [20, 13, 1, 0, 22, 5_000, u64::MAX] {
        hint.store(wrong, Ordering::Relaxed);
        assert_eq!(ring.claimed(), 21, "{wrong}");
        let mut reader = ring.reader(Start::Oldest).unwrap();
        assert_eq!(reader.try_read(&mut [0; 16]), Ok(17));
    }
    let at = ring.writer().unwrap().try_send(&bytes(1)).unwrap();
    assert_eq!(at, 21);
}

#[test]
fn a_claim_that_nobody_can_own_is_skipped() {
    let (ring, _) = ring(SIZES, NEVER_PASSED);
    let mut writer = ring.writer().unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    for owner in [reader.place(), 3, 4_095] {
        let sequence = ring.claimed();
        let lap = ring.shared.laps.of(sequence);
        let claimed = State::new(lap, Phase::Claimed, owner).word();
        ring.shared.state(sequence).store(claimed, Ordering::Relaxed);
        let at = writer.try_send(&bytes(1)).unwrap();
        assert_eq!(reader.try_read(&mut [0; 16]), Ok(at));
    }
    assert_eq!(reader.without_value(), 3);
}
