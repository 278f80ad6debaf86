//! What a thread owns for each profiler, and how its cells change hands between them.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use spandrel_ring::Lease;

use super::cells::{CELLS, FREE, get_cell, set};
use super::ids::forget_ids;
use super::link::{DETAILS, Detailed, OUTSIDE};
use super::scope_slots;
use super::state::{self, BUSY, IN_USER_CODE, MUTED, NOBODY, in_this_order};
use super::token::{ThreadToken, Unavailable};
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::open_spans::Link;
use crate::recorder::record::{Slot, THREAD_MAX};
use crate::recorder::recording::Recorder;

thread_local! {
    /// Gives the lease and the free slots back when the thread ends.
    static THREAD_END: ThreadEnd = const { ThreadEnd(Cell::new(Weak::new())) };
    /// One for each profiler that this thread has recorded for; the first one belongs to the
    /// profiler that the cells are set up for.
    pub(super) static THREAD_STATES: RefCell<Vec<ThreadState>> = const { RefCell::new(Vec::new()) };
}

/// See `THREAD_END`; with the recorder that the cells are set up for.
struct ThreadEnd(Cell<Weak<Recorder>>);

impl ThreadEnd {
    /// Remembers whom to give things back to. Says whether the thread has an end to come.
    fn is_for(recorder: &Arc<Recorder>) -> bool {
        THREAD_END.try_with(|end| end.0.set(Arc::downgrade(recorder))).is_ok()
    }

    /// Gives the free slots back to the recorder that they are of, unless it is gone.
    fn give_slots_back(&self) {
        let weak = self.0.take();
        let recorder = weak.upgrade();
        self.0.set(weak);
        CELLS.with(|cells| {
            for position in cells.free.iter().take(cells.free_len.replace(0) as usize) {
                if let Some(recorder) = &recorder {
                    let _given = recorder.open.give_slot_back(position.get());
                }
            }
        });
        scope_slots::give_back(recorder.as_ref().map(|recorder| &recorder.open));
    }
}

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        let state = CELLS.with(|cells| cells.state.replace(BUSY));
        in_this_order();
        // First: nobody takes a slot for a scope from then on.
        CELLS.with(|cells| drop(cells.table.take()));
        self.give_slots_back();
        // No slot is kept from now on, and no lease taken.
        set(|cells| &cells.free_len, FREE as u32 + 1);
        CELLS.with(|cells| drop(cells.lease.take()));
        in_this_order();
        set(|cells| &cells.state, state);
    }
}

/// The part of a thread's state for one profiler that owns something.
#[derive(Debug)]
pub(crate) struct ThreadState {
    recorder_id: u32,
    recorder: Weak<Recorder>,
    thread: u32,
    /// The lease, while the cells are set up for another profiler.
    lease: Option<Lease<Slot>>,
    pub(crate) fields: FieldBuffer,
    /// The innermost span, while the cells are set up for another profiler.
    innermost: Link,
    /// Details beyond the first `DETAILS`; while the cells are set up for another profiler, all of
    /// them.
    pub(super) details: Vec<Detailed>,
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.upgrade() {
            recorder.threads.ended(self.thread);
        }
    }
}

impl ThreadState {
    fn new(recorder: &Arc<Recorder>) -> Self {
        Self {
            recorder_id: recorder.id,
            recorder: Arc::downgrade(recorder),
            thread: recorder.threads.register_current(),
            lease: None,
            fields: FieldBuffer::new(recorder.field_words_max),
            innermost: OUTSIDE,
            details: Vec::with_capacity(DETAILS),
        }
    }
}

/// Why there is nothing that the thread owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoThreadState {
    /// It is destroyed: the thread is ending.
    Gone,
    /// It is in use: the handler of a signal has interrupted the thread there. Memory must not be
    /// allocated instead: the thread may have been interrupted in its allocator.
    InUse,
}

/// Runs `f` with what the thread owns for the profiler that the cells are set up for.
#[inline(always)]
pub(crate) fn with_thread_state<R>(
    f: impl FnOnce(&mut ThreadState) -> R,
) -> Result<R, NoThreadState> {
    let run = |thread_state: &RefCell<Vec<ThreadState>>| match thread_state.try_borrow_mut() {
        Ok(mut all) => all.first_mut().map(f).ok_or(NoThreadState::Gone),
        Err(_) => Err(NoThreadState::InUse),
    };
    THREAD_STATES.try_with(run).unwrap_or(Err(NoThreadState::Gone))
}

/// The same if `f` may run code of the user's, where the cells are set up.
pub(crate) fn with_thread_state_in_user_code<R>(
    f: impl FnOnce(&mut ThreadState) -> R,
) -> Result<R, NoThreadState> {
    with_thread_state(|thread_state| ThreadToken(()).in_user_code(|| f(thread_state)))
}

