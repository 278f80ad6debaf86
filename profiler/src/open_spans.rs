//! The spans that are open right now.
//!
//! A fixed table, allocated and touched when the profiler is built: sets of places, found by the
//! key that `tracing` gave the span. A place is claimed with one compare-and-swap when the span is
//! created and given back when it closes; between them, only callbacks for this very span touch
//! it. The state is our own and not in the registry's `Extensions`, because those take a lock and
//! box every value.
//!
//! Two front ends with keys of their own can share the table: a place also knows the number of its
//! *layer*. The spans of the first layer, usually the only one, are found by their key alone; those
//! of other layers by its complement, which is no key of a registry. So the quick paths of
//! [`fast`](crate::fast), which are the first layer's, need not compare layers.
//!
//! A front end that makes up the keys itself, as our own subscriber does, has places *directly*: the
//! key names the place, which comes from a list of free ones; see [`places`](crate::places). Such
//! a front end counts as a layer, with [`DIRECT`] in its number unless it is the first.
//!
//! # Who writes what
//!
//! The thread that created a span (its *owner*) writes `head` and `own_*` with plain stores. Other
//! threads that enter the span use read-modify-writes on `foreign_*`. Everything else is written
//! before the span's `id`, or by a compare-and-swap.
//!
//! A free place has zeros in all that few spans have ([`OpenSpan::extra`] tells whether they are):
//! a plain span neither writes them when it is created nor clears them when it closes.
//!
//! # Busy time
//!
//! When its owner enters a span, `own_busy` goes down by the moment, and up by the moment when it
//! leaves; so one instruction each. It is negative exactly while the owner is inside: no span has been
//! busy for longer than the clock has run.
//!
//! # Readers
//!
//! The writer thread looks at open spans for the live view and when it closes. It reads `id`, the
//! rest, and `id` again. Data are stored with Release and loaded with Acquire: whoever sees a value
//! of the next span in this place also sees that `id` has changed. (A sequence lock; H. Boehm, "Can
//! seqlocks get along with programming language memory models?", 2012. Ids never repeat.)

use spandrel_ring::Table;

use crate::fields::{Fields, index_of, len_of};
use crate::places::{DirectPlaces, key_of, place_of};
use crate::record::{self, SLOT_WORDS, THREAD_MAX, UPPER_SHIFT};
use crate::sync::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

// Loom explores every interleaving of every access: two ways and two words are enough for it.
const WAYS: usize = if cfg!(spandrel_loom) { 2 } else { 8 };
/// Words of fields that a place holds itself; more go to a spill buffer.
pub(crate) const INLINE_WORDS: usize = if cfg!(spandrel_loom) { 2 } else { 3 * SLOT_WORDS };
/// Most places of a table.
pub(crate) const PLACES_MAX: usize = 1 << 30;
/// Attempts to win a free place of a set or words of a spill buffer.
const ATTEMPTS: usize = 16;

/// The index of a place.
pub(crate) type Place = u32;

/// One place: four cache lines, of which a span without fields uses the first.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct OpenSpan {
    /// The key under which the span is found; 0 while the place is free.
    key: AtomicU64,
    /// Our id of the span; 0 while the place is free or being filled.
    id: AtomicU64,
    /// Callsite and parent, as in the [`record`].
    origin: AtomicU64,
    root: AtomicU64,
    /// Ticks.
    start: AtomicU64,
    /// The header of the span's record: its owner, and its polls by the owner, which count when
    /// they begin. `INSIDE` and `NESTED` stand here too, for the owner's sake.
    head: AtomicU64,
    /// Ticks inside the span on its owner's thread; while it is inside, less the moment when it
    /// came in.
    own_busy: AtomicU64,
    /// `layer << 48 | flags << 32 | pending << 16 | reserved` words of fields, of which the pending
    /// ones are not written yet. So it is just the number of words for a span of the first layer
    /// of which nothing else is out of the ordinary.
    extra: AtomicU64,
    /// Ticks inside the span on other threads.
    foreign_busy: AtomicU64,
    /// Entries by other threads, and those of the owner's for which `head` has no room.
    foreign_polls: AtomicU64,
    /// How many times the owner is inside once more than `INSIDE` says.
    own_depth: AtomicU16,
    /// Number of the spill buffer plus one, or 0.
    spill: AtomicU16,
    /// While the owner is inside: the way to the span around this one, as its thread knows it.
    outer: AtomicU32,
    fields: [AtomicU64; INLINE_WORDS],
}

/// In the lower half of `head`, beside the number of the owner: it is inside.
pub(crate) const INSIDE: u32 = 1 << 24;
/// It is inside more than once.
const NESTED: u32 = 1 << 25;
/// One poll in `head`.
const POLL: u64 = 1 << UPPER_SHIFT;

/// The span has failed.
const FAILED: u64 = 1 << 32;
/// Whole fields did not fit.
const LEFT_OUT: u64 = 1 << 33;
/// `foreign_*` are in use.
const FOREIGN: u64 = 1 << 34;
/// `spill` is in use.
const SPILLED: u64 = 1 << 35;
/// There has been more than one handle; they are counted in [`DirectPlaces`].
const CLONED: u64 = 1 << 36;
/// Where the layer stands in `extra`; 0 is the first one.
const LAYER_SHIFT: u32 = 48;

/// The reserved words in `extra`, and the pending ones above them.
const RESERVED: u64 = 0xFFFF;
const PENDING_SHIFT: u32 = 16;
const PENDING: u64 = RESERVED << PENDING_SHIFT;

/// How many words of fields there are, unless somebody adds some right now.
#[inline(always)]
const fn settled_words(extra: u64) -> Option<usize> {
    if extra & PENDING == 0 { Some((extra & RESERVED) as usize) } else { None }
}

/// How many words of fields a span has, if that is all there is to say, and they are at most `max`.
#[inline(always)]
pub(crate) const fn plain_words(extra: u64, max: usize) -> Option<usize> {
    if extra <= max as u64 { Some(extra as usize) } else { None }
}

/// `key` of a span that was closed while its owner was inside; no key, nor the complement of one.
const CLOSED: u64 = u64::MAX;
/// `key` of a free place that only a direct front end may take; as little a key of a registry, which
/// would have to have 2^31 spans, or 8,191 threads. A number of 32 bits for the processor.
const RESERVED_KEY: u64 = i32::MIN as u64;

