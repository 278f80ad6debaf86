//! Sorting of lists that are not long: rows of a table, names, findings. The order is that of the standard library's
//! `sort_by` and `sort_by_key`, whose code is many kilobytes for each type that is sorted; here, positions are sorted,
//! by one function for all types.

use std::cmp::Ordering;

/// Sorts in a stable way, at the price of a list of positions and an indirect call for each comparison.
#[doc(hidden)]
pub trait OrderRows<T> {
    /// As `sort_by`.
    fn order_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);

    /// As `sort_by_key`.
    fn order_by_key<K: Ord>(&mut self, key: impl FnMut(&T) -> K);
}

impl<T> OrderRows<T> for [T] {
    fn order_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let order = order(self.len(), &mut |one, other| compare(&self[one], &self[other]));
        put_in(order, &mut |one, other| self.swap(one, other));
    }

    fn order_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        let order = order(self.len(), &mut |one, other| key(&self[one]).cmp(&key(&self[other])));
        put_in(order, &mut |one, other| self.swap(one, other));
    }
}

/// Which item comes at each position.
fn order(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

/// Swaps each item to its position.
fn put_in(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for at in 0..order.len() {
        // A circle of items, each of which goes where the one before is.
        let mut here = at;
        loop {
            let from = std::mem::replace(&mut order[here], here);
            if from == at {
                break;
            }
            swap(here, from);
            here = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_standard_library(keys in proptest::collection::vec(0_u8..20, 0..200)) {
            let items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let (mut sorted, mut by_key, mut by) = (items.clone(), items.clone(), items);
            sorted.sort_by_key(|(key, _)| *key);
            by_key.order_by_key(|(key, _)| *key);
            by.order_by(|(one, _), (other, _)| one.cmp(other));
            prop_assert_eq!(&by_key, &sorted);
            prop_assert_eq!(&by, &sorted);
        }
    }
}
