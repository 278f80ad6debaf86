//! The present value of a gauge, and how often it was set: two words, which any thread changes without waiting.

use crate::sync::{AtomicU64, Ordering};

/// In the second word: somebody is to sample it.
const WAITING: u64 = 1;
/// In the second word, above that: how often it was set.
const ONCE: u64 = 2;

/// A value that threads set and that is sampled now and then. The last one wins.
#[derive(Debug)]
pub(super) struct Cell {
    /// The bits of a floating-point number.
    value: AtomicU64,
    state: AtomicU64,
}

impl Cell {
    pub(super) fn new() -> Self {
        Self { value: AtomicU64::new(0.0_f64.to_bits()), state: AtomicU64::new(0) }
    }

    /// Sets it. Returns whether the caller has to see to it that it is sampled: nobody else does.
    #[inline]
    pub(super) fn set(&self, value: f64) -> bool {
        // Relaxed: what counts it hands it over.
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.was_set()
    }

    /// Adds to it, and counts as one change. The same answer.
    #[inline]
    pub(super) fn add(&self, more: f64) -> bool {
        let added = |bits| Some((f64::from_bits(bits) + more).to_bits());
        // Relaxed: as in `set`. It always adds.
        _ = self.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        self.was_set()
    }

    #[inline]
    fn was_set(&self) -> bool {
        // Release: pairs with the Acquire in `take`, which then sees this value, or a later one.
        let before = self.state.fetch_add(ONCE, Ordering::Release);
        // Release: as above, for a `take` between the two.
        before & WAITING == 0 && self.state.fetch_or(WAITING, Ordering::Release) & WAITING == 0
    }

    /// Sets it, by somebody who samples it next.
    pub(super) fn set_now(&self, value: f64) {
        // Relaxed and Release: as in `set`.
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.state.fetch_add(ONCE, Ordering::Release);
    }

    /// The value, and how often it was set, for a sample. Whoever sets it later sees to another one.
    ///
    /// A value that is just being set may be here already, and counted the next time only.
    pub(super) fn take(&self) -> (f64, u64) {
        // Acquire: pairs with the Release in `was_set`. A change that is not seen here finds that nobody waits, as all
        // changes of this word are in one order.
        let state = self.state.fetch_and(!WAITING, Ordering::Acquire);
        (f64::from_bits(self.value.load(Ordering::Relaxed)), state / ONCE)
    }

    /// The value; `None` if it was never set.
    pub(super) fn get(&self) -> Option<f64> {
        // Acquire: pairs with the Release in `was_set`.
        let count = self.state.load(Ordering::Acquire) / ONCE;
        (count > 0).then(|| f64::from_bits(self.value.load(Ordering::Relaxed)))
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_of_those_who_set_it_sees_to_a_sample() {
        let cell = Cell::new();
        assert_eq!(cell.get(), None);
        assert_eq!([cell.set(1.0), cell.set(2.0), cell.add(0.5)], [true, false, false]);
        assert_eq!((cell.get(), cell.take()), (Some(2.5), (2.5, 3)));
        assert_eq!([cell.add(-1.0), cell.set(f64::NAN)], [true, false]);
        cell.set_now(7.0);
        assert_eq!(cell.take(), (7.0, 6));
        assert_eq!(cell.take(), (7.0, 6), "nothing has changed");
    }
}

#[cfg(all(test, spandrel_loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two threads set it while it is sampled: if a sample does not have both, one of them sees to another one, which has.
    #[test]
    fn no_change_is_left_without_a_sample() {
        loom::model(|| {
            let cell = Arc::new(Cell::new());
            let setters: Vec<_> = [1.0, 2.0]
                .map(|value| {
                    let cell = Arc::clone(&cell);
                    thread::spawn(move || cell.set(value))
                })
                .into();
            let (value, count) = cell.take();
            assert!(count < 1 || value > 0.0, "it is counted, and not there");
            let is_seen_to: Vec<bool> = setters.into_iter().map(|it| it.join().unwrap()).collect();
            assert!(count == 2 || is_seen_to.contains(&true), "nobody samples it");
            let (last, all) = cell.take();
            assert!(all == 2 && last == cell.get().unwrap());
        });
    }
}
