//! What a check says: what it has found, or what was wrong, in few words however much it was.

use std::fmt;

use crate::report::group;

/// One thing that was looked at: the finding, or what was wrong.
pub type Check = Result<String, String>;

/// What is wrong with many rows: how often, and the first few.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    count: u64,
    first: Vec<String>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: impl fmt::Display) {
        self.count += 1;
        if self.first.len() < 3 {
            self.first.push(fault.to_string());
        }
    }

    pub(crate) fn check(self, found: String) -> Check {
        match (self.count, self.first.join("; ")) {
            (0, _) => Ok(found),
            (1..=3, faults) => Err(faults),
            (count, faults) => Err(format!("{} faults: {faults}; ...", group(count))),
        }
    }
}
