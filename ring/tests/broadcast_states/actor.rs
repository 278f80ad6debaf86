//! A thread: where it is, and what it knows. What it does not need any more is zero, so that equal states are equal.

use super::memory::{CAPACITY, Fault, Memory, PLACES, VACANT};
use super::{consumer, producer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Actor {
    pub role: Role,
    pub at: u8,
    /// A producer's first sequence; a consumer's next one.
    pub first: u8,
    /// The end of what is claimed or read.
    pub end: u8,
    /// What was found at the first look.
    pub found: u8,
    pub place: u8,
    pub scan: Scan,
    /// How often a consumer will still join.
    pub joins: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    None,
    Producer,
    /// A consumer of this stage.
    Consumer(u8),
}

/// What a thread that has done a step does next.
pub type Next = Result<Vec<(Actor, Memory)>, String>;

impl Actor {
    fn of(role: Role, joins: u8) -> Self {
        Self { role, at: 0, first: 0, end: 0, found: 0, place: 0, scan: Scan::default(), joins }
    }

    pub fn none() -> Self {
        Self::of(Role::None, 0)
    }

    pub fn producer() -> Self {
        Self::of(Role::Producer, 0)
    }

    pub fn consumer(stage: u8, joins: u8) -> Self {
        Self::of(Role::Consumer(stage), joins)
    }

    /// Whether it has come to its end.
    pub fn is_done(&self, memory: &Memory, total: u8) -> bool {
        match self.role {
            Role::None => true,
            Role::Producer => self.at == 0 && memory.tail >= total,
            Role::Consumer(_) => self.at == 0 && self.joins == 0,
        }
    }

    /// Its next atomic operation, in all ways in which it may go.
    pub fn step(self, memory: Memory, others: &[Actor], total: u8, fault: Fault) -> Next {
        match self.role {
            Role::None => Ok(Vec::new()),
            Role::Producer => producer::step(self, memory, others, total, fault),
            Role::Consumer(stage) => consumer::step(self, stage, memory, others, total, fault),
        }
    }

    /// Which sequences it reads at this moment.
    pub fn reads(&self) -> std::ops::Range<u8> {
        match self.role {
            Role::Consumer(_) if self.at == consumer::READING => self.first..self.end,
            _ => 0..0,
        }
    }
}

/// A look at places, one after the other (`Stage::least`), or at stamps (`published`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scan {
    step: u8,
    used: u8,
    /// Of the stage that is looked at.
    floor: u8,
    of_stage: u8,
    least: u8,
}

impl Scan {
    /// The next operation of a look at the gates of these stages. The least one, at the end.
    pub fn least(&mut self, memory: &Memory, stages: std::ops::Range<usize>) -> Option<u8> {
        if self.step == 0 {
            self.least = VACANT;
        }
        // The floor of a stage, if it is held; how many places were ever used; these.
        let in_each = 2 + PLACES as u8;
        let stage = &memory.stages[stages.start + usize::from(self.step / in_each)];
        let mut step = self.step % in_each;
        if step == 0 {
            (self.floor, self.of_stage, self.used) = (stage.floor, VACANT, 0);
            if stage.floor == VACANT {
                // It has none: nothing is loaded.
                (step, self.step) = (1, self.step + 1);
            }
        }
        match step {
            0 => {}
            1 => self.used = stage.used,
            _ => self.of_stage = self.of_stage.min(stage.gates[usize::from(step) - 2]),
        }
        self.step += 1;
        if step > self.used {
            let least = if self.of_stage == VACANT { self.floor } else { self.of_stage };
            self.least = self.least.min(least);
            (self.floor, self.of_stage, self.used) = (0, 0, 0);
            self.step = (self.step - 1) / in_each * in_each + in_each;
        }
        (self.step >= stages.len() as u8 * in_each).then(|| std::mem::take(self).least)
    }

    /// The next operation of a look how far everything is published from a sequence on. The end, when it is known.
    pub fn published(&mut self, memory: &Memory, from: u8) -> Option<u8> {
        let at = from + self.step;
        let is_published = memory.stamps[Memory::slot(at)] > at;
        if is_published {
            self.step += 1;
            if self.step < CAPACITY {
                return None;
            }
        }
        Some(from + std::mem::take(self).step)
    }
}
