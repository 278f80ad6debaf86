//! Small numbers for the callsites that are kept.
//!
//! A number is given once, when a filter first keeps a callsite: before its first span, on a path that
//! may allocate. Nothing here takes a lock, so that an allocator may open spans itself: memory is made
//! before it is published, and whoever comes second drops what it has made.

use tracing_core::Metadata;

use crate::recorder::chunks::Chunks;
use crate::recorder::entry_rules::{EntryRules, RuleOf};

/// The number of a callsite within this recording.
pub(crate) type CallsiteNumber = u32;

/// All callsites that this recording keeps, by number. One that two threads meet at the same moment,
/// or that two front ends keep, may have two numbers; the file knows it as one.
#[derive(Debug, Default)]
pub(crate) struct Callsites {
    all: Chunks<Known>,
    /// What holds for the entries of spans.
    entries: EntryRules,
}

#[derive(Debug)]
struct Known {
    metadata: &'static Metadata<'static>,
    /// Which entries of its spans are recorded one by one: decided once.
    entries: RuleOf,
}

impl Callsites {
    pub(crate) fn new(entries: EntryRules) -> Self {
        Self { all: Chunks::default(), entries }
    }

    /// A new number for a callsite. `None` when there are more than a record can tell apart, which is
    /// 134 million.
    #[cold]
    pub(crate) fn add(&self, metadata: &'static Metadata<'static>) -> Option<CallsiteNumber> {
        let known = Known { metadata, entries: self.entries.of(metadata) };
        self.all.push(known).and_then(|index| CallsiteNumber::try_from(index).ok())
    }

    /// The callsite with this number.
    pub(crate) fn metadata(&self, number: CallsiteNumber) -> Option<&'static Metadata<'static>> {
        self.all.get(number as usize).map(|known| known.metadata)
    }

    /// Which entries of the spans of this callsite are recorded one by one.
    pub(crate) fn entries(&self, number: CallsiteNumber) -> RuleOf {
        self.all.get(number as usize).map_or(RuleOf::OFF, |known| known.entries)
    }

    /// Bytes that the list takes.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes()
    }

    /// How many numbers there are; the callsites of the last ones may still be on their way.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}
