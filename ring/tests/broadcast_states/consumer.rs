//! A consumer: `Stages::join`, `Stages::visible`, `Stage::release`, `Stage::leave`.

use super::actor::{Actor, Next, Role, Scan};
use super::memory::{CAPACITY, Fault, Memory, PLACES, VACANT};

const AWAY: u8 = 0;
const TAKE_PLACE: u8 = 1;
const RAISE_USED: u8 = 2;
const SAY_TO_PRODUCERS: u8 = 3;
const SAY_TO_STAGES: u8 = 4;
const START: u8 = 5;
const SET_GATE: u8 = 6;
const WAIT: u8 = 7;
const PUBLISHED: u8 = 8;
const ANNOUNCE: u8 = 9;
const LOOK_AGAIN: u8 = 10;
pub const READING: u8 = 11;
const RELEASE: u8 = 12;
const LEAVE: u8 = 13;

pub fn step(
    mut me: Actor,
    stage: u8,
    mut memory: Memory,
    others: &[Actor],
    total: u8,
    fault: Fault,
) -> Next {
    let mine = usize::from(stage);
    match me.at {
        AWAY => {
            if me.joins == 0 {
                return Ok(Vec::new());
            }
            me.joins -= 1;
            me.found = memory.announced;
            me.at = TAKE_PLACE;
        }
        TAKE_PLACE => {
            // Each of the compare-and-swaps before has failed: a place that is vacant by now is as good as one that was.
            let place = memory.stages[mine].gates.iter().position(|gate| *gate == VACANT);
            let Some(place) = place else { return Err("there is no place".into()) };
            if fault != Fault::NewcomerTakesNoGate {
                memory.stages[mine].gates[place] = me.found;
            }
            me.place = place as u8;
            me.at = RAISE_USED;
        }
        RAISE_USED => {
            let used = &mut memory.stages[mine].used;
            *used = (*used).max(me.place + 1).min(PLACES as u8);
            me.at = SAY_TO_PRODUCERS;
            if fault == Fault::NewcomerBeginsWhereItSaysFirst {
                me.at = START;
            }
        }
        SAY_TO_PRODUCERS => {
            me.found = memory.announced;
            me.at = SAY_TO_STAGES;
        }
        SAY_TO_STAGES => {
            me.found = me.found.max(memory.stages[mine].announced);
            me.at = START;
        }
        START if memory.stages[mine].floor != VACANT => {
            let start = me.found.max(memory.stages[mine].floor);
            if start < memory.stages[mine].done {
                return Err(format!("{start} was handled by somebody who has left"));
            }
            (me.first, me.found) = (start, 0);
            me.at = SET_GATE;
            check_start(&me, stage, others)?;
        }
        START => {
            if let Some(start) = me.scan.published(&memory, me.found) {
                let mut start = start;
                if fault == Fault::NewcomerBeginsWhereItSaysFirst {
                    start = me.found;
                }
                (me.first, me.found) = (start, 0);
                me.at = SET_GATE;
                check_start(&me, stage, others)?;
            }
        }
        SET_GATE => {
            set_gate(&mut memory, &me, stage, fault);
            me.at = WAIT;
        }
        WAIT => {
            // It leaves now, or looks for more. If it will not come again, it stays to the end.
            let mut left = (me, memory);
            let stage_left = &mut left.1.stages[mine];
            if stage_left.floor != VACANT {
                stage_left.done = stage_left.done.max(me.first);
            }
            let floor = &mut stage_left.floor;
            if *floor == VACANT || fault == Fault::FloorStays {
                leave(&mut left.0, &mut left.1, stage);
            } else {
                *floor = (*floor).max(me.first);
                left.0.at = LEAVE;
            }
            let mut looks = (me, memory);
            if stage == 0 || fault == Fault::StageGoesByWhatIsPublished {
                looks.0.at = PUBLISHED;
                published(&mut looks.0, &memory, fault);
            } else if let Some(least) = looks.0.scan.least(&memory, 0..mine) {
                match least {
                    VACANT => looks.0.at = PUBLISHED,
                    gate => goes_up_to(&mut looks.0, gate, ANNOUNCE),
                }
            }
            // In the middle of a look it does not leave.
            let may_leave = me.scan == Scan::default() && (me.joins > 0 || me.first >= total);
            return Ok(if may_leave { vec![left, looks] } else { vec![looks] });
        }
        PUBLISHED => published(&mut me, &memory, fault),
        ANNOUNCE => {
            let announced = &mut memory.stages[0].announced;
            if fault != Fault::StageAnnouncesNothing {
                *announced = (*announced).max(me.end);
            }
            me.at = if fault == Fault::StageLooksOnce { READING } else { LOOK_AGAIN };
        }
        LOOK_AGAIN => {
            if let Some(least) = me.scan.least(&memory, 0..mine) {
                let end = me.end.min(least);
                goes_up_to(&mut me, end, READING);
            }
        }
        READING => {
            // In one step: whoever writes meanwhile is seen there.
            for sequence in me.first..me.end {
                let found = memory.content[Memory::slot(sequence)];
                if found != sequence + 1 {
                    return Err(format!("{sequence} is read as {found:#x}"));
                }
            }
            check_stages_before(&me, stage, others)?;
            me.at = RELEASE;
        }
        LEAVE => leave(&mut me, &mut memory, stage),
        RELEASE => {
            me.first = me.end;
            me.end = 0;
            set_gate(&mut memory, &me, stage, fault);
            me.at = WAIT;
        }
        _ => return Err("there is no such step".into()),
    }
    if me.at == READING && fault == Fault::ConsumerGivesBackBeforeItReads {
        memory.stages[mine].gates[usize::from(me.place)] = me.end;
    }
    Ok(vec![(me, memory)])
}

