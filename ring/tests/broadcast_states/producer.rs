//! A producer: `Multi::claim`, `Stages::room`, `Multi::publish`.

use super::actor::{Actor, Next};
use super::memory::{CAPACITY, Fault, Memory, VACANT, WRITING};

const TAIL: u8 = 0;
const LIMIT: u8 = 1;
const LOOK: u8 = 2;
const ANNOUNCED: u8 = 3;
const PUBLISHED: u8 = 4;
const ANNOUNCE: u8 = 5;
const LOOK_AGAIN: u8 = 6;
const RAISE_LIMIT: u8 = 7;
const CLAIM: u8 = 8;
const WRITE: u8 = 9;
const WRITTEN: u8 = 10;
const PUBLISH: u8 = 11;

pub fn step(mut me: Actor, mut memory: Memory, others: &[Actor], total: u8, fault: Fault) -> Next {
    match me.at {
        TAIL => {
            me.first = memory.tail;
            me.at = LIMIT;
            if me.first >= total {
                (me.at, me.first) = (TAIL, 0);
            }
        }
        LIMIT => {
            let has_room = me.first < memory.limit;
            me.at = if has_room { CLAIM } else { LOOK };
        }
        LOOK => match me.scan.least(&memory, 0..2) {
            None => {}
            Some(VACANT) => me.at = ANNOUNCED,
            Some(gate) => has_found(&mut me, gate),
        },
        ANNOUNCED => {
            me.found = memory.announced;
            me.at = PUBLISHED;
        }
        PUBLISHED => {
            if let Some(free) = me.scan.published(&memory, me.found) {
                has_found(&mut me, free);
            }
        }
        ANNOUNCE => {
            if fault != Fault::ProducerAnnouncesNothing {
                memory.announced = memory.announced.max(me.found);
            }
            me.at = if fault == Fault::ProducerLooksOnce { RAISE_LIMIT } else { LOOK_AGAIN };
        }
        LOOK_AGAIN => {
            if let Some(least) = me.scan.least(&memory, 0..2) {
                me.found = me.found.min(least);
                me.at = RAISE_LIMIT;
                if me.found + CAPACITY <= me.first {
                    is_full(&mut me);
                }
            }
        }
        RAISE_LIMIT => {
            memory.limit = memory.limit.max(me.found + CAPACITY);
            (me.at, me.found) = (CLAIM, 0);
        }
        CLAIM => {
            if memory.tail == me.first {
                memory.tail += 1;
                me.at = WRITE;
            } else {
                me.first = memory.tail;
                me.at = LIMIT;
                if me.first >= total {
                    (me.at, me.first) = (TAIL, 0);
                }
            }
        }
        WRITE => {
            let slot = Memory::slot(me.first);
            if let Some(reader) =
                others.iter().find(|it| it.reads().any(|read| Memory::slot(read) == slot))
            {
                return Err(format!("{} is written over what is read: {reader:?}", me.first));
            }
            if memory.content[slot] & WRITING != 0 {
                return Err(format!("{} is written by two", me.first));
            }
            memory.content[slot] = WRITING | (me.first + 1);
            let is_early = fault == Fault::PublishedBeforeItIsWritten;
            me.at = if is_early { PUBLISH } else { WRITTEN };
        }
        WRITTEN => {
            memory.content[Memory::slot(me.first)] = me.first + 1;
            me.at = PUBLISH;
            if fault == Fault::PublishedBeforeItIsWritten {
                (me.at, me.first) = (TAIL, 0);
            }
        }
        _ => {
            memory.stamps[Memory::slot(me.first)] = me.first + 1;
            if fault == Fault::PublishedBeforeItIsWritten {
                me.at = WRITTEN;
            } else {
                (me.at, me.first) = (TAIL, 0);
            }
        }
    }
    Ok(vec![(me, memory)])
}

fn has_found(me: &mut Actor, free: u8) {
    me.found = free;
    me.at = ANNOUNCE;
    if free + CAPACITY <= me.first {
        is_full(me);
    }
}

/// It tries again, some time.
fn is_full(me: &mut Actor) {
    (me.at, me.first, me.found) = (TAIL, 0, 0);
}
