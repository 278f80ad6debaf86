//! What is measured in one process, of one recorder. The results are lines of a name and a number.

mod memory;
mod session;
mod singly;
mod timer;

pub use singly::RATE;

use std::hint::black_box;

use crate::case::Case;
use crate::recorder::{Entry, Result};
use session::Session;
use timer::Timer;

/// Spans between two rests: fewer than the smallest queue holds that has no size to set (a future
/// in a span of fastrace takes four of its 10,240 places), and enough that a rest is not what is seen.
pub const CHUNK: u64 = 2_000;
/// The first spans of a process allocate and register callsites.
const FIRST_SPANS: u64 = 1_000;

/// A kind of measurement, and how long it is.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// So many spans in chunks, each of which callgrind can tell from the rest by
    /// [`COUNTED_FUNCTION`].
    Counted(u64),
    /// The mean time of so many spans in a tight loop, without the rests between the chunks.
    Loop(u64),
    /// So many spans one by one at [`singly::RATE`].
    Singly(u64),
    /// So many spans at full speed without a rest, into a queue of the default size or one that
    /// holds them all: losses, and the mean time while the recorder's own thread works.
    Burst { spans: u64, enlarged: bool },
}

impl Job {
    /// The arguments of the process that does it.
    pub fn arguments(self) -> [String; 2] {
        let (name, spans) = match self {
            Self::Counted(spans) => ("counted", spans),
            Self::Loop(spans) => ("loop", spans),
            Self::Singly(spans) => ("singly", spans),
            Self::Burst { spans, enlarged: false } => ("burst", spans),
            Self::Burst { spans, enlarged: true } => ("enlarged_burst", spans),
        };
        [name.to_owned(), spans.to_string()]
    }

    /// The job of those arguments.
    pub fn from_arguments(name: &str, spans: &str) -> Option<Self> {
        let spans = spans.parse().ok()?;
        Some(match name {
            "counted" => Self::Counted(spans),
            "loop" => Self::Loop(spans),
            "singly" => Self::Singly(spans),
            "burst" => Self::Burst { spans, enlarged: false },
            "enlarged_burst" => Self::Burst { spans, enlarged: true },
            _ => return None,
        })
    }
}

/// Measures, and prints what it finds.
pub fn run(job: Job, entry: &Entry, case: Case) -> Result<()> {
    match job {
        Job::Counted(spans) => {
            let mut session = rested(entry, case)?;
            chunks(&mut session, spans, |session, spans| counted(|| session.run(spans)))?;
            session.finish()
        }
        Job::Loop(spans) => {
            let mut session = rested(entry, case)?;
            let mut timer = Timer::default();
            chunks(&mut session, spans, |session, spans| timer.time(|| session.run(spans)))?;
            timer.print();
            session.finish()
        }
        Job::Singly(spans) => singly::run(entry, spans),
        Job::Burst { spans, enlarged } => {
            let queue = if enlarged { Some(usize::try_from(spans)?) } else { None };
            let mut session = Session::start(entry, case, queue)?;
            let mut timer = Timer::default();
            timer.time(|| session.run(spans));
            timer.print();
            session.finish()
        }
    }
}

/// A session in which a chunk fits every queue, after its first spans.
fn rested(entry: &Entry, case: Case) -> Result<Session> {
    let mut session = Session::start(entry, case, Some(2 * usize::try_from(CHUNK)?))?;
    session.run(FIRST_SPANS);
    session.rest()?;
    Ok(session)
}

fn chunks(
    session: &mut Session,
    spans: u64,
    mut chunk: impl FnMut(&mut Session, u64),
) -> Result<()> {
    let mut left = spans;
    while left > 0 {
        let now = CHUNK.min(left);
        chunk(session, now);
        session.rest()?;
        left -= now;
    }
    Ok(())
}

/// What callgrind is told to count, as a pattern.
pub const COUNTED_FUNCTION: &str = "*rivals::measure::counted*";

#[inline(never)]
fn counted(work: impl FnOnce() -> u64) {
    black_box(work());
}
