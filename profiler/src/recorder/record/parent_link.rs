//! What a record tells about the span around it.

use super::layout::{
    AGAIN, APART, COUNT_BIAS, COUNTED, COUNTS, ENTERED, EntriesWords, EntryWords, Header, STRAY,
    SpanWords, THREAD_MAX, WIDE, callsite, id_of,
};
use super::read::{inside, kind};
use crate::recorder::losses::Kind;

/// What the writer reads before it converts the record of a span or of an entry.
#[derive(Debug)]
pub(crate) struct ParentLink<'a> {
    words: &'a mut [u64],
    /// The span; or, for an entry, its span.
    pub(crate) id: u64,
    pub(crate) is_entry: bool,
    /// The parent; for an entry, the span around it. 0 if there is none, if that span knows of this one
    /// already, or if there is nothing to know, as when it was never entered.
    pub(crate) parent: u64,
    pub(crate) thread: u32,
    pub(crate) start: u64,
    /// When it closed.
    pub(crate) end: u64,
}

impl ParentLink<'_> {
    fn header(&self) -> Header {
        Header::of(self.words).unwrap_or(Header(0))
    }

    /// Whether it was inside all the time from `start` to the last exit, and inside the parent.
    pub(crate) fn is_one_piece(&self) -> bool {
        let header = self.header();
        self.is_entry || !header.has(STRAY) && (!header.has(WIDE) || self.inside().is_some())
    }

    /// Whether it is an entry that is part of what its span says about the time inside the parent.
    pub(crate) fn is_inside_parent(&self) -> bool {
        entry_inside(self.words).is_some()
    }

    /// Whether it is an entry that counts as a call.
    pub(crate) fn counts(&self) -> bool {
        self.header().has(COUNTS)
    }

    /// Its last exit; its end if that was not measured.
    pub(crate) fn left(&self) -> u64 {
        let left = match self.header() {
            header if self.is_entry || header.is_untimed() => None,
            header if header.has(WIDE) => EntriesWords::of_span(self.words).map(|it| it.last()),
            _ => SpanWords::read(self.words).map(|it| it.last_or_busy()),
        };
        left.unwrap_or(self.end)
    }

    /// Since when a thread was inside, and which one, if there was no pause up to the last exit.
    pub(crate) fn inside(&self) -> Option<(u64, u32)> {
        match self.header() {
            _ if self.is_entry => Some((self.start, self.thread)),
            header if header.is_untimed() => None,
            header if header.has(WIDE) => {
                // It waited for long, or another thread has entered it.
                let entries = EntriesWords::of_span(self.words)?;
                let bias = if header.has(u64::from(AGAIN)) { u64::from(COUNT_BIAS) } else { 0 };
                if entries.count().wrapping_sub(bias) != 1 {
                    return None;
                }
                Some((entries.first(), entries.thread() as u32 & THREAD_MAX))
            }
            header => Some((self.start.wrapping_add(u64::from(header.upper())), self.thread)),
        }
    }

    /// The ticks inside its parent that a span says: see
    /// [`SpanHead::inside`](super::heads::SpanHead::inside). 0 if they were not measured.
    pub(crate) fn busy_inside(&self) -> u64 {
        let header = self.header();
        let all = || match header.has(WIDE) {
            true => {
                let busy = SpanWords::read(self.words).map_or(0, |it| it.last_or_busy());
                busy.cast_signed().max(0).cast_unsigned()
            }
            false => self.inside().map_or(0, |(since, _)| self.left().saturating_sub(since)),
        };
        match header.is_untimed() {
            true => 0,
            false => inside(header, self.words).unwrap_or_else(all),
        }
    }

    /// The number of its callsite.
    pub(crate) fn callsite(&self) -> u32 {
        let origin = match self.is_entry {
            true => EntryWords::read(self.words).map(|it| it.around()),
            false => SpanWords::read(self.words).map(|it| it.origin()),
        };
        callsite(origin.unwrap_or(0), self.header().0)
    }

    /// Notes that the parent knows of it: [`SpanHead::counted`](super::heads::SpanHead::counted).
    pub(crate) fn set_counted(self) {
        if let Some(header) = self.words.first_mut() {
            *header |= COUNTED;
        }
    }
}

/// The part of it by which most records can be skipped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParentIds {
    pub(crate) is_entry: bool,
    pub(crate) id: u64,
    /// The parent; for an entry, the span around it; 0 if there is none.
    pub(crate) parent: u64,
}

/// The same of any record; `None` if it is neither of a span nor of an entry.
#[inline(always)]
pub(crate) fn parent_ids(words: &[u64]) -> Option<ParentIds> {
    match kind(words)? {
        Kind::Span => {
            let span = SpanWords::read(words)?;
            Some(ParentIds { is_entry: false, id: span.id(), parent: id_of(span.origin()) })
        }
        Kind::Entry => {
            let entry = EntryWords::read(words)?;
            Some(ParentIds { is_entry: true, id: entry.span(), parent: id_of(entry.around()) })
        }
        Kind::Event | Kind::Link | Kind::Gauge => None,
    }
}

/// The parent link of any record; `None` if it is neither of a span nor of an entry.
#[inline(always)]
pub(crate) fn parent_link(words: &mut [u64]) -> Option<ParentLink<'_>> {
    let header = Header::of(words)?;
    let ParentIds { is_entry, id, parent } = parent_ids(words)?;
    let (start, end) = if is_entry {
        let entry = EntryWords::read(words)?;
        (entry.entered(), entry.left())
    } else {
        let span = SpanWords::read(words)?;
        (span.start(), span.end())
    };
    let was_inside = is_entry
        || header.has(WIDE | u64::from(ENTERED))
        || header.is_untimed() && header.upper() > 0;
    let parent = if header.has(COUNTED) || !was_inside { 0 } else { parent };
    Some(ParentLink { words, id, is_entry, parent, thread: header.thread(), start, end })
}

/// For an entry that is part of what its span says about the time inside its parent: that span, and when
/// it was entered and left.
pub(crate) fn entry_inside(words: &[u64]) -> Option<(u64, u64, u64)> {
    let is_entry = kind(words)? == Kind::Entry;
    if !is_entry || Header::of(words)?.has(APART) {
        return None;
    }
    let entry = EntryWords::read(words)?;
    (id_of(entry.around()) != 0).then(|| (entry.span(), entry.entered(), entry.left()))
}
