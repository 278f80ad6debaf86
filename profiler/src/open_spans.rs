//! The spans that are open right now.
//!
//! A fixed table, allocated and touched when the profiler is built: sets of eight places, found by
//! the key that `tracing` gave the span. A place is claimed with one compare-and-swap when the span
//! is created and given back when it closes; between them, only callbacks for this very span touch
//! it. The state is our own and not in the registry's `Extensions`, because those take a lock and
//! box every value.
//!
//! Two front ends with keys of their own can share the table: a place also knows the number of its
//! *layer*.
//!
//! # Who writes what
//!
//! The thread that created a span (its *owner*) writes `own_*` with plain stores. Other threads
//! that enter the span use read-modify-writes on `foreign_*`. Everything else is written before the
//! span's `id`, or by a compare-and-swap.
//!
//! # Readers
//!
//! The writer thread looks at open spans for the live view and when it closes. It reads `id`, the
//! rest, and `id` again. Data are stored with Release and loaded with Acquire: whoever sees a value
//! of the next span in this place also sees that `id` has changed. (A sequence lock; H. Boehm, "Can
//! seqlocks get along with programming language memory models?", 2012. Ids never repeat.)

use crate::fields::{Fields, index_of, len_of};
use crate::record::{self, SLOT_WORDS};
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Ordering};

// Loom explores every interleaving of every access: two ways and two words are enough for it.
const WAYS: usize = if cfg!(spandrel_loom) { 2 } else { 8 };
/// Words of fields that a place holds itself; more go to a spill buffer.
pub(crate) const INLINE_WORDS: usize = if cfg!(spandrel_loom) { 2 } else { 3 * SLOT_WORDS };
/// Attempts to win a free place of a set or words of a spill buffer.
const ATTEMPTS: usize = 16;

/// The index of a place.
pub(crate) type Place = u32;

#[derive(Debug, Default)]
#[repr(align(64))]
struct KeySet([AtomicU64; WAYS]);

/// One place: four cache lines, of which a span without fields uses the first and a half.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct OpenSpan {
    /// Our id of the span; 0 while the place is free or being filled.
    id: AtomicU64,
    /// The key under which the span is found, once more.
    key: AtomicU64,
    parent: AtomicU64,
    root: AtomicU64,
    /// Ticks.
    start: AtomicU64,
    /// `layer << 48 |` [`record::origin`]; 0 while the place is free.
    meta: AtomicU64,
    /// Ticks inside the span on its owner's thread, without the stretch that `own_since` began.
    own_busy: AtomicU64,
    /// Ticks inside the span on other threads.
    foreign_busy: AtomicU64,
    /// When the owner entered, in ticks; 0 while it is outside.
    own_since: AtomicU64,
    /// Entries from outside; an entry counts when it begins.
    own_polls: AtomicU64,
    foreign_polls: AtomicU32,
    /// How many times the owner is inside once more than `own_since` says.
    own_depth: AtomicU16,
    /// `FAILED`, `LEFT_OUT`.
    flags: AtomicU16,
    /// `written << 16 | reserved`: words of fields.
    field_words: AtomicU32,
    /// Number of the spill buffer plus one, or 0.
    spill: AtomicU32,
    fields: [AtomicU64; INLINE_WORDS],
}

const FAILED: u16 = 1;
/// Whole fields did not fit.
const LEFT_OUT: u16 = 2;

/// The reserved half of `OpenSpan::field_words`.
const RESERVED: u32 = 0xFFFF;

/// What is known of a span when it is created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSpan {
    pub(crate) layer: u16,
    pub(crate) callsite: u16,
    pub(crate) thread: u32,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) left_out: bool,
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

impl OpenSpan {
    // Relaxed in the accessors below: between creation and close only callbacks for this span come
    // here, and `tracing` orders creation before all of them and all of them before the close.

    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn parent(&self) -> u64 {
        self.parent.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn root(&self) -> u64 {
        self.root.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::Relaxed)
    }

    /// Layer, callsite and thread.
    #[inline]
    pub(crate) fn meta(&self) -> u64 {
        self.meta.load(Ordering::Relaxed)
    }

