//! What each thread keeps for itself: its ids, the spans it is in, and its partition of the ring.
//!
//! Most of it is reached through [`Hot`]: plain cells without a destructor, each of them one
//! instruction away, which still answer while the thread's other locals are being destroyed. (One
//! struct of cells in one thread-local was slower: `LocalKey::with` around a whole callback is not
//! inlined, and calls back for the address.) What owns memory lives in [`Cold`] and is used where a
//! span has fields.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::thread::LocalKey;

use spandrel_ring::Lease;

use crate::fields::FieldBuffer;
use crate::open_spans::{OpenSpan, OpenSpans, Place};
use crate::record::Slot;
use crate::recorder::Recorder;

thread_local! {
    /// Id of the recorder that the cells are set up for; or `NOBODY`, `MUTED`, or with
    /// `IN_USER_CODE`.
    static OWNER: Cell<u64> = const { Cell::new(NOBODY) };
    /// The thread's number.
    static THREAD: Cell<u32> = const { Cell::new(0) };
    /// The place that was used last; usually the next callback is for the same span.
    static LAST_PLACE: Cell<Place> = const { Cell::new(0) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
    static IDS_END: Cell<u64> = const { Cell::new(0) };
    /// When the block of ids was taken, in ticks.
    static IDS_SINCE: Cell<u64> = const { Cell::new(0) };
    /// How many spans the thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The outermost of them; those beyond are in `Cold::deep`.
    static STACK: [Entry; SHALLOW] = const { [const { Entry::new() }; SHALLOW] };

    /// The partition that only this thread writes; none while there are not enough, while it is in
    /// use, and when the thread is ending.
    static LEASE: RefCell<Option<Lease<Slot>>> = const { RefCell::new(None) };

    /// One for each profiler that this thread has recorded for; the first one belongs to the
    /// profiler that the cells above are set up for.
    static COLD: RefCell<Vec<Cold>> = const { RefCell::new(Vec::new()) };
}

/// Ids are taken from the common counter in blocks of this many.
const ID_BLOCK: u64 = 64;
/// A block is given up after so many ticks, about 10 ms, so that ids grow with time: a slow thread
/// burns 6,400 ids a second.
const ID_BLOCK_TICKS: u64 = 25_000_000;
/// Spans on the stack of a thread for which no memory has to be allocated.
const SHALLOW: usize = 64;

/// `OWNER` of a thread that has not recorded yet.
const NOBODY: u64 = 0;
/// `OWNER` of a thread of which nothing is recorded or counted: a writer.
const MUTED: u64 = u64::MAX;
/// Set in `OWNER` while code of the user's runs inside one of our callbacks: a callback that
/// finds it was called by a field's `Debug`.
const IN_USER_CODE: u64 = 1 << 63;

/// A span that this thread is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    pub(crate) key: u64,
    pub(crate) place: Place,
    pub(crate) layer: u16,
    /// How many times this thread is inside, if it is not the span's owner; else anything.
    pub(crate) foreign_depth: u16,
    /// Ticks, if the thread is not the span's owner; else anything.
    pub(crate) since: u64,
}

/// Where an `Entered` lies on the stack: its parts in cells of their own, because most callbacks
/// use few of them.
struct Entry {
    key: Cell<u64>,
    place: Cell<Place>,
    layer: Cell<u16>,
    foreign_depth: Cell<u16>,
    since: Cell<u64>,
}

impl Entry {
    const fn new() -> Self {
        Self {
            key: Cell::new(0),
            place: Cell::new(0),
            layer: Cell::new(0),
            foreign_depth: Cell::new(0),
            since: Cell::new(0),
        }
    }

    #[inline(always)]
    fn get(&self) -> Entered {
        Entered {
            key: self.key.get(),
            place: self.place.get(),
            layer: self.layer.get(),
            foreign_depth: self.foreign_depth.get(),
            since: self.since.get(),
        }
    }

    #[inline(always)]
    fn set(&self, entered: Entered) {
        self.set_own(entered.key, entered.place, entered.layer);
        self.foreign_depth.set(entered.foreign_depth);
        self.since.set(entered.since);
    }

    #[inline(always)]
    fn set_own(&self, key: u64, place: Place, layer: u16) {
        self.key.set(key);
        self.place.set(place);
        self.layer.set(layer);
    }
}

/// The part of a thread's state that every callback uses. Whoever has this has found it set up for
/// the profiler in question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot(());

