//! A scope that is open.

use std::marker::PhantomData;
use std::sync::Arc;

use spandrel_ring::{Table, timestamp};
use tracing_core::{Metadata, dispatcher};

use super::ancestor::nearest_recorded;
use super::ordinary;
use super::values::{ScopeFields, ScopeValues};
use crate::front::fast::{self, InlineFields};
use crate::front::front_end::FoundFrontEnd;
use crate::recorder::Recorder;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{
    INSIDE, NewSpan, OpenSpans, SlotPosition, SpanSlot, plain_words,
};
use crate::recorder::record::{self, ENTERED, SLOT_WORDS, Slot};

/// A span of the thread that made it, from that moment until this is dropped. Made by [`scope!`](crate::scope!).
///
/// Stays on its thread. One that is [forgotten](std::mem::forget) stays open, and what the thread does later is inside it.
#[must_use = "a scope ends when it is dropped: give it a name, like `_scope`"]
#[derive(Debug)]
pub struct Scope {
    /// Of its slot, and what is to be known of that: [`GENERAL`], [`UNTIMED`].
    position: SlotPosition,
    /// The recorder's id, or [`NOT_RECORDED`], or [`ORDINARY`].
    owner: u32,
    here: PhantomData<*const ()>,
}

/// No recorder's id.
const NOT_RECORDED: u32 = 0;
/// As little: it is a span of `tracing`, at this slot of [`ordinary`].
const ORDINARY: u32 = u32::MAX;

/// Beside a position, which ends in zeros: the slot is none that the thread keeps for scopes.
const GENERAL: SlotPosition = 1;
/// Likewise: times inside are not measured.
const UNTIMED: SlotPosition = 2;
/// Likewise: it may have fields.
const WITH_FIELDS: SlotPosition = 4;
const FLAGS: SlotPosition = GENERAL | UNTIMED | WITH_FIELDS;
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
    pub(super) const NONE: Self = Self::new(0, NOT_RECORDED);

    const fn new(position: SlotPosition, owner: u32) -> Self {
        Self { position, owner, here: PhantomData }
    }

    /// In any slot.
    pub(super) fn general(position: SlotPosition, owner: u32) -> Self {
        Self::new(position | GENERAL, owner)
    }

    pub(super) fn ordinary(index: u32) -> Self {
        Self::new(index, ORDINARY)
    }

    #[inline(always)]
    fn kept<const TIMED: bool>(position: SlotPosition, owner: u32, flags: SlotPosition) -> Self {
        Self::new(position | flags | if TIMED { 0 } else { UNTIMED }, owner)
    }

    /// Whether anybody is told of it: not where nothing records, or its level or target is not kept.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.owner != NOT_RECORDED
    }

    /// Ends it here, as `drop` does.
    pub fn end(self) {}
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if self.owner == NOT_RECORDED {
            return;
        }
        if self.position & WITH_FIELDS == 0 {
            close(self.position as usize, self.owner);
        } else {
            close_with_fields(self.position as usize, self.owner);
        }
    }
}

/// Opens one without fields, in as few instructions as can be. `callsite` stands where a record has it. `None`, and
/// nothing was done, if it is another case than the usual one. `SELDOM` for a second call, or the compiler would make one
/// function of what the closures of both do.
#[inline(always)]
pub(super) fn open_plain<const TIMED: bool, const SELDOM: bool>(
    owner: u32,
    callsite: u64,
) -> Option<Scope> {
    let token = local::get_if_owner(owner)?;
    local::with_table(|table| {
        let start = timestamp::read();
        let idle = token.idle();
        token.begin_change();
        let position = fill_plain::<TIMED>(token, table, callsite, (start, idle));
        token.end_change_to(idle);
        position.map(|position| Scope::kept::<TIMED>(position, owner, 0))
    })
}

#[inline(always)]
fn fill_plain<const TIMED: bool>(
    token: ThreadToken,
    table: &Table<SpanSlot>,
    callsite: u64,
    (start, idle): (u64, u64),
) -> Option<SlotPosition> {
    // An id that is not used after all does no harm.
    let id = token.next_id_of_block(start)?;
    let (parent, root) = kin(token, table, id)?;
    let (position, span) = token.take_scope_slot(table)?;
    span.set_origin(parent | callsite);
    let new = NewSpan { head: u64::from(idle as u32), id, root, start };
    complete::<TIMED>(token, position, span, &new);
    Some(position)
}

/// Takes ids for the calling thread's next scopes, if it has none for this moment. Says whether that was so.
#[cold]
#[inline(never)]
pub(super) fn renew_ids(owner: u32) -> bool {
    let Some(token) = local::get_if_owner(owner) else { return false };
    local::recorder_of(owner)
        .is_some_and(|recorder| token.renew_ids(&recorder, recorder.clock.ticks()))
}

