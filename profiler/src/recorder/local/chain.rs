//! The spans that a thread is in.

use std::cell::Cell;

use super::cells::{CELLS, get_cell, set};
use super::link::{
    DETAILED, DETAILS, Detailed, INDEX, NOWHERE, OUTSIDE, SERIAL_SHIFT, position_in,
};
use super::owned::with_thread_state;
use super::state::in_this_order;
use super::token::ThreadToken;
use crate::recorder::open_spans::free_list::key_of;
use crate::recorder::open_spans::{Link, OpenSpans, SLOTS_MAX, SlotPosition, SpanSlot};
use spandrel_ring::Table;

const _: () = assert!(Table::<SpanSlot>::position(SLOTS_MAX) < NOWHERE as usize);

/// Attempts to put details where no handler of a signal has put its own at the same moment.
const ATTEMPTS: usize = 16;

/// A span that this thread is in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entered {
    /// A span of the first layer, by its owner.
    Own(SlotPosition),
    /// Any other one.
    Detailed(usize, Detailed),
}

/// The innermost span that a thread is in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Within<'a> {
    Nothing,
    Span(&'a SpanSlot),
    /// One that is not recorded.
    Unrecorded,
}

/// Whether a link leads to this span.
fn leads_to(link: Link, entered: Entered) -> bool {
    match entered {
        Entered::Own(position) => link & DETAILED == 0 && position_in(link) == position,
        Entered::Detailed(index, _) => link & DETAILED != 0 && index_in(link) == index,
    }
}

/// The link to a span of the first layer that is the thread's own, as the fast ways have it.
fn own_link(position: SlotPosition, span: &SpanSlot) -> Link {
    let direct = key_of(position, span.id()).get();
    if span.has_key(direct) || span.has_no_key() { direct } else { Link::from(position) }
}

fn index_in(link: Link) -> usize {
    (link & INDEX) as usize
}

impl ThreadToken {
    /// Whether the thread is in no span.
    #[inline(always)]
    pub(crate) fn is_outside(self) -> bool {
        get_cell(|cells| &cells.innermost) == OUTSIDE
    }

    /// A span of the first layer is now the innermost one; its owner enters it.
    pub(crate) fn push_own(self, position: SlotPosition, span: &SpanSlot) {
        span.set_outer(get_cell(|cells| &cells.innermost));
        self.push_here(own_link(position, span));
    }

    /// The same for a span that says already that it is in the innermost one, by its link.
    #[inline(always)]
    pub(crate) fn push_here(self, link: Link) {
        set(|cells| &cells.innermost, link);
    }

    /// A span of the first layer that is being created below the innermost one, or outside of all: there its owner will
    /// mostly enter it, which is then known to be inside the parent.
    #[inline(always)]
    pub(crate) fn expect_here(self, span: &SpanSlot) {
        span.set_outer(get_cell(|cells| &cells.innermost));
    }

    /// The same where the thread is in no span.
    #[inline(always)]
    pub(crate) fn expect_outside(self, span: &SpanSlot) {
        span.set_outer(OUTSIDE);
    }

    /// The same of any new span.
    pub(crate) fn expect_inside(self, open: &OpenSpans, parent: u64, span: &SpanSlot) {
        let around = self.current(open, 0).map_or(0, SpanSlot::id);
        match around == parent {
            true => self.expect_here(span),
            false => self.expect_nowhere(span),
        }
    }

    /// Where the owner enters the span next has to be looked at, wherever that is.
    pub(crate) fn expect_nowhere(self, span: &SpanSlot) {
        span.set_outer(NOWHERE);
    }

    /// The owner leaves the innermost span, of the first layer.
    #[inline(always)]
    pub(crate) fn pop_own(self, span: &SpanSlot) {
        set(|cells| &cells.innermost, span.outer());
    }

    /// The id of the span around the thread's own innermost one, of the first layer: 0 if there is none, `None` if it has
    /// to be looked for.
    #[inline]
    pub(crate) fn around_own(self, spans: &Table<SpanSlot>, span: &SpanSlot) -> Option<u64> {
        let outer = span.outer();
        if outer == OUTSIDE {
            return Some(0);
        }
        let around = spans.get(position_in(outer) as usize)?;
        // 0 for one that was closed while the thread was inside.
        Some(around.id()).filter(|id| *id != 0)
    }