/// The part of a thread's state for one profiler that owns something.
#[derive(Debug)]
pub(crate) struct Cold {
    recorder_id: u64,
    recorder: Weak<Recorder>,
    thread: u32,
    /// The lease, while the cells are set up for another profiler.
    lease: Option<Lease<Slot>>,
    pub(crate) fields: FieldBuffer,
    /// Spans on the stack beyond the first `SHALLOW`; while the cells are set up for another
    /// profiler, all of them.
    deep: Vec<Entered>,
}

/// Why a thread's state cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Another callback of ours is running on this thread.
    Reentrant,
    /// The thread is a writer.
    Muted,
}

/// `LocalKey::set` is a call of its own, because it could be the first access.
#[inline(always)]
fn set<T: 'static>(key: &'static LocalKey<Cell<T>>, value: T) {
    key.with(|cell| cell.set(value));
}

/// The calling thread's state for this profiler.
#[inline(always)]
pub(crate) fn get(recorder: &Arc<Recorder>) -> Result<Hot, Unavailable> {
    if OWNER.get() == recorder.id { Ok(Hot(())) } else { set_up(recorder) }
}

/// Runs `f` with what the thread owns for the profiler that the cells are set up for. `None`, and `f` does
/// not run, when that is destroyed: the thread is ending.
#[inline(always)]
pub(crate) fn with_cold<R>(f: impl FnOnce(&mut Cold) -> R) -> Option<R> {
    COLD.try_with(|cold| cold.try_borrow_mut().ok()?.first_mut().map(f)).ok().flatten()
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    set(&OWNER, MUTED);
}

/// The same, if nothing has to be done for it.
#[inline(always)]
pub(crate) fn get_if_set_up(recorder: &Recorder) -> Option<Hot> {
    (OWNER.get() == recorder.id).then_some(Hot(()))
}

/// Sets the cells up for a profiler that they were not for. Takes locks and allocates at the first
/// span that the thread records for it.
#[cold]
#[inline(never)]
fn set_up(recorder: &Arc<Recorder>) -> Result<Hot, Unavailable> {
    let owner = OWNER.get();
    if owner == MUTED {
        return Err(Unavailable::Muted);
    }
    if owner & IN_USER_CODE != 0 {
        return Err(Unavailable::Reentrant);
    }
    // What follows allocates, and an allocator may open spans.
    set(&OWNER, IN_USER_CODE);
    let found = COLD.try_with(|cold| {
        let mut cold = cold.try_borrow_mut().map_err(|_| Unavailable::Reentrant)?;
        put_away(&mut cold);
        take_out(&mut cold, recorder);
        Ok(())
    });
    match found {
        Ok(Ok(())) => {}
        Ok(Err(why)) => {
            set(&OWNER, owner);
            return Err(why);
        }
        // The thread is ending. It gets a number; the stack is empty, or another profiler's.
        Err(_) => {
            set(&DEPTH, 0);
            set(&THREAD, recorder.threads.register_current());
        }
    }
    set(&NEXT_ID, 0);
    set(&IDS_END, 0);
    set(&OWNER, recorder.id);
    Ok(Hot(()))
}

/// Moves lease and stack to where they are while the cells are set up for another profiler.
fn put_away(cold: &mut [Cold]) {
    if let Some(cold) = cold.first_mut() {
        let shallow = DEPTH.get().min(SHALLOW);
        STACK.with(|stack| {
            cold.deep.splice(0..0, stack[..shallow].iter().map(Entry::get));
        });
        cold.lease = take_lease();
    }
    set(&DEPTH, 0);
}

/// Finds, or makes, the state for this profiler and puts it first.
fn take_out(all: &mut Vec<Cold>, recorder: &Arc<Recorder>) {
    let found = all.iter().position(|cold| cold.recorder_id == recorder.id);
    let index = found.unwrap_or_else(|| {
        // Profilers that are gone are forgotten here, and not on any hot path.
        all.retain(|cold| cold.recorder.strong_count() > 0);
        all.push(Cold::new(recorder));
        all.len() - 1
    });
    all.swap(0, index);
    let cold = &mut all[0];
    set(&THREAD, cold.thread);
    set(&DEPTH, cold.deep.len());
    let shallow = cold.deep.len().min(SHALLOW);
    STACK.with(|stack| {
        for (entry, entered) in stack.iter().zip(cold.deep.drain(..shallow)) {
            entry.set(entered);
        }
    });
    match cold.lease.take() {
        Some(lease) => give_lease(Some(lease)),
        None => look_for_lease(recorder),
    }
}

