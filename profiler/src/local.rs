//! What each thread keeps for itself: its ids, the spans it is in, and its partition of the ring.
//!
//! Most of it is plain cells without a destructor, which still answer while the thread's other
//! locals are being destroyed; they are reached through [`Hot`]. What owns memory lives in [`Cold`]
//! and is used where a field has to be formatted, or a stack is very deep.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

use spandrel_ring::{Borrowed, Lease, ThreadLease};

use crate::fields::FieldBuffer;
use crate::open_spans::{OpenSpan, OpenSpans, PLACES_MAX, Place};
use crate::record::{Slot, THREAD_MAX};
use crate::recorder::Recorder;

thread_local! {
    static CELLS: Cells = const { Cells::new() };
    /// Gives the lease and the free places back when the thread ends.
    static THREAD_END: ThreadEnd = const { ThreadEnd(Cell::new(Weak::new())) };
    /// One for each profiler that this thread has recorded for; the first one belongs to the
    /// profiler that the cells are set up for.
    static COLD: RefCell<Vec<Cold>> = const { RefCell::new(Vec::new()) };
}

/// Plain memory without a destructor. Each use of it is a `CELLS.with` of its own, around as little
/// as can be: that is inlined, and the address is kept, while one around a whole callback is not.
struct Cells {
    /// Id of the recorder that the cells are set up for; or `NOBODY`, `MUTED`, or with
    /// `IN_USER_CODE`.
    owner: Cell<u64>,
    /// The thread's number.
    thread: Cell<u32>,
    /// The same, if the quick paths for its own spans are open to it; else `NO_THREAD`.
    quick_thread: Cell<u32>,
    /// The place that was used last; usually the next callback is for the same span.
    last_place: Cell<Place>,
    next_id: Cell<u64>,
    ids_end: Cell<u64>,
    /// Up to which moment the block of ids is used, in ticks.
    ids_until: Cell<u64>,
    /// The partition that only this thread writes; none while there are not enough, and when the
    /// thread is ending.
    lease: ThreadLease<Slot>,
    /// Free places for spans of a direct front end, see [`places`](crate::places): the first `free_len`
    /// of these.
    free: [Cell<Place>; FREE],
    free_len: Cell<u32>,
    /// The innermost span that the thread is in; see [`Link`].
    innermost: Cell<Link>,
    /// How many of `details`, and of `Cold::details` behind them, may be in use.
    details_len: Cell<usize>,
    details: [Cell<Detailed>; DETAILS],
}

/// The spans that a thread is in are a chain from the innermost one outwards. A link is
///
/// * `OUTSIDE`, or
/// * the place of a span of the first layer that is the thread's own: the table keeps the next link
///   (and the place, until the thread has left, see [`OpenSpans::close`]), or
/// * `DETAILED` and the index of a [`Detailed`].
type Link = Place;

/// Below `DETAILED`, so that the processor can compare with it in one instruction.
const OUTSIDE: Link = DETAILED - 1;
const DETAILED: Link = 1 << 31;
const _: () = assert!(PLACES_MAX < OUTSIDE as usize);

impl Cells {
    const fn new() -> Self {
        Self {
            owner: Cell::new(NOBODY),
            thread: Cell::new(0),
            quick_thread: Cell::new(NO_THREAD),
            last_place: Cell::new(0),
            next_id: Cell::new(0),
            ids_end: Cell::new(0),
            ids_until: Cell::new(0),
            lease: ThreadLease::new(),
            free: [const { Cell::new(0) }; FREE],
            free_len: Cell::new(0),
            innermost: Cell::new(OUTSIDE),
            details_len: Cell::new(0),
            details: [const { Cell::new(Detailed::NONE) }; DETAILS],
        }
    }
}

/// Ids are taken from the common counter in blocks of this many.
const ID_BLOCK: u64 = 64;
/// A block is given up after so many ticks, about 10 ms, so that ids grow with time: a slow thread
/// burns 6,400 ids a second.
const ID_BLOCK_TICKS: u64 = 25_000_000;
/// Free places that a thread keeps. Those of many threads are lost to others, so not too many; and
/// enough for the nests of spans in usual programs.
const FREE: usize = 16;
/// Spans of others that a thread can be in before memory has to be allocated for them.
const DETAILS: usize = 64;

