//! What every recorder has in common: how it is started, made to record, given a rest, closed, and
//! asked what has arrived.

use std::error::Error;
use std::path::Path;

use crate::case::Case;
use crate::work;

/// A benchmark that cannot run says why, and nothing else depends on the kind.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How a recorder is started.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// A folder of its own for what it writes.
    pub folder: &'a Path,
    /// What is going to be recorded, for those that are leaner when they need not expect fields.
    pub case: Case,
    /// Spans that its queue must hold; none for the default of the recorder.
    pub queue: Option<usize>,
}

/// A recorder at work, for one process.
pub trait Recorder {
    /// Makes so many spans, rounded up to whole pieces, and says how many. Here: with `tracing`.
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        work::run(case, spans)
    }

    /// Makes one span without fields, and says how many it was after all.
    fn one(&mut self) -> u64 {
        work::one();
        1
    }

    /// Waits until what was made is out of the queues, by the documented flush if there is one;
    /// `made` are all spans so far.
    fn rest(&mut self, made: u64) -> Result<()>;

    /// The documented flush or close at the end of a program.
    fn close(&mut self) -> Result<()>;

    /// What the output holds after that; none if it cannot be asked.
    fn arrived(&mut self) -> Result<Option<Arrived>>;

    /// How many records of the output so many spans are when nothing is lost.
    fn records(&self, _case: Case, spans: u64) -> u64 {
        spans
    }
}

/// What came out at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// Records in the output.
    pub records: u64,
    /// Spans that the recorder itself says it lost; none if it does not count them.
    pub said_lost: Option<u64>,
}

impl Arrived {
    /// For recorders that do not count what they lose.
    pub const fn uncounted(records: u64) -> Self {
        Self { records, said_lost: None }
    }
}

/// A recorder that can be chosen, and what a reader has to know to judge its figures.
#[derive(Debug)]
pub struct Entry {
    /// The name in the table and, with `_` for what is no letter or digit, on the command line.
    pub name: &'static str,
    /// The packages whose versions are printed; what is no crate: `name=version`.
    pub packages: &'static [&'static str],
    /// The setting that it is measured in.
    pub setting: &'static str,
    /// What it keeps of a span, and what not.
    pub keeps: &'static str,
    /// What it can record.
    pub cases: &'static [Case],
    /// Whether its queue has a documented size that can be enlarged.
    pub has_queue_size: bool,
    /// Starts it, once in a process.
    pub install: fn(&Setup<'_>) -> Result<Box<dyn Recorder>>,
}

impl Entry {
    /// The name on the command line.
    pub fn key(&self) -> String {
        self.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
    }
}
