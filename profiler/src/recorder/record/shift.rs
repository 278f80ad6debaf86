//! Records of a recording that has given ids of its own, from 1 on, as a profile has them that other runs are in.

use std::ops::RangeInclusive;

use super::layout::{Header, Slot, id_of, with_id};
use crate::recorder::losses::Kind;

/// Ids of a ring from this one on, and what the first of them is in the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) from: u64,
    pub(crate) first: u64,
}

impl Piece {
    #[inline]
    fn of(self, id: u64) -> u64 {
        self.first.wrapping_add(2 * (id - self.from))
    }
}

/// How ids of a ring become ids of a profile: each second one is for what only the profile gives an id.
///
/// A run has one piece of the profile's ids, and further ones if it needs more than there are before those of another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    last: Piece,
    /// Those before it, in order.
    earlier: Vec<Piece>,
}

impl Ids {
    /// The first id of the ring, which is 1, is this one in the profile.
    pub(crate) fn beginning_at(first: u64) -> Self {
        Self { last: Piece { from: 1, first }, earlier: Vec::new() }
    }

    /// From here on they are others. Pieces come in the order of both ids.
    pub(crate) fn go_on_with(&mut self, piece: Piece) {
        self.earlier.push(std::mem::replace(&mut self.last, piece));
    }

    pub(crate) fn first(&self) -> u64 {
        self.earlier.first().unwrap_or(&self.last).first
    }

    pub(crate) fn last_piece(&self) -> Piece {
        self.last
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.earlier.iter().copied().chain([self.last])
    }

    /// The ids of the profile that are in each piece, in order; the last one has no end.
    pub(crate) fn in_profile(&self) -> Vec<RangeInclusive<u64>> {
        let next = self.pieces().skip(1).map(|piece| piece.from).chain([u64::MAX]);
        let range = |(piece, next): (Piece, u64)| {
            // Behind the last one may be one that only the profile has given.
            let ids = next.saturating_sub(piece.from).saturating_mul(2).checked_sub(1)?;
            Some(piece.first..=piece.first.saturating_add(ids))
        };
        self.pieces().zip(next).filter_map(range).collect()
    }

    /// How many pieces there are behind the first.
    pub(crate) fn further_pieces(&self) -> usize {
        self.earlier.len()
    }

    /// What is 0 refers to nothing, and stays so.
    #[inline]
    pub(crate) fn of(&self, id: u64) -> u64 {
        match id {
            0 => 0,
            id if id >= self.last.from => self.last.of(id),
            id => self.of_earlier(id),
        }
    }

    #[cold]
    fn of_earlier(&self, id: u64) -> u64 {
        let at = self.earlier.partition_point(|piece| piece.from <= id);
        self.earlier.get(at.saturating_sub(1)).map_or(0, |piece| piece.of(id))
    }

    /// Changes all ids in a record. Their sums are within their bits if the ring's are below its room.
    pub(crate) fn shift(&self, words: &mut [u64]) {
        for word in words.get_mut(ids_in(words)).into_iter().flatten() {
            *word = self.shifted(*word);
        }
    }

    /// The same for the first slot of a span.
    #[inline(always)]
    pub(crate) fn shift_span(&self, slot: &mut Slot) {
        let [_, id, origin, root, ..] = slot;
        for word in [id, origin, root] {
            *word = self.shifted(*word);
        }
    }

    #[inline(always)]
    fn shifted(&self, word: u64) -> u64 {
        with_id(word, self.of(id_of(word)))
    }
}

/// The largest id in a record.
#[cfg(feature = "collected")]
pub(crate) fn largest_id(words: &[u64]) -> u64 {
    let ids = words.get(ids_in(words)).unwrap_or_default();
    ids.iter().map(|word| id_of(*word)).max().unwrap_or(0)
}

/// Which words have ids: of a span its id, parent and root; of an event its id and span; of an entry the span and the one
/// around it. A sample of a gauge has none.
fn ids_in(words: &[u64]) -> std::ops::Range<usize> {
    match Header::of(words).and_then(Header::kind) {
        Some(Kind::Span) => 1..4,
        Some(Kind::Event | Kind::Link | Kind::Entry) => 1..3,
        Some(Kind::Gauge) | None => 0..0,
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
        assert_eq!(ids.of(0), 0);
    }

    #[test]
    fn behind_a_piece_ids_are_those_of_the_next_one() {
        let mut ids = Ids::beginning_at(1_001);
        ids.go_on_with(Piece { from: 5, first: 5_001 });
        // Of this one nothing was used.
        ids.go_on_with(Piece { from: 7, first: 6_001 });
        ids.go_on_with(Piece { from: 7, first: 9_001 });
        let found: Vec<_> = (0..9).map(|id| ids.of(id)).collect();
        assert_eq!(found, [0, 1_001, 1_003, 1_005, 1_007, 5_001, 5_003, 9_001, 9_003]);
        assert_eq!((ids.first(), ids.further_pieces()), (1_001, 3));
        assert_eq!(ids.in_profile(), [1_001..=1_008, 5_001..=5_004, 9_001..=u64::MAX]);
        let mut words = Link { span: 8, follows: 2 }.words().to_vec();
        ids.shift(&mut words);
        let expected = Link { span: 9_003, follows: 1_003 };
        assert_eq!(read(&words), Some(Record::Link(expected)));
    }
}
