//! Small numbers for the callsites that are kept.
//!
//! A number is given once, when a filter first keeps a callsite: before its first span, and in code that
//! may allocate. Nothing here takes a lock, so that an allocator may open spans itself: memory is made
//! before it is published, and if two threads make the same, the second one drops its own.

use tracing_core::Metadata;

use crate::recorder::chunks::Chunks;
use crate::recorder::entry_rules::{EntryRules, RuleOf};

/// The number of a callsite within this recording.
pub(crate) type CallsiteNumber = u32;

/// All callsites that this recording keeps, by number. If two threads meet a callsite at the same
/// moment, or two front ends keep it, it may have two numbers; in the file they become one.
#[derive(Debug, Default)]
pub(crate) struct Callsites {
    all: Chunks<Known>,
    /// Which entries are recorded one by one.
    entries: EntryRules,
}

#[derive(Debug)]
struct Known {
    metadata: &'static Metadata<'static>,
    /// The rule for the entries of its spans, decided once.
    entries: RuleOf,
}

impl Callsites {
    pub(crate) fn new(entries: EntryRules) -> Self {
        Self { all: Chunks::default(), entries }
    }

    /// Adds a callsite. `None` if there are more than a record can tell apart, which is 134 million.
    #[cold]
    pub(crate) fn add(&self, metadata: &'static Metadata<'static>) -> Option<CallsiteNumber> {
        let known = Known { metadata, entries: self.entries.of(metadata) };
        self.all.push(known).and_then(|index| CallsiteNumber::try_from(index).ok())
    }

    /// The callsite with this number.
    pub(crate) fn metadata(&self, number: CallsiteNumber) -> Option<&'static Metadata<'static>> {
        self.all.get(number as usize).map(|known| known.metadata)
    }

    /// The rule for the entries of this callsite's spans.
    pub(crate) fn entries(&self, number: CallsiteNumber) -> RuleOf {
        self.all.get(number as usize).map_or(RuleOf::OFF, |known| known.entries)
    }

    /// Bytes that the list takes.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes()
    }

    /// How many numbers there are. The last callsites may not be readable yet.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}
