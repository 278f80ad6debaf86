//! Ids of spans, which each thread takes in blocks.

use super::cells::{CELLS, get_cell, set};
use super::owned::{has_end, look_for_lease};
use super::state;
use super::token::ThreadToken;
use crate::recorder::recording::Recorder;

/// Ids are taken from the common counter in blocks of this many.
const ID_BLOCK: u64 = 64;
/// A block is given up after so many ticks, about 10 ms, so that ids grow with time: a slow thread
/// burns 6,400 ids a second.
const ID_BLOCK_TICKS: u64 = 25_000_000;

impl ThreadToken {
    /// A new id. Ids are unique in the file and grow with time.
    #[inline]
    pub(crate) fn next_id(self, recorder: &Recorder, now: u64) -> u64 {
        // A handler of a signal that has interrupted the thread where it takes one itself.
        self.in_change(|| self.next_id_in_change(recorder, now))
            .unwrap_or_else(|| recorder.take_ids(1))
    }

    /// The same for whoever has [begun a change](Self::begin_change).
    #[inline(always)]
    pub(crate) fn next_id_in_change(self, recorder: &Recorder, now: u64) -> u64 {
        self.next_id_of_block(now).unwrap_or_else(|| self.next_block(recorder, now))
    }

    /// A new id, if it can be had from the block in hand, for whoever has begun a change.
    #[inline(always)]
    pub(crate) fn next_id_of_block(self, now: u64) -> Option<u64> {
        let id = get_cell(|cells| &cells.next_id);
        if id == get_cell(|cells| &cells.ids_end) || now > get_cell(|cells| &cells.ids_until) {
            return None;
        }
        set(|cells| &cells.next_id, id + 1);
        Some(id)
    }

    /// The same for whoever has the table of open spans, where none of our callbacks is at work: begins a change of its own
    /// for the moment.
    #[inline(always)]
    pub(crate) fn next_id_of_idle(self, now: u64) -> Option<u64> {
        self.begin_change();
        let id = self.next_id_of_block(now);
        self.end_change();
        id
    }

    #[cold]
    #[inline(never)]
    fn next_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = self.take_block(recorder, now);
        set(|cells| &cells.next_id, id + 1);
        id
    }

    /// Takes a new block of ids, if the one in hand has no id for this moment. Says whether that was so.
    pub(crate) fn renew_ids(self, recorder: &Recorder, now: u64) -> bool {
        let renew = || {
            // A handler of a signal may have turned the thread to another profiler since the token was had.
            if state::owner(get_cell(|cells| &cells.idle)) != recorder.id {
                return false;
            }
            let id = self.next_id_of_block(now);
            match id {
                // It was only looked for.
                Some(id) => set(|cells| &cells.next_id, id),
                None => _ = self.take_block(recorder, now),
            }
            id.is_none()
        };
        self.in_change(renew).unwrap_or(false)
    }

    /// Takes a new block of ids and returns its first one, which is the next id.
    fn take_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = recorder.take_ids(ID_BLOCK);
        set(|cells| &cells.next_id, id);
        set(|cells| &cells.ids_end, id + ID_BLOCK);
        set(|cells| &cells.ids_until, now.saturating_add(ID_BLOCK_TICKS));
        // A good moment to look whether another thread has given back its partition.
        if !CELLS.with(|cells| cells.lease.is_leased()) && has_end() {
            look_for_lease(recorder);
        }
        id
    }
}

/// Gives the block up.
pub(super) fn forget_ids() {
    set(|cells| &cells.next_id, 0);
    set(|cells| &cells.ids_end, 0);
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests;
