//! What the writer has done with the records that it took from the ring.
//!
//! The writer keeps its account in plain numbers, and publishes it whenever it is consistent: after a
//! drain, after a commit, after it has given something up. A reader sees all numbers of one such moment:
//! never a record that is in two columns, or in none.
//!
//! There are two copies. The writer changes the copy that is not to be read, and then makes it the one
//! to be read. So nobody waits, even if the writer is suspended in the middle; and a reader tries again
//! only if the writer has gone on meanwhile.

#[cfg(feature = "crash-proof")]
use std::sync::Arc;

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::RingFile;

use crate::recorder::losses::{DropReason, Drops, KINDS, Kind, PerKind, REASONS};
use crate::sync::{AtomicU64, Ordering};

/// The columns. Each is counted independently: `taken = stored + dropped + held + duplicates` has to
/// come out, and is not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Account {
    /// Drained from the ring.
    pub(crate) taken: PerKind,
    /// Drained, and neither committed nor given up: counted in the writer's buffers.
    pub(crate) held: PerKind,
    /// Drained and committed.
    pub(crate) stored: PerKind,
    /// Drained and given up.
    pub(crate) dropped: Drops,
    /// Drained, but counted already: the ends of spans that were stored as unfinished.
    pub(crate) duplicates: u64,
    /// Open at the close, and committed as unfinished.
    pub(crate) unfinished: u64,
    /// Open at the close, and given up.
    pub(crate) unfinished_dropped: [u64; REASONS],
    /// Committed spans and events of which something was cut or left out.
    pub(crate) cut: u64,
    /// Committed records of the `log` crate without a callsite of their own.
    pub(crate) unplaced: u64,
    /// Batches committed.
    pub(crate) batches: u64,
}

const WORDS: usize = 3 * KINDS + REASONS * KINDS + 1 + 1 + REASONS + 1 + 1 + 1;

impl Account {
    /// Counts records from the ring that will not be stored.
    pub(crate) fn drop_many(&mut self, counts: PerKind, reason: DropReason) {
        for (sum, n) in self.dropped[reason as usize].iter_mut().zip(counts) {
            *sum += n;
        }
    }

    /// Counts open spans that will not be stored.
    pub(crate) fn drop_unfinished(&mut self, n: u64, reason: DropReason) {
        self.unfinished_dropped[reason as usize] += n;
    }

    /// What was stored is lost with its file.
    pub(crate) fn forget_stored(&mut self, lost: PerKind, unfinished: u64, reason: DropReason) {
        for (sum, n) in self.stored.iter_mut().zip(lost) {
            *sum -= n;
        }
        self.unfinished -= unfinished;
        self.drop_many(lost, reason);
        self.drop_unfinished(unfinished, reason);
    }

    /// Everything that the writer has given up.
    pub(crate) fn drops(&self) -> Drops {
        let mut drops = self.dropped;
        for (sums, n) in drops.iter_mut().zip(self.unfinished_dropped) {
            // Saturating: of a ring file it may be any numbers.
            let sum = &mut sums[Kind::Span as usize];
            *sum = sum.saturating_add(n);
        }
        drops
    }

    /// All columns, always in the same order.
    fn columns(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { taken, held, stored, dropped, unfinished_dropped, .. } = self;
        let Self { duplicates, unfinished, cut, unplaced, batches, .. } = self;
        let singles = [duplicates, unfinished, cut, unplaced, batches];
        taken
            .iter_mut()
            .chain(held)
            .chain(stored)
            .chain(dropped.as_flattened_mut())
            .chain(unfinished_dropped)
            .chain(singles)
    }
}

/// The account as others see it; and where the ring lies in a file, as a reader of that finds it. Nobody here reads what
/// is in the file, which others may cut.
#[derive(Debug)]
pub(crate) struct Shown {
    here: Copies<WORDS>,
    #[cfg(feature = "crash-proof")]
    in_file: Option<Copies<WORDS>>,
}

