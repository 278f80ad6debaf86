//! One open span, and the slot that it has in the table.

#[cfg(feature = "opentelemetry")]
use super::bits::FOREIGN;
use super::bits::{
    CLONED, CLOSED, FAILED, INSIDE, LAYER_SHIFT, LEFT_OUT, RESERVED, RESERVED_KEY,
    SCOPE_OVERLAPPED, STATUS_HINTS, STATUS_HINTS_SHIFT,
};
use super::{INLINE_WORDS, Link, NewSpan, key_in};
#[cfg(feature = "opentelemetry")]
use crate::recorder::record::ENTERED;
use crate::recorder::record::{self, SLOT_WORDS, THREAD_MAX};
use crate::recorder::status_hints::StatusHints;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// One slot: four cache lines, of which a span without fields uses the first.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct SpanSlot {
    /// The key under which the span is found; 0 while the slot is free.
    pub(super) key: AtomicU64,
    /// Our id of the span; 0 while the slot is free or being filled.
    pub(super) id: AtomicU64,
    /// Callsite and parent, as in the [`record`].
    pub(super) origin: AtomicU64,
    pub(super) root: AtomicU64,
    /// Ticks.
    pub(super) start: AtomicU64,
    /// The header of the span's record: its owner, and how often that has entered. It also tells what
    /// the owner is doing: see [`entries`](super::entries).
    pub(super) head: AtomicU64,
    /// When its owner entered it first, in ticks.
    pub(super) first: AtomicU64,
    /// When its owner left it last; if the owner is inside again, when it entered.
    pub(super) last: AtomicU64,
    /// `layer << 48 | flags << 32 | pending << 16 | reserved` words of fields; pending words are not
    /// written yet. So for a span of the first layer without anything unusual it is just the number of
    /// words.
    pub(super) extra: AtomicU64,
    /// Ticks inside the span on its owner's thread, once it has entered again.
    pub(super) busy: AtomicU64,
    /// The longest of those entries.
    pub(super) longest: AtomicU64,
    /// How many times the owner is inside, beyond the once that `INSIDE` tells.
    pub(super) own_depth: AtomicU16,
    /// Number of the spill buffer plus one, or 0.
    pub(super) spill: AtomicU16,
    /// The next one in a list of free slots.
    pub(super) next_free: AtomicU32,
    /// The link to the span around this one, as its owner's thread knows it: where it is inside, or was
    /// inside last, or would be inside its parent.
    pub(super) outer: AtomicU64,
    pub(super) fields: [AtomicU64; INLINE_WORDS],
}

spandrel_ring::zeroed!(SpanSlot {
    key,
    id,
    origin,
    root,
    start,
    head,
    first,
    last,
    extra,
    busy,
    longest,
    own_depth,
    spill,
    next_free,
    outer,
    fields,
});
#[cfg(feature = "crash-proof")]
spandrel_ring::in_file!(SpanSlot {
    key,
    id,
    origin,
    root,
    start,
    head,
    first,
    last,
    extra,
    busy,
    longest,
    own_depth,
    spill,
    next_free,
    outer,
    fields,
});

impl SpanSlot {
    // Relaxed in the accessors below: between creation and close only callbacks for this span use them,
    // and `tracing` orders its creation before all of them, and all of them before its close.

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

    /// The key of an open span of the first layer.
    #[inline(always)]
    pub(crate) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    /// Whether this is the open span of the first layer with this key.
    #[inline(always)]
    pub(crate) fn has_key(&self, key: u64) -> bool {
        self.key() == key
    }