    /// Whether this is the open span of this layer with this key. A place of another layer with an
    /// equal key has another number in `meta`, or none while it is being filled.
    #[inline]
    pub(crate) fn is(&self, layer: u16, key: u64) -> bool {
        self.key.load(Ordering::Relaxed) == key && self.meta() >> 48 == u64::from(layer)
    }

    #[inline]
    pub(crate) fn is_owned_by(&self, thread: u32) -> bool {
        record::thread(self.meta()) == thread
    }

    /// Whether this is the open span of this layer with this key, created by this thread.
    #[inline(always)]
    pub(crate) fn is_owned(&self, layer: u16, key: u64, thread: u32) -> bool {
        self.key.load(Ordering::Relaxed) == key
            && record::without_callsite(self.meta())
                == record::without_callsite(u64::from(layer) << 48) | u64::from(thread)
    }

    /// When the owner entered, 0 while it is outside.
    #[inline(always)]
    pub(crate) fn own_since(&self) -> u64 {
        self.own_since.load(Ordering::Relaxed)
    }

    /// Whether the owner is inside more than once.
    #[inline(always)]
    pub(crate) fn is_nested(&self) -> bool {
        self.own_depth.load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    pub(crate) fn has_spilled(&self) -> bool {
        self.spill.load(Ordering::Relaxed) != 0
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

    #[inline]
    pub(crate) fn busy(&self) -> u64 {
        self.own_busy.load(Ordering::Relaxed) + self.foreign_busy.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn polls(&self) -> u64 {
        self.own_polls.load(Ordering::Relaxed)
            + u64::from(self.foreign_polls.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn is_failed(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & FAILED != 0
    }

    #[inline]
    pub(crate) fn has_left_out(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & LEFT_OUT != 0
    }

    pub(crate) fn set_failed(&self) {
        self.flags.fetch_or(FAILED, Ordering::Relaxed);
    }

    pub(crate) fn set_left_out(&self) {
        self.flags.fetch_or(LEFT_OUT, Ordering::Relaxed);
    }

    /// The owner enters. Says whether it was outside.
    #[inline]
    pub(crate) fn own_enter(&self, now: impl FnOnce() -> u64) -> bool {
        if self.own_since() == 0 {
            self.begin_own_poll(now());
            return true;
        }
        let depth = self.own_depth.load(Ordering::Relaxed);
        self.own_depth.store(depth.saturating_add(1), Ordering::Relaxed);
        false
    }

    /// The owner leaves. Says whether it is outside now.
    #[inline]
    pub(crate) fn own_exit(&self, now: impl FnOnce() -> u64) -> bool {
        let depth = self.own_depth.load(Ordering::Relaxed);
        if depth > 0 {
            self.own_depth.store(depth - 1, Ordering::Relaxed);
            return false;
        }
        let since = self.own_since();
        if since != 0 {
            self.end_own_poll(now().saturating_sub(since));
        }
        true
    }

    /// The owner, who was outside, enters.
    #[inline(always)]
    pub(crate) fn begin_own_poll(&self, now: u64) {
        let polls = &self.own_polls;
        // Release, here and below: for the sequence lock.
        polls.store(polls.load(Ordering::Relaxed) + 1, Ordering::Release);
        // A clock may begin at 0, which says "outside".
        self.own_since.store(now.max(1), Ordering::Release);
    }

    /// The owner, who was inside for so many ticks, leaves.
    #[inline(always)]
    pub(crate) fn end_own_poll(&self, busy: u64) {
        // In this order: whoever sees the sum with this stretch also sees that it is over.
        self.own_since.store(0, Ordering::Release);
        let sum = &self.own_busy;
        sum.store(sum.load(Ordering::Relaxed) + busy, Ordering::Release);
    }

    /// Another thread, which was outside, enters.
    pub(crate) fn begin_foreign_poll(&self) {
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
        (self.field_words.load(Ordering::Relaxed) & RESERVED) as usize
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    keys: Box<[KeySet]>,
    spans: Box<[OpenSpan]>,
    /// The last span of each place whose end was decided by `decide_fate`.
    fates: Box<[AtomicU64]>,
    spills: Spills,
    /// Most words of fields of one span.
    field_words_max: usize,
}

impl OpenSpans {
    /// Room for at least `spans_max` open spans with up to `field_words_max` words of fields.
    pub(crate) fn new(spans_max: usize, field_words_max: usize) -> Self {
        // Twice as many places as asked for: ids of several threads do not spread quite evenly
        // over the sets, and a span finds no place when its own set is full.
        let places = (2 * spans_max).next_power_of_two().max(WAYS);
        let spills = if cfg!(spandrel_loom) { 1 } else { (spans_max / 16).clamp(16, 4096) };
        let spill_words = field_words_max.saturating_sub(INLINE_WORDS);
        Self {
            keys: std::iter::repeat_with(KeySet::default).take(places / WAYS).collect(),
            spans: std::iter::repeat_with(OpenSpan::default).take(places).collect(),
            fates: std::iter::repeat_with(AtomicU64::default).take(places).collect(),
            spills: Spills::new(spills, spill_words),
            field_words_max,
        }
    }

    #[inline]
    fn set(&self, key: u64) -> usize {
        // The registry packs into an id, from the lowest bit: the index in its thread's shard (38
        // bits), the shard (13), a generation (13). Consecutive indices fill the sets evenly; each
        // shard begins at another set; generations would only shuffle. Correctness does not depend
        // on any of this.
        let shard = (key >> 38) & 0x1FFF;
        (key ^ shard.wrapping_mul(0x9E37_79B1)) as usize & (self.keys.len() - 1)
    }

    #[inline]
    pub(crate) fn span(&self, place: Place) -> &OpenSpan {
        &self.spans[place as usize]
    }

    /// The place with this number, if the table has so many.
    #[inline(always)]
    pub(crate) fn get(&self, place: Place) -> Option<&OpenSpan> {
        self.spans.get(place as usize)
    }

    /// The place of an open span.
    #[inline]
    pub(crate) fn find(&self, layer: u16, key: u64) -> Option<(Place, &OpenSpan)> {
        let set = self.set(key);
        let keys = &self.keys[set].0;
        (0..WAYS).find_map(|way| {
            // Relaxed: the span was created before this callback, by `tracing`'s own ordering.
            if keys[way].load(Ordering::Relaxed) != key {
                return None;
            }
            let place = set * WAYS + way;
            let span = &self.spans[place];
            span.is(layer, key).then_some((place as Place, span))
        })
    }

    /// Takes a place for a new span. `None` when its set is full.
    #[inline(always)]
    pub(crate) fn insert(&self, key: u64, new: &NewSpan, fields: &[u64]) -> Option<Place> {
        let place = self.claim(key)?;
        let span = self.span(place);
        // Release, here and below: for the sequence lock, see the module's documentation.
        span.parent.store(new.parent, Ordering::Release);
        span.root.store(new.root, Ordering::Release);
        span.start.store(new.start, Ordering::Release);
        span.own_busy.store(0, Ordering::Release);
        span.foreign_busy.store(0, Ordering::Release);
        span.own_since.store(0, Ordering::Release);
        span.own_polls.store(0, Ordering::Release);
        span.foreign_polls.store(0, Ordering::Release);
        span.own_depth.store(0, Ordering::Relaxed);
        span.flags.store(if new.left_out { LEFT_OUT } else { 0 }, Ordering::Release);
        if fields.len() <= INLINE_WORDS {
            for (to, word) in span.fields.iter().zip(fields) {
                to.store(*word, Ordering::Release);
            }
            let words = fields.len() as u32;
            span.field_words.store(words << 16 | words, Ordering::Release);
        } else {
            span.field_words.store(0, Ordering::Release);
            self.append_fields(place, fields);
        }
        span.meta.store(
            u64::from(new.layer) << 48 | record::origin(new.callsite, new.thread),
            Ordering::Release,
        );
        // Relaxed: for callbacks of this span only, which come after this one.
        span.key.store(key, Ordering::Relaxed);
        // Release: pairs with the Acquire in `look`; the span is complete.
        span.id.store(new.id, Ordering::Release);
        Some(place)
    }

    #[inline(always)]
    fn claim(&self, key: u64) -> Option<Place> {
        let set = self.set(key);
        let keys = &self.keys[set].0;
        for _ in 0..ATTEMPTS {
            let way = keys.iter().position(|key| key.load(Ordering::Relaxed) == 0)?;
            // Acquire on success: pairs with the Release in `remove`; the last span of this place
            // is gone.
            if keys[way].compare_exchange(0, key, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Some((set * WAYS + way) as Place);
            }
        }
        None
    }

    /// Gives a place back.
    #[inline(always)]
    pub(crate) fn remove(&self, place: Place, span: &OpenSpan) {
        // The id first, and Release on what follows: whoever sees the place being cleared sees that
        // the span is gone. (Loom found the other order wrong.)
        span.id.store(0, Ordering::Relaxed);
        let spill = span.spill.load(Ordering::Relaxed);
        if spill != 0 {
            span.spill.store(0, Ordering::Release);
            self.spills.release(spill);
        }
        span.meta.store(0, Ordering::Release);
        span.key.store(0, Ordering::Relaxed);
        let (set, way) = (place as usize / WAYS, place as usize % WAYS);
        // Release: pairs with the Acquire in `claim`.
        self.keys[set].0[way].store(0, Ordering::Release);
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
                self.append_fields(place, field);
            }
            fields = rest;
        }
    }

    /// Says whether there was such a field.
    fn overwrite_field(&self, span: &OpenSpan, field: &[u64]) -> bool {
        // Acquire: pairs with the Release in `append_fields`, on whichever thread.
        let words = span.field_words.load(Ordering::Acquire);
        if words >> 16 != words & RESERVED {
            return false; // somebody adds fields right now; this one comes behind them
        }
        let (mut at, end) = (0, (words & RESERVED) as usize);
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
    pub(crate) fn append_fields(&self, place: Place, fields: &[u64]) {
        let span = self.span(place);
        for _ in 0..ATTEMPTS {
            let before = span.field_words.load(Ordering::Relaxed);
            let start = (before & RESERVED) as usize;
            let room = self.room(span, start, fields.len());
            let kept = if fields.len() > room { whole_fields(fields, room) } else { fields };
            let (end, words) = (start + kept.len(), kept.len() as u32);
            // Relaxed: divides the words among threads that record into the same span.
            if span
                .field_words
                .compare_exchange(before, before + words, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            for (index, word) in (start..end).zip(kept) {
                self.field_word(span, index).store(*word, Ordering::Release);
            }
            // Release: pairs with the Acquire in `look`; the words are complete.
            span.field_words.fetch_add(words << 16, Ordering::Release);
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
            && let Some(spill) = self.spills.claim(span.id() ^ span.start())
        {
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

    /// How many places are taken.
    pub(crate) fn count(&self) -> u64 {
        let keys = self.keys.iter().flat_map(|set| &set.0);
        keys.filter(|key| key.load(Ordering::Relaxed) != 0).count() as u64
    }

    /// The spans that are open now, at `now` ticks, and for which `wanted(start)` holds, in no
    /// particular order. What their owners are inside of counts up to now; where one leaves this
    /// very moment, its last stretch may be missing.
    pub(crate) fn look(&self, now: u64, wanted: impl Fn(u64) -> bool) -> Vec<Seen> {
        let taken = self.keys.iter().enumerate().flat_map(|(set, keys)| {
            keys.0.iter().enumerate().filter_map(move |(way, key)| {
                (key.load(Ordering::Relaxed) != 0).then_some(set * WAYS + way)
            })
        });
        taken.filter_map(|place| self.look_at(place as Place, now, &wanted)).collect()
    }

    fn look_at(&self, place: Place, now: u64, wanted: impl Fn(u64) -> bool) -> Option<Seen> {
        let span = self.span(place);
        // Acquire, on every load: a later load cannot come before an earlier one, and the last one
        // tells whether the place was given to another span meanwhile.
        let id = span.id.load(Ordering::Acquire);
        let start = span.start.load(Ordering::Acquire);
        if id == 0 || !wanted(start) {
            return None;
        }
        let meta = span.meta.load(Ordering::Acquire);
        let words = span.field_words.load(Ordering::Acquire);
        // Fields that somebody is adding right now are left out for this time.
        let words = if words >> 16 == words & RESERVED { (words & RESERVED) as usize } else { 0 };
        let spill = span.spill.load(Ordering::Acquire);
        let words = if spill == 0 { words.min(INLINE_WORDS) } else { words };
        let fields =
            (0..words.min(self.field_words_max)).map(|index| match span.fields.get(index) {
                Some(word) => word.load(Ordering::Acquire),
                None => self.spills.word(spill, index - INLINE_WORDS).load(Ordering::Acquire),
            });
        let flags = span.flags.load(Ordering::Acquire);
        let since = span.own_since.load(Ordering::Acquire);
        let busy = span.own_busy.load(Ordering::Acquire);
        // A stretch that is over by now may be part of `busy` already.
        let is_inside = since != 0 && span.own_since.load(Ordering::Acquire) == since;
        let running = if is_inside { now.saturating_sub(since) } else { 0 };
        let seen = Seen {
            place,
            callsite: record::callsite(meta),
            thread: record::thread(meta),
            id,
            parent: span.parent.load(Ordering::Acquire),
            root: span.root.load(Ordering::Acquire),
            start,
            busy: busy + running + span.foreign_busy.load(Ordering::Acquire),
            polls: span.own_polls.load(Ordering::Acquire)
                + u64::from(span.foreign_polls.load(Ordering::Acquire)),
            failed: flags & FAILED != 0,
            left_out: flags & LEFT_OUT != 0,
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
    fn claim(&self, hint: u64) -> Option<u32> {
        let home = (hint.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        (0..ATTEMPTS.min(self.taken.len())).find_map(|step| {
            let index = (home + step) % self.taken.len();
            // Acquire on success: pairs with the Release in `release`.
            self.taken[index]
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
                .then_some(index as u32 + 1)
        })
    }

    fn release(&self, number: u32) {
        // Release: pairs with the Acquire in `claim`.
        self.taken[number as usize - 1].store(0, Ordering::Release);
    }

    #[inline]
    fn word(&self, number: u32, index: usize) -> &AtomicU64 {
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
        NewSpan {
            layer: 1,
            callsite: id as u16,
            thread: id as u32,
            id,
            parent: id + 100,
            root: id + 200,
            start: id + 300,
            left_out: false,
        }
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
            let place = table.insert(1, &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    table.remove(place, table.span(place));
                    table.insert(1, &span(2), &[]).unwrap();
                })
            };
            table.look(0, |_| true).iter().for_each(check);
            other.join().unwrap();
            let seen = table.look(0, |_| true);
            assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [2]);
        });
    }

    #[test]
    fn two_threads_want_the_last_place() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            table.insert(1, &span(1), &[]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.insert(3, &span(3), &[]).is_some())
            };
            let mine = table.insert(2, &span(2), &[]).is_some();
            assert!(mine != other.join().unwrap(), "one place was left for two spans");
            assert_eq!(table.count(), 2);
        });
    }

    /// Two threads record into one span; the second word of one of them goes to a spill buffer.
    #[test]
    fn two_threads_record_fields() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 3));
            let place = table.insert(1, &span(1), &[WORD]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.append_fields(place, &[WORD | 1]))
            };
            table.append_fields(place, &[WORD | 2]);
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
            let place = table.insert(1, &span(1), &[WORD]).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.append_fields(place, &[WORD | 1]))
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

    /// A span ends while the profiler closes: one of both accounts for it.
    #[test]
    fn one_decides_the_fate() {
        loom::model(|| {
            let table = Arc::new(OpenSpans::new(1, 0));
            let place = table.insert(1, &span(1), &[]).unwrap();
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
        NewSpan {
            layer: 1,
            callsite: 3,
            thread: 4,
            id,
            parent: 5,
            root: 6,
            start: 7,
            left_out: false,
        }
    }

    #[test]
    fn a_table_takes_at_least_what_it_was_made_for() {
        // Ids as the registry makes them: several shards, and generations that differ.
        let table = OpenSpans::new(1024, 64);
        for shard in 0..4_u64 {
            for index in 1..=256_u64 {
                let generation = index.wrapping_mul(shard + 7) & 0x1FFF;
                let key = generation << 51 | shard << 38 | index;
                assert!(table.insert(key, &new_span(key), &[]).is_some(), "{shard} {index}");
            }
        }
        assert_eq!(table.count(), 1024);
    }

    #[test]
    fn a_full_set_refuses_and_takes_again() {
        let table = OpenSpans::new(1, 0);
        let places: Vec<_> = (0..100).map(|n| table.insert(n * 2 + 1, &new_span(n), &[])).collect();
        assert_eq!(places.iter().flatten().count(), WAYS, "one set in all");
        let first = places[0].unwrap();
        table.remove(first, table.span(first));
        assert!(table.insert(1001, &new_span(1001), &[]).is_some());
    }

    #[test]
    fn layers_do_not_see_each_others_spans() {
        let table = OpenSpans::new(64, 0);
        let first = table.insert(9, &new_span(100), &[]).unwrap();
        let second = table.insert(9, &NewSpan { layer: 2, ..new_span(200) }, &[]).unwrap();
        let find = |layer| table.find(layer, 9).map(|(place, _)| place);
        assert_eq!((find(1), find(2)), (Some(first), Some(second)));
        table.remove(first, table.span(first));
        assert_eq!((find(1), find(2)), (None, Some(second)));
    }

    #[test]
    fn what_is_open_can_be_seen_with_all_its_fields() {
        let table = OpenSpans::new(64, 64);
        // Booleans: one word a field.
        let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
        let place = table.insert(1, &new_span(10), &fields[..5]).unwrap();
        table.append_fields(place, &fields[5..]);
        let span = table.span(place);
        assert!(span.own_enter(|| 10) && !span.own_enter(|| 11));
        assert!(!span.own_exit(|| 12) && span.own_exit(|| 13));
        span.begin_foreign_poll();
        span.end_foreign_poll(4);
        table.span(place).set_failed();
        let seen = table.look(0, |_| true);
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
    }

    #[test]
    fn fields_that_do_not_fit_are_left_out_whole_and_marked() {
        let table = OpenSpans::new(64, INLINE_WORDS);
        let place = table.insert(1, &new_span(10), &[]).unwrap();
        let wide = [3 << 8, 42]; // an i64 of two words
        for _ in 0..INLINE_WORDS {
            table.append_fields(place, &wide);
        }
        assert_eq!(table.span(place).field_words(), INLINE_WORDS / 2 * 2, "whole fields only");
        assert!(table.span(place).has_left_out());
        for _ in 0..2 {
            table.append_fields(place, &[8 << 8]);
        }
        assert_eq!(table.span(place).field_words(), INLINE_WORDS);
    }

    #[test]
    fn the_last_value_of_a_field_counts_whatever_its_length() {
        let table = OpenSpans::new(16, 64);
        let place = table.insert(1, &new_span(10), &[8 << 8]).unwrap();
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
    fn spill_buffers_come_back() {
        let table = OpenSpans::new(16, 64);
        let fields: Vec<u64> = (0..40).map(|index| 8 << 8 | index).collect();
        for round in 0..1000 {
            let place = table.insert(round + 1, &new_span(round + 1), &fields).unwrap();
            assert!(!table.span(place).has_left_out(), "round {round}");
            table.remove(place, table.span(place));
        }
    }

    #[test]
    fn only_the_first_decides() {
        let table = OpenSpans::new(16, 0);
        let place = table.insert(1, &new_span(10), &[]).unwrap();
        assert!(table.decide_fate(place, 10));
        assert!(!table.decide_fate(place, 10));
    }
}