/// Runs `f` with the thread's lease; `false` if there is none. Whoever records meanwhile, from a
/// signal handler say, finds it in use and goes to the shared partition.
#[inline(always)]
pub(crate) fn with_lease(f: impl FnOnce(&mut Lease<Slot>) -> bool) -> bool {
    LEASE
        .try_with(|cell| cell.try_borrow_mut().is_ok_and(|mut lease| lease.as_mut().is_some_and(f)))
        == Ok(true)
}

/// Takes the thread's lease away from it.
fn take_lease() -> Option<Lease<Slot>> {
    LEASE.try_with(|cell| cell.try_borrow_mut().ok()?.take()).ok().flatten()
}

fn give_lease(lease: Option<Lease<Slot>>) {
    // On a thread that is ending there is nowhere to put it, and it is dropped.
    let _kept = LEASE.try_with(|cell| {
        if let Ok(mut cell) = cell.try_borrow_mut() {
            *cell = lease;
        }
    });
}

/// Takes a free partition for the calling thread, if there is one.
fn look_for_lease(recorder: &Recorder) {
    let lease = recorder.ring.lease();
    if let Some(lease) = &lease {
        recorder.counters.partition(lease.partition()).set_lessee(THREAD.get());
    }
    give_lease(lease);
}

impl Hot {
    #[inline(always)]
    pub(crate) fn thread(self) -> u32 {
        THREAD.get()
    }

    #[inline(always)]
    pub(crate) fn last_place(self) -> Place {
        LAST_PLACE.get()
    }

    #[inline(always)]
    pub(crate) fn set_last_place(self, place: Place) {
        set(&LAST_PLACE, place);
    }

