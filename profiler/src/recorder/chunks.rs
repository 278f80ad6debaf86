//! A list that only grows, is read without a lock, and never moves its values.
//!
//! Chunks of doubling size; each is made by the thread that first needs it. Nothing is allocated or
//! freed inside the standard library's own lock of a `OnceLock`: only a finished chunk is put in.

use crate::sync::{AtomicUsize, OnceLock, Ordering};

/// Entries of the first chunk. In a loom model only one, so that it reaches the next chunks.
const FIRST: usize = if cfg!(spandrel_loom) { 1 } else { 256 };
const CHUNKS: usize = if cfg!(spandrel_loom) { 3 } else { 19 };
/// 134,217,472: about as many as a record's 27 bits of a callsite can tell apart.
pub(crate) const ENTRIES_MAX: usize = FIRST * ((1 << CHUNKS) - 1);

type Chunk<T> = Box<[OnceLock<T>]>;

#[derive(Debug)]
pub(crate) struct Chunks<T> {
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    /// Indexes that were given out.
    len: AtomicUsize,
}

/// The chunk of an index, and where it is in it.
fn locate(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

impl<T> Chunks<T> {
    /// Appends a value and returns its index. `None` if the list is full.
    #[cold]
    pub(crate) fn push(&self, value: T) -> Option<usize> {
        // Relaxed: the value is published by its `OnceLock`; here indices only have to differ.
        let next = |len| (len < ENTRIES_MAX).then_some(len + 1);
        let index = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let (chunk, at) = locate(index);
        let made = match self.chunks[chunk].get() {
            Some(made) => made,
            None => {
                let new = std::iter::repeat_with(OnceLock::new).take(FIRST << chunk).collect();
                // Another thread may have been first; ours is dropped then, outside of the lock.
                let _late = self.chunks[chunk].set(new);
                self.chunks[chunk].get()?
            }
        };
        made.get(at)?.set(value).ok().map(|()| index)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (chunk, at) = locate(index);
        self.chunks.get(chunk)?.get()?.get(at)?.get()
    }

    /// Bytes that its chunks take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().filter_map(OnceLock::get).map(|chunk| size_of_val(&**chunk)).sum()
    }

    /// How many indexes were given out; the last ones may still be empty.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: an entry that is not readable yet is asked for again.
        self.len.load(Ordering::Relaxed)
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: std::array::from_fn(|_| OnceLock::new()), len: AtomicUsize::new(0) }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn indices_lie_side_by_side() {
        assert_eq!(locate(0), (0, 0));
        assert_eq!(locate(FIRST - 1), (0, FIRST - 1));
        assert_eq!(locate(FIRST), (1, 0));
        assert_eq!(locate(3 * FIRST), (2, 0));
        assert_eq!(locate(ENTRIES_MAX - 1), (CHUNKS - 1, (FIRST << (CHUNKS - 1)) - 1));
    }

    #[test]
    fn what_many_threads_append_is_all_there() {
        let list = Chunks::default();
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let list = &list;
                scope.spawn(move || {
                    for n in 0..5_000 {
                        let index = list.push(thread * 5_000 + n).unwrap();
                        assert_eq!(list.get(index), Some(&(thread * 5_000 + n)));
                    }
                });
            }
        });
        let mut all: Vec<_> = (0..list.len()).map(|index| *list.get(index).unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..20_000));
        assert_eq!(list.get(20_000), None);
    }
}
