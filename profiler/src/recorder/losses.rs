//! What is counted in the ledger, and why something is lost.

use std::fmt;

use spandrel_ring::CLASSES;

/// What the ledger counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Span,
    Event,
    Link,
    Entry,
    /// A sample of a gauge.
    Gauge,
}

pub(crate) const KINDS: usize = 5;
const _: () = assert!(KINDS == CLASSES, "each kind is a class of the ring's claims");

/// A count for each [`Kind`].
pub(crate) type PerKind = [u64; KINDS];

pub(crate) const REASONS: usize = DropReason::ALL.len();

/// Drops by reason and kind.
pub(crate) type Drops = [PerKind; REASONS];

/// Adds drops to sums. Those of a process that is gone may be any numbers.
pub(crate) fn add_drops(sums: &mut Drops, drops: &Drops) {
    for (sum, n) in sums.as_flattened_mut().iter_mut().zip(drops.as_flattened()) {
        *sum = sum.saturating_add(*n);
    }
}

/// Without counts that no process reaches.
#[cfg(all(feature = "crash-proof", feature = "database"))]
pub(crate) fn sane(drops: &Drops) -> Drops {
    drops.map(|kinds| kinds.map(|n| if n < 1 << 48 { n } else { 0 }))
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:ident,)*) => {
        /// Why something was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of [`Dropped`]'s fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in tables, counters and reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)* }
            }
        }

        /// What was dropped, by reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Dropped {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Dropped {
            /// What was dropped for one reason.
            #[must_use]
            pub const fn by(&self, reason: DropReason) -> u64 {
                match reason { $(DropReason::$variant => self.$name,)* }
            }

            pub(crate) fn add(&mut self, reason: DropReason, n: u64) {
                let sum = match reason { $(DropReason::$variant => &mut self.$name,)* };
                // Wrapping: as in `stats::ledger`.
                *sum = sum.wrapping_add(n);
            }
        }
    };
}

reasons! {
    /// The ring had no free slot: spans came faster than the writer stored them.
    RingFull ring_full,
    /// Other threads won the shared partition of the ring too many times in a row.
    Contended contended,
    /// The table of open spans had no free slot.
    OpenSpansFull open_spans_full,
    /// More callsites than the callsite table holds.
    CallsitesFull callsites_full,
    /// Made inside one of our own callbacks, for instance by a field's `Debug`.
    Reentrant reentrant,
    /// Recorded after `close`, or while it was under way.
    AlreadyShutdown already_shutdown,
    /// The ring had no free slot because the database did not take what was in it, or the
    /// database was still refusing when the profiler had to close.
    StoreError store_error,
    /// In a batch whose processing panicked.
    WriterPanic writer_panic,
    /// Stored in a file that was deleted while it was recorded into; or in a ring file, or to be put there, that was cut
    /// short.
    FileRemoved file_removed,
    /// Refused by the database for what is in it, such as an id that is there already; the rest of its
    /// batch is stored.
    RowRefused row_refused,
    /// Found in the ring file of a process that had died, and not as a recorder leaves it there.
    Damaged damaged,
    /// Published by halves: its process died over it.
    Abandoned abandoned,
}

impl Dropped {
    /// Everything that was dropped.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, (_, n)| sum.wrapping_add(n))
    }

    /// Every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.by(*reason)))
    }

    /// The reasons that occurred, as a JSON object.
    pub(crate) fn to_json(self) -> String {
        let parts: Vec<_> = self
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| format!("\"{}\":{n}", reason.as_str()))
            .collect();
        format!("{{{}}}", parts.join(","))
    }
}

impl fmt::Display for Dropped {
    /// The total, and what it is made of: `12 (ring_full 10, reentrant 2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total())?;
        let mut separator = " (";
        for (reason, n) in self.iter().filter(|(_, n)| *n > 0) {
            write!(f, "{separator}{} {n}", reason.as_str())?;
            separator = ", ";
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_says_how_many_and_why() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.to_string(), "0");
        assert_eq!(dropped.to_json(), "{}");
        dropped.add(DropReason::RingFull, 10);
        dropped.add(DropReason::Reentrant, 2);
        assert_eq!(dropped.to_string(), "12 (ring_full 10, reentrant 2)");
        assert_eq!(dropped.to_json(), r#"{"ring_full":10,"reentrant":2}"#);
    }
}