/// `OWNER` of a thread that has not recorded yet.
const NOBODY: u64 = 0;
/// `OWNER` of a thread of which nothing is recorded or counted: a writer.
const MUTED: u64 = u64::MAX;
/// Set in `OWNER` while code of the user's runs inside one of our callbacks: a callback that
/// finds it was called by a field's `Debug`.
const IN_USER_CODE: u64 = 1 << 63;

/// What no thread's number is, nor what becomes of one in the `head` of a span, nor that less
/// `INSIDE`.
const NO_THREAD: u32 = 1 << 30;
/// What `OWNER` never is.
pub(crate) const NO_OWNER: u64 = 1 << 62;

/// A span that this thread is in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entered {
    /// A span of the first layer, by its owner.
    Own(Place),
    /// Any other one.
    Detailed(usize, Detailed),
}

/// A span of another layer or of another thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detailed {
    pub(crate) key: u64,
    pub(crate) place: Place,
    pub(crate) layer: u16,
    /// How many times this thread is inside, if it is not the span's owner; else 1. 0 where nothing
    /// is in use.
    pub(crate) depth: u16,
    /// Ticks, if the thread is not the span's owner; else anything.
    pub(crate) since: u64,
    next: Link,
}

impl Detailed {
    const NONE: Self = Self { key: 0, place: 0, layer: 0, depth: 0, since: 0, next: OUTSIDE };

    pub(crate) fn new(layer: u16, key: u64, place: Place, since: u64) -> Self {
        Self { key, place, layer, depth: 1, since, next: OUTSIDE }
    }
}

/// See `THREAD_END`; with the recorder that the cells are set up for.
struct ThreadEnd(Cell<Weak<Recorder>>);

impl ThreadEnd {
    /// Remembers whom to give things back to. Says whether the thread has an end to come.
    fn is_for(recorder: &Arc<Recorder>) -> bool {
        THREAD_END.try_with(|end| end.0.set(Arc::downgrade(recorder))).is_ok()
    }

    /// Gives the free places back to the recorder that they are of, unless it is gone.
    fn give_places_back(&self) {
        let weak = self.0.take();
        let recorder = weak.upgrade();
        self.0.set(weak);
        CELLS.with(|cells| {
            for place in cells.free.iter().take(cells.free_len.replace(0) as usize) {
                if let Some(recorder) = &recorder {
                    let _given = recorder.open.give_place_back(place.get());
                }
            }
        });
    }
}

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        self.give_places_back();
        // No place is kept from now on, and no lease taken.
        set(|cells| &cells.free_len, FREE as u32 + 1);
        CELLS.with(|cells| drop(cells.lease.take()));
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
    /// The innermost span, while the cells are set up for another profiler.
    innermost: Link,
    /// Details beyond the first `DETAILS`; while the cells are set up for another profiler, all of
    /// them.
    details: Vec<Detailed>,
}

impl Drop for Cold {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.upgrade() {
            recorder.threads.ended(self.thread);
        }
    }
}

/// Why a thread's state cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Another callback of ours is running on this thread.
    Reentrant,
    /// The thread is a writer.
    Muted,
}

/// Not `LocalKey::set`, which is a call of its own, because it could be the first access.
#[inline(always)]
fn set<T: 'static>(cell: impl FnOnce(&Cells) -> &Cell<T>, value: T) {
    CELLS.with(|cells| cell(cells).set(value));
}

#[inline(always)]
fn get_cell<T: Copy + 'static>(cell: impl FnOnce(&Cells) -> &Cell<T>) -> T {
    CELLS.with(|cells| cell(cells).get())
}

/// The calling thread's state for this profiler.
#[inline(always)]
pub(crate) fn get(recorder: &Arc<Recorder>) -> Result<Hot, Unavailable> {
    if get_cell(|cells| &cells.owner) == recorder.id { Ok(Hot(())) } else { set_up(recorder) }
}

