//! What stands in a record of the span around it.

use super::layout::{
    COUNTED, COUNTS, ENTERED, STRAY, THREAD_MAX, WIDE, id_of, is_untimed, thread, upper_of,
};
use super::read::kind;
use crate::recorder::losses::Kind;

/// What the writer looks at before it converts a record of a span, or of an entry.
#[derive(Debug)]
pub(crate) struct ParentLink<'a> {
    words: &'a mut [u64],
    /// The span, or that of an entry.
    pub(crate) id: u64,
    pub(crate) is_entry: bool,
    /// The parent, or the span around an entry. 0 for none, for one that knows of this one already, and where there is
    /// nothing to know, as of a span that was never entered.
    pub(crate) parent: u64,
    pub(crate) thread: u32,
    pub(crate) start: u64,
    /// When it closed.
    pub(crate) end: u64,
}

impl ParentLink<'_> {
    fn header(&self) -> u64 {
        self.words.first().copied().unwrap_or(0)
    }

    /// Whether all that it was inside is from `start` to the last exit, and inside the parent.
    pub(crate) fn is_one_piece(&self) -> bool {
        self.is_entry || self.header() & (WIDE | STRAY) == 0
    }

    /// Whether it is an entry that counts as a call.
    pub(crate) fn counts(&self) -> bool {
        self.header() & COUNTS != 0
    }

    /// When it was left last; its end where that was not measured.
    pub(crate) fn left(&self) -> u64 {
        match &*self.words {
            _ if self.is_entry || is_untimed(self.header()) => self.end,
            [header, _, _, _, _, _, last, ..] if *header & WIDE == 0 => *last,
            [_, _, _, _, _, _, _, _, _, last, ..] => *last,
            _ => self.end,
        }
    }

    /// Since when it was inside, and on which thread, if there was no pause up to the last exit.
    pub(crate) fn inside(&self) -> Option<(u64, u32)> {
        match &*self.words {
            _ if self.is_entry => Some((self.start, self.thread)),
            [header, ..] if is_untimed(*header) => None,
            [header, ..] if *header & WIDE == 0 => {
                Some((self.start.wrapping_add(u64::from(upper_of(*header))), self.thread))
            }
            [_, _, _, _, _, _, _, 1, first, _, _, by, ..] => {
                Some((*first, *by as u32 & THREAD_MAX))
            }
            _ => None,
        }
    }

    /// The parent knows of it: [`SpanHead::counted`](super::heads::SpanHead::counted).
    pub(crate) fn set_counted(self) {
        if let Some(header) = self.words.first_mut() {
            *header |= COUNTED;
        }
    }
}

/// What of that tells most records from those that are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kin {
    pub(crate) is_entry: bool,
    pub(crate) id: u64,
    /// The parent, or the span around an entry, or 0 for none.
    pub(crate) parent: u64,
}

/// The same of any record; `None` if it is neither of a span nor of an entry.
#[inline(always)]
pub(crate) fn kin(words: &[u64]) -> Option<Kin> {
    let &[header, id, second, _, _, _, ..] = words else { return None };
    let is_entry = match kind(header)? {
        Kind::Span => false,
        Kind::Entry => true,
        Kind::Event | Kind::Link => return None,
    };
    Some(Kin { is_entry, id, parent: id_of(second) })
}

/// The parent link of any record; `None` if it is of neither.
#[inline(always)]
pub(crate) fn parent_link(words: &mut [u64]) -> Option<ParentLink<'_>> {
    let &mut [header, id, second, third, fourth, fifth, ..] = words else { return None };
    let is_known = header & COUNTED != 0;
    let (is_entry, start, end) = match kind(header)? {
        Kind::Span => (false, fourth, fifth),
        Kind::Entry => (true, third, fourth),
        Kind::Event | Kind::Link => return None,
    };
    let was_inside = is_entry
        || header & (WIDE | u64::from(ENTERED)) != 0
        || is_untimed(header) && upper_of(header) > 0;
    let parent = if is_known || !was_inside { 0 } else { id_of(second) };
    Some(ParentLink { words, id, is_entry, parent, thread: thread(header), start, end })
}