fn leave(me: &mut Actor, memory: &mut Memory, stage: u8) {
    memory.stages[usize::from(stage)].gates[usize::from(me.place)] = VACANT;
    *me = Actor { joins: me.joins, ..Actor::consumer(stage, 0) };
}

fn set_gate(memory: &mut Memory, me: &Actor, stage: u8, fault: Fault) {
    if fault != Fault::NobodyGivesAnythingBack || me.first == 0 {
        memory.stages[usize::from(stage)].gates[usize::from(me.place)] = me.first;
    }
}

fn published(me: &mut Actor, memory: &Memory, fault: Fault) {
    if let Some(end) = me.scan.published(memory, me.first) {
        let is_behind = me.role != Role::Consumer(0) && fault != Fault::StageGoesByWhatIsPublished;
        goes_up_to(me, end, if is_behind { ANNOUNCE } else { READING });
    }
}

/// Reads up to there, after a step in between; or waits for more.
fn goes_up_to(me: &mut Actor, end: u8, then: u8) {
    (me.at, me.end) = if end > me.first { (then, end.min(me.first + CAPACITY)) } else { (WAIT, 0) };
}

/// Whoever joins begins with nothing that a later stage has already.
fn check_start(me: &Actor, stage: u8, others: &[Actor]) -> Result<(), String> {
    for other in others {
        if let Role::Consumer(behind) = other.role
            && behind > stage
            && has_begun(other)
            && has_read_until(other) > me.first
        {
            return Err(format!("a later stage has read {} before: {other:?}", me.first));
        }
    }
    Ok(())
}

/// A later stage reads only what all before it are done with.
fn check_stages_before(me: &Actor, stage: u8, others: &[Actor]) -> Result<(), String> {
    for other in others {
        if let Role::Consumer(before) = other.role
            && before < stage
            && has_begun(other)
            && other.first < me.end
        {
            return Err(format!("{} is not done with before: {other:?}", other.first));
        }
    }
    Ok(())
}

/// Whether it knows where it begins.
fn has_begun(it: &Actor) -> bool {
    it.at >= SET_GATE
}

fn has_read_until(it: &Actor) -> u8 {
    if it.at == READING || it.at == RELEASE { it.end } else { it.first }
}
