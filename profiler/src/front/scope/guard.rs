//! A scope that is open.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

use spandrel_ring::{Owner, Table, Tagged, timestamp};
use tracing_core::{Metadata, dispatcher};

use super::ancestor::nearest_recorded;
use super::ordinary;
use super::values::{ScopeFields, ScopeValues};
use crate::front::fast::{self, InlineFields};
use crate::front::front_end::FoundFrontEnd;
use crate::recorder::Recorder;
use crate::recorder::answers::Kept;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{INSIDE, OpenSpans, SlotPosition, SpanSlot, plain_words};
use crate::recorder::record::{self, SLOT_WORDS, Slot};

/// A span of the thread that made it, from that moment until this is dropped. Made by [`scope!`](crate::scope!).
///
/// Stays on its thread. One that is [forgotten](std::mem::forget) stays open, and what the thread does later is inside it.
#[must_use = "a scope ends when it is dropped: give it a name, like `_scope`"]
#[derive(Debug)]
pub struct Scope {
    /// Where it is, in one word, so that it comes and goes in one register; none if it is not recorded. The owner is the
    /// recorder, or [`ORDINARY`]; the tag the position of the slot, which ends in zeros, and what is to be known of that:
    /// [`GENERAL`], [`WITH_FIELDS`].
    handle: Option<Tagged>,
    here: PhantomData<*const ()>,
}

/// No recorder: it is a span of `tracing`, of which the tag is the index in [`ordinary`].
const ORDINARY: u32 = u32::MAX;

/// The slot is none that the thread keeps for scopes.
const GENERAL: SlotPosition = 1;
/// It is one, and may have fields.
const WITH_FIELDS: SlotPosition = 2;
const FLAGS: SlotPosition = GENERAL | WITH_FIELDS;
// Loom's atomics have other sizes, and no model of it has scopes.
#[cfg(not(spandrel_loom))]
const _: () = assert!(Table::<SpanSlot>::position(1) > FLAGS as usize);

/// For the macro.
#[doc(hidden)]
#[inline]
pub fn none() -> Scope {
    Scope::NONE
}

impl Scope {
    pub(super) const NONE: Self = Self { handle: None, here: PhantomData };

    #[inline(always)]
    fn new(handle: Tagged) -> Self {
        Self { handle: Some(handle), here: PhantomData }
    }

    /// In any slot.
    pub(super) fn general(position: SlotPosition, recorder: u32) -> Self {
        Self::of(recorder, position | GENERAL)
    }

    pub(super) fn ordinary(index: u32) -> Self {
        Self::of(ORDINARY, index)
    }

    fn of(owner: u32, tag: u32) -> Self {
        let owner = NonZeroU32::new(owner).map(Owner::new);
        owner.map_or(Self::NONE, |owner| Self::new(owner.with_tag(tag)))
    }

    /// Whether anybody is told of it: not where nothing records, or its level or target is not kept.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.handle.is_some()
    }

    /// Ends it here, as `drop` does.
    pub fn end(self) {}
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            close(handle);
        }
    }
}

/// Opens one without fields where the thread is in no span, in as few instructions as can be. `None`, and
/// nothing was done, if it is another case than the usual one.
#[inline(always)]
pub(super) fn open_outside(kept: Kept) -> Option<Scope> {
    // Here, and below: what a reading takes registers for is over when those of the table are needed.
    let start = timestamp::read();
    local::with_idle_table_of(kept.owner, |token, table| {
        if !token.is_outside() {
            return None;
        }
        let enter = |span: &SpanSlot| {
            token.expect_outside(span);
            Some(())
        };
        // It has no parent, and is its own root.
        fill_plain(token, table, (kept, start), enter, |(), id| (0, id))
    })
}

/// The same where it is in one.
#[inline(always)]
pub(super) fn open_inside(kept: Kept) -> Option<Scope> {
    let start = timestamp::read();
    local::with_idle_table_of(kept.owner, |token, table| {
        let enter = |span: &SpanSlot| {
            token.expect_here(span);
            kin_inside(token, table)
        };
        fill_plain(token, table, (kept, start), enter, |parent_link, _| parent_link)
    })
}

/// The same, whatever it is in; not in line, for whoever has more to do.
#[inline(never)]
pub(super) fn open_anywhere(kept: Kept) -> Option<Scope> {
    let start = timestamp::read();
    local::with_idle_table_of(kept.owner, |token, table| {
        let enter = |span: &SpanSlot| {
            token.expect_here(span);
            parent_link(token, table)
        };
        fill_plain(token, table, (kept, start), enter, with_own_root)
    })
}