/// Parent, or 0, and root of a new one with this id; if the innermost span is the thread's own.
#[inline(always)]
fn kin(token: ThreadToken, table: &Table<SpanSlot>, id: u64) -> Option<(u64, u64)> {
    if token.is_outside() {
        return Some((0, id));
    }
    fast::parent_in(token, table).map(|(id, parent)| (id, parent.root()))
}

/// The thread is inside from the beginning.
#[inline(always)]
fn complete<const TIMED: bool>(
    token: ThreadToken,
    position: SlotPosition,
    span: &SpanSlot,
    new: &NewSpan,
) {
    token.expect_here(span);
    if TIMED {
        span.complete(&NewSpan { head: new.head | u64::from(INSIDE), ..*new });
    } else {
        span.complete(new);
        span.begin_first_entry_untimed(new.head);
    }
    token.push_here(local::link_of(position, new.id));
}

/// The same for one with fields.
#[inline(always)]
pub(super) fn open_with_fields<const TIMED: bool>(
    owner: u32,
    callsite: u64,
    metadata: &'static Metadata<'static>,
    values: &impl ScopeValues,
) -> Option<Scope> {
    let token = local::get_if_owner(owner)?;
    local::with_table(|table| {
        token.begin_change();
        let Some((position, span)) = token.take_scope_slot(table) else {
            token.end_change();
            return None;
        };
        let mut fields = InlineFields::new(span);
        values.add_to(0, &mut ScopeFields::of_slot(&mut fields, metadata));
        // From here on the fields may not be visited again: code of the user's may have run.
        let words = fields.len_if_inline();
        let start = timestamp::read();
        let id = token.next_id_of_block(start);
        let kin = id.and_then(|id| kin(token, table, id).map(|kin| (id, kin)));
        let (Some(words), Some((id, (parent, root)))) = (words, kin) else {
            let is_open = open_otherwise((position, owner), callsite, metadata, (&fields, values));
            let scope = Scope::kept::<TIMED>(position, owner, WITH_FIELDS);
            return Some(if is_open { scope } else { Scope::NONE });
        };
        span.set_words(words);
        span.set_origin(parent | callsite);
        let new = NewSpan { head: token.fast_head(), id, root, start };
        complete::<TIMED>(token, position, span, &new);
        token.end_change();
        Some(Scope::kept::<TIMED>(position, owner, WITH_FIELDS))
    })
}

