//! Gauges by name: found without a lock, and added under one.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use super::cell::Cell;
use crate::recorder::gauges::GAUGES_MAX;

/// Places of the table: twice as many as gauges, so that a name is found after a few.
const PLACES: usize = 2 * GAUGES_MAX;

/// A gauge of a recording, and whoever samples it.
#[derive(Debug)]
pub(super) struct Known<S> {
    pub(super) number: u32,
    pub(super) name: Arc<str>,
    pub(super) cell: Cell,
    /// How often it was set when it was recorded last.
    pub(super) recorded: AtomicU64,
    pub(super) sampling: Weak<S>,
}

impl<S> Known<S> {
    pub(super) fn new(number: u32, name: Arc<str>, sampling: Weak<S>) -> Self {
        Self { number, name, cell: Cell::new(), recorded: AtomicU64::new(0), sampling }
    }
}

/// All of them. None is ever removed.
#[derive(Debug)]
pub(super) struct Table<S> {
    /// By hash, and from there on to the next free place.
    places: Box<[OnceLock<Arc<Known<S>>>]>,
    /// By number.
    numbers: Box<[OnceLock<Arc<Known<S>>>]>,
}

impl<S> Table<S> {
    pub(super) fn new() -> Self {
        let free = |places| (0..places).map(|_| OnceLock::new()).collect();
        Self { places: free(PLACES), numbers: free(GAUGES_MAX) }
    }

    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<&Arc<Known<S>>> {
        let found = self.way(name).map_while(OnceLock::get);
        found.into_iter().find(|known| *known.name == *name)
    }

    /// Adds one, which is not there, and of which there are no more than [`GAUGES_MAX`]. One thread at a time.
    pub(super) fn add(&self, known: &Arc<Known<S>>) {
        let free = self.way(&known.name).find(|place| place.get().is_none());
        if let (Some(place), Some(number)) = (free, self.numbers.get(known.number as usize)) {
            // Both are free: nobody else adds.
            _ = place.set(Arc::clone(known));
            _ = number.set(Arc::clone(known));
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Arc<Known<S>>> {
        self.numbers.get(number as usize)?.get()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Known<S>>> {
        self.numbers.iter().map_while(OnceLock::get)
    }

    /// The places where a name may be.
    #[inline]
    fn way(&self, name: &str) -> impl Iterator<Item = &OnceLock<Arc<Known<S>>>> {
        // FNV-1a: names are short, and the program's own.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
        let first = (hash ^ hash >> 32) as usize % PLACES;
        self.places[first..].iter().chain(&self.places[..first])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_may_be_are_found_by_name_and_number() {
        let table = Table::<()>::new();
        let name = |number: u32| format!("gauge {number}");
        for number in 0..GAUGES_MAX as u32 {
            assert!(table.find(&name(number)).is_none());
            table.add(&Arc::new(Known::new(number, name(number).into(), Weak::new())));
        }
        for number in 0..GAUGES_MAX as u32 {
            assert_eq!(table.find(&name(number)).unwrap().number, number);
            assert_eq!(*table.get(number).unwrap().name, *name(number));
        }
        assert_eq!(table.all().count(), GAUGES_MAX);
        assert!(table.find("gauge").is_none() && table.get(GAUGES_MAX as u32).is_none());
    }
}