/// How many counters a ring file has for it.
#[cfg(feature = "crash-proof")]
pub(crate) const SHOWN_WORDS: usize = Copies::<WORDS>::LEN;

impl Shown {
    pub(crate) fn new() -> Self {
        Self {
            here: Copies::new(),
            #[cfg(feature = "crash-proof")]
            in_file: None,
        }
    }

    /// Also in the counters of this file, which has [`SHOWN_WORDS`].
    #[cfg(feature = "crash-proof")]
    pub(crate) fn in_file(file: Arc<RingFile>) -> Self {
        Self { in_file: Some(Copies { words: CopyWords::File(file) }), ..Self::new() }
    }

    /// Publishes the account. Only the writer may call this.
    pub(crate) fn show(&self, account: &Account) {
        let mut words = [0; WORDS];
        for (word, column) in words.iter_mut().zip(account.clone().columns()) {
            *word = *column;
        }
        self.here.write(&words);
        #[cfg(feature = "crash-proof")]
        if let Some(in_file) = &self.in_file {
            in_file.write(&words);
        }
    }

    /// The account that was published last.
    pub(crate) fn look(&self) -> Account {
        let words = self.here.read();
        let mut account = Account::default();
        for (column, word) in account.columns().zip(words) {
            *column = word;
        }
        account
    }
}

#[cfg(feature = "crash-proof")]
impl Account {
    /// The account that was published last in the counters of a ring file, whose owner is dead; none if there are too
    /// few words.
    pub(crate) fn of_words(words: &[u64]) -> Option<Self> {
        let version = words.first()?;
        let copy = words.get(Copies::<WORDS>::copy_at(*version))?;
        let mut account = Self::default();
        for (column, word) in account.columns().zip(copy) {
            *column = *word;
        }
        Some(account)
    }
}

/// Words that one thread writes together and others read together.
#[derive(Debug)]
struct Copies<const N: usize> {
    /// The version, and two copies. Its last bit tells which copy is to be read. Grows by one with each writing.
    words: CopyWords,
}

/// Where they are.
#[derive(Debug)]
enum CopyWords {
    Heap(Box<[AtomicU64]>),
    #[cfg(feature = "crash-proof")]
    File(Arc<RingFile>),
}

impl<const N: usize> Copies<N> {
    const LEN: usize = 1 + 2 * N;

    fn new() -> Self {
        let words = (0..Self::LEN).map(|_| AtomicU64::new(0)).collect();
        Self { words: CopyWords::Heap(words) }
    }

    /// Where the copy is that is to be read in this version.
    fn copy_at(version: u64) -> std::ops::Range<usize> {
        let at = 1 + (version % 2) as usize * N;
        at..at + N
    }

    fn words(&self) -> &[AtomicU64] {
        match &self.words {
            CopyWords::Heap(words) => words,
            #[cfg(feature = "crash-proof")]
            CopyWords::File(file) => file.counters(),
        }
    }

    fn write(&self, words: &[u64; N]) {
        let all = self.words();
        let version = &all[0];
        // Relaxed: nobody else writes it. Wrapping: in a file it may be anything.
        let next = version.load(Ordering::Relaxed).wrapping_add(1);
        for (place, word) in all[Self::copy_at(next)].iter().zip(words) {
            // Release: pairs with the Acquire in `read`. A reader that sees a word of this writing in a
            // copy that it began to read before also sees that the version has changed since.
            place.store(*word, Ordering::Release);
        }
        // Release: pairs with the Acquire in `read`, which then sees all words of this writing, and all
        // records in it as published.
        version.store(next, Ordering::Release);
    }