/// Ends the change that opens one whose fields were visited: where there are no ids left, or the parent has to be looked
/// for, or the slot has no room for all fields. `false` if the recorder is gone, and so is what it would be stored in.
#[cold]
#[inline(never)]
fn open_otherwise(
    (position, owner): (SlotPosition, u32),
    callsite: u64,
    metadata: &'static Metadata<'static>,
    (fields, values): (&InlineFields<'_>, &dyn ScopeValues),
) -> bool {
    let token = local::of_owner();
    let recorder = recorder_of(owner);
    if let Some(recorder) = &recorder {
        complete_fields(recorder, token, position, callsite, metadata, (fields, values));
    }
    token.end_change();
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

/// One without fields. Each way ends in a call of the next, so that none saves registers for another.
#[inline(never)]
fn close(position: usize, owner: u32) {
    if fast::is_panicking() {
        return close_slow(position, owner);
    }
    let publish = |token: ThreadToken, span: &SpanSlot| {
        if span.extra() != 0 {
            return None;
        }
        let mut lease = token.borrow_lease()?;
        let published = lease.publish_if_roomy::<1>(Kind::Span as usize, 1, |_, slot| {
            close_once::<true>(slot, span, 0);
        });
        token.give_lease_back(lease);
        published.then(|| {
            token.pop_own(span);
            span.vacate_scope();
        })
    };
    if !close_kept(position, owner, publish) {
        close_otherwise(position, owner);
    }
}

/// One that may have fields.
#[inline(never)]
fn close_with_fields(position: usize, owner: u32) {
    if fast::is_panicking() {
        return close_slow(position, owner);
    }
    let there = position & !WITH_FIELDS as usize;
    if owner == ORDINARY || !close_kept(there, owner, publish_and_vacate::<true>) {
        close_otherwise(position, owner);
    }
}

/// One in a slot that the thread keeps for scopes, if it is the thread's innermost span. Nobody else can have entered or
/// left it, as it has no key. Says whether that was so, and `publish` has published and vacated it.
#[inline(always)]
fn close_kept(
    position: usize,
    owner: u32,
    publish: impl FnOnce(ThreadToken, &SpanSlot) -> Option<()>,
) -> bool {
    let closed = local::with_table(|table| {
        let token = local::of_owner();
        let span = closing(table, position, owner)?;
        publish(token, span)?;
        token.keep_scope_slot(position as SlotPosition, span);
        Some(())
    });
    closed.is_some()
}

#[inline(always)]
fn publish_and_vacate<const TIMED: bool>(token: ThreadToken, span: &SpanSlot) -> Option<()> {
    let extra = span.extra();
    publish_with_fields::<TIMED>(token, span, extra)?;
    token.pop_own(span);
    OpenSpans::vacate_plain(span, extra);
    Some(())
}

/// `None`, and nothing was done, if something is out of the ordinary.
#[inline(always)]
fn publish_with_fields<const TIMED: bool>(
    token: ThreadToken,
    span: &SpanSlot,
    extra: u64,
) -> Option<()> {
    let words = plain_words(extra, SLOT_WORDS)?;
    let mut lease = token.borrow_lease()?;
    let slots = if words == 0 { 1 } else { 2 };
    let published =
        lease.publish_if_roomy::<2>(Kind::Span as usize, slots, |index, slot| match index {
            0 => close_once::<TIMED>(slot, span, words),
            // Behind the last word they are anything.
            _ => span.copy_inline_fields(slot),
        });
    token.give_lease_back(lease);
    published.then_some(())
}

/// Writes the record: the waiting time is none, and the last exit the end. Where times are not measured, how often it was
/// entered stands where the former would.
#[inline(always)]
fn close_once<const TIMED: bool>(slot: &mut Slot, span: &SpanSlot, words: usize) {
    let end = timestamp::read();
    let header = span.head() + u64::from(ENTERED - INSIDE);
    if TIMED {
        fast::all_entered_into(slot, span, header, end, words);
    } else {
        fast::untimed_into(slot, span, header | record::UNTIMED, end, words);
    }
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
fn close_otherwise(position: usize, owner: u32) {
    let flags = position as SlotPosition & FLAGS;
    let there = position & !FLAGS as usize;
    let is_ordinary = owner == ORDINARY;
    let ending = if !is_ordinary && flags & GENERAL != 0 {
        close_general(there, owner)
    } else if !is_ordinary
        && flags & UNTIMED != 0
        && close_kept(there, owner, publish_and_vacate::<false>)
    {
        Ending::Done
    } else {
        Ending::Otherwise
    };
    match ending {
        Ending::Done => {}
        Ending::Free => give_back(there),
        Ending::Otherwise => close_slow(position, owner),
    }
}

/// One that the general path has opened, in any slot.
#[inline(always)]
fn close_general(position: usize, owner: u32) -> Ending {
    let ending = local::with_table(|table| {
        let span = closing(table, position, owner)?;
        // Where times are not measured its entry is counted already.
        if record::upper_of(span.head()) != 0 {
            return None;
        }
        let token = local::of_owner();
        publish_and_vacate::<true>(token, span)?;
        let is_kept = token.keep_slot(position as SlotPosition);
        Some(if is_kept { Ending::Done } else { Ending::Free })
    });
    ending.unwrap_or(Ending::Otherwise)
}

/// The span of a scope, if it is the calling thread's innermost one, which is inside it once.
#[inline(always)]
fn closing(table: &Table<SpanSlot>, position: usize, owner: u32) -> Option<&SpanSlot> {
    // As a position with flags is none.
    if local::innermost_own() != position as SlotPosition {
        return None;
    }
    let span = table.get(position)?;
    // The thread may have turned to another profiler, where it has the same number; and of the span there may be more to
    // say, as that it is inside of what is not its parent.
    local::is_fast(owner, (span.head() as u32).wrapping_sub(INSIDE)).then_some(span)
}

/// For the recorder that the thread is set up for.
#[cold]
#[inline(never)]
fn give_back(position: usize) {
    if let Some(recorder) = recorder_of(local::fast_owner()) {
        recorder.open.give_slot_back(position as SlotPosition);
    }
}

#[cold]
#[inline(never)]
fn close_slow(position: usize, owner: u32) {
    if owner == ORDINARY {
        return ordinary::close(position);
    }
    let flags = position as SlotPosition & FLAGS;
    // None for one that is gone; or of a thread of which little is left, where it had a subscriber of its own: the
    // span stays open, and is stored as such.
    if let Some(recorder) = recorder_of(owner) {
        recorder.close_scope(position as SlotPosition & !flags);
        if flags & GENERAL == 0
            && let Some(token) = local::look(&recorder)
        {
            token.lose_scope_slot();
        }
    }
}

/// The recorder with this id that the thread has recorded for.
fn recorder_of(owner: u32) -> Option<Arc<Recorder>> {
    local::recorder_of(owner).or_else(|| {
        // What the thread owned is in use, or gone with its other variables.
        dispatcher::get_default(|dispatch| {
            let recorder = FoundFrontEnd::of(dispatch)?.recorder?;
            (recorder.id == owner).then(|| Arc::clone(recorder))
        })
    })
}