/// The same, if nothing has to be done for it, with what [`Recorder::quick_owner`] says.
#[inline(always)]
pub(crate) fn get_if_owner(owner: u64) -> Option<Hot> {
    (get_cell(|cells| &cells.owner) == owner).then_some(Hot(()))
}

/// The same for a look at what the thread is in; also in code of the user's that runs in one of our
/// callbacks.
pub(crate) fn look(recorder: &Recorder) -> Option<Hot> {
    (get_cell(|cells| &cells.owner) & !IN_USER_CODE == recorder.id).then_some(Hot(()))
}

/// Runs `f` with what the thread owns for the profiler that the cells are set up for. `None`, and
/// `f` does not run, when that is destroyed: the thread is ending.
#[inline(always)]
pub(crate) fn with_cold<R>(f: impl FnOnce(&mut Cold) -> R) -> Option<R> {
    COLD.try_with(|cold| cold.try_borrow_mut().ok()?.first_mut().map(f)).ok().flatten()
}

/// The same if `f` may run code of the user's, where the cells are set up.
pub(crate) fn with_cold_in_user_code<R>(f: impl FnOnce(&mut Cold) -> R) -> Option<R> {
    with_cold(|cold| Hot(()).in_user_code(|| f(cold)))
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    set(|cells| &cells.owner, MUTED);
    set(|cells| &cells.quick_thread, NO_THREAD);
}

/// Sets the cells up for a profiler that they were not for. Takes locks and allocates at the first
/// span that the thread records for it.
#[cold]
#[inline(never)]
fn set_up(recorder: &Arc<Recorder>) -> Result<Hot, Unavailable> {
    let owner = get_cell(|cells| &cells.owner);
    if owner == MUTED {
        return Err(Unavailable::Muted);
    }
    if owner & IN_USER_CODE != 0 {
        return Err(Unavailable::Reentrant);
    }
    // What follows allocates, and an allocator may open spans.
    let quick_thread = quick_thread();
    set(|cells| &cells.owner, IN_USER_CODE);
    set(|cells| &cells.quick_thread, NO_THREAD);
    // Also where nothing else can be put away: places are of one recorder's table. (Once `THREAD_END` is
    // gone there are none.)
    _ = THREAD_END.try_with(ThreadEnd::give_places_back);
    let found = COLD.try_with(|cold| {
        let mut cold = cold.try_borrow_mut().map_err(|_| Unavailable::Reentrant)?;
        put_away(&mut cold);
        take_out(&mut cold, recorder);
        Ok(())
    });
    if let Ok(Err(why)) = found {
        set(|cells| &cells.owner, owner);
        set(|cells| &cells.quick_thread, quick_thread);
        return Err(why);
    }
    // The partition, if one was found, is the thread's until then.
    let ends = ThreadEnd::is_for(recorder);
    match found {
        Ok(_) if ends => {}
        Ok(_) => CELLS.with(|cells| drop(cells.lease.take())),
        // The thread is ending. It gets a number; the chain is empty, or another profiler's.
        Err(_) => {
            CELLS.with(|cells| drop(cells.lease.take()));
            set(|cells| &cells.innermost, OUTSIDE);
            set(|cells| &cells.details_len, 0);
            let thread = recorder.threads.register_current();
            recorder.threads.ended(thread);
            set(|cells| &cells.thread, thread);
        }
    }
    set(|cells| &cells.next_id, 0);
    set(|cells| &cells.ids_end, 0);
    set(|cells| &cells.owner, recorder.id);
    open_quick_paths(recorder);
    Ok(Hot(()))
}

/// Lets the thread take the quick paths for its own spans, unless it has none because it shares its
/// number.
fn open_quick_paths(recorder: &Recorder) {
    let thread = get_cell(|cells| &cells.thread);
    let is_quick = recorder.clock.is_tsc() && thread != THREAD_MAX;
    set(|cells| &cells.quick_thread, if is_quick { thread } else { NO_THREAD });
}

