//! A recorder from its start to the count of what has arrived.

use tempfile::TempDir;

use super::memory;
use crate::case::Case;
use crate::recorder::{Entry, Recorder, Result, Setup};

pub struct Session {
    recorder: Box<dyn Recorder>,
    case: Case,
    made: u64,
    memory_before: u64,
    _folder: TempDir,
}

impl Session {
    /// Starts a recorder whose queue holds so many spans, or with its own default.
    pub fn start(entry: &Entry, case: Case, queue: Option<usize>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let memory_before = memory::peak_kib()?;
        let recorder = (entry.install)(&Setup { folder: folder.path(), case, queue })?;
        Ok(Self { recorder, case, made: 0, memory_before, _folder: folder })
    }

    /// Makes so many spans or a few more, and says how many.
    pub fn run(&mut self, spans: u64) -> u64 {
        let made = self.recorder.run(self.case, spans);
        self.made += made;
        made
    }

    /// Makes one span.
    #[inline]
    pub fn one(&mut self) {
        self.made += self.recorder.one();
    }

    pub fn rest(&mut self) -> Result<()> {
        self.recorder.rest(self.made)
    }

    /// Closes, and prints what was made, what of it is missing, and the peak of the memory before
    /// anything is counted.
    pub fn finish(mut self) -> Result<()> {
        self.recorder.close()?;
        let memory = memory::peak_kib()?.saturating_sub(self.memory_before);
        println!("memory_kib {memory}");
        println!("made {}", self.made);
        let Some(arrived) = self.recorder.arrived()? else { return Ok(()) };
        let expected = self.recorder.records(self.case, self.made);
        let missing = expected
            .checked_sub(arrived.records)
            .ok_or_else(|| format!("{} records have arrived of {expected}", arrived.records))?;
        // Records that stand for a part of a span are missing as such a part.
        println!("lost {}", (missing * self.made).div_ceil(expected.max(1)));
        if let Some(said) = arrived.said_lost {
            println!("said_lost {said}");
        }
        Ok(())
    }
}
