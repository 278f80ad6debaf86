//! Where further pieces of a collected run's ids begin, as the profile says it among the rows that tell how far the ring
//! is stored: with those they are written, and deleted.

use std::collections::HashMap;

use spandrel_storage::DrainedRow;

use crate::recorder::record::Piece;

/// Partitions have smaller numbers. Two rows for each piece: the first id of the ring that it has, and what that is in the
/// profile.
const FIRST_NUMBER: u32 = 1 << 16;

/// The pieces behind the first, in order.
pub(in crate::writer) fn further_pieces(
    drained: &[DrainedRow],
) -> impl Iterator<Item = Piece> + '_ {
    let of_pieces = |row: &DrainedRow| {
        Some((row.partition.filter(|number| *number >= FIRST_NUMBER)?, row.position))
    };
    let said: HashMap<u32, u64> = drained.iter().filter_map(of_pieces).collect();
    let numbers = (FIRST_NUMBER..u32::MAX).step_by(2);
    numbers.map_while(move |at| Some(Piece { from: *said.get(&at)?, first: *said.get(&(at + 1))? }))
}

/// The rows of one of them, by how many are before it.
#[cfg(feature = "collected")]
pub(in crate::writer) fn rows_of_piece(
    ring: spandrel_storage::RingId,
    before: usize,
    piece: Piece,
) -> [DrainedRow; 2] {
    let at = FIRST_NUMBER.saturating_add(2 * before as u32);
    [(at, piece.from), (at + 1, piece.first)].map(|(number, position)| DrainedRow {
        ring,
        partition: Some(number),
        position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::record::Ids;

    fn drained(numbers: impl IntoIterator<Item = (u32, u64)>) -> Vec<DrainedRow> {
        let row =
            |(number, position)| DrainedRow { ring: [7; 16], partition: Some(number), position };
        numbers.into_iter().map(row).collect()
    }

    #[test]
    fn pieces_end_where_one_is_not_whole() {
        let begun = [(0, 99), (FIRST_NUMBER + 3, 500), (FIRST_NUMBER, 10), (FIRST_NUMBER + 1, 300)];
        let whole = [(FIRST_NUMBER + 2, 20), (FIRST_NUMBER + 6, 30)];
        let found = |rows: &[(u32, u64)]| -> Vec<_> {
            let rows = drained(rows.iter().copied());
            further_pieces(&rows).map(|piece| (piece.from, piece.first)).collect()
        };
        assert_eq!(found(&begun), [(10, 300)]);
        assert_eq!(found(&[begun.as_slice(), &whole].concat()), [(10, 300), (20, 500)]);
    }

    #[test]
    fn whatever_the_profile_says_ids_are_numbers() {
        // A million of them, up and down, to the largest that a column has.
        let numbers = (0..1 << 20).map(|at: u32| {
            let word = u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
            (FIRST_NUMBER + at, if at.is_multiple_of(7) { i64::MAX as u64 } else { word })
        });
        let mut ids = Ids::beginning_at(1);
        further_pieces(&drained(numbers)).for_each(|piece| ids.go_on_with(piece));
        assert_eq!(ids.further_pieces(), 1 << 19);
        for id in (0..48).flat_map(|bit| [(1 << bit) - 1, 1 << bit]) {
            assert_eq!(ids.of(id) == 0, id == 0, "{id}");
        }
    }
}