/// Moves lease and chain to where they are while the cells are set up for another profiler.
fn put_away(cold: &mut [Cold]) {
    if let Some(cold) = cold.first_mut() {
        let here = get_cell(|cells| &cells.details_len).min(DETAILS);
        CELLS.with(|cells| {
            cold.details.splice(0..0, cells.details[..here].iter().map(Cell::get));
        });
        cold.innermost = get_cell(|cells| &cells.innermost);
        cold.lease = CELLS.with(|cells| cells.lease.take());
    }
    set(|cells| &cells.innermost, OUTSIDE);
    set(|cells| &cells.details_len, 0);
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
    set(|cells| &cells.thread, cold.thread);
    set(|cells| &cells.innermost, cold.innermost);
    set(|cells| &cells.details_len, cold.details.len());
    let here = cold.details.len().min(DETAILS);
    CELLS.with(|cells| {
        for (cell, detailed) in cells.details.iter().zip(cold.details.drain(..here)) {
            cell.set(detailed);
        }
    });
    match cold.lease.take() {
        Some(lease) => CELLS.with(|cells| cells.lease.put(Some(lease))),
        None => look_for_lease(recorder),
    }
}

/// Runs `f` with the thread's lease, if there is one. Whoever records meanwhile, from a signal
/// handler say, finds none and goes to the shared partition.
pub(crate) fn with_lease<R>(f: impl FnOnce(&mut Lease<Slot>) -> R) -> Option<R> {
    let mut lease = CELLS.with(|cells| cells.lease.take())?;
    let result = f(&mut lease);
    CELLS.with(|cells| cells.lease.put(Some(lease)));
    Some(result)
}

/// Takes a free partition for the calling thread, if there is one.
fn look_for_lease(recorder: &Recorder) {
    let lease = recorder.ring.lease();
    if let Some(lease) = &lease {
        recorder.counters.partition(lease.partition()).set_lessee(get_cell(|cells| &cells.thread));
    }
    CELLS.with(|cells| cells.lease.put(lease));
}

/// The number of the calling thread, if the quick paths for its own spans are open to it; else what
/// is no thread's number.
#[inline(always)]
pub(crate) fn quick_thread() -> u32 {
    get_cell(|cells| &cells.quick_thread)
}

/// The place that was used last.
#[inline(always)]
pub(crate) fn last_place() -> Place {
    get_cell(|cells| &cells.last_place)
}

/// The place of the innermost span, if that is of the first layer and the thread's own; else more
/// than any table has.
#[inline(always)]
pub(crate) fn innermost_own() -> Place {
    get_cell(|cells| &cells.innermost)
}

/// For a thread that has been found to be the owner of a span, by [`quick_thread`].
#[inline(always)]
pub(crate) fn of_owner() -> Hot {
    Hot(())
}

impl Hot {
    #[inline(always)]
    pub(crate) fn thread(self) -> u32 {
        get_cell(|cells| &cells.thread)
    }

    /// Borrows the thread's partition, if it has one, for the moment of one publication.
    #[inline(always)]
    pub(crate) fn borrow_lease(self) -> Option<Borrowed<Slot>> {
        CELLS.with(|cells| cells.lease.borrow())
    }

    #[inline(always)]
    pub(crate) fn give_lease_back(self, lease: Borrowed<Slot>) {
        CELLS.with(|cells| cells.lease.give_back(lease));
    }

    #[inline(always)]
    pub(crate) fn set_last_place(self, place: Place) {
        set(|cells| &cells.last_place, place);
    }

    /// Runs `f`, in which code of the user's may run.
    #[inline(always)]
    pub(crate) fn in_user_code<R>(self, f: impl FnOnce() -> R) -> R {
        /// Ends the state also when `f` panics.
        struct Guard(u32);
        impl Drop for Guard {
            fn drop(&mut self) {
                set(|cells| &cells.owner, get_cell(|cells| &cells.owner) & !IN_USER_CODE);
                set(|cells| &cells.quick_thread, self.0);
            }
        }
        set(|cells| &cells.owner, get_cell(|cells| &cells.owner) | IN_USER_CODE);
        let _guard = Guard(get_cell(|cells| &cells.quick_thread));
        set(|cells| &cells.quick_thread, NO_THREAD);
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
        let id = self.next_id_of_block(now);
        match id {
            // It was only looked for.
            Some(id) => set(|cells| &cells.next_id, id),
            None => _ = self.take_block(recorder, now),
        }
        id.is_none()
    }