    /// Another span is now the innermost one.
    pub(crate) fn push_detailed(self, detailed: Detailed) {
        let next = get_cell(|cells| &cells.innermost);
        let detailed = Detailed { next, ..detailed };
        for _ in 0..ATTEMPTS {
            let index = get_cell(|cells| &cells.details_len);
            let put = set_detailed(index, detailed)
                || with_thread_state(|thread_state| thread_state.details.push(detailed)).is_ok();
            // Else it is a thread that is ending, deeper inside than ever before.
            if !put || index > INDEX as usize {
                return;
            }
            in_this_order();
            set(|cells| &cells.details_len, index + 1);
            in_this_order();
            // The handler of a signal may have been there before it was ours.
            if self::detailed(index).is_some_and(|it| it.depth > 0) {
                // Counted before it is in the chain, and as long as it is: of a handler's sake again.
                count_unrecorded(detailed, u32::saturating_add);
                in_this_order();
                let serial =
                    get_cell(|cells| &cells.details_serial).wrapping_add(1 << SERIAL_SHIFT);
                set(|cells| &cells.details_serial, serial);
                let link = DETAILED | serial | index as Link;
                return set(|cells| &cells.innermost, link);
            }
            forget_last_details();
        }
    }

    /// Takes the innermost span out of the chain, if it is this one and not recorded.
    pub(crate) fn pop_unrecorded(self, layer: u16, key: u64) -> bool {
        let link = get_cell(|cells| &cells.innermost);
        if link & DETAILED == 0 {
            return false;
        }
        let index = index_in(link);
        let here = CELLS.with(|cells| cells.details.get(index).map(Cell::get));
        let Some(it) = here.filter(|it| it.is_unrecorded() && it.key == key && it.layer == layer)
        else {
            return false;
        };
        set(|cells| &cells.innermost, it.next);
        forget(index, it);
        true
    }

    /// The span that a link leads to, and the next link. `None` at the end.
    fn follow(self, open: &OpenSpans, link: Link) -> Option<(Entered, Link)> {
        if link == OUTSIDE {
            return None;
        }
        if link & DETAILED == 0 {
            let position = position_in(link);
            // A slot without a key has no span: in a forked child the table may be empty.
            let span = open.get(position).filter(|span| !span.has_key(0))?;
            return Some((Entered::Own(position), span.outer()));
        }
        let index = index_in(link);
        let detailed = detailed(index)?;
        Some((Entered::Detailed(index, detailed), detailed.next))
    }

    /// The spans that the thread is in, innermost first.
    fn chain(self, open: &OpenSpans) -> impl Iterator<Item = Entered> {
        self.chain_from(open, get_cell(|cells| &cells.innermost))
    }

