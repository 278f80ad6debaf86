//! The atomics of the open-span table and of the tables of callsites are imported from here, so that
//! loom can replace them.

#[cfg(not(spandrel_loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(spandrel_loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

#[cfg(spandrel_loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

#[cfg(spandrel_loom)]
pub(crate) use once_lock::OnceLock;

/// Replacements for what loom does not have.
#[cfg(spandrel_loom)]
mod once_lock {
    use super::{AtomicBool, Ordering};

    /// Guarantees what the standard library's does, and no more: a thread that finds the value, or comes
    /// too late to set it, sees what was done before it was set.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        /// Holds the value. Loom does not know it, so no thread is switched inside it.
        value: std::sync::OnceLock<T>,
        is_set: AtomicBool,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Acquire: pairs with the Release in `set`.
            if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let result = self.value.set(value);
            if result.is_ok() {
                // Release: pairs with the Acquire in `get`, and below.
                self.is_set.store(true, Ordering::Release);
            }
            // Another thread is between the two steps. The standard library waits in this case, too.
            while !self.is_set.load(Ordering::Acquire) {
                loom::thread::yield_now();
            }
            result
        }
    }
}