    /// Takes a new block of ids and returns its first one, which is the next id.
    fn take_block(self, recorder: &Recorder, now: u64) -> u64 {
        let id = recorder.take_ids(ID_BLOCK);
        set(|cells| &cells.next_id, id);
        set(|cells| &cells.ids_end, id + ID_BLOCK);
        set(|cells| &cells.ids_until, now.saturating_add(ID_BLOCK_TICKS));
        // A good moment to look whether another thread has given back its partition.
        if !CELLS.with(|cells| cells.lease.is_leased()) && THREAD_END.try_with(|_| ()).is_ok() {
            look_for_lease(recorder);
        }
        id
    }

    /// A free place that the thread has kept.
    #[inline(always)]
    pub(crate) fn take_place(self, open: &OpenSpans) -> Option<(Place, &OpenSpan)> {
        let last = get_cell(|cells| &cells.free_len).wrapping_sub(1);
        let place = CELLS.with(|cells| cells.free.get(last as usize).map(Cell::get))?;
        let span = open.get(place)?;
        set(|cells| &cells.free_len, last);
        Some((place, span))
    }

    /// Keeps a place that is free again for the thread's next span, if it has not enough of them.
    #[inline(always)]
    pub(crate) fn keep_place(self, place: Place) -> bool {
        let len = get_cell(|cells| &cells.free_len);
        let kept = CELLS.with(|cells| cells.free.get(len as usize).map(|free| free.set(place)));
        if kept.is_some() {
            set(|cells| &cells.free_len, len + 1);
        }
        kept.is_some()
    }

    /// The place of an open span.
    pub(crate) fn find(self, open: &OpenSpans, layer: u16, key: u64) -> Option<(Place, &OpenSpan)> {
        let last = get_cell(|cells| &cells.last_place);
        // The place may be another profiler's, and lie beyond this table.
        if let Some(span) = open.get(last)
            && span.is(layer, key)
        {
            return Some((last, span));
        }
        let found = open.find(layer, key)?;
        set(|cells| &cells.last_place, found.0);
        Some(found)
    }

    /// Whether the thread is in no span.
    #[inline(always)]
    pub(crate) fn is_outside(self) -> bool {
        get_cell(|cells| &cells.innermost) == OUTSIDE
    }

    /// A span of the first layer is now the innermost one; its owner enters it.
    #[inline(always)]
    pub(crate) fn push_own(self, place: Place, span: &OpenSpan) {
        span.set_outer(get_cell(|cells| &cells.innermost));
        set(|cells| &cells.innermost, place);
    }

    /// The owner leaves the innermost span, of the first layer.
    #[inline(always)]
    pub(crate) fn pop_own(self, span: &OpenSpan) {
        set(|cells| &cells.innermost, span.outer());
    }

    /// Another span is now the innermost one.
    pub(crate) fn push_detailed(self, detailed: Detailed) {
        let index = get_cell(|cells| &cells.details_len);
        let next = get_cell(|cells| &cells.innermost);
        let detailed = Detailed { next, ..detailed };
        let put = set_detailed(index, detailed)
            || with_cold(|cold| cold.details.push(detailed)).is_some();
        // Else it is a thread that is ending, deeper inside than ever before.
        if put && index < DETAILED as usize {
            set(|cells| &cells.details_len, index + 1);
            set(|cells| &cells.innermost, DETAILED | index as Link);
        }
    }

    /// The span that a link leads to, and the next link. `None` at the end.
    fn follow(self, open: &OpenSpans, link: Link) -> Option<(Entered, Link)> {
        if link == OUTSIDE {
            return None;
        }
        if link & DETAILED == 0 {
            return open.get(link).map(|span| (Entered::Own(link), span.outer()));
        }
        let index = (link & !DETAILED) as usize;
        let detailed = detailed(index)?;
        Some((Entered::Detailed(index, detailed), detailed.next))
    }