    /// Whether this is the open span of this layer with this key.
    pub(crate) fn is(&self, layer: u16, key: u64) -> bool {
        // Acquire, on every load, as in `look_at`: so all values that are compared are of one span.
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

    /// The link that was stored by [`set_outer`](Self::set_outer).
    #[inline(always)]
    pub(crate) fn outer(&self) -> Link {
        // Relaxed, and in `set_outer`: only the owner's thread reads and writes it.
        self.outer.load(Ordering::Relaxed)
    }

    /// Stores a link for the owner.
    #[inline(always)]
    pub(crate) fn set_outer(&self, link: Link) {
        self.outer.store(link, Ordering::Relaxed);
    }

    /// What [`set_next_free`](Self::set_next_free) has stored.
    #[inline(always)]
    pub(crate) fn next_free(&self) -> u32 {
        // Relaxed, and below: whoever has the list orders it.
        self.next_free.load(Ordering::Relaxed)
    }

    /// Stores what the list of free slots goes on with, in that list's terms.
    #[inline(always)]
    pub(crate) fn set_next_free(&self, next: u32) {
        self.next_free.store(next, Ordering::Relaxed);
    }

    /// The slot of this scope is kept for scopes no more: when it ends, it is anybody's.
    pub(crate) fn keep_slot_no_more(&self) {
        self.mark(SCOPE_OVERLAPPED);
    }

    /// Whether the span has been closed while its owner was inside.
    pub(crate) fn is_closed(&self) -> bool {
        self.has_key(CLOSED)
    }

    /// Whether the span, which its owner is in, is still open: neither closed nor just being closed by a scope's end.
    pub(crate) fn is_open(&self) -> bool {
        self.id() != 0
    }

    /// Whether its owner may write to the span as such: not if it shares its number with others.
    #[inline]
    pub(crate) fn is_owned_by(&self, thread: u32) -> bool {
        self.owner() == thread && thread != THREAD_MAX
    }

    pub(crate) fn has_owner_inside(&self) -> bool {
        self.head() & u64::from(INSIDE) != 0
    }

    /// Whether any thread has been inside, or is.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn was_entered(&self) -> bool {
        // Relaxed: asked by a thread that enters it; another one may do so at the same moment.
        self.head() & u64::from(INSIDE | ENTERED) != 0 || self.extra() & FOREIGN != 0
    }

    /// 0 if the span has no fields and nothing unusual. See [`plain_words`](super::plain_words).
    #[inline(always)]
    pub(crate) fn extra(&self) -> u64 {
        self.extra.load(Ordering::Relaxed)
    }

    /// Whether there is no span here.
    pub(super) fn is_free(&self) -> bool {
        // Relaxed: only for counting; a moment later it may have changed.
        let key = self.key.load(Ordering::Relaxed);
        key == 0 || key == RESERVED_KEY && self.id() == 0
    }

    /// Whether the open span here is a scope: nobody finds it by a key.
    pub(crate) fn has_no_key(&self) -> bool {
        self.has_key(RESERVED_KEY)
    }

    /// Takes the slot from the hashed front ends for good, if it is free.
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

    /// A handle is cloned: from now on there may be more than one.
    pub(crate) fn set_cloned(&self) {
        self.mark(CLONED);
    }

    /// Whether there has ever been more than one handle.
    #[inline(always)]
    pub(crate) fn is_cloned(&self) -> bool {
        self.extra() & CLONED != 0
    }

