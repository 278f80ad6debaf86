//! All places, and how spans come and go.

use spandrel_ring::{Table, TooLarge, Zeros};

use super::bits::{CLONED, CLOSED, DIRECT, FOREIGN, LAYER_SHIFT, RESERVED_KEY};
use super::foreign::Foreign;
use super::free_list::{SlotFreeList, key_of, place_of};
use super::overwrites::Overwrites;
use super::spills::Spills;
use super::{
    ATTEMPTS, INLINE_WORDS, NewSpan, PLACES_MAX, Place, SpanSlot, WAYS, index, key_in, place,
};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};

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
pub(crate) fn first_place(places: &Table<SpanSlot>, key: u64) -> (Place, &SpanSlot) {
    let (place, span) = places.wrapped_in_first_part(hash(key));
    (place as Place, span)
}

/// The table.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    /// A part for each way: all first ways of the sets, then all second ones, and so on.
    pub(super) spans: Table<SpanSlot>,
    /// How many ways may have spans, at least 1.
    pub(super) ways_used: AtomicU32,
    /// The last span of each place whose end was decided by `try_claim_close`.
    pub(super) fates: Zeros<AtomicU64>,
    /// What other threads did with the span of each place.
    pub(super) foreign: Zeros<Foreign>,
    pub(super) spills: Spills,
    pub(super) overwrites: Overwrites,
    /// Most words of fields of one span.
    pub(super) field_words_max: usize,
    /// Whether the first layer is a direct one.
    pub(super) first_is_direct: AtomicBool,
    pub(super) direct: SlotFreeList,
}

impl OpenSpans {
    /// Places, spill buffers and the words of each.
    fn layout(spans_max: usize, field_words_max: usize) -> (usize, usize, usize) {
        // Twice as many places as asked for: ids of several threads do not spread quite evenly
        // over the sets, and a span finds no place when its own set is full.
        let places = (2 * spans_max.min(PLACES_MAX / 2)).next_power_of_two().max(WAYS);
        let spills = if cfg!(spandrel_loom) { 1 } else { (spans_max / 16).clamp(16, 4096) };
        (places, spills, field_words_max.saturating_sub(INLINE_WORDS))
    }

    /// Bytes that a table of this size takes, about.
    pub(crate) fn bytes(spans_max: usize, field_words_max: usize) -> usize {
        let (places, spills, spill_words) = Self::layout(spans_max, field_words_max);
        // Beside each place: its fate, what is overwritten, and the handles of every second one.
        let beside = size_of::<Foreign>() + 24;
        places * (size_of::<SpanSlot>() + beside) + spills * (spill_words + 1) * 8
    }

