//! Where further pieces of a collected run's ids begin, as the profile says it among the rows that tell how far the ring
//! is stored: with those they are written, and deleted.

use spandrel_storage::DrainedRow;

use crate::recorder::record::Piece;

/// Partitions have smaller numbers. Two rows for each piece: the first id of the ring that it has, and what that is in the
/// profile.
const FIRST_NUMBER: u32 = 1 << 16;

/// The pieces behind the first, in order.
pub(in crate::writer) fn further_pieces(
    drained: &[DrainedRow],
) -> impl Iterator<Item = Piece> + '_ {
    let said = |number: u32| {
        let row = drained.iter().find(|row| row.partition == Some(number));
        row.map(|row| row.position)
    };
    let numbers = (FIRST_NUMBER..u32::MAX).step_by(2);
    numbers.map_while(move |at| Some(Piece { from: said(at)?, first: said(at + 1)? }))
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