/// `enter` says to the slot where it is, and finds what parent and root follow from when the id is known.
#[inline(always)]
fn fill_plain<K>(
    token: ThreadToken,
    table: &Table<SpanSlot>,
    (kept, start): (Kept, u64),
    enter: impl FnOnce(&SpanSlot) -> Option<K>,
    parent_and_root: impl FnOnce(K, u64) -> (u64, u64),
) -> Option<Scope> {
    let (position, span) = token.free_scope_slot(table)?;
    let parent_link = enter(span)?;
    let id = token.next_id_of_idle(start)?;
    let (parent, root) = parent_and_root(parent_link, id);
    token.take_scope_slot(span);
    span.set_origin(parent | kept.callsite);
    span.complete_scope(id, root, start);
    token.push_here(local::link_of(position, id));
    Some(Scope::new(kept.owner.with_tag(position)))
}

/// Takes ids for the calling thread's next scopes, if it has none for this moment. Says whether that was so.
#[cold]
#[inline(never)]
pub(super) fn renew_ids(owner: Owner) -> bool {
    let Some(token) = local::get_if_owner(owner.number()) else { return false };
    local::recorder_of(owner.number())
        .is_some_and(|recorder| token.renew_ids(&recorder, recorder.clock.ticks()))
}

/// Parent and root of a new one, both 0 outside of all spans; if the innermost span is the thread's own.
#[inline(always)]
fn parent_link(token: ThreadToken, table: &Table<SpanSlot>) -> Option<(u64, u64)> {
    if token.is_outside() { Some((0, 0)) } else { kin_inside(token, table) }
}

/// The same of one with this id, which is its own root where there is none.
#[inline(always)]
fn with_own_root((parent, root): (u64, u64), id: u64) -> (u64, u64) {
    (parent, if root == 0 { id } else { root })
}

/// The same where the thread is in a span.
#[inline(always)]
fn kin_inside(token: ThreadToken, table: &Table<SpanSlot>) -> Option<(u64, u64)> {
    fast::parent_in(token, table).map(|(id, parent)| (id, parent.root()))
}

/// The same for one with fields.
#[inline(always)]
pub(super) fn open_with_fields(
    Kept { owner, callsite }: Kept,
    metadata: &'static Metadata<'static>,
    values: impl ScopeValues + Copy,
) -> Option<Scope> {
    local::with_idle_table_of(owner, |token, table| {
        let (position, span) = token.free_scope_slot(table)?;
        let mut fields = ScopeFields::of_slot(InlineFields::new(span), metadata);
        values.add_to(0, &mut fields);
        let fields = fields.into_slot()?;
        // From here on the fields may not be visited again: code of the user's may have run.
        let words = fields.len_if_inline();
        let start = timestamp::read();
        let parent_link = parent_link(token, table);
        let id = parent_link.and_then(|_| token.next_id_of_idle(start));
        let (Some(words), Some(parent_link), Some(id)) = (words, parent_link, id) else {
            // Copies, or both would lie in memory on the fast path, too.
            let (fields, values) = (fields, values);
            let is_open = open_otherwise((position, owner), callsite, metadata, (&fields, &values));
            let scope = Scope::new(owner.with_tag(position | WITH_FIELDS));
            return Some(if is_open { scope } else { Scope::NONE });
        };
        let (parent, root) = with_own_root(parent_link, id);
        token.take_scope_slot(span);
        span.set_words(words);
        span.set_origin(parent | callsite);
        token.expect_here(span);
        span.complete_scope(id, root, start);
        token.push_here(local::link_of(position, id));
        Some(Scope::new(owner.with_tag(position | WITH_FIELDS)))
    })
}