    /// Room for at least `spans_max` open spans with up to `field_words_max` words of fields; or how much
    /// cannot be had.
    pub(crate) fn try_new(spans_max: usize, field_words_max: usize) -> Result<Self, TooLarge> {
        // All at once: the smaller parts are not asked for one by one.
        let bytes = Self::bytes(spans_max, field_words_max);
        let refused = TooLarge { bytes: Some(bytes) };
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| refused)?;
        let (places, ..) = Self::layout(spans_max, field_words_max);
        let spans = Table::try_zeroed(WAYS, places / WAYS)?;
        Ok(Self::with(spans, spans_max, field_words_max))
    }

    /// The same for a size that is known to be sensible.
    #[allow(clippy::expect_used, reason = "as an allocation that fails")]
    pub(crate) fn new(spans_max: usize, field_words_max: usize) -> Self {
        Self::try_new(spans_max, field_words_max).expect("a table of a sensible size")
    }

    fn with(spans: Table<SpanSlot>, spans_max: usize, field_words_max: usize) -> Self {
        let (places, spills, spill_words) = Self::layout(spans_max, field_words_max);
        Self {
            spans,
            ways_used: AtomicU32::new(1),
            fates: Zeros::new(places),
            foreign: Zeros::new(places),
            spills: Spills::new(spills, spill_words),
            overwrites: Overwrites::new(places),
            field_words_max,
            first_is_direct: AtomicBool::new(false),
            // The upper half: hashed front ends use the lower ways first.
            direct: SlotFreeList::new(places / 2, places),
        }
    }

    /// A front end begins, which names its places directly or not: touches as many of those that it takes first
    /// as a way has, and leaves them as they are. The system gives memory when it is touched for the first
    /// time: most programs have no more spans open at once, so their threads need not wait for pages then.
    pub(crate) fn touch(&self, is_direct: bool) {
        const PAGE: usize = 4_096;
        if cfg!(any(spandrel_loom, miri)) {
            return;
        }
        let first = if is_direct { self.direct.used().start } else { 0 };
        let part = first..(first + self.spans.part_len()).min(self.spans.cells().len());
        for span in self.spans.cells()[part.clone()].iter().step_by(PAGE / size_of::<SpanSlot>()) {
            // Relaxed: nothing changes.
            _ = span.id.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.foreign[part].iter().step_by(PAGE / size_of::<Foreign>()).for_each(Foreign::touch);
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
    pub(crate) fn span(&self, place: Place) -> &SpanSlot {
        &self.spans.cells()[index(place)]
    }

    /// What other threads did with the span at this place.
    #[inline]
    pub(crate) fn foreign(&self, place: Place) -> &Foreign {
        &self.foreign[index(place)]
    }

    /// The place of a span that is in this table.
    pub(crate) fn place_of(&self, span: &SpanSlot) -> Place {
        let first = self.spans.cells().as_ptr().addr();
        place((std::ptr::from_ref(span).addr() - first) / size_of::<SpanSlot>())
    }

    /// All places.
    #[inline(always)]
    pub(crate) fn places(&self) -> &Table<SpanSlot> {
        &self.spans
    }

    /// What is at this place, if the table has it.
    #[inline(always)]
    pub(crate) fn get(&self, place: Place) -> Option<&SpanSlot> {
        self.spans.get(place as usize)
    }

    /// The places of a set.
    fn ways(&self, key: u64) -> impl Iterator<Item = Place> + use<> {
        let ((first, _), sets) = (first_place(&self.spans, key), self.spans.part_len());
        (0..WAYS).map(move |way| first + place(way * sets))
    }

    /// The place of an open span.
    pub(crate) fn find(&self, layer: u16, key: u64) -> Option<(Place, &SpanSlot)> {
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
    pub(crate) fn claim_first(&self, key: u64) -> Option<(Place, &SpanSlot)> {
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
        self.direct.take(self.spans.cells()).map(|index| place(index as usize))
    }

    /// Gives back what [`take_place`](Self::take_place) has given. Always `true`, for whoever ends
    /// with this.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_place_back(&self, place: Place) -> bool {
        self.direct.give_back(self.spans.cells(), index(place) as u32);
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
    pub(crate) fn key(&self, layer: u16, span: &SpanSlot) -> u64 {
        // Relaxed: as in the accessors of `SpanSlot`. The complement's complement is the key.
        key_in(layer, span.key.load(Ordering::Relaxed))
    }

    /// Another handle of a direct front end's span.
    pub(crate) fn add_handle(&self, place: Place) {
        self.direct.add_handle(index(place) as u32);
        self.span(place).set_cloned();
    }

    /// Drops one of the handles of a span that is cloned. Says whether it was the last one.
    pub(crate) fn drop_handle(&self, place: Place) -> bool {
        self.direct.drop_handle(index(place) as u32)
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
            self.append_fields(place, new.id, fields, fields.len());
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
                self.direct.forget_handles(index(place) as u32);
            }
            if extra & FOREIGN != 0 {
                self.foreign(place).clear();
            }
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
            // Release: pairs with the Acquire in `SpanSlot::claim`.
            span.key.store(0, Ordering::Release);
        }
    }

    /// The same for a span of which `extra` says nothing but that it has fields, and whose owner is
    /// outside.
    #[inline(always)]
    pub(crate) fn remove_plain(span: &SpanSlot, extra: u64) {
        Self::free_plain(span, extra, 0);
    }

    #[inline(always)]
    fn free_plain(span: &SpanSlot, extra: u64, free_key: u64) {
        // In this order: as in `remove`.
        span.id.store(0, Ordering::Relaxed);
        if extra != 0 {
            span.extra.store(0, Ordering::Release);
        }
        span.key.store(free_key, Ordering::Release);
    }

    /// As [`remove_plain`](Self::remove_plain), for a direct front end, which keeps the place.
    #[inline(always)]
    pub(crate) fn vacate_plain(span: &SpanSlot, extra: u64) {
        Self::free_plain(span, extra, RESERVED_KEY);
    }

    /// Decides, once and for all, who speaks for a span that is open while the profiler closes:
    /// the first caller for this id. Used on the cold path only.
    pub(crate) fn try_claim_close(&self, place: Place, id: u64) -> bool {
        // AcqRel: pairs with itself on the other thread.
        self.fates[index(place)].swap(id, Ordering::AcqRel) != id
    }
}