    /// Runs `f`, in which code of the user's may run.
    #[inline(always)]
    pub(crate) fn in_user_code<R>(self, f: impl FnOnce() -> R) -> R {
        /// Ends the state also when `f` panics.
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                set(&OWNER, OWNER.get() & !IN_USER_CODE);
            }
        }
        set(&OWNER, OWNER.get() | IN_USER_CODE);
        let _guard = Guard;
        f()
    }

    /// A new id. Ids are unique in the file and grow with time.
    #[inline(always)]
    pub(crate) fn next_id(self, recorder: &Recorder, now: u64) -> u64 {
        self.next_id_of_block(now).unwrap_or_else(|| self.next_block(recorder, now))
    }

    /// A new id, if it can be had from the block in hand.
    #[inline(always)]
    pub(crate) fn next_id_of_block(self, now: u64) -> Option<u64> {
        let id = NEXT_ID.get();
        if id == IDS_END.get() || now.wrapping_sub(IDS_SINCE.get()) > ID_BLOCK_TICKS {
            return None;
        }
        set(&NEXT_ID, id + 1);
        Some(id)
    }

    #[cold]
    #[inline(never)]
    fn next_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = recorder.take_ids(ID_BLOCK);
        set(&NEXT_ID, id + 1);
        set(&IDS_END, id + ID_BLOCK);
        set(&IDS_SINCE, now);
        // A good moment to look whether another thread has given back its partition.
        if !with_lease(|_| true) {
            look_for_lease(recorder);
        }
        id
    }

    /// The place of an open span.
    #[inline(always)]
    pub(crate) fn find(self, open: &OpenSpans, layer: u16, key: u64) -> Option<(Place, &OpenSpan)> {
        let last = LAST_PLACE.get();
        // The place may be another profiler's, and lie beyond this table.
        if let Some(span) = open.get(last)
            && span.is(layer, key)
        {
            return Some((last, span));
        }
        let found = open.find(layer, key)?;
        set(&LAST_PLACE, found.0);
        Some(found)
    }

    /// The innermost span of any layer; `None` also if the stack is very deep.
    #[inline(always)]
    pub(crate) fn innermost(self) -> Option<Entered> {
        shallow(DEPTH.get().wrapping_sub(1))
    }

    /// Puts a span on the stack, if there is room without further ado.
    #[inline(always)]
    fn push_shallow(self, entered: Entered) -> bool {
        let depth = DEPTH.get();
        let pushed = set_shallow(depth, entered);
        if pushed {
            set(&DEPTH, depth + 1);
        }
        pushed
    }

    /// The place of `innermost`.
    #[inline(always)]
    pub(crate) fn innermost_place(self) -> Option<Place> {
        STACK.with(|stack| Some(stack.get(DEPTH.get().wrapping_sub(1))?.place.get()))
    }

    /// Puts a span on the stack of its owner, if there is room without further ado.
    #[inline(always)]
    pub(crate) fn push_own(self, key: u64, place: Place, layer: u16) -> bool {
        let depth = DEPTH.get();
        let pushed = STACK
            .with(|stack| stack.get(depth).map(|entry| entry.set_own(key, place, layer)).is_some());
        if pushed {
            set(&DEPTH, depth + 1);
        }
        pushed
    }

    /// Takes the innermost span off the stack, which has one.
    #[inline(always)]
    pub(crate) fn pop_shallow(self) {
        set(&DEPTH, DEPTH.get() - 1);
    }

    /// The span that the thread is in: the innermost one of this layer that is still open.
    pub(crate) fn current(self, open: &OpenSpans, layer: u16) -> Option<&OpenSpan> {
        let find = |entered: Entered| {
            let span = open.span(entered.place);
            (entered.layer == layer && span.is(layer, entered.key)).then_some(span)
        };
        let mut depth = DEPTH.get();
        if depth > SHALLOW {
            let deep = |cold: &mut Cold| cold.deep.iter().rev().copied().find_map(find);
            if let Some(span) = with_cold(deep).flatten() {
                return Some(span);
            }
            depth = SHALLOW;
        }
        (0..depth).rev().filter_map(shallow).find_map(find)
    }

    /// Where on the stack a span is, innermost first, and its entry.
    pub(crate) fn position(self, layer: u16, key: u64) -> Option<(usize, Entered)> {
        let wanted = |entered: &Entered| entered.key == key && entered.layer == layer;
        let mut depth = DEPTH.get();
        if depth > SHALLOW {
            let deep = |cold: &mut Cold| {
                let index = cold.deep.iter().rposition(wanted)?;
                Some((SHALLOW + index, cold.deep[index]))
            };
            if let Some(found) = with_cold(deep).flatten() {
                return Some(found);
            }
            depth = SHALLOW;
        }
        (0..depth)
            .rev()
            .filter_map(|index| Some((index, shallow(index)?)))
            .find(|(_, entered)| wanted(entered))
    }

    /// Puts a span on the stack.
    pub(crate) fn push(self, entered: Entered) {
        if !self.push_shallow(entered) && with_cold(|cold| cold.deep.push(entered)).is_some() {
            set(&DEPTH, DEPTH.get() + 1);
        }
        // Else it is a thread that is ending, deeper inside than ever before.
    }

    /// Changes an entry of the stack.
    pub(crate) fn update(self, index: usize, entered: Entered) {
        if !set_shallow(index, entered) {
            with_cold(|cold| cold.deep[index - SHALLOW] = entered);
        }
    }

    /// Takes a span off the stack, usually the last one.
    pub(crate) fn leave(self, index: usize) {
        if index + 1 == DEPTH.get() && index < SHALLOW {
            set(&DEPTH, index);
        } else {
            self.leave_middle(index);
        }
    }

    fn leave_middle(self, index: usize) {
        let depth = DEPTH.get();
        if let Some(index) = index.checked_sub(SHALLOW) {
            with_cold(|cold| cold.deep.remove(index));
        } else {
            for at in index + 1..depth.min(SHALLOW) {
                if let Some(entered) = shallow(at) {
                    set_shallow(at - 1, entered);
                }
            }
            if depth > SHALLOW
                && let Some(first) = with_cold(|cold| cold.deep.remove(0))
            {
                set_shallow(SHALLOW - 1, first);
            }
        }
        set(&DEPTH, depth - 1);
    }
}

#[inline(always)]
fn shallow(index: usize) -> Option<Entered> {
    STACK.with(|stack| stack.get(index).map(Entry::get))
}

/// Says whether there is such an entry.
#[inline(always)]
fn set_shallow(index: usize, entered: Entered) -> bool {
    STACK.with(|stack| match stack.get(index) {
        Some(entry) => {
            entry.set(entered);
            true
        }
        None => false,
    })
}

impl Cold {
    fn new(recorder: &Arc<Recorder>) -> Self {
        Self {
            recorder_id: recorder.id,
            recorder: Arc::downgrade(recorder),
            thread: recorder.threads.register_current(),
            lease: None,
            fields: FieldBuffer::new(recorder.field_words_max),
            deep: Vec::with_capacity(SHALLOW),
        }
    }
}
