//! Ids of spans, which each thread takes in blocks.

use super::cells::{CELLS, get_cell, set};
use super::owned::{has_end, look_for_lease};
use super::token::ThreadToken;
use super::with_table;
use crate::recorder::recording::Recorder;

/// Ids are taken from the common counter in blocks of this many.
const ID_BLOCK: u64 = 64;
/// Those for scopes, of which there are more, in blocks of this many.
const SCOPE_ID_BLOCK: u64 = 256;
/// A block is given up after so many ticks, about 10 ms, so that ids grow with time: a slow thread
/// burns 32,000 ids a second.
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
        look_for_missing_lease(recorder);
        id
    }

    /// A new id for a scope, if it can be had from the block in hand, for whoever has the table.
    #[inline(always)]
    pub(crate) fn next_scope_id(self, now: u64) -> Option<u64> {
        let id = get_cell(|cells| &cells.scope_next_id);
        if id == get_cell(|cells| &cells.scope_ids_end)
            || now > get_cell(|cells| &cells.scope_ids_until)
        {
            return None;
        }
        set(|cells| &cells.scope_next_id, id + 1);
        Some(id)
    }

    /// The first id of a new block for scopes, for whoever has the table.
    pub(crate) fn next_scope_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = self.take_scope_block(recorder, now);
        set(|cells| &cells.scope_next_id, id + 1);
        id
    }

    /// Takes a new block of ids for scopes, if the one in hand has no id for this moment. Says whether that was so.
    pub(crate) fn renew_scope_ids(self, recorder: &Recorder, now: u64) -> bool {
        let renew = |_: &_| {
            let id = self.next_scope_id(now);
            match id {
                // It was only looked for.
                Some(id) => set(|cells| &cells.scope_next_id, id),
                None => _ = self.take_scope_block(recorder, now),
            }
            Some(id.is_none())
        };
        with_table(renew).unwrap_or(false)
    }

    fn take_scope_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = recorder.take_ids(SCOPE_ID_BLOCK);
        set(|cells| &cells.scope_next_id, id);
        set(|cells| &cells.scope_ids_end, id + SCOPE_ID_BLOCK);
        set(|cells| &cells.scope_ids_until, now.saturating_add(ID_BLOCK_TICKS));
        // A handler of a signal that comes meanwhile looks for none.
        _ = self.in_change(|| look_for_missing_lease(recorder));
        id
    }
}

/// A good moment to look whether another thread has given back its partition.
fn look_for_missing_lease(recorder: &Recorder) {
    if !CELLS.with(|cells| cells.lease.is_leased()) && has_end() {
        look_for_lease(recorder);
    }
}

/// Gives both blocks up.
pub(super) fn forget_ids() {
    set(|cells| &cells.next_id, 0);
    set(|cells| &cells.ids_end, 0);
    set(|cells| &cells.scope_next_id, 0);
    set(|cells| &cells.scope_ids_end, 0);
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::recorder::RecorderOptions;
    use crate::recorder::local;

    /// As in the handler of a signal that has interrupted its thread where that looks for a partition itself.
    #[test]
    fn a_block_for_scopes_brings_no_partition_where_somebody_takes_ids() {
        let (recorder, _consumer) = Recorder::new(&RecorderOptions::small());
        let others = recorder.ring.lease();
        let token = local::get(&recorder).unwrap();
        drop(others);
        let is_leased = || CELLS.with(|cells| cells.lease.is_leased());
        token.in_change(|| token.take_scope_block(&recorder, 0)).unwrap();
        assert!(!is_leased());
        token.take_scope_block(&recorder, 0);
        assert!(is_leased());
    }
}