/// Opens one whose fields were visited: where there are no ids left, or the parent has to be looked
/// for, or the slot has no room for all fields. `false` if the recorder is gone, and so is what it would be stored in.
#[cold]
#[inline(never)]
fn open_otherwise(
    (position, owner): (SlotPosition, Owner),
    callsite: u64,
    metadata: &'static Metadata<'static>,
    (fields, values): (&InlineFields<'_>, &dyn ScopeValues),
) -> bool {
    let recorder = recorder_of(owner);
    if let Some(recorder) = &recorder {
        let token = local::of_owner();
        complete_fields(recorder, token, position, callsite, metadata, (fields, values));
    }
    recorder.is_some()
}

fn complete_fields(
    recorder: &Recorder,
    token: ThreadToken,
    position: SlotPosition,
    callsite: u64,
    metadata: &'static Metadata<'static>,
    (fields, values): (&InlineFields<'_>, &dyn ScopeValues),
) {
    let span = fields.span();
    let complete = |words| {
        recorder.complete_scope(token, (position, span), callsite, words, &nearest_recorded)
    };
    if let Some(words) = fields.len_if_inline() {
        complete(words);
        return;
    }
    let append = |id, buffer: &FieldBuffer| {
        let kept = recorder.open.append_fields(position, id, buffer.words(), buffer.declared());
        buffer.mark(span, kept);
    };
    if !fields.has_failed() {
        let id = complete(fields.len());
        let appended = local::with_thread_state(|thread_state| append(id, &thread_state.fields));
        if appended.is_err() {
            span.set_left_out();
        }
        return;
    }
    // A thread that is ending has no buffer any more.
    let mut buffer = FieldBuffer::new(recorder.field_words_max);
    buffer.begin(metadata.fields().len());
    token.in_user_code(|| {
        values.add_to(0, &mut ScopeFields::of_visitor(&mut buffer, metadata));
    });
    append(complete(0), &buffer);
}

/// A scope ends. Each way ends in a call of the next, so that none saves registers for another.
#[inline(never)]
fn close(handle: Tagged) {
    if fast::is_panicking() {
        return close_slow(handle);
    }
    close_plain(handle);
}

/// One without fields of a thread that does not unwind, if it is the thread's innermost span, in a slot that the thread keeps
/// for scopes: nobody else can have entered or left it, as it has no key.
#[inline(never)]
fn close_plain(handle: Tagged) {
    let closed = local::with_table_of(handle.owner(), |token, table| {
        let (position, span) = innermost(table, handle.tag())?;
        if span.extra() != 0 {
            return None;
        }
        let mut lease = token.borrow_lease()?;
        let published = lease.publish_one_if_roomy(Kind::Span as usize, |slot| {
            close_once(token, slot, span, 0);
        });
        token.give_lease_back(lease);
        if !published {
            return None;
        }
        token.pop_own(span);
        span.vacate_scope();
        token.keep_scope_slot(position);
        Some(())
    });
    if closed.is_none() {
        close_with_fields(handle);
    }
}

/// The span at this position, if the thread is in it, and not in another one inside.
#[inline(always)]
fn innermost(table: &Table<SpanSlot>, position: u32) -> Option<(SlotPosition, &SpanSlot)> {
    if local::innermost_own() != position {
        return None;
    }
    // Nothing is innermost but what lies in the table: this is its position.
    let (position, span) = table.wrapped(position as usize);
    Some((position as SlotPosition, span))
}

/// The same of one that may have fields.
#[inline(never)]
fn close_with_fields(handle: Tagged) {
    // Of any other one nobody is in what this says.
    let inside = handle.with_other_tag(WITH_FIELDS, 0);
    let closed = local::with_table_of(handle.owner(), |token, table| {
        let (position, span) = innermost(table, inside.tag())?;
        let words = plain_words(span.extra(), SLOT_WORDS).filter(|words| *words > 0)?;
        let mut lease = token.borrow_lease()?;
        let published = lease.publish_two_if_roomy(
            Kind::Span as usize,
            // Behind the last word they are anything.
            |slot| span.copy_inline_fields(slot),
            |slot| close_once(token, slot, span, words),
        );
        token.give_lease_back(lease);
        if !published {
            return None;
        }
        token.pop_own(span);
        span.vacate_scope_with_fields();
        token.keep_scope_slot(position);
        Some(())
    });
    if closed.is_none() {
        close_without_fields(inside);
    }
}

/// One that could have had fields, but has none. Its handle is without the flag that says so.
#[inline(never)]
fn close_without_fields(inside: Tagged) {
    let closed = local::with_table_of(inside.owner(), |token, table| {
        let (position, span) = innermost(table, inside.tag())?;
        publish_and_vacate(token, span)?;
        token.keep_scope_slot(position);
        Some(())
    });
    if closed.is_none() {
        close_otherwise(inside.with_other_tag(0, WITH_FIELDS));
    }
}

#[inline(always)]
fn publish_and_vacate(token: ThreadToken, span: &SpanSlot) -> Option<()> {
    let extra = span.extra();
    publish_with_fields(token, span, extra)?;
    token.pop_own(span);
    OpenSpans::vacate_plain(span, extra);
    Some(())
}

/// `None`, and nothing was done, if something is out of the ordinary.
#[inline(always)]
fn publish_with_fields(token: ThreadToken, span: &SpanSlot, extra: u64) -> Option<()> {
    let words = plain_words(extra, SLOT_WORDS)?;
    let mut lease = token.borrow_lease()?;
    let slots = if words == 0 { 1 } else { 2 };
    let published =
        lease.publish_if_roomy::<2>(Kind::Span as usize, slots, |index, slot| match index {
            0 => close_once(token, slot, span, words),
            // Behind the last word they are anything.
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published.then_some(())
}

/// Writes the record: the waiting time is none, and the last exit the end.
#[inline(always)]
fn close_once(token: ThreadToken, slot: &mut Slot, span: &SpanSlot, words: usize) {
    fast::all_entered_into(slot, span, || token.scope_header(), timestamp::read(), words);
}

/// What has become of a scope that ends.
enum Ending {
    Done,
    /// Its record is published, and its slot free, which the thread does not keep.
    Free,
    /// Nothing was done.
    Otherwise,
}

#[inline(never)]
fn close_otherwise(handle: Tagged) {
    let is_general = handle.owner().number() != ORDINARY && handle.tag() & GENERAL != 0;
    match if is_general { close_general(handle) } else { Ending::Otherwise } {
        Ending::Done => {}
        Ending::Free => give_back(handle),
        Ending::Otherwise => close_slow(handle),
    }
}

/// One that the general path has opened, in any slot.
#[inline(always)]
fn close_general(handle: Tagged) -> Ending {
    let position = handle.tag() & !FLAGS;
    let ending = local::with_table_of(handle.owner(), |token, table| {
        let span = closing(table, position, handle.owner().number())?;
        // Where times are not measured its entry is counted already.
        if record::upper_of(span.head()) != 0 {
            return None;
        }
        publish_and_vacate(token, span)?;
        Some(if token.keep_slot(position) { Ending::Done } else { Ending::Free })
    });
    ending.unwrap_or(Ending::Otherwise)
}

/// The span of a scope, if it is the calling thread's innermost one, which is inside it once.
#[inline(always)]
fn closing(table: &Table<SpanSlot>, position: SlotPosition, recorder: u32) -> Option<&SpanSlot> {
    if local::innermost_own() != position {
        return None;
    }
    let span = table.get(position as usize)?;
    // The thread may have turned to another profiler, where it has the same number; and of the span there may be more to
    // say, as that it is inside of what is not its parent.
    local::is_fast(recorder, (span.head() as u32).wrapping_sub(INSIDE)).then_some(span)
}

/// To its recorder, which a handler of a signal may have turned the thread away from meanwhile.
#[cold]
#[inline(never)]
fn give_back(handle: Tagged) {
    if let Some(recorder) = local::recorder_of(handle.owner().number()) {
        recorder.open.give_slot_back(handle.tag() & !FLAGS);
    }
}

#[cold]
#[inline(never)]
fn close_slow(handle: Tagged) {
    if handle.owner().number() == ORDINARY {
        return ordinary::close(handle.tag() as usize);
    }
    // None for one that is gone; or of a thread of which little is left, where it had a subscriber of its own: the
    // span stays open, and is stored as such.
    if let Some(recorder) = recorder_of(handle.owner()) {
        let position = handle.tag() & !FLAGS;
        if handle.tag() & GENERAL == 0
            && let Some(token) = local::look(&recorder)
            && token.lose_scope_slot(handle.owner(), &recorder.open, position).is_none()
        {
            // A handler of a signal ends a scope that is not its own, where its thread is at their slots: as above.
            return;
        }
        recorder.close_scope(position);
    }
}

/// The recorder with this id that the thread has recorded for.
fn recorder_of(owner: Owner) -> Option<Arc<Recorder>> {
    let id = owner.number();
    local::recorder_of(id).or_else(|| {
        // What the thread owned is in use, or gone with its other variables.
        dispatcher::get_default(|dispatch| {
            let recorder = FoundFrontEnd::of(dispatch)?.recorder?;
            (recorder.id == id).then(|| Arc::clone(recorder))
        })
    })
}
