//! A list that only grows, is read without a lock, and never moves what it holds.
//!
//! Chunks of doubling size, each made by whoever first needs it. Nothing is allocated or freed inside the
//! standard library's own lock of a `OnceLock`: only a finished chunk is put in.

use crate::sync::{AtomicUsize, OnceLock, Ordering};

/// Entries of the first chunk. A model has few, so that it reaches the next ones.
const FIRST: usize = if cfg!(spandrel_loom) { 1 } else { 256 };
const CHUNKS: usize = if cfg!(spandrel_loom) { 3 } else { 19 };
/// 134,217,472: what a record's 27 bits of a callsite can tell apart, about.
pub(crate) const ENTRIES_MAX: usize = FIRST * ((1 << CHUNKS) - 1);

type Chunk<T> = Box<[OnceLock<T>]>;

#[derive(Debug)]
pub(crate) struct Chunks<T> {
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    /// Places that were given out.
    len: AtomicUsize,
}

/// The chunk of an index, and where it is in it.
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

impl<T> Chunks<T> {
    /// Appends a value and says its index. `None` when the list is full.
    #[cold]
    pub(crate) fn push(&self, value: T) -> Option<usize> {
        // Relaxed: the value is published by its `OnceLock`; here indices only have to differ.
        let next = |len| (len < ENTRIES_MAX).then_some(len + 1);
        let index = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let (chunk, at) = place(index);
        let made = match self.chunks[chunk].get() {
            Some(made) => made,
            None => {
                let new = std::iter::repeat_with(OnceLock::new).take(FIRST << chunk).collect();
                // Another thread's may have come first; ours is dropped then, after the fact.
                let _late = self.chunks[chunk].set(new);
                self.chunks[chunk].get()?
            }
        };
        made.get(at)?.set(value).ok().map(|()| index)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (chunk, at) = place(index);
        self.chunks.get(chunk)?.get()?.get(at)?.get()
    }

    /// Bytes that its chunks take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().filter_map(OnceLock::get).map(|chunk| size_of_val(&**chunk)).sum()
    }

    /// How many places were given out; the last ones may still be empty.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: what is not there yet is asked for again.
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
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(FIRST - 1), (0, FIRST - 1));
        assert_eq!(place(FIRST), (1, 0));
        assert_eq!(place(3 * FIRST), (2, 0));
        assert_eq!(place(ENTRIES_MAX - 1), (CHUNKS - 1, (FIRST << (CHUNKS - 1)) - 1));
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