    fn read(&self) -> [u64; N] {
        let all = self.words();
        loop {
            // Acquire: pairs with the Release of the version in `write`.
            let version = all[0].load(Ordering::Acquire);
            let copy = &all[Self::copy_at(version)];
            // Acquire: pairs with the Release of the words in `write`.
            let words = std::array::from_fn(|word| copy[word].load(Ordering::Acquire));
            // Relaxed: stays behind the loads above, which are Acquire.
            if all[0].load(Ordering::Relaxed) == version {
                return words;
            }
            #[cfg(spandrel_loom)]
            loom::thread::yield_now();
        }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_shown() {
        let mut account = Account::default();
        for (n, column) in account.columns().enumerate() {
            *column = n as u64 + 1;
        }
        assert_eq!(account.columns().count(), WORDS);
        assert_eq!(size_of::<Account>(), WORDS * size_of::<u64>(), "no column is left out");
        let shown = Shown::new();
        shown.show(&account);
        assert_eq!(shown.look(), account);
        #[cfg(feature = "crash-proof")]
        {
            let words: Vec<_> =
                shown.here.words().iter().map(|word| word.load(Ordering::Relaxed)).collect();
            assert_eq!(words.len(), SHOWN_WORDS);
            assert_eq!(Account::of_words(&words), Some(account));
            assert_eq!(Account::of_words(&words[..WORDS]), None);
        }
    }

    #[test]
    #[cfg(feature = "crash-proof")]
    fn an_account_of_any_words_can_be_added_up() {
        let account = Account::of_words(&[u64::MAX; SHOWN_WORDS]).unwrap();
        assert!(account.drops().as_flattened().iter().all(|n| *n == u64::MAX));
    }

    #[test]
    fn what_is_forgotten_is_never_in_two_columns_or_in_none() {
        let shown = Shown::new();
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                let mut looks = 0_u64;
                loop {
                    let account = shown.look();
                    let dropped: u64 = account.drops().iter().map(|kinds| kinds[0]).sum();
                    let all = account.stored[0] + account.unfinished + account.held[0] + dropped;
                    assert_eq!(account.taken[0] + account.cut, all, "{account:?}");
                    looks += 1;
                    if account.batches == u64::MAX {
                        return looks;
                    }
                }
            });
            let mut account = Account::default();
            for round in 0..200_000_u64 {
                match round % 4 {
                    0 => (account.taken[0], account.held[0]) = (account.taken[0] + 7, 7),
                    1 => {
                        account.stored[0] += std::mem::take(&mut account.held[0]);
                        // Spans that were open count as recorded when they are stored.
                        account.unfinished += 3;
                        account.cut += 3;
                    }
                    2 => account.forget_stored([7, 0, 0, 0, 0], 3, DropReason::FileRemoved),
                    _ => account.batches += 1,
                }
                shown.show(&account);
            }
            account.batches = u64::MAX;
            shown.show(&account);
            assert!(looks.join().unwrap() > 0);
        });
    }
}

#[cfg(all(test, spandrel_loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A reader during two writings sees the words of one moment.
    #[test]
    fn an_account_is_read_as_of_one_moment() {
        loom::model(|| {
            let copies = Arc::new(Copies::<2>::new());
            let writer = {
                let copies = Arc::clone(&copies);
                thread::spawn(move || (1..=3).for_each(|n| copies.write(&[n, n])))
            };
            let [first, second] = copies.read();
            assert_eq!(first, second, "words of two moments");
            writer.join().unwrap();
            assert_eq!(copies.read(), [3, 3]);
        });
    }

    /// A reader of the writer's account also sees as published what the writer has taken.
    #[test]
    fn nothing_is_taken_before_it_was_published() {
        loom::model(|| {
            let copies = Arc::new(Copies::<1>::new());
            let published = Arc::new(AtomicU64::new(0));
            let writer = {
                let (copies, published) = (Arc::clone(&copies), Arc::clone(&published));
                thread::spawn(move || {
                    // A producer counts, and its record is drained.
                    published.store(1, Ordering::Relaxed);
                    copies.write(&[1]);
                })
            };
            let [taken] = copies.read();
            assert!(published.load(Ordering::Relaxed) >= taken);
            writer.join().unwrap();
        });
    }
}
