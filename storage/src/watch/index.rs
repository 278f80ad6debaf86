//! What the index of the log says about readers and checkpoints.
//!
//! If a reader keeps a checkpoint from copying everything, the main file is inconsistent: of a page that
//! the log has several times, only the last version is copied, if it may be. With the log this does no
//! harm; without it the file is mostly damaged. So before the log is given up it matters whether all of
//! it can be copied, and whether a part of it has been.
//!
//! <https://sqlite.org/walformat.html#the_wal_index_file_format>

use std::io;

use super::Watch;
use crate::lock::read_at_start;
use crate::shield::is_mark_in_use;

/// How many readers with their own snapshots can be told apart; the first mark is for those that read
/// nothing from the log.
pub(crate) const READ_MARKS: usize = 5;

/// The part about checkpoints; numbers are in the machine's byte order.
struct Checkpoints {
    /// Frames that are in the main file as well.
    copied: u32,
    /// For each mark, the last frame that its readers read.
    marks: [u32; READ_MARKS],
    /// The last frame that a checkpoint has begun to copy; it may not have finished.
    attempted: u32,
}

impl Watch {
    /// Whether no reader prevents all frames of the log from being copied. Those who begin to read after
    /// this call read the whole log.
    pub(crate) fn may_copy_all(&self, frames: u32) -> io::Result<bool> {
        let (Some(index), Some(said)) = (&self.index, self.checkpoints()?) else { return Ok(true) };
        let mut marks = said.marks.iter().enumerate();
        Ok(!marks.any(|(number, upto)| {
            // A reader that reads nothing from the log prevents any more of it from being copied.
            let is_behind = if number == 0 { said.copied < frames } else { *upto < frames };
            is_behind && is_mark_in_use(&index.file, number)
        }))
    }

    /// Whether the main file alone is consistent, though its log has so many frames: no part of the log
    /// was copied, or all of it.
    pub(crate) fn is_main_whole(&self, frames: u32, copied: u32) -> bool {
        let attempted = match self.checkpoints() {
            Ok(Some(said)) => said.attempted.max(said.copied),
            Ok(None) => copied,
            Err(_) => return false,
        };
        copied == frames || attempted.max(copied) == 0
    }

    fn checkpoints(&self) -> io::Result<Option<Checkpoints>> {
        const AT: usize = 96;
        const LENGTH: usize = 136;
        let Some(index) = &self.index else { return Ok(None) };
        let mut bytes = [0; LENGTH];
        if read_at_start(&index.file, &mut bytes)? < LENGTH {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        Ok(Some(Checkpoints {
            copied: number(AT),
            marks: std::array::from_fn(|mark| number(AT + 4 + 4 * mark)),
            // Behind the marks are eight bytes for locks.
            attempted: number(AT + 4 + 4 * READ_MARKS + 8),
        }))
    }
}
