//! The timeline in a ring file: its newest pieces, one a cell.
//!
//! A cell has a number, which is 0 while it is written, and then counts pieces from 1 on; so a writer that is killed in
//! the middle leaves a cell that says nothing.

use spandrel_ring::Zeros;

use crate::sync::{AtomicU64, Ordering};

/// A cell.
pub(crate) type PieceCell = [AtomicU64; 8];

/// What is kept of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceSaid {
    /// Where it begins.
    pub(crate) ticks: u64,
    pub(crate) ns: i64,
    /// Nanoseconds a tick, in units of 2^-40.
    pub(crate) rate: u64,
    /// If the counter has gone back before it: the last ticks that may belong to what was before. Otherwise 0.
    pub(crate) era_ended: u64,
}

/// Where a process keeps them.
#[derive(Debug)]
pub(crate) struct Pieces {
    cells: Zeros<PieceCell>,
    written: u64,
}

impl Pieces {
    pub(crate) fn new(cells: Zeros<PieceCell>) -> Self {
        Self { cells, written: 0 }
    }

    /// Keeps one more, in the place of the oldest.
    pub(crate) fn keep(&mut self, piece: PieceSaid) {
        let len = self.cells.len() as u64;
        let Some(cell) = self.cells.get((self.written % len.max(1)) as usize) else { return };
        self.written += 1;
        let PieceSaid { ticks, ns, rate, era_ended } = piece;
        // Release, all of them: whoever reads the file when this process is gone sees them in this order, as the kernel
        // has what was stored; a living one's cell is compared with itself a moment later.
        cell[0].store(0, Ordering::Release);
        let words = [ticks, ns.cast_unsigned(), rate, era_ended];
        for (to, word) in cell[1..].iter().zip(words) {
            to.store(word, Ordering::Release);
        }
        cell[0].store(self.written, Ordering::Release);
    }
}

/// The pieces in these cells, from the oldest to the newest, without gaps.
pub(crate) fn read<'a>(cells: impl Iterator<Item = &'a [u64]>) -> Vec<PieceSaid> {
    let mut found: Vec<(u64, PieceSaid)> = cells
        .filter_map(|cell| match *cell {
            [number, ticks, ns, rate, era_ended, ..] if number > 0 => {
                Some((number, PieceSaid { ticks, ns: ns.cast_signed(), rate, era_ended }))
            }
            _ => None,
        })
        .collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    // What comes before a cell that was being written is of another lap.
    let gap = found.windows(2).rposition(|pair| pair[0].0 + 1 != pair[1].0);
    found.drain(..gap.map_or(0, |before| before + 1));
    found.into_iter().map(|(_, piece)| piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(pieces: &Pieces) -> Vec<Vec<u64>> {
        let words = |cell: &PieceCell| cell.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        pieces.cells.iter().map(words).collect()
    }

    #[test]
    fn the_newest_pieces_are_found_in_their_order_and_none_that_was_half_written() {
        let piece = |n: u64| PieceSaid { ticks: n, ns: -(n as i64), rate: n * 3, era_ended: n % 2 };
        let mut pieces = Pieces::new(Zeros::new(4));
        assert_eq!(read(cells(&pieces).iter().map(Vec::as_slice)), []);
        for n in 1..=10 {
            pieces.keep(piece(n));
            let first = n.saturating_sub(3).max(1);
            let expected: Vec<_> = (first..=n).map(piece).collect();
            let mut cells = cells(&pieces);
            assert_eq!(read(cells.iter().map(Vec::as_slice)), expected);
            // Killed over the next one.
            cells[(n % 4) as usize][0] = 0;
            let whole = n.saturating_sub(2).max(1);
            let expected: Vec<_> = (whole..=n).map(piece).collect();
            assert_eq!(read(cells.iter().map(Vec::as_slice)), expected);
        }
    }
}
