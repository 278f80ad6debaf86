//! What each thread keeps for itself: its partition of the ring, its ids, and the spans it is in.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use spandrel_ring::Lease;

use crate::fields::FieldBuffer;
use crate::open_spans::{OpenSpans, Place};
use crate::record::Slot;
use crate::recorder::Recorder;

thread_local! {
    /// One for each profiler that this thread has recorded for. Borrowed while one of our
    /// callbacks runs: a callback that finds it borrowed was called from inside another one, by a
    /// field's `Debug`, an allocator or a signal handler.
    static LOCALS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };

    /// Has no destructor, so it still answers when `LOCALS` is gone: the profiler that this thread
    /// recorded for last, and its number there.
    static NUMBER: Cell<(u64, u32)> = const { Cell::new((0, 0)) };

    /// Whether nothing of this thread is recorded or counted: it is a writer thread.
    static MUTED: Cell<bool> = const { Cell::new(false) };

    /// Guards what runs after `LOCALS` is gone against itself.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// Ids are taken from the common counter in blocks of this many.
const ID_BLOCK: u64 = 64;
/// A block is given up after so many nanoseconds or ticks, about 10 ms, so that ids grow with time:
/// a slow thread burns 6,400 ids a second.
const ID_BLOCK_TICKS: u64 = 25_000_000;
/// Spans that a thread can be in before its stack has to grow.
const STACK_SPANS: usize = 128;

/// A span that this thread is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    pub(crate) key: u64,
    pub(crate) id: u64,
    pub(crate) root: u64,
    /// Ticks.
    pub(crate) since: u64,
    pub(crate) place: Place,
    pub(crate) layer: u16,
    /// How many times this thread is inside, if it is not the span's owner.
    pub(crate) foreign_depth: u16,
}

/// A thread's state for one profiler.
#[derive(Debug)]
pub(crate) struct Local {
    recorder_id: u64,
    recorder: Weak<Recorder>,
    /// The partition that only this thread writes; none while there are not enough.
    pub(crate) lease: Option<Lease<Slot>>,
    pub(crate) thread: u32,
    next_id: u64,
    ids_end: u64,
    /// When the block was taken, in ticks.
    ids_since: u64,
    pub(crate) stack: Vec<Entered>,
    /// The place that was used last; usually the next callback is for the same span.
    pub(crate) last_place: Place,
    pub(crate) fields: FieldBuffer,
}

/// Why a thread's state cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Another callback of ours is running on this thread.
    Reentrant,
    /// The thread is ending, and its locals are destroyed.
    Gone,
    /// The thread is a writer.
    Muted,
}

/// Runs `f` with the calling thread's state for this profiler.
#[inline]
pub(crate) fn with<R>(
    recorder: &Arc<Recorder>,
    f: impl FnOnce(&mut Local) -> R,
) -> Result<R, Unavailable> {
    LOCALS
        .try_with(|locals| {
            let mut locals = locals.try_borrow_mut().map_err(|_| reentrant())?;
            let index = match locals.first() {
                Some(first) if first.recorder_id == recorder.id => 0,
                _ => find_or_add(&mut locals, recorder)?,
            };
            Ok(f(&mut locals[index]))
        })
        .unwrap_or(Err(Unavailable::Gone))
}

#[cold]
fn reentrant() -> Unavailable {
    if MUTED.get() { Unavailable::Muted } else { Unavailable::Reentrant }
}

#[cold]
fn find_or_add(locals: &mut Vec<Local>, recorder: &Arc<Recorder>) -> Result<usize, Unavailable> {
    if MUTED.get() {
        return Err(Unavailable::Muted);
    }
    let found = locals.iter().position(|local| local.recorder_id == recorder.id);
    let index = found.unwrap_or_else(|| {
        // Profilers that are gone are forgotten here, and not on any hot path.
        locals.retain(|local| local.recorder.strong_count() > 0);
        locals.push(Local::new(recorder, recorder.ring.lease()));
        locals.len() - 1
    });
    // The profiler that is used most is likely the one that is used now.
    locals.swap(0, index);
    NUMBER.set((recorder.id, locals[0].thread));
    Ok(0)
}

