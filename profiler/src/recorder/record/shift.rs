//! Records of a recording that has given ids of its own, from 1 on, as a profile has them that other runs are in.

use super::layout::{Header, Slot, id_of, with_id};
use crate::recorder::losses::Kind;

/// How ids of a ring become ids of a profile: each second one is for what only the profile gives an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The id that the first one of the ring, which is 1, has in the profile.
    first: u64,
}

impl Ids {
    pub(crate) fn beginning_at(first: u64) -> Self {
        Self { first }
    }

    pub(crate) fn first(self) -> u64 {
        self.first
    }

    /// What is 0 refers to nothing, and stays so.
    #[inline]
    pub(crate) fn of(self, id: u64) -> u64 {
        match id {
            0 => 0,
            id => self.first.wrapping_add(2 * (id - 1)),
        }
    }

    /// The first id behind these of a ring, up to this one, that no other of its ids will ever have.
    pub(crate) fn free_above(self, id: u64) -> u64 {
        self.of(id.max(1)) + 1
    }

    /// How many ids a ring may give, if those of the profile from this one on are another run's.
    pub(crate) fn room_below(self, end: u64) -> u64 {
        end.saturating_sub(self.first) / 2
    }

    /// Changes all ids in a record. Their sums are within their bits if the ring's are below its room.
    pub(crate) fn shift(self, words: &mut [u64]) {
        let Some(kind) = Header::of(words).and_then(Header::kind) else { return };
        // Of a span its id, parent and root; of an event its id and span; of an entry the span and the one around it.
        let ids = match kind {
            Kind::Span => 1..4,
            Kind::Event | Kind::Link | Kind::Entry => 1..3,
        };
        for word in words.get_mut(ids).into_iter().flatten() {
            *word = self.shifted(*word);
        }
    }

    /// The same for the first slot of a span.
    #[inline(always)]
    pub(crate) fn shift_span(self, slot: &mut Slot) {
        let [_, id, origin, root, ..] = slot;
        for word in [id, origin, root] {
            *word = self.shifted(*word);
        }
    }

    #[inline(always)]
    fn shifted(self, word: u64) -> u64 {
        with_id(word, self.of(id_of(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::heads::{Earlier, Entry, EventHead, Link, Record};
    use super::super::layout::id_and;
    use super::super::read::read;
    use super::*;

    #[test]
    fn all_ids_of_a_record_and_nothing_else_are_others() {
        let ids = Ids::beginning_at(1_001);
        let event =
            EventHead { callsite: 0x12_3456, thread: 7, left_out: true, id: 5, span: 3, at: 99 };
        let mut words = event.words(0).to_vec();
        ids.shift(&mut words);
        let expected = EventHead { id: 1_009, span: 1_005, ..event };
        assert_eq!(read(&words), Some(Record::Event(expected, &[])));
        let mut words = Link { span: 2, follows: 1 }.words().to_vec();
        ids.shift(&mut words);
        let expected = Link { span: 1_003, follows: 1_001 };
        assert_eq!(read(&words), Some(Record::Link(expected)));
        let entry = Entry {
            callsite: 70_000,
            thread: 9,
            span: 4,
            around: 0,
            entered: 10,
            left: 20,
            counts: true,
            earlier: Earlier { count: 3, busy: 2 },
            is_apart: false,
            counted: false,
        };
        let mut words = entry.words().to_vec();
        ids.shift(&mut words);
        let expected = Entry { span: 1_007, ..entry };
        assert_eq!(read(&words), Some(Record::Entry(expected)));
        let slot = [99, 4, id_and(0, 7), id_and(3, 1), 5, 6, 7];
        let mut by_kind = slot;
        ids.shift(&mut by_kind);
        let mut of_span = slot;
        ids.shift_span(&mut of_span);
        assert_eq!((of_span, of_span[1]), (by_kind, 1_007));
        assert_eq!((ids.of(0), ids.free_above(4)), (0, 1_008));
        assert_eq!((ids.room_below(1_003), ids.room_below(0)), (1, 0));
    }
}
