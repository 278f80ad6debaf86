//! Which partition it is.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over
// Not that of `sync`: a number, which hands nothing over; loom's cannot be static.
use std::sync::atomic::{AtomicU64, Ordering};

/// A number for each thread, one after the other, so that neighbours have partitions of their own.
static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static NUMBER: Cell<Option<u64>> = const { Cell::new(None) };
}

pub(crate) enum Route<T> {
    /// By the thread that pushes.
    Thread,
    /// By a number, of which each has the same share.
    Hash(Arc<dyn Fn(&T) -> u64 + Send + Sync>),
    /// By a number, modulo the partitions.
    Function(Arc<dyn Fn(&T) -> usize + Send + Sync>),
}

impl<T> Route<T> {
    #[inline]
    pub(crate) fn of(&self, item: &T, partitions: usize) -> u32 {
        match self {
            Self::Thread => (thread() % partitions as u64) as u32,
            Self::Hash(hash) => of_hash(hash(item), partitions),
            Self::Function(function) => (function(item) % partitions) as u32,
        }
    }
}

/// By the upper half of a hash; tables use the lower one.
#[inline]
pub(crate) fn of_hash(hash: u64, partitions: usize) -> u32 {
    (((hash >> 32) * partitions as u64) >> 32) as u32
}

#[inline]
fn thread() -> u64 {
    // A thread that is about to end may have none any more.
    NUMBER.try_with(|number| number.get().unwrap_or_else(|| first(number))).unwrap_or(0)
}

#[cold]
fn first(number: &Cell<Option<u64>>) -> u64 {
    // Relaxed: a number.
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    number.set(Some(own));
    own
}

impl<T> fmt::Debug for Route<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "by thread",
            Self::Hash(_) => "by key",
            Self::Function(_) => "by function",
        })
    }
}