    /// Takes the slot, if it is free.
    #[inline(always)]
    pub(super) fn claim(&self, key: u64) -> bool {
        // Acquire on success: pairs with the Release in `remove`; the last span of this slot is
        // gone. Release: for the sequence lock.
        self.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Frees the slot that [`claim`](Self::claim) has taken, if no span was completed in it.
    #[inline(always)]
    pub(crate) fn give_up(&self) {
        // Release: pairs with the Acquire in `claim`.
        self.key.store(0, Ordering::Release);
    }

    /// The words of fields from `index` on that are in the slot itself, as many as a slot of the ring
    /// holds. After the last word there may be anything.
    #[inline(always)]
    pub(crate) fn inline_fields_at(&self, index: usize) -> [u64; SLOT_WORDS] {
        match self.fields.get(index..index + SLOT_WORDS) {
            Some(words) => std::array::from_fn(|at| words[at].load(Ordering::Relaxed)),
            None => [0; SLOT_WORDS],
        }
    }

    /// The scope here has ended, and `extra` is 0. The slot keeps its key, which is that of a free slot:
    /// nobody finds a scope by its key.
    #[inline(always)]
    pub(crate) fn vacate_scope(&self) {
        // Relaxed, as in `OpenSpans::remove`: nothing follows that depends on it.
        self.id.store(0, Ordering::Relaxed);
    }

    /// The same of one of which `extra` says nothing but that it has fields.
    #[inline(always)]
    pub(crate) fn vacate_scope_with_fields(&self) {
        self.vacate_scope();
        // Release: as in `OpenSpans::remove`.
        self.extra.store(0, Ordering::Release);
    }

    /// The first words of fields, as many as a slot of the ring holds. After the last word there may be
    /// anything.
    #[inline(always)]
    pub(crate) fn copy_inline_fields(&self, to: &mut [u64; SLOT_WORDS]) {
        for (to, word) in to.iter_mut().zip(&self.fields) {
            *to = word.load(Ordering::Relaxed);
        }
    }

    /// Whether something in it has told that it has failed, and its field `error` has not been recorded
    /// since.
    pub(crate) fn is_failed(&self) -> bool {
        self.extra.load(Ordering::Relaxed) & FAILED != 0
    }

    pub(crate) fn has_left_out(&self) -> bool {
        self.extra.load(Ordering::Relaxed) & LEFT_OUT != 0
    }

    /// Sets a flag of `extra`.
    pub(super) fn mark(&self, flag: u64) {
        // Release: for the sequence lock.
        self.extra.fetch_or(flag, Ordering::Release);
    }

    pub(crate) fn set_failed(&self) {
        self.mark(FAILED);
    }

    /// What is known about its status that is not in its fields.
    pub(crate) fn status_hints(&self) -> StatusHints {
        StatusHints::from_bits((self.extra() & STATUS_HINTS) >> STATUS_HINTS_SHIFT)
    }

    /// Something was told about the span's status. If it is not in the fields, stores it; if it is,
    /// forgets what was told before.
    pub(crate) fn set_status_hints(&self, hints: StatusHints, is_in_fields: bool) {
        if hints.has_error() && self.is_failed() {
            // This is the status now, whatever has happened before.
            self.unmark(FAILED);
        }
        let before = hints.fields() << STATUS_HINTS_SHIFT;
        if self.extra() & before != 0 {
            self.unmark(before);
        }
        if !is_in_fields && !hints.is_nothing() {
            self.mark(hints.bits() << STATUS_HINTS_SHIFT);
        }
    }

    /// Clears flags of `extra`.
    fn unmark(&self, flags: u64) {
        // Release: as in `mark`.
        self.extra.fetch_and(!flags, Ordering::Release);
    }

    pub(crate) fn set_left_out(&self) {
        self.mark(LEFT_OUT);
    }

    #[inline]
    pub(crate) fn field_words(&self) -> usize {
        (self.extra.load(Ordering::Relaxed) & RESERVED) as usize
    }

    /// Memory for the fields of a span that is being created.
    #[inline(always)]
    pub(crate) fn inline_fields(&self) -> &[AtomicU64; INLINE_WORDS] {
        &self.fields
    }

    /// So many words of [`inline_fields`](Self::inline_fields) are written. For a span of the first
    /// layer that is being created.
    #[inline(always)]
    pub(crate) fn set_words(&self, words: usize) {
        // Needs no read-modify-write: no other thread knows the span yet.
        self.extra.store(words as u64, Ordering::Release);
    }

    /// Callsite and parent, as in the [`record`], of a span that is being created.
    #[inline(always)]
    pub(crate) fn set_origin(&self, origin: u64) {
        // Release: for the sequence lock, see the module's documentation.
        self.origin.store(origin, Ordering::Release);
    }

    /// The header of a slot that is kept for scopes, of which it says the same.
    pub(crate) fn set_head(&self, head: u64) {
        // Release: as above.
        self.head.store(head, Ordering::Release);
    }

    /// Completes a scope that is being opened, has its origin, and says in its `head` what all of that thread do.
    #[inline(always)]
    pub(crate) fn complete_scope(&self, id: u64, root: u64, start: u64) {
        // In this order, and Release: as in `complete`.
        self.root.store(root, Ordering::Release);
        self.start.store(start, Ordering::Release);
        self.id.store(id, Ordering::Release);
    }

    /// Completes a span that is being created and has its origin.
    #[inline(always)]
    pub(crate) fn complete(&self, new: &NewSpan) {
        // Release, here and below: as above.
        self.root.store(new.root, Ordering::Release);
        self.start.store(new.start, Ordering::Release);
        self.head.store(new.head, Ordering::Release);
        // Release: pairs with the Acquire in `look`; the span is complete.
        self.id.store(new.id, Ordering::Release);
    }
}
