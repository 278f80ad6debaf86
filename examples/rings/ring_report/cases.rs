//! Which cases there are, in the order of the report.

use std::time::Duration;

use crate::clock::Clock;
use crate::ends::{Item, Kind, Partitions, SharedRing, SingleRing};
use crate::run::{Run, Shape, run};

type Measure = fn(Shape, Duration, Clock) -> Result<Run, String>;

/// One row.
#[derive(Clone)]
pub struct Case {
    pub section: &'static str,
    /// What its `RESULT` line says.
    pub name: String,
    pub ring: &'static str,
    pub shape: Shape,
    pub measure: Measure,
}

impl Case {
    pub fn threads(&self) -> usize {
        self.shape.producers + self.shape.consumers
    }

    /// What its ring takes, about.
    pub fn bytes(&self) -> u64 {
        (self.shape.slots * (size_of::<Item>() * 9 / 8)) as u64
    }
}

pub const SECTIONS: [&str; 3] = ["THROUGHPUT", "SCALABILITY", "CONTENTION"];

/// Slots of those rows that are not about sizes.
const SLOTS: usize = 8_192;
/// Sizes of the one producer and one consumer of the first section: small to large.
const SMALL_TO_LARGE: [usize; 4] = [64, 1_024, 8_192, 32_768];
const SIZES: [usize; 9] = [16, 64, 256, 1_024, 4_096, 16_384, 262_144, 1_048_576, HUGE];
/// Takes 2 GiB.
pub const HUGE: usize = 33_554_432;
/// Slots of the rows of the last section.
const CONTENDED_SLOTS: usize = 1_048_576;
const CONTENDERS: [usize; 4] = [1, 2, 4, 8];

fn case<K: Kind>(
    section: usize,
    name: String,
    (producers, consumers): (usize, usize),
    slots: usize,
) -> Case {
    let shape = Shape { producers, consumers, slots };
    Case { section: SECTIONS[section], name, ring: K::NAME, shape, measure: run::<K> }
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for slots in SMALL_TO_LARGE {
        cases.push(case::<SingleRing>(0, format!("1p1c_{slots}"), (1, 1), slots));
    }
    for slots in SMALL_TO_LARGE {
        cases.push(case::<SharedRing>(0, format!("1p1c_{slots}_shared"), (1, 1), slots));
    }
    for consumers in [2, 4] {
        cases.push(case::<SingleRing>(0, format!("1p{consumers}c"), (1, consumers), SLOTS));
    }
    for (producers, consumers) in [(2, 1), (4, 1), (2, 2), (4, 4)] {
        let name = format!("{producers}p{consumers}c");
        cases.push(case::<SharedRing>(0, name, (producers, consumers), SLOTS));
    }
    for producers in [2, 4] {
        let name = format!("{producers}p1c_partitions");
        cases.push(case::<Partitions>(0, name, (producers, 1), SLOTS));
    }
    for slots in SIZES {
        cases.push(case::<SingleRing>(1, format!("slots_{slots}"), (1, 1), slots));
    }
    for producers in CONTENDERS {
        let name = format!("contention_{producers}p");
        cases.push(case::<SharedRing>(2, name, (producers, 1), CONTENDED_SLOTS));
    }
    for producers in CONTENDERS {
        let name = format!("contention_{producers}p_partitions");
        cases.push(case::<Partitions>(2, name, (producers, 1), CONTENDED_SLOTS));
    }
    cases
}

#[test]
fn each_case_has_a_name_of_its_own() {
    let mut names: Vec<_> = all().into_iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
