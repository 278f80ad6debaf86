//! When the spans of two classes began, and the window in which one of them is most dense.

use super::significance;

/// Equal slices of the run.
const SLICES: usize = 512;

#[derive(Debug)]
pub(super) struct Starts {
    pieces: Vec<[u64; 2]>,
    length_ns: i64,
}

/// A window, and how many spans of each class began in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WindowCounts {
    pub(super) from_ns: i64,
    pub(super) until_ns: i64,
    pub(super) counts: [u64; 2],
    pub(super) p_value: f64,
}

impl Starts {
    /// For a run of this length.
    pub(super) fn new(length_ns: i64) -> Self {
        Self { pieces: vec![[0; 2]; SLICES], length_ns: length_ns.max(1) }
    }

    pub(super) fn add(&mut self, start_ns: i64, class: usize) {
        let share = start_ns.max(0) as f64 / self.length_ns as f64;
        let at = ((share * SLICES as f64) as usize).min(SLICES - 1);
        if let Some(count) = self.pieces.get_mut(at).and_then(|piece| piece.get_mut(class)) {
            *count += 1;
        }
    }

    /// The window with the most more of the first class than of the second: the best sum of
    /// neighbours (Kadane).
    pub(super) fn densest_window(&self, all: [u64; 2]) -> Option<WindowCounts> {
        let share = |counts: [u64; 2], class: usize| counts[class] as f64 / all[class] as f64;
        let (mut here, mut begun, mut best) = (0.0, 0, (0.0, 0, 0));
        for (at, piece) in self.pieces.iter().enumerate() {
            if here <= 0.0 {
                (here, begun) = (0.0, at);
            }
            here += share(*piece, 0) - share(*piece, 1);
            if here > best.0 {
                best = (here, begun, at + 1);
            }
        }
        let (apart, from, until) = best;
        let inside = self.pieces.get(from..until).filter(|inside| !inside.is_empty())?;
        let counts = inside
            .iter()
            .fold([0; 2], |sum: [u64; 2], piece| [sum[0] + piece[0], sum[1] + piece[1]]);
        let moment = |at: usize| (self.length_ns as f64 * at as f64 / SLICES as f64) as i64;
        Some(WindowCounts {
            from_ns: moment(from),
            until_ns: moment(until),
            counts,
            p_value: significance::kuiper(apart, all),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_found_where_it_is() {
        let mut starts = Starts::new(512_000);
        for n in 0..512 {
            starts.add(n * 1_000, 1);
        }
        for n in 0..100 {
            starts.add(200_000 + n * 100, 0);
        }
        let densest_window = starts.densest_window([100, 512]).unwrap();
        assert_eq!(
            (densest_window.from_ns, densest_window.until_ns, densest_window.counts),
            (200_000, 210_000, [100, 10])
        );
        assert!(densest_window.p_value < 1e-9);
    }

    #[test]
    fn no_crowd_is_no_more_than_chance() {
        let mut starts = Starts::new(1_000);
        for n in 0..1_000 {
            starts.add(n, (n % 7 == 0).into());
        }
        let densest_window = starts.densest_window([857, 143]).unwrap();
        assert!(densest_window.p_value > 0.5, "{densest_window:?}");
        assert_eq!(Starts::new(0).densest_window([1, 1]), None);
    }
}