/// In the number of a layer that is not the first: its keys name the places.
pub(crate) const DIRECT: u16 = 1 << 15;

/// What is known of a span when it is created, beside its origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSpan {
    pub(crate) thread: u32,
    pub(crate) id: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
}

/// An open span as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) callsite: u16,
    pub(crate) thread: u32,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) busy: u64,
    pub(crate) polls: u64,
    pub(crate) failed: bool,
    pub(crate) left_out: bool,
    pub(crate) fields: Vec<u64>,
}

/// Under which key a span of this layer is found.
#[inline]
fn key_in(layer: u16, key: u64) -> u64 {
    if layer == 0 { key } else { !key }
}

/// What `own_busy` says at the moment `now`. Ticks end long before the sign.
#[inline]
fn busy_until(own_busy: u64, now: u64) -> u64 {
    if own_busy.cast_signed() < 0 { own_busy.wrapping_add(now) } else { own_busy }
}

impl OpenSpan {
    // Relaxed in the accessors below: between creation and close only callbacks for this span come
    // here, and `tracing` orders creation before all of them and all of them before the close.

    #[inline(always)]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Callsite and parent, as in the [`record`].
    #[inline(always)]
    pub(crate) fn origin(&self) -> u64 {
        self.origin.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn root(&self) -> u64 {
        self.root.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Whether this is the open span of the first layer with this key.
    #[inline(always)]
    pub(crate) fn has_key(&self, key: u64) -> bool {
        self.key.load(Ordering::Relaxed) == key
    }

    /// Whether this is the open span of this layer with this key.
    pub(crate) fn is(&self, layer: u16, key: u64) -> bool {
        // Acquire, on every load: as in `look_at`, so that what is compared is of one span.
        let id = self.id.load(Ordering::Acquire);
        id != 0
            && self.key.load(Ordering::Acquire) == key_in(layer, key)
            && self.extra.load(Ordering::Acquire) >> LAYER_SHIFT == u64::from(layer)
            && self.id.load(Ordering::Acquire) == id
    }

    /// The thread that has created the span.
    pub(crate) fn owner(&self) -> u32 {
        record::thread(self.head())
    }

    /// The link that [`set_outer`](Self::set_outer) has kept.
    #[inline(always)]
    pub(crate) fn outer(&self) -> Place {
        // Relaxed, and in `set_outer`: only the owner's thread reads and writes it.
        self.outer.load(Ordering::Relaxed)
    }

    /// Keeps a link for the owner, who is inside.
    #[inline(always)]
    pub(crate) fn set_outer(&self, link: Place) {
        self.outer.store(link, Ordering::Relaxed);
    }

    /// Whether the span has been closed while its owner was inside.
    pub(crate) fn is_closed(&self) -> bool {
        self.has_key(CLOSED)
    }

    /// Whether its owner may write to the span as such: not if it shares its number with others.
    #[inline]
    pub(crate) fn is_owned_by(&self, thread: u32) -> bool {
        self.owner() == thread && thread != THREAD_MAX
    }

    pub(crate) fn has_owner_inside(&self) -> bool {
        self.head() & u64::from(INSIDE) != 0
    }

    /// 0 if the span has no fields and nothing else is out of the ordinary. See [`plain_words`].
    #[inline(always)]
    pub(crate) fn extra(&self) -> u64 {
        self.extra.load(Ordering::Relaxed)
    }

    /// Whether there is no span here.
    fn is_free(&self) -> bool {
        // Relaxed: for counting; a moment later it may be otherwise.
        let key = self.key.load(Ordering::Relaxed);
        key == 0 || key == RESERVED_KEY
    }

    /// Takes the place from the hashed front ends for good, if it is free.
    pub(crate) fn reserve(&self) -> bool {
        // As in `claim`.
        self.key.compare_exchange(0, RESERVED_KEY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives the span of a direct front end, which is being created, its key.
    #[inline(always)]
    pub(crate) fn set_key(&self, key: u64) {
        // Release: for the sequence lock.
        self.key.store(key, Ordering::Release);
    }

    /// There is one more handle, and there may be more than one from now on.
    pub(crate) fn set_cloned(&self) {
        self.mark(CLONED);
    }

    /// Whether there has ever been more than one handle.
    #[inline(always)]
    pub(crate) fn is_cloned(&self) -> bool {
        self.extra() & CLONED != 0
    }

    /// Takes the place, if it is free.
    #[inline(always)]
    fn claim(&self, key: u64) -> bool {
        // Acquire on success: pairs with the Release in `remove`; the last span of this place is
        // gone. Release: for the sequence lock.
        self.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Ticks inside the span on its owner's thread, which is outside now.
    #[inline(always)]
    pub(crate) fn own_busy(&self) -> u64 {
        self.own_busy.load(Ordering::Relaxed)
    }

    /// The words of fields from `index` on that the place itself holds, a slot of the ring full.
    /// Behind the last word they are anything.
    #[inline(always)]
    pub(crate) fn inline_fields_at(&self, index: usize) -> [u64; SLOT_WORDS] {
        match self.fields.get(index..index + SLOT_WORDS) {
            Some(words) => std::array::from_fn(|at| words[at].load(Ordering::Relaxed)),
            None => [0; SLOT_WORDS],
        }
    }

    /// The first words of fields, a slot of the ring full. Behind the last word they are anything.
    #[inline(always)]
    pub(crate) fn copy_inline_fields(&self, to: &mut [u64; SLOT_WORDS]) {
        for (to, word) in to.iter_mut().zip(&self.fields) {
            *to = word.load(Ordering::Relaxed);
        }
    }

    /// Ticks inside the span up to now.
    pub(crate) fn busy(&self, now: u64) -> u64 {
        busy_until(self.own_busy(), now).wrapping_add(self.foreign_busy.load(Ordering::Relaxed))
    }

    pub(crate) fn polls(&self) -> u64 {
        u64::from(record::upper_of(self.head())) + self.foreign_polls.load(Ordering::Relaxed)
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.extra.load(Ordering::Relaxed) & FAILED != 0
    }

    pub(crate) fn has_left_out(&self) -> bool {
        self.extra.load(Ordering::Relaxed) & LEFT_OUT != 0
    }

    /// Sets a flag of `extra`.
    fn mark(&self, flag: u64) {
        // Release: for the sequence lock.
        self.extra.fetch_or(flag, Ordering::Release);
    }

    pub(crate) fn set_failed(&self) {
        self.mark(FAILED);
    }

    pub(crate) fn set_left_out(&self) {
        self.mark(LEFT_OUT);
    }

    /// The owner enters. Says whether it was outside.
    pub(crate) fn own_enter(&self, now: impl FnOnce() -> u64) -> bool {
        let head = self.head();
        if head & u64::from(INSIDE) != 0 {
            // Relaxed: only the owner's thread reads and writes it while the span is open. Release on
            // `head`, here and below: for the sequence lock.
            let depth = self.own_depth.load(Ordering::Relaxed);
            self.own_depth.store(depth.saturating_add(1), Ordering::Relaxed);
            self.head.store(head | u64::from(NESTED), Ordering::Release);
            return false;
        }
        let now = now();
        if self.begin_own_poll(head, now) {
            return true;
        }
        // No room for one more: what is there moves to the other count.
        self.mark(FOREIGN);
        self.foreign_polls.fetch_add(u64::from(record::upper_of(head)), Ordering::Release);
        self.begin_own_poll(head & (POLL - 1), now)
    }

    /// The owner leaves. Says whether it is outside now.
    pub(crate) fn own_exit(&self, now: impl FnOnce() -> u64) -> bool {
        let depth = self.own_depth.load(Ordering::Relaxed);
        if depth > 0 {
            self.own_depth.store(depth - 1, Ordering::Relaxed);
            if depth == 1 {
                self.head.store(self.head() & !u64::from(NESTED), Ordering::Release);
            }
            return false;
        }
        let head = self.head();
        if head & u64::from(INSIDE) != 0 {
            // Not before it came in, on two processors whose counters differ by some ticks.
            let entered = self.own_busy().cast_signed();
            let now = now().cast_signed().max(entered.wrapping_neg());
            self.end_own_poll(head - u64::from(INSIDE), now.cast_unsigned());
        }
        true
    }

    /// The owner, who was outside, enters. Nothing is done, and `false` returned, if `head` has no room
    /// for the poll. `head` is what was loaded before.
    #[inline(always)]
    pub(crate) fn begin_own_poll(&self, head: u64, now: u64) -> bool {
        let head = head.wrapping_add(POLL | INSIDE as u64);
        // The cheapest test there is, for half of the room.
        if head.cast_signed() < 0 {
            return false;
        }
        // Release, here and below: for the sequence lock.
        self.head.store(head, Ordering::Release);
        let busy = &self.own_busy;
        busy.store(busy.load(Ordering::Relaxed).wrapping_sub(now), Ordering::Release);
        true
    }

    /// The owner, who was inside once, leaves. `head` is what was loaded before, less `INSIDE`.
    #[inline(always)]
    pub(crate) fn end_own_poll(&self, head: u64, now: u64) {
        self.head.store(head, Ordering::Release);
        let busy = &self.own_busy;
        busy.store(busy.load(Ordering::Relaxed).wrapping_add(now), Ordering::Release);
    }

    /// Another thread, which was outside, enters.
    pub(crate) fn begin_foreign_poll(&self) {
        self.mark(FOREIGN);
        // Release: for the sequence lock.
        self.foreign_polls.fetch_add(1, Ordering::Release);
    }

    /// Another thread leaves, which was inside for so many ticks.
    pub(crate) fn end_foreign_poll(&self, busy: u64) {
        // Release: for the sequence lock.
        self.foreign_busy.fetch_add(busy, Ordering::Release);
    }

    #[inline]
    pub(crate) fn field_words(&self) -> usize {
        (self.extra.load(Ordering::Relaxed) & RESERVED) as usize
    }

    /// Where the fields of a span that is being created go.
    #[inline(always)]
    pub(crate) fn inline_fields(&self) -> &[AtomicU64; INLINE_WORDS] {
        &self.fields
    }

    /// So many words of [`inline_fields`](Self::inline_fields) are written, of a span of the first
    /// layer that is being created.
    #[inline(always)]
    pub(crate) fn set_words(&self, words: usize) {
        // No read-modify-write: nobody else knows of the span yet.
        self.extra.store(words as u64, Ordering::Release);
    }

    /// Callsite and parent, as in the [`record`], of a span that is being created.
    #[inline(always)]
    pub(crate) fn set_origin(&self, origin: u64) {
        // Release: for the sequence lock, see the module's documentation.
        self.origin.store(origin, Ordering::Release);
    }

    /// Completes a span that is being created and has its origin.
    #[inline(always)]
    pub(crate) fn complete(&self, new: &NewSpan) {
        // Release, here and below: as above.
        self.root.store(new.root, Ordering::Release);
        self.start.store(new.start, Ordering::Release);
        self.head.store(u64::from(new.thread), Ordering::Release);
        self.own_busy.store(0, Ordering::Release);
        // Release: pairs with the Acquire in `look`; the span is complete.
        self.id.store(new.id, Ordering::Release);
    }
}

/// A number of which the lower bits tell the set of a key.
#[inline(always)]
fn hash(key: u64) -> usize {
    // The registry packs into an id, from the lowest bit: the index in its thread's shard (38
    // bits), the shard (13), a generation (13). So consecutive indices of a shard come to lie side by
    // side, and shards 64 sets apart; the generation stays out (but where a table has more than
    // 524,288 sets). Correctness does not depend on any of this.
    (key ^ (key >> 32)) as usize
}

/// The first place of the set of a key.
#[inline(always)]
pub(crate) fn first_place(places: &Table<OpenSpan>, key: u64) -> (Place, &OpenSpan) {
    let (place, span) = places.wrapped_in_first_part(hash(key));
    (place as Place, span)
}

/// The table.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    /// A part for each way: all first ways of the sets, then all second ones, and so on.
    spans: Table<OpenSpan>,
    /// How many ways may have spans, at least 1.
    ways_used: AtomicU32,
    /// The last span of each place whose end was decided by `decide_fate`.
    fates: Box<[AtomicU64]>,
    spills: Spills,
    /// Most words of fields of one span.
    field_words_max: usize,
    /// Whether the first layer is a direct one.
    first_is_direct: AtomicBool,
    direct: DirectPlaces,
}

impl OpenSpans {
    /// Room for at least `spans_max` open spans with up to `field_words_max` words of fields.
    pub(crate) fn new(spans_max: usize, field_words_max: usize) -> Self {
        // Twice as many places as asked for: ids of several threads do not spread quite evenly
        // over the sets, and a span finds no place when its own set is full.
        let places = (2 * spans_max.min(PLACES_MAX / 2)).next_power_of_two().max(WAYS);
        let spills = if cfg!(spandrel_loom) { 1 } else { (spans_max / 16).clamp(16, 4096) };
        let spill_words = field_words_max.saturating_sub(INLINE_WORDS);
        Self {
            spans: Table::new(WAYS, places / WAYS, OpenSpan::default),
            ways_used: AtomicU32::new(1),
            fates: std::iter::repeat_with(AtomicU64::default).take(places).collect(),
            spills: Spills::new(spills, spill_words),
            field_words_max,
            first_is_direct: AtomicBool::new(false),
            // The upper half: hashed front ends use the lower ways first.
            direct: DirectPlaces::new(places / 2, places),
        }
    }

    /// The first layer is a direct one.
    pub(crate) fn set_first_direct(&self) {
        // Relaxed: whoever uses that layer has it from the caller.
        self.first_is_direct.store(true, Ordering::Relaxed);
    }

    /// Whether the keys of a layer name the places.
    #[inline]
    pub(crate) fn is_direct(&self, layer: u16) -> bool {
        match layer {
            0 => self.first_is_direct.load(Ordering::Relaxed),
            _ => layer & DIRECT != 0,
        }
    }

    #[inline]
    pub(crate) fn span(&self, place: Place) -> &OpenSpan {
        &self.spans.cells()[place as usize]
    }

    /// All places.
    #[inline(always)]
    pub(crate) fn places(&self) -> &Table<OpenSpan> {
        &self.spans
    }

    /// The place with this number, if the table has so many.
    #[inline(always)]
    pub(crate) fn get(&self, place: Place) -> Option<&OpenSpan> {
        self.spans.get(place as usize)
    }

    /// The places of a set.
    fn ways(&self, key: u64) -> impl Iterator<Item = Place> + use<> {
        let ((first, _), sets) = (first_place(&self.spans, key), self.spans.part_len());
        (0..WAYS).map(move |way| first + (way * sets) as Place)
    }

    /// The place of an open span.
    pub(crate) fn find(&self, layer: u16, key: u64) -> Option<(Place, &OpenSpan)> {
        if self.is_direct(layer) {
            let place = place_of(key);
            return self.get(place).filter(|span| span.is(layer, key)).map(|span| (place, span));
        }
        self.ways(key_in(layer, key)).find_map(|place| {
            let span = self.span(place);
            span.is(layer, key).then_some((place, span))
        })
    }

    /// Takes the first place of the set for a span of the first layer, if it is free.
    #[inline(always)]
    pub(crate) fn claim_first(&self, key: u64) -> Option<(Place, &OpenSpan)> {
        let (place, span) = first_place(&self.spans, key);
        span.claim(key).then_some((place, span))
    }

    /// Takes a place for a new span. `None` when its set is full.
    pub(crate) fn insert(
        &self,
        layer: u16,
        key: u64,
        origin: u64,
        new: &NewSpan,
        fields: &[u64],
    ) -> Option<Place> {
        let place = self.claim(key_in(layer, key))?;
        self.fill(place, layer, origin, new, fields);
        Some(place)
    }

    /// A free place for a span of a direct front end.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.direct.take(self.spans.cells())
    }

    /// Gives back what [`take_place`](Self::take_place) has given. Always `true`, for whoever ends
    /// with this.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_place_back(&self, place: Place) -> bool {
        self.direct.give_back(self.spans.cells(), place);
        true
    }

    /// Opens a span of a direct front end in a place that it has taken, and says its key.
    pub(crate) fn insert_at(
        &self,
        place: Place,
        layer: u16,
        origin: u64,
        new: &NewSpan,
        fields: &[u64],
    ) -> u64 {
        let key = key_of(place, new.id).get();
        self.span(place).set_key(key_in(layer, key));
        self.fill(place, layer, origin, new, fields);
        key
    }

    /// The key of an open span of a direct layer.
    pub(crate) fn key(&self, layer: u16, span: &OpenSpan) -> u64 {
        // Relaxed: as in the accessors of `OpenSpan`. The complement's complement is the key.
        key_in(layer, span.key.load(Ordering::Relaxed))
    }

    /// Another handle of a direct front end's span.
    pub(crate) fn add_handle(&self, place: Place) {
        self.direct.add_handle(place);
        self.span(place).set_cloned();
    }

    /// Drops one of the handles of a span that is cloned. Says whether it was the last one.
    pub(crate) fn drop_handle(&self, place: Place) -> bool {
        self.direct.drop_handle(place)
    }

    fn fill(&self, place: Place, layer: u16, origin: u64, new: &NewSpan, fields: &[u64]) {
        let span = self.span(place);
        if layer != 0 {
            span.mark(u64::from(layer) << LAYER_SHIFT);
        }
        let inline = if fields.len() <= INLINE_WORDS { fields } else { &[] };
        for (to, word) in span.fields.iter().zip(inline) {
            to.store(*word, Ordering::Release);
        }
        if fields.len() > INLINE_WORDS {
            self.append_fields(span, fields);
        }
        span.extra.fetch_add(inline.len() as u64, Ordering::Release);
        span.set_origin(origin);
        span.complete(new);
    }

    fn claim(&self, key: u64) -> Option<Place> {
        for _ in 0..ATTEMPTS {
            let free = |place: &Place| self.span(*place).has_key(0);
            let (way, place) = self.ways(key).enumerate().find(|(_, place)| free(place))?;
            // Relaxed: whoever has to see this span has been told of it, and so of this.
            self.ways_used.fetch_max(way as u32 + 1, Ordering::Relaxed);
            if self.span(place).claim(key) {
                return Some(place);
            }
        }
        None
    }

    /// Closes a span and gives its place back: at once, or when its owner leaves, if that is another
    /// thread and inside (which `Registry` does not let happen), and the place a link in that
    /// thread's chain. Should the owner leave at this very moment, the place stays taken: the table is
    /// smaller by one then, and no span is lost or wrong.
    pub(crate) fn close(&self, place: Place, thread: u32) {
        let span = self.span(place);
        let is_first_layers = span.extra() >> LAYER_SHIFT == 0;
        if is_first_layers && span.has_owner_inside() && !span.is_owned_by(thread) {
            // In this order: as in `remove`.
            span.id.store(0, Ordering::Relaxed);
            span.key.store(CLOSED, Ordering::Release);
        } else {
            self.remove(place);
        }
    }

    /// Gives a place back.
    pub(crate) fn remove(&self, place: Place) {
        let span = self.span(place);
        // The id first, and Release on what follows: whoever sees the place being cleared sees that
        // the span is gone. (Loom found the other order wrong.)
        span.id.store(0, Ordering::Relaxed);
        let extra = span.extra.load(Ordering::Relaxed);
        if extra != 0 {
            if extra & CLONED != 0 {
                self.direct.forget_handles(place);
            }
            span.foreign_busy.store(0, Ordering::Release);
            span.foreign_polls.store(0, Ordering::Release);
            let spill = span.spill.load(Ordering::Relaxed);
            if spill != 0 {
                span.spill.store(0, Ordering::Release);
                self.spills.release(spill);
            }
            span.extra.store(0, Ordering::Release);
        }
        // The owner may have been inside more than once.
        span.own_depth.store(0, Ordering::Release);
        if self.is_direct((extra >> LAYER_SHIFT) as u16) {
            span.key.store(RESERVED_KEY, Ordering::Release);
            self.give_place_back(place);
        } else {
            // Release: pairs with the Acquire in `OpenSpan::claim`.
            span.key.store(0, Ordering::Release);
        }
    }

    /// The same for a span of which `extra` says nothing but that it has fields, and whose owner is
    /// outside.
    #[inline(always)]
    pub(crate) fn remove_plain(span: &OpenSpan, extra: u64) {
        Self::free_plain(span, extra, 0);
    }

    #[inline(always)]
    fn free_plain(span: &OpenSpan, extra: u64, free_key: u64) {
        // In this order: as in `remove`.
        span.id.store(0, Ordering::Relaxed);
        if extra != 0 {
            span.extra.store(0, Ordering::Release);
        }
        span.key.store(free_key, Ordering::Release);
    }

    /// As [`remove_plain`](Self::remove_plain), for a direct front end, which keeps the place.
    #[inline(always)]
    pub(crate) fn vacate_plain(span: &OpenSpan, extra: u64) {
        Self::free_plain(span, extra, RESERVED_KEY);
    }

    /// How many more words of fields a span may have.
    pub(crate) fn field_room(&self, place: Place) -> usize {
        self.field_words_max.saturating_sub(self.span(place).field_words())
    }

    /// Records fields into a span that has some. A field that it has already, of the same length, is
    /// overwritten in its place, so that a counter can be recorded for ever; others are added.
    #[cold]
    pub(crate) fn record_fields(&self, place: Place, mut fields: &[u64]) {
        let span = self.span(place);
        while let Some(&header) = fields.first() {
            let Some((field, rest)) = fields.split_at_checked(len_of(header)) else { return };
            if !self.overwrite_field(span, field) {
                self.append_fields(span, field);
            }
            fields = rest;
        }
    }

    /// Says whether there was such a field.
    fn overwrite_field(&self, span: &OpenSpan, field: &[u64]) -> bool {
        // Acquire: pairs with the Release in `append_fields`, on whichever thread.
        let Some(end) = settled_words(span.extra.load(Ordering::Acquire)) else {
            return false; // somebody adds fields right now; this one comes behind them
        };
        let mut at = 0;
        // The last one counts; to overwrite an earlier one would change nothing.
        let mut last = None;
        while at < end {
            let header = self.field_word(span, at).load(Ordering::Relaxed);
            if index_of(header) == index_of(field[0]) {
                last = Some((at, len_of(header)));
            }
            at += len_of(header);
        }
        let Some((at, _)) = last.filter(|(_, len)| *len == field.len()) else { return false };
        // The header last: it has the value of a small number, and the length of a text.
        for (index, word) in field.iter().enumerate().rev() {
            self.field_word(span, at + index).store(*word, Ordering::Release);
        }
        true
    }

    /// Adds fields to a span. What does not fit is left out, whole fields at a time, and the span
    /// marked so.
    #[cold]
    pub(crate) fn append_fields(&self, span: &OpenSpan, fields: &[u64]) {
        for _ in 0..ATTEMPTS {
            // The flags first: to take a spill buffer sets one.
            let start = span.field_words();
            let room = self.room(span, start, fields.len());
            let kept = if fields.len() > room { whole_fields(fields, room) } else { fields };
            let (end, words) = (start + kept.len(), kept.len() as u64);
            let before = span.extra.load(Ordering::Relaxed);
            // Relaxed: divides the words among threads that record into the same span.
            if (before & RESERVED) as usize != start
                || span
                    .extra
                    .compare_exchange(
                        before,
                        before + (words | words << PENDING_SHIFT),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    )
                    .is_err()
            {
                continue;
            }
            for (index, word) in (start..end).zip(kept) {
                self.field_word(span, index).store(*word, Ordering::Release);
            }
            // Release: pairs with the Acquire in `look`; the words are complete.
            span.extra.fetch_sub(words << PENDING_SHIFT, Ordering::Release);
            if kept.len() < fields.len() {
                span.set_left_out();
            }
            return;
        }
        span.set_left_out();
    }

    /// How many of `wanted` words there is room for behind the first `start`; takes a spill buffer
    /// if they need one.
    fn room(&self, span: &OpenSpan, start: usize, wanted: usize) -> usize {
        if start + wanted <= INLINE_WORDS {
            return wanted;
        }
        if span.spill.load(Ordering::Acquire) == 0
            && let Some(spill) = self.spills.claim(span.key.load(Ordering::Relaxed))
        {
            span.mark(SPILLED);
            // AcqRel: pairs with itself on another thread that records into the same span.
            if span.spill.compare_exchange(0, spill, Ordering::AcqRel, Ordering::Acquire).is_err() {
                self.spills.release(spill);
            }
        }
        let end = match span.spill.load(Ordering::Acquire) {
            0 => INLINE_WORDS.min(self.field_words_max),
            _ => self.field_words_max,
        };
        end.saturating_sub(start)
    }

    #[inline]
    fn field_word<'a>(&'a self, span: &'a OpenSpan, index: usize) -> &'a AtomicU64 {
        match span.fields.get(index) {
            Some(word) => word,
            None => self.spills.word(span.spill.load(Ordering::Relaxed), index - INLINE_WORDS),
        }
    }

    /// The words of a span's fields from `index` on, a slot of the ring full. Behind the last word
    /// they are anything.
    #[inline]
    pub(crate) fn fields_at(&self, span: &OpenSpan, index: usize) -> [u64; SLOT_WORDS] {
        // Relaxed: nobody records into a span that closes.
        if index + SLOT_WORDS <= INLINE_WORDS {
            span.inline_fields_at(index)
        } else {
            self.spilled_fields_at(span, index)
        }
    }

    #[cold]
    fn spilled_fields_at(&self, span: &OpenSpan, index: usize) -> [u64; SLOT_WORDS] {
        let words = span.field_words();
        std::array::from_fn(|at| match index + at {
            index if index < words => self.field_word(span, index).load(Ordering::Relaxed),
            _ => 0,
        })
    }

    /// Decides, once and for all, who speaks for a span that is open while the profiler closes:
    /// the first caller for this id. Used on the cold path only.
    pub(crate) fn decide_fate(&self, place: Place, id: u64) -> bool {
        // AcqRel: pairs with itself on the other thread.
        self.fates[place as usize].swap(id, Ordering::AcqRel) != id
    }

    /// The places that may have spans.
    fn used(&self) -> impl Iterator<Item = (Place, &OpenSpan)> {
        // Relaxed: as in `claim`.
        let ways = self.ways_used.load(Ordering::Relaxed) as usize;
        let hashed = ways * self.spans.part_len();
        let direct = self.direct.used();
        let places = (0..hashed).chain(hashed.max(direct.start)..direct.end.max(hashed));
        places.filter_map(|place| Some((place as Place, self.spans.get(place)?)))
    }

    /// How many places are taken.
    pub(crate) fn count(&self) -> u64 {
        self.used().filter(|(_, span)| !span.is_free()).count() as u64
    }

    /// The spans that are open now, at `now` ticks, and for which `wanted(start)` holds, in no
    /// particular order. What their owners are inside of counts up to now.
    pub(crate) fn look(&self, now: u64, wanted: impl Fn(u64) -> bool) -> Vec<Seen> {
        self.used().filter_map(|(place, span)| self.look_at(place, span, now, &wanted)).collect()
    }

    fn look_at(
        &self,
        place: Place,
        span: &OpenSpan,
        now: u64,
        wanted: impl Fn(u64) -> bool,
    ) -> Option<Seen> {
        // Acquire, on every load: a later load cannot come before an earlier one, and the last one
        // tells whether the place was given to another span meanwhile.
        let id = span.id.load(Ordering::Acquire);
        let start = span.start.load(Ordering::Acquire);
        if id == 0 || !wanted(start) {
            return None;
        }
        let extra = span.extra.load(Ordering::Acquire);
        // Fields that somebody is adding right now are left out for this time.
        let words = settled_words(extra).unwrap_or(0);
        let spill = span.spill.load(Ordering::Acquire);
        let words = if spill == 0 { words.min(INLINE_WORDS) } else { words };
        let fields =
            (0..words.min(self.field_words_max)).map(|index| match span.fields.get(index) {
                Some(word) => word.load(Ordering::Acquire),
                None => self.spills.word(spill, index - INLINE_WORDS).load(Ordering::Acquire),
            });
        let origin = span.origin.load(Ordering::Acquire);
        let head = span.head.load(Ordering::Acquire);
        let busy = busy_until(span.own_busy.load(Ordering::Acquire), now);
        // An entry later than `now` has not happened yet.
        let busy = busy.cast_signed().max(0).cast_unsigned().min(now.saturating_sub(start));
        let seen = Seen {
            place,
            callsite: record::upper_of(origin),
            thread: record::thread(head),
            id,
            parent: record::id_of(origin),
            root: span.root.load(Ordering::Acquire),
            start,
            busy: busy + span.foreign_busy.load(Ordering::Acquire),
            polls: u64::from(record::upper_of(head)) + span.foreign_polls.load(Ordering::Acquire),
            failed: extra & FAILED != 0,
            left_out: extra & LEFT_OUT != 0,
            fields: fields.collect(),
        };
        (span.id.load(Ordering::Acquire) == id).then_some(seen)
    }
}

/// The longest run of whole fields in at most `room` words.
fn whole_fields(words: &[u64], room: usize) -> &[u64] {
    let mut fields = Fields::new(words);
    let mut kept = 0;
    while fields.next().is_some() {
        let end = words.len() - fields.rest().len();
        if end > room {
            break;
        }
        kept = end;
    }
    &words[..kept]
}

/// Buffers for spans with more fields than a place holds.
#[derive(Debug)]
struct Spills {
    taken: Box<[AtomicU32]>,
    words: Box<[AtomicU64]>,
    words_each: usize,
}

impl Spills {
    fn new(buffers: usize, words_each: usize) -> Self {
        let buffers = if words_each == 0 { 0 } else { buffers };
        Self {
            taken: std::iter::repeat_with(AtomicU32::default).take(buffers).collect(),
            words: std::iter::repeat_with(AtomicU64::default).take(buffers * words_each).collect(),
            words_each,
        }
    }

    /// Takes a free buffer, trying a few from a place that `hint` chooses. Returns its number plus
    /// one.
    fn claim(&self, hint: u64) -> Option<u16> {
        let home = (hint.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        (0..ATTEMPTS.min(self.taken.len())).find_map(|step| {
            let index = (home + step) % self.taken.len();
            // Acquire on success: pairs with the Release in `release`.
            self.taken[index]
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
                .then_some(index as u16 + 1)
        })
    }

    fn release(&self, number: u16) {
        // Release: pairs with the Acquire in `claim`.
        self.taken[number as usize - 1].store(0, Ordering::Release);
    }

    #[inline]
    fn word(&self, number: u16, index: usize) -> &AtomicU64 {
        &self.words[(number as usize - 1) * self.words_each + index]
    }
}

#[cfg(all(test, spandrel_loom))]
mod loom_models {
    //! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel --release --lib loom_models`

    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A boolean field: one word.
    const WORD: u64 = 8 << 8;

    fn span(id: u64) -> NewSpan {
        // Every figure is derived from the id, so that a mixture of two spans shows.
        NewSpan { thread: id as u32, id, root: id + 200, start: id + 300 }
    }

    fn origin(id: u64) -> u64 {
        record::id_and(id + 100, id as u16)
    }

    fn check(seen: &Seen) {
        let id = seen.id;
        assert_eq!(
            (seen.callsite, seen.thread, seen.parent, seen.root, seen.start),
            (id as u16, id as u32, id + 100, id + 200, id + 300),
            "a mixture of two spans"
        );
    }

    /// The writer looks while a span closes and another one takes its place.
    #[test]
    fn looking_at_a_place_that_changes_hands() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    table.remove(place);
                    table.insert(0, 1, origin(2), &span(2), &[]).unwrap();
                })
            };
            table.look(0, |_| true).iter().for_each(check);
            other.join().unwrap();
            let seen = table.look(0, |_| true);
            assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [2]);
        });
    }

    /// The same on the quick paths, with a field each.
    #[test]
    fn looking_at_a_place_that_changes_hands_quickly() {
        let open = |table: &OpenSpans, id: u64| {
            let (_, place) = table.claim_first(id).unwrap();
            place.set_origin(origin(id));
            place.inline_fields()[0].store(WORD | id, Ordering::Release);
            place.set_words(1);
            place.complete(&span(id));
        };
        loom::model(move || {
            let table = Arc::new(OpenSpans::new(1, 2));
            open(&table, 1);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    OpenSpans::remove_plain(table.span(0), 1);
                    open(&table, 2);
                })
            };
            for seen in table.look(400, |_| true) {
                check(&seen);
                assert!(seen.fields.is_empty() || seen.fields == [WORD | seen.id], "{seen:?}");
            }
            other.join().unwrap();
            assert_eq!(table.look(400, |_| true)[0].fields, [WORD | 2]);
        });
    }

    #[test]
    fn two_threads_want_the_last_place() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.insert(0, 3, origin(3), &span(3), &[]).is_some())
            };
            let mine = table.insert(0, 2, origin(2), &span(2), &[]).is_some();
            assert!(mine != other.join().unwrap(), "one place was left for two spans");
            assert_eq!(table.count(), 2);
        });
    }

    /// Two threads record into one span; the second word of one of them goes to a spill buffer.
    #[test]
    fn two_threads_record_fields() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 3));
            let place = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.append_fields(table.span(place), &[WORD | 1]))
            };
            table.append_fields(table.span(place), &[WORD | 2]);
            other.join().unwrap();
            let mut words = Vec::new();
            words.extend(table.spilled_fields_at(table.span(place), 0).map(|word| word & 0xFF));
            words.truncate(3);
            words.sort_unstable();
            assert_eq!(words, [0, 1, 2]);
            assert!(!table.span(place).has_left_out());
        });
    }

    /// The writer looks while fields are recorded: it sees all of them or none.
    #[test]
    fn looking_while_fields_are_recorded() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 3));
            let place = table.insert(0, 1, origin(1), &span(1), &[WORD]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.append_fields(table.span(place), &[WORD | 1]))
            };
            for seen in table.look(0, |_| true) {
                check(&seen);
                assert!(
                    [&[][..], &[WORD], &[WORD, WORD | 1]].contains(&&seen.fields[..]),
                    "{:?}",
                    seen.fields
                );
            }
            other.join().unwrap();
        });
    }

    /// The writer looks while the owner enters and leaves: busy time is that of before, of between or
    /// of after.
    #[test]
    fn looking_while_the_owner_enters_and_leaves() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let span = table.span(place);
                    assert!(span.own_enter(|| 310) && span.own_exit(|| 320));
                })
            };
            for seen in table.look(330, |_| true) {
                check(&seen);
                assert!([0, 10, 20].contains(&seen.busy) && seen.polls <= 1, "{seen:?}");
            }
            other.join().unwrap();
            assert_eq!(table.look(330, |_| true)[0].busy, 10);
        });
    }

    /// A span ends while the profiler closes: one of both accounts for it.
    #[test]
    fn one_decides_the_fate() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            let place = table.insert(0, 1, origin(1), &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.decide_fate(place, 1))
            };
            let mine = table.decide_fate(place, 1);
            assert!(mine != other.join().unwrap());
        });
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    fn new_span(id: u64) -> NewSpan {
        NewSpan { thread: 4, id, root: 6, start: 7 }
    }

    const ORIGIN: u64 = record::id_and(5, 3);

    #[test]
    fn a_table_takes_at_least_what_it_was_made_for() {
        // Ids as the registry makes them: several shards, and generations that differ. (Miri goes
        // through the whole table at each access.)
        let spans = if cfg!(miri) { 64 } else { 1024 };
        let table = OpenSpans::new(spans, 64);
        for shard in 0..4_u64 {
            for index in 1..=spans as u64 / 4 {
                let generation = index.wrapping_mul(shard + 7) & 0x1FFF;
                let key = generation << 51 | shard << 38 | index;
                assert!(
                    table.insert(0, key, ORIGIN, &new_span(key >> 3), &[]).is_some(),
                    "{shard} {index}"
                );
            }
        }
        assert_eq!(table.count(), spans as u64);
    }

    #[test]
    fn a_full_set_refuses_and_takes_again() {
        let table = OpenSpans::new(1, 0);
        let places: Vec<_> =
            (0..100).map(|n| table.insert(0, n * 2 + 1, ORIGIN, &new_span(n), &[])).collect();
        assert_eq!(places.iter().flatten().count(), WAYS, "one set in all");
        let first = places[0].unwrap();
        table.remove(first);
        assert!(table.insert(0, 1001, ORIGIN, &new_span(1001), &[]).is_some());
    }

    #[test]
    fn layers_do_not_see_each_others_spans() {
        let table = OpenSpans::new(64, 0);
        let places = [0, 1, 2].map(|layer| table.insert(layer, 9, ORIGIN, &new_span(100), &[]));
        let find = |layer| table.find(layer, 9).map(|(place, _)| place);
        assert_eq!([0, 1, 2].map(find), places);
        assert!(places.iter().all(Option::is_some));
        table.remove(places[1].unwrap());
        assert_eq!([0, 1, 2].map(find), [places[0], None, places[2]]);
        table.remove(places[0].unwrap());
        table.remove(places[2].unwrap());
        assert_eq!([0, 1, 2].map(find), [None; 3]);
        let again = table.insert(0, 9, ORIGIN, &new_span(300), &[]);
        assert_eq!([0, 1, 2].map(find), [again, None, None], "a place forgets its layer");
    }

    #[test]
    fn what_is_open_can_be_seen_with_all_its_fields() {
        let table = OpenSpans::new(64, 64);
        // Booleans: one word a field.
        let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &fields[..5]).unwrap();
        table.append_fields(table.span(place), &fields[5..]);
        let span = table.span(place);
        assert!(span.own_enter(|| 10) && !span.own_enter(|| 11));
        assert!(span.has_owner_inside() && !span.own_exit(|| 12) && span.own_exit(|| 13));
        assert!(!span.has_owner_inside() && span.own_exit(|| 14), "it was outside");
        span.begin_foreign_poll();
        span.end_foreign_poll(4);
        table.span(place).set_failed();
        let seen = table.look(20, |_| true);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].id, seen[0].busy, seen[0].polls), (10, 7, 2));
        assert!(seen[0].failed && !seen[0].left_out);
        assert_eq!(seen[0].fields, fields);
        let span = table.span(place);
        let copied: Vec<_> = (0..40).step_by(7).flat_map(|at| table.fields_at(span, at)).collect();
        assert_eq!(copied[..40], fields);
        assert!(table.look(0, |start| start < 7).is_empty());
        assert!(span.own_enter(|| 20));
        let seen = table.look(25, |_| true);
        assert_eq!((seen[0].busy, seen[0].polls), (12, 3), "with the entry that goes on");
        let seen = table.look(19, |_| true);
        assert_eq!(seen[0].busy, 6, "an entry later than the look is none");
    }

    #[test]
    fn fields_that_do_not_fit_are_left_out_whole_and_marked() {
        let table = OpenSpans::new(64, INLINE_WORDS);
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let wide = [3 << 8, 42]; // an i64 of two words
        for _ in 0..INLINE_WORDS {
            table.append_fields(table.span(place), &wide);
        }
        assert_eq!(table.span(place).field_words(), INLINE_WORDS / 2 * 2, "whole fields only");
        assert!(table.span(place).has_left_out());
        for _ in 0..2 {
            table.append_fields(table.span(place), &[8 << 8]);
        }
        assert_eq!(table.span(place).field_words(), INLINE_WORDS);
    }

    #[test]
    fn the_last_value_of_a_field_counts_whatever_its_length() {
        let table = OpenSpans::new(16, 64);
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[8 << 8]).unwrap();
        let wide = [3 << 8, 42];
        for _ in 0..1000 {
            table.record_fields(place, &wide);
            table.record_fields(place, &wide);
        }
        assert_eq!(table.span(place).field_words(), 3, "overwritten in place");
        table.record_fields(place, &[8 << 8 | 1 << 32]);
        let seen = table.look(0, |_| true);
        assert_eq!(seen[0].fields.last(), Some(&(8 << 8 | 1 << 32)), "behind the other length");
    }

    #[test]
    fn polls_have_no_end() {
        let table = OpenSpans::new(16, 0);
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let span = table.span(place);
        let polls = if cfg!(miri) { 40_000 } else { 200_000 };
        for n in 0..polls {
            if !span.begin_own_poll(span.head(), 2 * n) {
                assert!(span.own_enter(|| 2 * n));
            }
            assert_eq!(span.polls(), n + 1);
            assert!(span.own_exit(|| 2 * n + 1));
        }
        assert_eq!((span.busy(1 << 40), span.owner()), (polls, 4));
        table.remove(place);
        let place = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
        assert_eq!(table.span(place).polls(), 0);
    }

    #[test]
    fn a_place_waits_for_its_owner_to_leave() {
        let table = OpenSpans::new(1, 0);
        for (layer, waits) in [(0, true), (1, false)] {
            let place = table.insert(layer, 1, ORIGIN, &new_span(10), &[]).unwrap();
            let span = table.span(place);
            assert!(span.own_enter(|| 8));
            table.close(place, 99);
            assert_eq!((span.is_closed(), table.count()), (waits, u64::from(waits)));
            assert_eq!((table.find(layer, 1).is_none(), table.look(9, |_| true).len()), (true, 0));
            table.remove(place);
            assert_eq!(table.count(), 0);
        }
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        assert!(table.span(place).own_enter(|| 8));
        table.close(place, 4);
        assert_eq!(table.count(), 0, "its own thread need not wait");
    }

    #[test]
    fn an_exit_before_its_entry_takes_no_time() {
        let table = OpenSpans::new(16, 0);
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        let span = table.span(place);
        assert!(span.own_enter(|| 100) && span.own_exit(|| 97));
        assert_eq!(span.busy(200), 0);
    }

    #[test]
    fn a_place_is_given_back_as_it_was_found() {
        let table = OpenSpans::new(1, 64);
        let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
        for layer in [0, 7] {
            let place = table.insert(layer, 1, ORIGIN, &new_span(10), &fields).unwrap();
            let span = table.span(place);
            span.begin_foreign_poll();
            span.end_foreign_poll(9);
            span.set_failed();
            span.set_left_out();
            assert!(span.own_enter(|| 8) && !span.own_enter(|| 9));
            assert_eq!(plain_words(span.extra(), INLINE_WORDS), None);
            table.remove(place);
            let again = table.insert(0, 1, ORIGIN, &new_span(11), &[]).unwrap();
            assert_eq!((again, span.extra()), (place, 0));
            assert_eq!((span.polls(), span.busy(99), span.has_owner_inside()), (0, 0, false));
            assert!(span.own_enter(|| 8) && span.own_exit(|| 9), "it is inside once");
            OpenSpans::remove_plain(span, 0);
        }
    }

    #[test]
    fn spill_buffers_come_back() {
        let table = OpenSpans::new(16, 64);
        let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
        for round in 0..if cfg!(miri) { 50 } else { 1000 } {
            let place = table.insert(0, round + 1, ORIGIN, &new_span(round + 1), &fields).unwrap();
            assert!(!table.span(place).has_left_out(), "round {round}");
            table.remove(place);
        }
    }

    #[test]
    fn only_the_first_decides() {
        let table = OpenSpans::new(16, 0);
        let place = table.insert(0, 1, ORIGIN, &new_span(10), &[]).unwrap();
        assert!(table.decide_fate(place, 10));
        assert!(!table.decide_fate(place, 10));
    }
}