/// Runs `f` with a state that lives elsewhere, on a thread whose own is destroyed: in the destructor
/// of a thread-local value. Takes a lock and allocates; the thread is about to end.
#[cold]
pub(crate) fn with_leaving<R>(
    recorder: &Arc<Recorder>,
    f: impl FnOnce(&mut Local) -> R,
) -> Result<R, Unavailable> {
    if MUTED.get() {
        return Err(Unavailable::Muted);
    }
    if LEAVING.replace(true) {
        return Err(Unavailable::Reentrant);
    }
    let (known_by, number) = NUMBER.get();
    let kept = (known_by == recorder.id).then(|| recorder.leaving.lock().remove(&number)).flatten();
    let mut local = kept.unwrap_or_else(|| Local::new(recorder, None));
    NUMBER.set((recorder.id, local.thread));
    let result = f(&mut local);
    if !local.stack.is_empty() {
        recorder.leaving.lock().insert(local.thread, local);
    }
    LEAVING.set(false);
    Ok(result)
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    MUTED.set(true);
}

impl Local {
    fn new(recorder: &Arc<Recorder>, lease: Option<Lease<Slot>>) -> Self {
        let (known_by, number) = NUMBER.get();
        let thread =
            if known_by == recorder.id { number } else { recorder.threads.register_current() };
        let mut local = Self {
            recorder_id: recorder.id,
            recorder: Arc::downgrade(recorder),
            lease: None,
            thread,
            next_id: 0,
            ids_end: 0,
            ids_since: 0,
            stack: Vec::with_capacity(STACK_SPANS),
            last_place: 0,
            fields: FieldBuffer::new(recorder.field_words_max),
        };
        local.take_lease(recorder, lease);
        local
    }

    fn take_lease(&mut self, recorder: &Recorder, lease: Option<Lease<Slot>>) {
        if let Some(lease) = &lease {
            recorder.counters.partition(lease.partition()).set_lessee(self.thread);
        }
        self.lease = lease;
    }

    /// A new id. Ids are unique in the file and grow with time.
    #[inline]
    pub(crate) fn next_id(&mut self, recorder: &Recorder, now: u64) -> u64 {
        if self.next_id == self.ids_end || now.wrapping_sub(self.ids_since) > ID_BLOCK_TICKS {
            self.next_block(recorder, now);
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    #[cold]
    fn next_block(&mut self, recorder: &Recorder, now: u64) {
        self.next_id = recorder.take_ids(ID_BLOCK);
        self.ids_end = self.next_id + ID_BLOCK;
        self.ids_since = now;
        // A good moment to look whether another thread has given back its partition.
        if self.lease.is_none() && !LEAVING.get() {
            self.take_lease(recorder, recorder.ring.lease());
        }
    }

    /// The place of an open span.
    #[inline]
    pub(crate) fn find(&mut self, open: &OpenSpans, layer: u16, key: u64) -> Option<Place> {
        if open.holds(self.last_place, layer, key) {
            return Some(self.last_place);
        }
        let place = open.find(layer, key)?;
        self.last_place = place;
        Some(place)
    }

    /// The span that the thread is in: the innermost one of this layer that is still open.
    #[inline]
    pub(crate) fn current(&self, open: &OpenSpans, layer: u16) -> Option<Entered> {
        self.stack
            .iter()
            .rev()
            .find(|entered| entered.layer == layer && open.span(entered.place).id() == entered.id)
            .copied()
    }

    /// Where on the stack a span is, innermost first.
    #[inline]
    pub(crate) fn position(&self, layer: u16, key: u64) -> Option<usize> {
        self.stack.iter().rposition(|entered| entered.key == key && entered.layer == layer)
    }
}
