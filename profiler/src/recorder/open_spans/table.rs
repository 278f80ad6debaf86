//! All slots; how spans come and go.

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::CellTable;
use spandrel_ring::{Table, TooLarge, Zeros};

use super::bits::{CLONED, CLOSED, DIRECT, FOREIGN, LAYER_SHIFT, RESERVED_KEY};
use super::foreign::Foreign;
use super::free_list::{SlotFreeList, key_of, position_of};
use super::overwrites::Overwrites;
use super::spills::Spills;
use super::{
    ATTEMPTS, INLINE_WORDS, NewSpan, SLOTS_MAX, SlotPosition, SpanSlot, WAYS, index, key_in,
    position,
};
use crate::recorder::ring_file::tables::{FOREIGN as FOREIGN_TABLE, OPEN_SPANS};
use crate::recorder::table_memory::{HEAP, TableMemory};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A number whose lower bits tell the set of a key.
#[inline(always)]
fn hash(key: u64) -> usize {
    // The registry packs into an id, from the lowest bit: the index in its thread's shard (38
    // bits), the shard (13), a generation (13). So consecutive indices of a shard come to lie side by
    // side, and shards 64 sets apart; the generation stays out (but where a table has more than
    // 524,288 sets). Correctness does not depend on any of this.
    (key ^ (key >> 32)) as usize
}

/// The first slot of the set of a key.
#[inline(always)]
pub(crate) fn first_slot(slots: &Table<SpanSlot>, key: u64) -> (SlotPosition, &SpanSlot) {
    let (position, span) = slots.wrapped_in_first_part(hash(key));
    (position as SlotPosition, span)
}

/// The table.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    /// Divided by ways: first the first ways of all sets, then all second ones, and so on.
    pub(super) spans: Table<SpanSlot>,
    /// How many ways may have spans; at least 1.
    pub(super) ways_used: AtomicU32,
    /// For each slot, the last span whose end was decided by `try_claim_close`.
    pub(super) close_claims: Zeros<AtomicU64>,
    /// What other threads did with the span of each slot.
    pub(super) foreign: Zeros<Foreign>,
    pub(super) spills: Spills,
    pub(super) overwrites: Overwrites,
    /// Most words of fields of one span.
    pub(super) field_words_max: usize,
    /// Whether the first layer is a direct one.
    pub(super) first_is_direct: AtomicBool,
    pub(super) direct: SlotFreeList,
    /// Whether its memory is there from the beginning, touched or not.
    pub(super) is_there: bool,
}

impl OpenSpans {
    /// The number of slots, of spill buffers, and of words of each buffer.
    fn layout(spans_max: usize, field_words_max: usize) -> (usize, usize, usize) {
        // Twice as many slots as asked for: ids of several threads are not spread quite evenly over the
        // sets, and a span finds no slot when its own set is full.
        let slots = (2 * spans_max.min(SLOTS_MAX / 2)).next_power_of_two().max(WAYS);
        let spills = if cfg!(spandrel_loom) { 1 } else { (spans_max / 16).clamp(16, 4096) };
        (slots, spills, field_words_max.saturating_sub(INLINE_WORDS))
    }

    /// About how many bytes a table of this size takes.
    pub(crate) fn bytes(spans_max: usize, field_words_max: usize) -> usize {
        let (slots, spills, spill_words) = Self::layout(spans_max, field_words_max);
        // For each slot also: who has claimed its end, its sequence of overwrites, and, for every second
        // one, its handles.
        let beside = size_of::<Foreign>() + 24;
        slots * (size_of::<SpanSlot>() + beside) + spills * (spill_words + 1) * 8
    }

