//! What went in came out: whole, in each producer's order, all of it.

use crate::ends::Item;

/// An item that says whose it is and which one, in each of its words.
#[inline(always)]
pub fn item(producer: usize, number: u64) -> Item {
    [(producer as u64) << 56 | number; 8]
}

/// What one consumer has seen, of each producer.
#[derive(Debug)]
pub struct Seen {
    counts: Vec<u64>,
    fault: Option<String>,
}

impl Seen {
    pub fn new(producers: usize) -> Self {
        Self { counts: vec![0; producers], fault: None }
    }

    #[inline(always)]
    pub fn look(&mut self, item: &Item) {
        let (producer, number) = ((item[0] >> 56) as usize, item[0] & (u64::MAX >> 8));
        let is_whole = item.iter().all(|word| *word == item[0]);
        match self.counts.get_mut(producer) {
            Some(count) if is_whole && *count == number => *count += 1,
            _ => self.refuse(item),
        }
    }

    #[cold]
    fn refuse(&mut self, item: &Item) {
        let counts = &self.counts;
        self.fault.get_or_insert_with(|| {
            format!(
                "torn, out of order or of nobody: {item:x?}, behind {counts:?} of each producer"
            )
        });
    }

    /// Compares it with what each producer has published.
    pub fn compare(self, published: &[u64]) -> Result<(), String> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.counts != published => Err(format!(
                "of each producer {:?} were read, and {published:?} published",
                self.counts
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(items: impl IntoIterator<Item = Item>) -> Seen {
        let mut seen = Seen::new(2);
        items.into_iter().for_each(|item| seen.look(&item));
        seen
    }

    #[test]
    fn what_is_whole_in_order_and_complete_is_right() {
        let seen = of([item(1, 0), item(0, 0), item(1, 1)]);
        assert_eq!(seen.compare(&[1, 2]), Ok(()));
    }

    #[test]
    fn what_is_torn_swapped_doubled_left_out_or_of_nobody_is_refused() {
        let torn = [item(0, 0)[0], 7, 0, 0, 0, 0, 0, 0];
        for items in [
            vec![torn],
            vec![item(0, 1), item(0, 0)],
            vec![item(0, 0), item(0, 0)],
            vec![item(0, 0), item(0, 2)],
            vec![item(2, 0)],
        ] {
            let published = [items.len() as u64, 0];
            assert!(of(items.clone()).compare(&published).is_err(), "{items:?}");
        }
        assert!(of([item(0, 0)]).compare(&[2, 0]).is_err(), "the last one is missing");
    }
}
