//! How often a span was entered, and when.

/// How often a span was entered, and when; in ticks, which mean nothing if it was never entered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) count: u64,
    /// Ticks inside, over all entries and threads.
    pub(crate) busy: u64,
    /// When it was entered first.
    pub(crate) first: u64,
    /// When it was left last; or the moment of the look, if a thread is inside.
    pub(crate) last: u64,
    /// The longest entry.
    pub(crate) longest: u64,
    /// The thread of that entry.
    pub(crate) longest_thread: u32,
}

impl Entries {
    /// One entry.
    pub(crate) fn once(first: u64, last: u64, longest_thread: u32) -> Self {
        // Not before it was entered: the counters of two processors may differ by some ticks.
        let last = last.max(first);
        let busy = last - first;
        Self { count: 1, busy, first, last, longest: busy, longest_thread }
    }
}
