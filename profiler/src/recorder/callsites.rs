//! Small numbers for the callsites that are kept.
//!
//! A number is given once, when a filter first keeps a callsite: before its first span, and in code that
//! may allocate. Nothing here takes a lock, so that an allocator may open spans itself: memory is made
//! before it is published, and if two threads make the same, the second one drops its own.

use tracing_core::Metadata;

use crate::recorder::chunks::Chunks;
use crate::recorder::entry_rules::{EntryRules, RuleOf};
use crate::recorder::names::Names;

/// The number of a callsite within this recording.
pub(crate) type CallsiteNumber = u32;

/// All callsites that this recording keeps, by number. If two threads meet a callsite at the same
/// moment, or two front ends keep it, it may have two numbers; in the file they become one.
#[derive(Debug, Default)]
pub(crate) struct Callsites {
    all: Chunks<Known>,
    /// Which entries are recorded one by one.
    entries: EntryRules,
    names: Names,
}

#[derive(Debug)]
struct Known {
    /// None in the recording of a process that is gone.
    metadata: Option<&'static Metadata<'static>>,
    /// The rule for the entries of its spans, decided once.
    entries: RuleOf,
}

impl Callsites {
    pub(crate) fn new(entries: EntryRules, names: Names) -> Self {
        Self { all: Chunks::default(), entries, names }
    }

    /// Those of a process that is gone: by number, the rules for their entries.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn of_dead(rules: impl IntoIterator<Item = RuleOf>) -> Self {
        let callsites = Self::default();
        let known = rules.into_iter().map(|entries| Known { metadata: None, entries });
        // Those for which there is no number are in no record.
        known.for_each(|known| _ = callsites.all.push(known));
        callsites
    }

    /// Some more of them, in the order of their numbers.
    #[cfg(feature = "collected")]
    pub(crate) fn learn(&self, rules: impl IntoIterator<Item = RuleOf>) {
        let known = rules.into_iter().map(|entries| Known { metadata: None, entries });
        known.for_each(|known| _ = self.all.push(known));
    }

    /// Adds a callsite. `None` if there are more than a record can tell apart, which is 134 million, or than a ring file has
    /// room for the names of.
    #[cold]
    pub(crate) fn add(&self, metadata: &'static Metadata<'static>) -> Option<CallsiteNumber> {
        let entries = self.entries.of(metadata);
        let index = self.all.push(Known { metadata: Some(metadata), entries })?;
        let number = CallsiteNumber::try_from(index).ok()?;
        // Before anybody has the number.
        self.names.add_callsite(number, metadata, entries).then_some(number)
    }

    /// The callsite with this number.
    pub(crate) fn metadata(&self, number: CallsiteNumber) -> Option<&'static Metadata<'static>> {
        self.all.get(number as usize).and_then(|known| known.metadata)
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
