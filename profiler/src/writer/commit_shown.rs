//! A commit in a slot of a ring.

use spandrel_ring::plain;

plain! {
    /// A commit, as followers are told of it.
    #[derive(Debug, Default)]
    pub(crate) struct CommitShown {
        pub(crate) batch_id: i64,
        pub(crate) spans: u64,
        pub(crate) events: u64,
        pub(crate) entries: u64,
        pub(crate) links: u64,
        pub(crate) marks: u64,
    }
}
