//! Slots that a thread keeps for its scopes.
//!
//! They are a list, in an order that stays. The scopes of a thread are open inside each other: so those in use are the first ones of the list, and a scope takes the first
//! one behind them and, when it ends, is that again. One of which there is more to say than its times and fields goes
//! another way when it ends, and its slot out of the list; so does one that ends before what was opened inside of it.
//! Where there is no slot left the general path adds one, up to a few.
//!
//! Unlike those for spans they are used only inside of [`with_table_of`], where nobody comes a second
//! time: neither a handler of a signal nor code of the user's.
//!
//! What is the same of all scopes of a thread, the `head`, stands in such a slot already, and stays there.

use spandrel_ring::{Owner, Table};

use super::cells::{CELLS, FREE, NO_SLOT, get_cell, set};
use super::state::in_this_order;
use super::token::ThreadToken;
use super::with_table_of;
use crate::recorder::open_spans::{OpenSpans, SlotPosition, SpanSlot};

/// Most slots that a thread keeps for scopes, open ones included.
const SCOPES: u32 = FREE as u32;

impl ThreadToken {
    /// The first one that is free, for whoever has the table. It stays that until [`take_scope_slot`](Self::take_scope_slot):
    /// code of the user's that runs before may panic.
    #[inline(always)]
    pub(crate) fn free_scope_slot(
        self,
        table: &Table<SpanSlot>,
    ) -> Option<(SlotPosition, &SpanSlot)> {
        // Nothing of the table is looked at before.
        in_this_order();
        let position = get_cell(|cells| &cells.scope_free);
        Some((position, table.get(position as usize)?))
    }

    /// A scope has its first free one.
    #[inline(always)]
    pub(crate) fn take_scope_slot(self, span: &SpanSlot) {
        set(|cells| &cells.scope_free, span.next_free());
    }

    /// Puts the one that was taken last back.
    #[inline(always)]
    pub(crate) fn keep_scope_slot(self, position: SlotPosition) {
        set(|cells| &cells.scope_free, position);
    }

    /// Adds one if there is none left, and not too many are open; `head` is that of each span there.
    pub(crate) fn add_scope_slot(self, owner: Owner, open: &OpenSpans, head: u64) {
        // Not in a handler of a signal that has interrupted its thread where it opens or ends a scope; nor in a thread that
        // is ending, or that a handler has turned to another profiler since the token was had.
        _ = with_table_of(owner, |token, _| change_list(|| token.add_alone(open, head)));
    }

    fn add_alone(self, open: &OpenSpans, head: u64) {
        let kept = get_cell(|cells| &cells.scope_slots);
        if kept >= SCOPES || get_cell(|cells| &cells.scope_free) != NO_SLOT {
            return;
        }
        let Some(position) = self.take_slot(open).or_else(|| open.take_slot()) else { return };
        let Some(span) = open.get(position) else { return };
        span.set_head(head);
        span.set_next_free(NO_SLOT);
        relink(open, NO_SLOT, position);
        CELLS.with(|cells| cells.scope_kept[kept as usize].set(position));
        set(|cells| &cells.scope_slots, kept + 1);
        set(|cells| &cells.scope_free, position);
    }

    /// The scope in this slot, if that is kept, goes another way: it is in the list no more. For whoever has found the cells
    /// set up for the recorder of this table. `None`, and nothing was done, in the handler of a signal that has interrupted
    /// its thread where the list is changed.
    pub(crate) fn lose_scope_slot(
        self,
        owner: Owner,
        open: &OpenSpans,
        position: SlotPosition,
    ) -> Option<()> {
        // No scope is opened or ended in a fast way meanwhile.
        let lose = || change_list(|| lose_alone(open, position));
        // Where a handler has turned the thread to another profiler it keeps no slots of this one any more.
        CELLS.with(|cells| cells.table.hidden(owner, lose)).unwrap_or(Some(()))
    }
}

/// Runs `f`, which changes the list, unless somebody is at it: whom the handler of a signal has interrupted there.
fn change_list(f: impl FnOnce()) -> Option<()> {
    if get_cell(|cells| &cells.scope_list_changes) {
        return None;
    }
    set(|cells| &cells.scope_list_changes, true);
    in_this_order();
    f();
    in_this_order();
    set(|cells| &cells.scope_list_changes, false);
    Some(())
}

fn lose_alone(open: &OpenSpans, position: SlotPosition) {
    let last = get_cell(|cells| &cells.scope_slots).wrapping_sub(1);
    let Some(at) = kept().position(|kept| kept == position) else { return };
    CELLS.with(|cells| cells.scope_kept[at].set(cells.scope_kept[last as usize].get()));
    set(|cells| &cells.scope_slots, last);
    if let Some(span) = open.get(position) {
        relink(open, position, span.next_free());
    }
}

/// All of them, in no order.
fn kept() -> impl Iterator<Item = SlotPosition> {
    (0..get_cell(|cells| &cells.scope_slots) as usize)
        .map(|index| CELLS.with(|cells| cells.scope_kept[index].get()))
}

/// What comes behind the one before `position` is `next` from now on.
fn relink(open: &OpenSpans, position: SlotPosition, next: SlotPosition) {
    for span in kept().filter_map(|kept| open.get(kept)) {
        if span.next_free() == position {
            span.set_next_free(next);
        }
    }
}

/// Gives all of them to the recorder that they are of, or forgets them if that is gone. One in which a scope is open is given
/// back when that ends, which goes another way.
pub(super) fn give_back(open: Option<&OpenSpans>) {
    set(|cells| &cells.scope_free, NO_SLOT);
    for position in kept() {
        match open.and_then(|open| Some((open, open.get(position)?))) {
            Some((_, span)) if span.is_open() => span.keep_slot_no_more(),
            Some((open, _)) => _ = open.give_slot_back(position),
            None => {}
        }
    }
    set(|cells| &cells.scope_slots, 0);
}
