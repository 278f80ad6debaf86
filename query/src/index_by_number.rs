//! An index from the numbers of callsites or threads to positions in a list. Nearly all numbers are small and stand
//! in a table, which takes a tenth of a look into a hash table.

use spandrel_storage::internals::FastHashMap;

/// Numbers in the table, 16 bytes each.
const SMALL_MAX: usize = 4_096;

/// An index by a number and a second key below 4, such as what a call is.
#[derive(Debug, Default)]
pub(crate) struct IndexByNumber {
    /// One more than the index; 0: there is none.
    small: Vec<u32>,
    others: FastHashMap<(i64, u8), usize>,
}

impl IndexByNumber {
    fn position((id, counted): (i64, u8)) -> Option<usize> {
        let id = usize::try_from(id).ok().filter(|id| *id < SMALL_MAX)?;
        (counted < 4).then_some(id * 4 + usize::from(counted))
    }

    #[inline]
    pub(crate) fn get(&self, number: (i64, u8)) -> Option<usize> {
        match Self::position(number) {
            Some(at) => self.small.get(at)?.checked_sub(1).map(|at| at as usize),
            None => self.others.get(&number).copied(),
        }
    }

    pub(crate) fn insert(&mut self, number: (i64, u8), index: usize) {
        let Some(at) = Self::position(number) else {
            self.others.insert(number, index);
            return;
        };
        if at >= self.small.len() {
            self.small.resize(at + 1, 0);
        }
        if let Some(place) = self.small.get_mut(at) {
            *place = u32::try_from(index + 1).unwrap_or(0);
        }
    }
}
