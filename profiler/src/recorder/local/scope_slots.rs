//! Free slots that a thread keeps for its scopes.
//!
//! A chain through the slots, by the word that says of an open span what is around it. A scope takes the first one and
//! puts it back, so that there are as many as scopes were open inside each other; where there is none, the general path
//! adds one, up to a few. Unlike those for spans they are used only inside of [`with_table`], where nobody comes a second
//! time: neither a handler of a signal nor code of the user's.

use spandrel_ring::Table;

use super::cells::{CELLS, FREE, get_cell, set};
use super::link::OUTSIDE;
use super::token::ThreadToken;
use super::with_table;
use crate::recorder::open_spans::{OpenSpans, SlotPosition, SpanSlot};

/// Most slots that a thread keeps for scopes, open ones included.
const SCOPES: u32 = FREE as u32;

impl ThreadToken {
    /// The first one, for whoever has the table.
    #[inline(always)]
    pub(crate) fn take_scope_slot(
        self,
        table: &Table<SpanSlot>,
    ) -> Option<(SlotPosition, &SpanSlot)> {
        let position = get_cell(|cells| &cells.scope_free);
        let span = table.get(position as usize)?;
        set(|cells| &cells.scope_free, span.outer());
        Some((position, span))
    }

    /// Puts one back.
    #[inline(always)]
    pub(crate) fn keep_scope_slot(self, position: SlotPosition, span: &SpanSlot) {
        span.set_outer(get_cell(|cells| &cells.scope_free));
        set(|cells| &cells.scope_free, position);
    }

    /// Adds one if there is none left, and not too many are open.
    pub(crate) fn add_scope_slot(self, open: &OpenSpans) {
        let kept = get_cell(|cells| &cells.scope_slots);
        if kept >= SCOPES || get_cell(|cells| &cells.scope_free) != OUTSIDE {
            return;
        }
        let add = |table: &Table<SpanSlot>| {
            let position = self.take_slot(open).or_else(|| open.take_slot())?;
            self.keep_scope_slot(position, table.get(position as usize)?);
            set(|cells| &cells.scope_slots, kept + 1);
            Some(())
        };
        // None in a thread that is ending.
        _ = with_table(add);
    }

    /// One of them went another way.
    pub(crate) fn lose_scope_slot(self) {
        let kept = get_cell(|cells| &cells.scope_slots);
        set(|cells| &cells.scope_slots, kept.saturating_sub(1));
    }
}

/// Gives all of them to the recorder that they are of, or forgets them if that is gone.
pub(super) fn give_back(open: Option<&OpenSpans>) {
    let mut position = CELLS.with(|cells| cells.scope_free.replace(OUTSIDE));
    set(|cells| &cells.scope_slots, 0);
    // No more than there can be: a table in a file may say anything.
    for _ in 0..SCOPES {
        let Some((open, span)) = open.and_then(|open| Some((open, open.get(position)?))) else {
            return;
        };
        let next = span.outer();
        let _given = open.give_slot_back(position);
        position = next;
    }
}