    /// The spans that the thread is in, innermost first.
    fn chain(self, open: &OpenSpans) -> impl Iterator<Item = Entered> {
        let mut link = get_cell(|cells| &cells.innermost);
        std::iter::from_fn(move || {
            let (entered, next) = self.follow(open, link)?;
            link = next;
            Some(entered)
        })
    }

    /// The span that the thread is in: the innermost one of this layer that is still open.
    pub(crate) fn current(self, open: &OpenSpans, layer: u16) -> Option<&OpenSpan> {
        self.chain(open).find_map(|entered| match entered {
            Entered::Own(place) => open.get(place).filter(|span| layer == 0 && !span.is_closed()),
            Entered::Detailed(_, Detailed { key, place, layer: its, .. }) => {
                open.get(place).filter(|span| its == layer && span.is(layer, key))
            }
        })
    }

    /// The innermost of the thread's own spans that were closed while it was inside.
    pub(crate) fn closed(self, open: &OpenSpans) -> Option<(Entered, Place)> {
        self.chain(open).find_map(|entered| match entered {
            Entered::Own(place) if open.span(place).is_closed() => Some((entered, place)),
            _ => None,
        })
    }

    /// The innermost of the spans that the thread is in with this key.
    pub(crate) fn entered(self, open: &OpenSpans, layer: u16, key: u64) -> Option<Entered> {
        self.chain(open).find(|entered| match *entered {
            Entered::Own(place) => layer == 0 && open.span(place).has_key(key),
            Entered::Detailed(_, detailed) => detailed.layer == layer && detailed.key == key,
        })
    }

    /// Takes a span that the thread is in out of the chain; usually it is the innermost one.
    pub(crate) fn leave(self, open: &OpenSpans, entered: Entered) {
        let (left, next) = match entered {
            Entered::Own(place) => (place, open.span(place).outer()),
            Entered::Detailed(index, detailed) => (DETAILED | index as Link, detailed.next),
        };
        if get_cell(|cells| &cells.innermost) == left {
            set(|cells| &cells.innermost, next);
        } else {
            let inner = self.chain(open).find(|inner| match *inner {
                Entered::Own(place) => open.span(place).outer() == left,
                Entered::Detailed(_, detailed) => detailed.next == left,
            });
            match inner {
                Some(Entered::Own(place)) => open.span(place).set_outer(next),
                Some(Entered::Detailed(index, inner)) => update(index, Detailed { next, ..inner }),
                None => {}
            }
        }
        if let Entered::Detailed(index, _) = entered {
            update(index, Detailed::NONE);
            forget_last_details();
        }
    }

    /// Changes the details of a span that the thread is in.
    pub(crate) fn update(self, index: usize, detailed: Detailed) {
        update(index, detailed);
    }
}

fn detailed(index: usize) -> Option<Detailed> {
    let here = CELLS.with(|cells| cells.details.get(index).map(Cell::get));
    here.or_else(|| with_cold(|cold| cold.details.get(index - DETAILS).copied()).flatten())
}

/// Says whether there is such an index in the thread's cells.
fn set_detailed(index: usize, detailed: Detailed) -> bool {
    CELLS.with(|cells| cells.details.get(index).map(|cell| cell.set(detailed)).is_some())
}

fn update(index: usize, detailed: Detailed) {
    if !set_detailed(index, detailed) {
        with_cold(|cold| cold.details.get_mut(index - DETAILS).map(|it| *it = detailed));
    }
}

/// Shortens the details by those at the end that are not in use.
fn forget_last_details() {
    while let Some(last) = get_cell(|cells| &cells.details_len).checked_sub(1)
        && detailed(last).is_none_or(|detailed| detailed.depth == 0)
    {
        if last >= DETAILS {
            with_cold(|cold| cold.details.truncate(last - DETAILS));
        }
        set(|cells| &cells.details_len, last);
    }
}

impl Cold {
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