/// Sets the cells up for a profiler that they were not for. Takes locks and allocates at the first
/// span that the thread records for it.
#[cold]
#[inline(never)]
pub(super) fn set_up(recorder: &Arc<Recorder>) -> Result<ThreadToken, Unavailable> {
    let state = get_cell(|cells| &cells.state);
    let is_ours = state::owner(get_cell(|cells| &cells.idle)) == recorder.id;
    match state {
        MUTED => return Err(Unavailable::Muted),
        // The handler of a signal, see the module `state`.
        BUSY if is_ours => return Ok(ThreadToken(())),
        BUSY | IN_USER_CODE => return Err(Unavailable::Reentrant),
        _ => {}
    }
    if CELLS.with(|cells| cells.lease.is_borrowed() || cells.table.is_in_use()) {
        // The handler of a signal, which records for another profiler.
        return Err(Unavailable::Reentrant);
    }
    // What follows allocates, and an allocator may open spans, and scopes.
    set(|cells| &cells.state, IN_USER_CODE);
    in_this_order();
    let table = CELLS.with(|cells| cells.table.take());
    // Also where nothing else can be put away: slots are of one recorder's table. (Once `THREAD_END` is
    // gone there are none.)
    _ = THREAD_END.try_with(ThreadEnd::give_slots_back);
    let found = THREAD_STATES.try_with(|thread_state| {
        let mut thread_state = thread_state.try_borrow_mut().map_err(|_| Unavailable::Reentrant)?;
        put_away(&mut thread_state);
        take_out(&mut thread_state, recorder);
        Ok(())
    });
    if let Ok(Err(why)) = found {
        if let Some((table, owner)) = table {
            CELLS.with(|cells| cells.table.put(table, owner));
        }
        in_this_order();
        set(|cells| &cells.state, state);
        return Err(why);
    }
    set(|cells| &cells.idle, NOBODY);
    // The partition, if one was found, is the thread's until then.
    let ends = ThreadEnd::is_for(recorder);
    drop(table);
    match found {
        Ok(_) if ends => {}
        Ok(_) => CELLS.with(|cells| drop(cells.lease.take())),
        // The thread is ending. It gets a number; the chain is empty, or another profiler's.
        Err(_) => {
            CELLS.with(|cells| drop(cells.lease.take()));
            set(|cells| &cells.innermost, OUTSIDE);
            set(|cells| &cells.details_len, 0);
            set(|cells| &cells.unrecorded, 0);
            let thread = recorder.threads.register_current();
            recorder.threads.ended(thread);
            set(|cells| &cells.thread, thread);
        }
    }
    forget_ids();
    ThreadToken(()).set_long_age(recorder.long_age());
    let thread = get_cell(|cells| &cells.thread);
    let has_number = thread != THREAD_MAX;
    let is_fast = has_number && recorder.is_fast;
    let idle = state::idle(recorder.id, thread, is_fast, has_number);
    set(|cells| &cells.idle, idle);
    set(|cells| &cells.scope_header, recorder.scope_header(thread));
    in_this_order();
    if let Some(owner) = recorder.table_owner().filter(|_| ends && is_fast) {
        let slots = recorder.open.slots().clone();
        CELLS.with(|cells| cells.table.put(slots, owner));
    }
    set(|cells| &cells.state, idle);
    Ok(ThreadToken(()))
}

/// Moves lease and chain to where they are while the cells are set up for another profiler.
fn put_away(thread_state: &mut [ThreadState]) {
    if let Some(thread_state) = thread_state.first_mut() {
        let here = get_cell(|cells| &cells.details_len).min(DETAILS);
        CELLS.with(|cells| {
            thread_state.details.splice(0..0, cells.details[..here].iter().map(Cell::get));
        });
        thread_state.innermost = get_cell(|cells| &cells.innermost);
        thread_state.lease = CELLS.with(|cells| cells.lease.take());
    }
    set(|cells| &cells.innermost, OUTSIDE);
    set(|cells| &cells.details_len, 0);
    set(|cells| &cells.unrecorded, 0);
}

/// Finds, or makes, the state for this profiler and puts it first.
fn take_out(all: &mut Vec<ThreadState>, recorder: &Arc<Recorder>) {
    let found = all.iter().position(|thread_state| thread_state.recorder_id == recorder.id);
    let index = found.unwrap_or_else(|| {
        // Profilers that are gone are forgotten here, and not on any hot path.
        all.retain(|thread_state| thread_state.recorder.strong_count() > 0);
        all.push(ThreadState::new(recorder));
        all.len() - 1
    });
    all.swap(0, index);
    let thread_state = &mut all[0];
    set(|cells| &cells.thread, thread_state.thread);
    set(|cells| &cells.innermost, thread_state.innermost);
    set(|cells| &cells.details_len, thread_state.details.len());
    let unrecorded =
        thread_state.details.iter().filter(|detailed| detailed.is_in_their_way()).count();
    set(|cells| &cells.unrecorded, unrecorded as u32);
    let here = thread_state.details.len().min(DETAILS);
    CELLS.with(|cells| {
        for (cell, detailed) in cells.details.iter().zip(thread_state.details.drain(..here)) {
            cell.set(detailed);
        }
    });
    match thread_state.lease.take() {
        Some(lease) => CELLS.with(|cells| cells.lease.put(Some(lease))),
        None => look_for_lease(recorder),
    }
}

/// Takes a free partition for the calling thread, if there is one.
pub(super) fn look_for_lease(recorder: &Recorder) {
    let lease = recorder.ring.lease();
    if let Some(lease) = &lease {
        recorder.counters.set_lessee(lease.partition(), get_cell(|cells| &cells.thread));
    }
    CELLS.with(|cells| cells.lease.put(lease));
}

/// The recorder with this id, if the thread has ever recorded for it.
pub(super) fn recorder_of(id: u32) -> Option<Arc<Recorder>> {
    let find = |all: &RefCell<Vec<ThreadState>>| {
        let all = all.try_borrow().ok()?;
        all.iter().find(|thread_state| thread_state.recorder_id == id)?.recorder.upgrade()
    };
    THREAD_STATES.try_with(find).ok().flatten()
}

/// Whether what the thread is given now will be given back when it ends.
pub(super) fn has_end() -> bool {
    THREAD_END.try_with(|_| ()).is_ok()
}