    /// Room for at least `spans_max` open spans with up to `field_words_max` words of fields. The error
    /// says how much memory is missing.
    pub(crate) fn try_new(spans_max: usize, field_words_max: usize) -> Result<Self, TooLarge> {
        // Asked for as a whole: the system does not refuse the smaller parts one by one.
        let bytes = Self::bytes(spans_max, field_words_max);
        let refused = TooLarge { bytes: Some(bytes) };
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| refused)?;
        Self::try_new_in(HEAP, spans_max, field_words_max)
    }

    /// The same for a size that is known to be sensible.
    #[cfg(test)]
    pub(crate) fn new(spans_max: usize, field_words_max: usize) -> Self {
        Self::try_new(spans_max, field_words_max).unwrap()
    }

    /// The same there. What a reader of a file needs lies in it: who may close a span, and which slots are free, is this
    /// process's own.
    pub(crate) fn try_new_in(
        memory: TableMemory<'_>,
        spans_max: usize,
        field_words_max: usize,
    ) -> Result<Self, TooLarge> {
        let (slots, spills, spill_words) = Self::layout(spans_max, field_words_max);
        Ok(Self {
            spans: memory.table(OPEN_SPANS, WAYS, slots / WAYS)?,
            ways_used: AtomicU32::new(1),
            close_claims: Zeros::try_new(slots)?,
            foreign: memory.zeros(FOREIGN_TABLE, slots)?,
            spills: Spills::try_new(memory, spills, spill_words)?,
            overwrites: Overwrites::try_new(memory, slots)?,
            field_words_max,
            first_is_direct: AtomicBool::new(false),
            // The upper half: hashed front ends use the lower ways first.
            direct: SlotFreeList::new(slots / 2, slots),
            is_there: memory.is_there(),
        })
    }

    /// The tables of a file for so many, in their order; and how many words a buffer for more fields has.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn cell_tables(spans_max: usize, field_words_max: usize) -> ([CellTable; 5], usize) {
        let (slots, spills, spill_words) = Self::layout(spans_max, field_words_max);
        let buffers = Spills::buffers(spills, spill_words);
        let word = size_of::<AtomicU64>();
        let tables = [
            CellTable { cell: size_of::<SpanSlot>(), cells: slots },
            CellTable { cell: size_of::<Foreign>(), cells: slots },
            CellTable { cell: word, cells: slots },
            CellTable { cell: word, cells: buffers },
            CellTable { cell: word, cells: buffers * spill_words },
        ];
        (tables, spill_words)
    }

    /// A front end begins; `is_direct` tells whether its keys name the slots. Touches the slots that it
    /// takes first, as many as a way has, without changing them. The system provides memory when it is
    /// touched for the first time: in most programs no more spans are open at once, so their threads
    /// need not wait for pages later.
    pub(crate) fn touch(&self, is_direct: bool) {
        const PAGE: usize = 4_096;
        if cfg!(any(spandrel_loom, miri)) || self.is_there {
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
        // Relaxed: threads that use that layer have it from the caller.
        self.first_is_direct.store(true, Ordering::Relaxed);
    }

    /// Whether the keys of a layer name the slots.
    #[inline]
    pub(crate) fn is_direct(&self, layer: u16) -> bool {
        match layer {
            0 => self.first_is_direct.load(Ordering::Relaxed),
            _ => layer & DIRECT != 0,
        }
    }

    #[inline]
    pub(crate) fn span(&self, position: SlotPosition) -> &SpanSlot {
        &self.spans.cells()[index(position)]
    }

    /// What other threads did with the span in this slot.
    #[inline]
    pub(crate) fn foreign(&self, position: SlotPosition) -> &Foreign {
        &self.foreign[index(position)]
    }

    /// The position of a span that is in this table.
    pub(crate) fn position_of(&self, span: &SpanSlot) -> SlotPosition {
        let first = self.spans.cells().as_ptr().addr();
        position((std::ptr::from_ref(span).addr() - first) / size_of::<SpanSlot>())
    }

    /// The table of slots.
    #[inline(always)]
    pub(crate) fn slots(&self) -> &Table<SpanSlot> {
        &self.spans
    }

    /// The slot at this position, if the table has it.
    #[inline(always)]
    pub(crate) fn get(&self, position: SlotPosition) -> Option<&SpanSlot> {
        self.spans.get(position as usize)
    }

    /// The slots of a set.
    fn ways(&self, key: u64) -> impl Iterator<Item = SlotPosition> + use<> {
        let ((first, _), sets) = (first_slot(&self.spans, key), self.spans.part_len());
        (0..WAYS).map(move |way| first + position(way * sets))
    }

    /// The slot of an open span.
    pub(crate) fn find(&self, layer: u16, key: u64) -> Option<(SlotPosition, &SpanSlot)> {
        if self.is_direct(layer) {
            let position = position_of(key);
            return self
                .get(position)
                .filter(|span| span.is(layer, key))
                .map(|span| (position, span));
        }
        self.ways(key_in(layer, key)).find_map(|position| {
            let span = self.span(position);
            span.is(layer, key).then_some((position, span))
        })
    }

    /// Takes the first slot of the set for a span of the first layer, if it is free.
    #[inline(always)]
    pub(crate) fn claim_first(&self, key: u64) -> Option<(SlotPosition, &SpanSlot)> {
        let (position, span) = first_slot(&self.spans, key);
        span.claim(key).then_some((position, span))
    }

    /// Takes a slot for a new span. `None` when its set is full.
    pub(crate) fn insert(
        &self,
        layer: u16,
        key: u64,
        origin: u64,
        new: &NewSpan,
        fields: &[u64],
    ) -> Option<SlotPosition> {
        let position = self.claim(key_in(layer, key))?;
        self.fill(position, layer, origin, new, fields);
        Some(position)
    }

    /// Takes a free slot for a span of a direct front end.
    pub(crate) fn take_slot(&self) -> Option<SlotPosition> {
        self.direct.take(self.spans.cells()).map(|index| position(index as usize))
    }

    /// Gives back a slot from [`take_slot`](Self::take_slot). Always `true`, for callers that end with
    /// this.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_slot_back(&self, position: SlotPosition) -> bool {
        self.direct.give_back(self.spans.cells(), index(position) as u32);
        true
    }

    /// Opens a span of a direct front end in a slot that was taken for it. Returns its key.
    pub(crate) fn insert_at(
        &self,
        position: SlotPosition,
        layer: u16,
        origin: u64,
        new: &NewSpan,
        fields: &[u64],
    ) -> u64 {
        let key = key_of(position, new.id).get();
        self.span(position).set_key(key_in(layer, key));
        self.fill(position, layer, origin, new, fields);
        key
    }

    /// The key of an open span, which the front end gave it.
    pub(crate) fn key(&self, layer: u16, span: &SpanSlot) -> u64 {
        // Relaxed: as in the accessors of `SpanSlot`. The complement's complement is the key.
        key_in(layer, span.key.load(Ordering::Relaxed))
    }

    /// A handle of a direct front end's span is cloned.
    pub(crate) fn add_handle(&self, position: SlotPosition) {
        self.direct.add_handle(index(position) as u32);
        self.span(position).set_cloned();
    }

    /// Drops a handle of a span that was cloned. Returns whether it was the last one.
    pub(crate) fn drop_handle(&self, position: SlotPosition) -> bool {
        self.direct.drop_handle(index(position) as u32)
    }

    /// Opens a span in a slot that is taken.
    pub(crate) fn fill(
        &self,
        position: SlotPosition,
        layer: u16,
        origin: u64,
        new: &NewSpan,
        fields: &[u64],
    ) {
        let span = self.span(position);
        if layer != 0 {
            span.mark(u64::from(layer) << LAYER_SHIFT);
        }
        let inline = if fields.len() <= INLINE_WORDS { fields } else { &[] };
        for (to, word) in span.fields.iter().zip(inline) {
            to.store(*word, Ordering::Release);
        }
        if fields.len() > INLINE_WORDS {
            self.append_fields(position, new.id, fields, fields.len());
        }
        span.extra.fetch_add(inline.len() as u64, Ordering::Release);
        span.set_origin(origin);
        span.complete(new);
    }

    fn claim(&self, key: u64) -> Option<SlotPosition> {
        for _ in 0..ATTEMPTS {
            let free = |position: &SlotPosition| self.span(*position).has_key(0);
            let (way, position) =
                self.ways(key).enumerate().find(|(_, position)| free(position))?;
            // Relaxed: a thread that has to see this span was told of it, and so of this.
            self.ways_used.fetch_max(way as u32 + 1, Ordering::Relaxed);
            if self.span(position).claim(key) {
                return Some(position);
            }
        }
        None
    }

    /// Closes a span and gives its slot back at once. But if the owner is another thread and inside
    /// (which `Registry` prevents), the slot is a link in that thread's chain, and is given back when
    /// the owner leaves. If the owner leaves at this very moment, the slot stays taken: the table is
    /// smaller by one then, and no span is lost or wrong.
    pub(crate) fn close(&self, position: SlotPosition, thread: u32) {
        let span = self.span(position);
        let is_first_layers = span.extra() >> LAYER_SHIFT == 0;
        if is_first_layers && span.has_owner_inside() && !span.is_owned_by(thread) {
            // In this order, as in `remove`.
            span.id.store(0, Ordering::Relaxed);
            span.key.store(CLOSED, Ordering::Release);
        } else {
            self.remove(position);
        }
    }

    /// Gives a slot back.
    pub(crate) fn remove(&self, position: SlotPosition) {
        let layer = (self.span(position).extra.load(Ordering::Relaxed) >> LAYER_SHIFT) as u16;
        self.remove_from(position, self.is_direct(layer));
    }

    /// The same for a scope, which has a direct slot whatever the first front end is.
    pub(crate) fn remove_direct(&self, position: SlotPosition) {
        self.remove_from(position, true);
    }

    fn remove_from(&self, position: SlotPosition, is_direct: bool) {
        let span = self.span(position);
        // The id first, and Release on what follows: a reader that sees the slot being cleared sees that
        // the span is gone. (Loom found that the other order is wrong.)
        span.id.store(0, Ordering::Relaxed);
        let extra = span.extra.load(Ordering::Relaxed);
        if extra != 0 {
            if extra & CLONED != 0 {
                self.direct.forget_handles(index(position) as u32);
            }
            if extra & FOREIGN != 0 {
                self.foreign(position).clear();
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
        if is_direct {
            span.key.store(RESERVED_KEY, Ordering::Release);
            self.give_slot_back(position);
        } else {
            // Release: pairs with the Acquire in `SpanSlot::claim`.
            span.key.store(0, Ordering::Release);
        }
    }

    /// The same for a span whose `extra` says nothing except that it may have fields, and whose owner is
    /// outside.
    #[inline(always)]
    pub(crate) fn remove_plain(span: &SpanSlot, extra: u64) {
        Self::free_plain(span, extra, 0);
    }

    #[inline(always)]
    fn free_plain(span: &SpanSlot, extra: u64, free_key: u64) {
        // In this order, as in `remove`.
        span.id.store(0, Ordering::Relaxed);
        if extra != 0 {
            span.extra.store(0, Ordering::Release);
        }
        span.key.store(free_key, Ordering::Release);
    }

    /// As [`remove_plain`](Self::remove_plain), for a direct front end, which keeps the slot.
    #[inline(always)]
    pub(crate) fn vacate_plain(span: &SpanSlot, extra: u64) {
        Self::free_plain(span, extra, RESERVED_KEY);
    }

    /// Decides, once and for all, who accounts for a span that is open while the profiler closes: the
    /// first caller for this id. Used on the cold path only.
    pub(crate) fn try_claim_close(&self, position: SlotPosition, id: u64) -> bool {
        // AcqRel: pairs with itself on the other thread.
        self.close_claims[index(position)].swap(id, Ordering::AcqRel) != id
    }
}
