//! All states that can be reached, and whether the end can be reached from each.

use std::collections::HashMap;

use super::actor::Actor;
use super::memory::{Fault, Memory};

const ACTORS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    actors: [Actor; ACTORS],
    memory: Memory,
}

/// What there was to find.
#[derive(Debug)]
pub struct Found {
    pub states: usize,
}

/// Visits all states of these threads, whose producers publish so many sequences in all.
pub fn search(
    actors: [Actor; ACTORS],
    is_held: bool,
    total: u8,
    fault: Fault,
) -> Result<Found, String> {
    let begin = State { actors, memory: Memory::new(is_held) };
    let mut numbers = HashMap::from([(begin, 0_u32)]);
    let mut states = vec![begin];
    // From whom each state was reached, one pair a step.
    let mut steps: Vec<(u32, u32)> = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    while at < states.len() {
        let state = states[at];
        if state.actors.iter().all(|actor| actor.is_done(&state.memory, total)) {
            ends.push(at as u32);
        }
        for (index, actor) in state.actors.iter().enumerate() {
            for (actor, memory) in actor.step(state.memory, &state.actors, total, fault)? {
                let mut actors = state.actors;
                actors[index] = actor;
                let next = State { actors, memory };
                let number = *numbers.entry(next).or_insert_with(|| {
                    states.push(next);
                    (states.len() - 1) as u32
                });
                if number != at as u32 {
                    steps.push((number, at as u32));
                }
            }
        }
        at += 1;
    }
    // Backwards from the ends: who is not met waits for ever.
    steps.sort_unstable();
    let mut reaches = vec![false; states.len()];
    let mut open = ends;
    open.iter().for_each(|end| reaches[*end as usize] = true);
    while let Some(state) = open.pop() {
        let first = steps.partition_point(|(to, _)| *to < state);
        for (_, from) in steps[first..].iter().take_while(|(to, _)| *to == state) {
            if !std::mem::replace(&mut reaches[*from as usize], true) {
                open.push(*from);
            }
        }
    }
    match reaches.iter().position(|reaches| !reaches) {
        Some(stuck) => Err(format!("no end can be reached from {:?}", states[stuck])),
        None => Ok(Found { states: states.len() }),
    }
}
