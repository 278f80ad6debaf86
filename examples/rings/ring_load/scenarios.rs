//! The five scenarios by which rings between processes are usually tried, small: each write is read, or counted.
//!
//! How fast they are is for the program to say; here, what must hold on any machine.

use std::time::Duration;

use crate::arguments::{End, Load};
use crate::outcome::Outcome;
use crate::{child, parent};

/// What the processes of the tests below are; nothing, if nobody has begun this one as such.
#[test]
fn child() {
    if let Err(why) = child::was_child() {
        panic!("{why}");
    }
}

fn load(slot_bytes: usize, slots: usize, readers: usize, writes: u64) -> Load {
    let end = End::Writes(writes);
    Load { slot_bytes, slots, readers, end, per_second: None, ..Load::default() }
}

/// All of it adds up, and everybody has come to the end.
fn run(load: &Load) -> Outcome {
    let outcome = parent::run(load).expect("all processes end");
    assert_eq!(outcome.faults(), [""; 0], "{outcome:?}");
    assert_eq!((outcome.readers.len(), outcome.writers.len()), (load.readers, load.writers));
    outcome
}

fn each_reads(outcome: &Outcome, slots: u64) {
    assert!(outcome.readers.iter().all(|reader| reader.read == slots), "{outcome:?}");
}

#[test]
fn good_each_of_five_readers_sees_each_frame() {
    let outcome = run(&Load { hold: true, ..load(100_000, 64, 5, 64) });
    assert_eq!((outcome.written(), outcome.refused()), (64, 0));
    each_reads(&outcome, 64);
}

#[test]
fn too_many_readers_are_each_told_exactly_what_they_missed() {
    let outcome = run(&load(1_000, 16, 100, 400));
    assert_eq!((outcome.written(), outcome.claimed), (400, 400));
}

#[test]
fn lock_overhead_none_of_thousands_of_writes_waits_for_a_reader_that_has_room() {
    let outcome = run(&Load { hold: true, ..load(64, 4_096, 1, 4_096) });
    assert_eq!((outcome.written(), outcome.refused()), (4_096, 0));
    each_reads(&outcome, 4_096);
}

#[test]
fn memory_bound_slots_of_megabytes_go_through_a_ring_of_four() {
    let slots = Load { hold: true, verify: false, ..load(8 << 20, 4, 1, 4) };
    each_reads(&run(&slots), 4);
    // Overtaken in the middle of a slot, a reader throws away what it has.
    let checked = load(8 << 20, 4, 2, 24);
    assert_eq!(run(&checked).written(), 24);
    let in_place = Load { hold: true, in_place: true, ..load(8 << 20, 4, 2, 24) };
    let outcome = run(&in_place);
    each_reads(&outcome, outcome.written());
}

/// At this pace reading all of it would take a minute.
#[test]
fn slow_readers_miss_what_they_cannot_read_and_nothing_else() {
    let burn = Duration::from_millis(30);
    let outcome = run(&Load { burn, ..load(1_000, 16, 4, 2_000) });
    assert_eq!(outcome.written(), 2_000);
    assert!(outcome.readers.iter().all(|reader| reader.missed > 0), "{outcome:?}");
}

#[test]
fn slow_readers_that_hold_miss_nothing_and_writers_are_refused() {
    let burn = Duration::from_millis(5);
    let slow = Load { burn, hold: true, ..load(1_000, 16, 4, 2_000) };
    let outcome = run(&slow);
    assert!(outcome.refused() > 0, "{outcome:?}");
    assert_eq!(outcome.written() + outcome.refused(), 2_000);
    each_reads(&outcome, outcome.written());
}

#[test]
fn several_writers_are_each_seen_in_their_own_order() {
    let outcome = run(&Load { writers: 3, hold: true, ..load(200, 4_096, 2, 1_000) });
    assert_eq!(outcome.written(), 3_000);
    each_reads(&outcome, 3_000);
}

#[test]
fn no_write_of_a_rate_comes_before_its_time() {
    let paced = Load { per_second: Some(1_000.0), hold: true, ..load(64, 128, 1, 100) };
    let outcome = run(&paced);
    each_reads(&outcome, 100);
    assert!(outcome.writers[0].seconds >= 0.1, "{outcome:?}");
    let (writers, readers) = outcome.percents();
    assert!(writers <= 100.0 && readers <= 100.0, "{outcome:?}");
}

#[test]
fn a_load_that_cannot_be_held_ends_in_its_time() {
    let length = Duration::from_millis(50);
    let end = End::Behind(length);
    let outcome = run(&Load { per_second: Some(1e9), end, ..load(64, 16, 1, 0) });
    let tried = outcome.writers[0].tried;
    assert!(tried > 0 && tried < 50_000_000, "{outcome:?}");
}

#[test]
fn a_slot_that_is_not_what_was_written_fails() {
    let spoilt = Load { spoilt: Some(7), hold: true, ..load(64, 64, 2, 20) };
    let outcome = parent::run(&spoilt).expect("all processes end");
    let wrong = |number| format!("reader {number} read 1 slots with a wrong checksum");
    assert_eq!(outcome.faults(), [wrong(0), wrong(1)]);
    let unseen = Load { verify: false, ..spoilt };
    // Its number is another one: behind it, the next one seems to come too early, or it was too early itself.
    let faults = parent::run(&unseen).expect("all processes end").faults();
    assert!(faults.iter().any(|fault| fault.contains("out of order")), "{faults:?}");
}

#[test]
fn a_ring_that_cannot_be_made_is_said_to_be_so() {
    let why = parent::run(&load(1 << 32, 1 << 20, 1, 1)).unwrap_err();
    assert!(!why.is_empty());
}