    fn chain_from(self, open: &OpenSpans, mut link: Link) -> impl Iterator<Item = Entered> {
        // No more steps than there are slots and details: in a file the links may be anything.
        let mut left = open.slots().cells().len() + INDEX as usize;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (entered, next) = self.follow(open, link)?;
            link = next;
            Some(entered)
        })
    }

    /// The innermost span of this layer, if that is still open or not recorded at all.
    pub(crate) fn within(self, open: &OpenSpans, layer: u16) -> Within<'_> {
        let innermost = self.chain(open).find_map(|entered| match entered {
            Entered::Own(position) => {
                let span = open.get(position).filter(|span| layer == 0 && span.is_open());
                span.map(Within::Span)
            }
            Entered::Detailed(_, detailed) if detailed.layer != layer => None,
            Entered::Detailed(_, detailed) if detailed.is_unrecorded() => Some(Within::Unrecorded),
            Entered::Detailed(_, Detailed { key, position, .. }) => {
                open.get(position).filter(|span| span.is(layer, key)).map(Within::Span)
            }
        });
        innermost.unwrap_or(Within::Nothing)
    }

    /// Whether the thread is in no span of the first layer that is not recorded.
    #[inline(always)]
    pub(crate) fn is_all_recorded(self) -> bool {
        get_cell(|cells| &cells.unrecorded) == 0
    }

    /// The innermost span of this layer that is recorded and still open.
    pub(crate) fn current(self, open: &OpenSpans, layer: u16) -> Option<&SpanSlot> {
        self.first_open(open, layer, get_cell(|cells| &cells.innermost))
    }

    /// The same but for scopes.
    pub(crate) fn current_with_key(self, open: &OpenSpans, layer: u16) -> Option<&SpanSlot> {
        let innermost = get_cell(|cells| &cells.innermost);
        self.all_open(open, layer, innermost).find(|span| !span.has_no_key())
    }

    /// The innermost scope that the thread is in, if that is in the span with this id, or in none if it is 0, and only in
    /// scopes and what is not recorded between.
    pub(crate) fn scope_in(self, open: &OpenSpans, around: u64) -> Option<&SpanSlot> {
        let mut scope = None;
        for span in self.all_open(open, 0, get_cell(|cells| &cells.innermost)) {
            if !span.has_no_key() {
                return scope.filter(|_| span.id() == around);
            }
            scope = scope.or(Some(span));
        }
        scope.filter(|_| around == 0)
    }

    fn first_open(self, open: &OpenSpans, layer: u16, link: Link) -> Option<&SpanSlot> {
        self.all_open(open, layer, link).next()
    }

    /// The spans of this layer that are recorded and still open, from this link outwards.
    fn all_open(self, open: &OpenSpans, layer: u16, link: Link) -> impl Iterator<Item = &SpanSlot> {
        self.chain_from(open, link).filter_map(move |entered| match entered {
            Entered::Own(position) => {
                open.get(position).filter(|span| layer == 0 && span.is_open())
            }
            Entered::Detailed(_, Detailed { key, position, layer: its, .. }) => {
                open.get(position).filter(|span| its == layer && span.is(layer, key))
            }
        })
    }

    /// The span of this layer that the thread is in around this one, if that is still open.
    pub(crate) fn around(
        self,
        open: &OpenSpans,
        layer: u16,
        entered: Entered,
    ) -> Option<&SpanSlot> {
        let next = match entered {
            Entered::Own(position) => open.span(position).outer(),
            Entered::Detailed(_, detailed) => detailed.next,
        };
        self.first_open(open, layer, next)
    }

    /// The innermost of the thread's own spans that were closed while it was inside.
    pub(crate) fn closed(self, open: &OpenSpans) -> Option<(Entered, SlotPosition)> {
        self.chain(open).find_map(|entered| match entered {
            Entered::Own(position) if open.span(position).is_closed() => Some((entered, position)),
            _ => None,
        })
    }

    /// The innermost of the spans that the thread is in with this key.
    pub(crate) fn entered(self, open: &OpenSpans, layer: u16, key: u64) -> Option<Entered> {
        self.chain(open).find(|entered| match *entered {
            Entered::Own(position) => layer == 0 && open.span(position).has_key(key),
            Entered::Detailed(_, detailed) => detailed.layer == layer && detailed.key == key,
        })
    }

    /// Takes a span that the thread is in out of the chain; usually it is the innermost one.
    pub(crate) fn leave(self, open: &OpenSpans, entered: Entered) {
        let next = match entered {
            Entered::Own(position) => open.span(position).outer(),
            Entered::Detailed(_, detailed) => detailed.next,
        };
        if leads_to(get_cell(|cells| &cells.innermost), entered) {
            set(|cells| &cells.innermost, next);
        } else {
            let inner = self.chain(open).find(|inner| match *inner {
                Entered::Own(position) => leads_to(open.span(position).outer(), entered),
                Entered::Detailed(_, detailed) => leads_to(detailed.next, entered),
            });
            match inner {
                Some(Entered::Own(position)) => {
                    open.span(position).set_outer(next);
                    // Around it is another one now.
                    open.span(position).set_overlapped();
                }
                Some(Entered::Detailed(index, inner)) => update(index, Detailed { next, ..inner }),
                None => {}
            }
        }
        if let Entered::Detailed(index, detailed) = entered {
            forget(index, detailed);
        }
    }

    /// Changes the details of a span that the thread is in.
    pub(crate) fn update(self, index: usize, detailed: Detailed) {
        update(index, detailed);
    }
}

/// Counts one more or one less of those that are in the way of the fast paths.
fn count_unrecorded(detailed: Detailed, count: fn(u32, u32) -> u32) {
    if detailed.is_in_their_way() {
        set(|cells| &cells.unrecorded, count(get_cell(|cells| &cells.unrecorded), 1));
    }
}

/// Gives the details of a span back that is no more in the chain.
fn forget(index: usize, detailed: Detailed) {
    in_this_order();
    count_unrecorded(detailed, u32::saturating_sub);
    update(index, Detailed::NONE);
    forget_last_details();
}

fn detailed(index: usize) -> Option<Detailed> {
    let here = CELLS.with(|cells| cells.details.get(index).map(Cell::get));
    here.or_else(|| {
        with_thread_state(|thread_state| thread_state.details.get(index - DETAILS).copied())
            .ok()
            .flatten()
    })
}

/// Says whether there is such an index in the thread's cells.
fn set_detailed(index: usize, detailed: Detailed) -> bool {
    CELLS.with(|cells| cells.details.get(index).map(|cell| cell.set(detailed)).is_some())
}

fn update(index: usize, detailed: Detailed) {
    if !set_detailed(index, detailed) {
        // Else the thread is ending, and with it all that it is in.
        _ = with_thread_state(|thread_state| {
            thread_state.details.get_mut(index - DETAILS).map(|it| *it = detailed)
        });
    }
}

/// Shortens the details by those at the end that are not in use.
fn forget_last_details() {
    while let Some(last) = get_cell(|cells| &cells.details_len).checked_sub(1)
        && detailed(last).is_none_or(|detailed| detailed.depth == 0)
    {
        if last >= DETAILS {
            _ = with_thread_state(|thread_state| thread_state.details.truncate(last - DETAILS));
        }
        set(|cells| &cells.details_len, last);
    }
}
