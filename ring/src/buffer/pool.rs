//! What the bound leaves: items, and bytes in units of 16.
//!
//! Both are halves of one word, so that they are taken together by one instruction: a thread is only refused if
//! there was really no room, and never as another one was about to give back what it had taken too much.

use crate::sync::{AtomicU64, Ordering};

const UNIT: u64 = 16;
const ITEM: u64 = 1 << 32;

/// So many items, or bytes, can be bounds; so many bytes are the bound where none is given.
pub(crate) const ITEMS_MAX: usize = u32::MAX as usize;
pub(crate) const BYTES_MAX: u64 = u32::MAX as u64 * UNIT;

/// So many bytes as units.
pub(crate) const fn units(bytes: usize) -> u32 {
    let units = (bytes as u64).div_ceil(UNIT);
    if units > u32::MAX as u64 { u32::MAX } else { units as u32 }
}

#[derive(Debug)]
pub(crate) struct Pool {
    /// Items in the upper half, units in the lower one.
    held: AtomicU64,
    items_max: u64,
    units_max: u64,
}

impl Pool {
    pub(crate) fn new(items_max: usize, bytes_max: u64) -> Self {
        let units_max = (bytes_max / UNIT).min(u32::MAX.into());
        Self {
            held: AtomicU64::new(0),
            items_max: (items_max as u64).min(u32::MAX.into()),
            units_max,
        }
    }

    /// Whether something so large fits into an empty buffer.
    pub(crate) fn could_take(&self, units: u32) -> bool {
        u64::from(units) <= self.units_max
    }

    /// Takes room for an item.
    pub(crate) fn charge(&self, units: u32) -> bool {
        self.change(|items, held| (items + 1, held + u64::from(units)))
    }

    /// The same, where an item is replaced that had so many units.
    pub(crate) fn recharge(&self, before: u32, units: u32) -> bool {
        self.change(|items, held| {
            (items, held.saturating_sub(u64::from(before)) + u64::from(units))
        })
    }

    fn change(&self, by: impl Fn(u64, u64) -> (u64, u64)) -> bool {
        // Relaxed: it is a number, and hands nothing over; what lies in the room is handed over by locks.
        let mut now = self.held.load(Ordering::Relaxed);
        loop {
            let (items, units) = by(now / ITEM, now % ITEM);
            // What becomes smaller is not refused.
            if items > self.items_max || units > self.units_max && units > now % ITEM {
                return false;
            }
            let then = items * ITEM + units;
            match self.held.compare_exchange_weak(now, then, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => now = found,
            }
        }
    }

    /// Gives back what so many items had taken.
    pub(crate) fn release(&self, items: usize, units: u64) {
        // Relaxed: as above.
        self.held.fetch_sub(items as u64 * ITEM + units, Ordering::Relaxed);
    }

    /// Items and bytes that are taken.
    pub(crate) fn held(&self) -> (u64, u64) {
        // Relaxed: as above.
        let held = self.held.load(Ordering::Relaxed);
        (held / ITEM, held % ITEM * UNIT)
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn items_and_bytes_have_bounds_each() {
        let pool = Pool::new(2, 64);
        assert!(pool.charge(units(33)));
        assert_eq!(pool.held(), (1, 48));
        assert!(!pool.charge(2), "five units of four");
        assert!(pool.charge(1));
        assert!(!pool.charge(0), "three items of two");
        pool.release(1, 3);
        assert_eq!(pool.held(), (1, 16));
        assert!(pool.recharge(1, 4));
        assert!(!pool.recharge(4, 5));
        assert!(pool.recharge(4, 2));
        assert_eq!(pool.held(), (1, 32));
        assert!(pool.could_take(4) && !pool.could_take(5));
    }

    #[test]
    fn units_round_up_and_have_an_end() {
        assert_eq!([0, 1, 16, 17].map(units), [0, 1, 1, 2]);
        assert_eq!(units(usize::MAX), u32::MAX);
        assert!(!Pool::new(1, BYTES_MAX - 16).could_take(u32::MAX));
    }
}
