//! The protocol of broadcast rings, as a model whose states are all visited.
//!
//! loom runs the code itself, in all orders that the memory model allows, and so it has to stop early: after two preemptions,
//! and a few operations. Here the code is written down once more, an atomic operation a step (the names are those of
//! `ring/src/broadcast/multi.rs` and `stages.rs`), and run in *all* orders with as many preemptions as there can be, to its end: slots are
//! used again, consumers come, leave and come again while two producers and a later stage go on. What is looked at is the order of
//! operations, not their memory ordering.
//!
//! In each state: no slot is written that somebody reads; what is read is what was published for that sequence; a later
//! stage reads nothing that a consumer before it still needs, or will need that joins at this moment. From each state the end can
//! still be reached: nobody waits for ever.
//!
//! The model is not right by being written so: a part of the protocol is left out in turn, and each time something goes wrong
//! that the search finds.
//!
//! Source of the method: explicit-state model checking, as in G. J. Holzmann, "The model checker SPIN", IEEE Transactions on Software
//! Engineering 23 (5), 1997.

// Nothing of the ring runs here, and no unsafe code: Miri has nothing to find in a million states.
#![cfg(not(miri))]

mod actor;
mod consumer;
mod memory;
mod producer;
mod search;

use actor::Actor;
use memory::Fault;
use search::search;

/// All states of two producers and a consumer that comes twice.
#[test]
fn two_producers_and_a_consumer_that_comes_and_leaves() {
    let actors = [Actor::producer(), Actor::producer(), Actor::consumer(0, 2), Actor::none()];
    let found = search(actors, false, 3, Fault::None).unwrap();
    assert!(found.states > 10_000, "{found:?}");
}

#[test]
fn a_producer_and_two_consumers_that_come_and_leave() {
    let actors = [Actor::producer(), Actor::consumer(0, 2), Actor::consumer(0, 1), Actor::none()];
    let found = search(actors, false, 4, Fault::None).unwrap();
    assert!(found.states > 10_000, "{found:?}");
}

#[test]
fn a_stage_behind_another_whose_consumer_comes_and_leaves() {
    let actors = [Actor::producer(), Actor::consumer(0, 2), Actor::consumer(1, 1), Actor::none()];
    let found = search(actors, false, 4, Fault::None).unwrap();
    assert!(found.states > 10_000, "{found:?}");
}

#[test]
fn two_producers_and_two_stages() {
    let actors =
        [Actor::producer(), Actor::producer(), Actor::consumer(0, 1), Actor::consumer(1, 1)];
    // A million states, which take half a minute where nothing is optimised.
    let total = if cfg!(debug_assertions) { 2 } else { 3 };
    let found = search(actors, false, total, Fault::None).unwrap();
    assert!(found.states > 10_000, "{found:?}");
}

/// What comes while nobody is there waits for the next one.
#[test]
fn a_held_stage_whose_consumer_comes_and_leaves() {
    let actors = [Actor::producer(), Actor::producer(), Actor::consumer(0, 2), Actor::none()];
    let found = search(actors, true, 3, Fault::None).unwrap();
    assert!(found.states > 10_000, "{found:?}");
}

/// Each part of the protocol is there for a reason that the search finds.
#[test]
fn whatever_is_left_out_is_missed() {
    let one = [Actor::producer(), Actor::consumer(0, 2), Actor::none(), Actor::none()];
    let two = [Actor::producer(), Actor::consumer(0, 2), Actor::consumer(0, 1), Actor::none()];
    let behind_two =
        [Actor::producer(), Actor::consumer(0, 1), Actor::consumer(0, 1), Actor::consumer(1, 1)];
    let behind = [Actor::producer(), Actor::consumer(0, 2), Actor::consumer(1, 1), Actor::none()];
    for (fault, actors, is_held, total) in [
        (Fault::ProducerAnnouncesNothing, one, false, 6),
        (Fault::ProducerLooksOnce, two, true, 5),
        (Fault::NewcomerBeginsWhereItSaysFirst, one, false, 5),
        (Fault::NewcomerTakesNoGate, one, false, 5),
        (Fault::ConsumerGivesBackBeforeItReads, one, false, 4),
        (Fault::NobodyGivesAnythingBack, one, false, 4),
        (Fault::PublishedBeforeItIsWritten, one, false, 3),
        (Fault::StageAnnouncesNothing, behind_two, true, 2),
        (Fault::StageLooksOnce, behind, true, 4),
        (Fault::StageGoesByWhatIsPublished, behind, false, 3),
        (Fault::FloorStays, one, true, 4),
    ] {
        let found = search(actors, is_held, total, fault);
        assert!(found.is_err(), "{fault:?} is not noticed: {found:?}");
    }
}
