//! What a filter has decided about each callsite: found by the address of its metadata.
//!
//! ```text
//!   metadata --address--> fast table ---------------> number, if kept     (one probe, the fast paths)
//!                    \--> tables, each larger -> list -> answer            (a bounded number of probes)
//! ```
//!
//! Looking takes no lock. Entering a callsite takes none either, and allocates when there is no room: it
//! happens once for each callsite that the front end meets. Entries are never removed.
//!
//! A callsite that several threads meet at the same moment is one all the same: they look at the same entries
//! in the same order, an entry belongs to the callsite whose address gets there first, and of what several
//! threads have made for that callsite the first is the one that its entry names. Nobody waits for anybody.

#[cfg(all(test, spandrel_loom))]
mod loom_models;

use std::sync::Arc;

use tracing_core::Metadata;

use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::chunks::Chunks;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::record::{CALLSITE_LOW_MAX, UPPER_SHIFT};
use crate::sync::{AtomicU64, AtomicUsize, OnceLock, Ordering};

/// The answer of a filter about a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its spans or events are recorded.
    Kept(CallsiteNumber),
    /// They would be recorded, but there are too many callsites.
    Full,
    /// Its events are not recorded, but mark their span as failed.
    Marks,
    /// Below the level.
    Below,
    /// Its events are records of the `log` crate: it depends on the record's target, by the rule with
    /// this number.
    ByTarget(RuleNumber),
}

impl Answer {
    /// Whether at least some spans or events of the callsite are recorded.
    pub(crate) fn is_kept(self) -> bool {
        match self {
            Self::Kept(_) | Self::ByTarget(_) | Self::Full => true,
            Self::Marks | Self::Below => false,
        }
    }
}

/// The number of a rule of the front end's.
pub(crate) type RuleNumber = u32;

const UNKNOWN: u64 = 0;
const KEPT: u64 = 1;
const FULL: u64 = 2;
const MARKS: u64 = 3;
const BELOW: u64 = 4;
const BY_TARGET: u64 = 5;

/// A callsite that was met.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) metadata: &'static Metadata<'static>,
    /// The answer in the lower half; its number in the upper half.
    answer: AtomicU64,
    /// Its number plus one, once it has one: it keeps the number while it is off.
    number: AtomicU64,
}

fn read(word: u64) -> Option<Answer> {
    match word & 0xFFFF_FFFF {
        UNKNOWN => None,
        KEPT => Some(Answer::Kept((word >> 32) as CallsiteNumber)),
        FULL => Some(Answer::Full),
        MARKS => Some(Answer::Marks),
        BY_TARGET => Some(Answer::ByTarget((word >> 32) as RuleNumber)),
        _ => Some(Answer::Below),
    }
}

impl Site {
    pub(crate) fn answer(&self) -> Option<Answer> {
        // Acquire: pairs with the Release in `set_answer`. Whoever has the number, as the writer later,
        // finds its callsite. A late answer is that of a moment ago.
        read(self.answer.load(Ordering::Acquire))
    }

    /// Stores the answer, and returns the one before.
    pub(crate) fn set_answer(&self, answer: Answer) -> Option<Answer> {
        let word = match answer {
            Answer::Kept(number) => {
                self.set_number(number);
                KEPT | u64::from(number) << 32
            }
            Answer::ByTarget(rule) => BY_TARGET | u64::from(rule) << 32,
            Answer::Full => FULL,
            Answer::Marks => MARKS,
            Answer::Below => BELOW,
        };
        // Release: pairs with the Acquire in `answer`; Acquire: with the Release here, where several
        // threads decide at once, and one takes over the number of another.
        read(self.answer.swap(word, Ordering::AcqRel))
    }

    /// Stores its number.
    pub(crate) fn set_number(&self, number: CallsiteNumber) {
        // Release: pairs with the Acquire in `number`.
        self.number.store(u64::from(number) + 1, Ordering::Release);
    }

    /// The number that it was given.
    pub(crate) fn number(&self) -> Option<CallsiteNumber> {
        // Acquire: pairs with the Release in `set_number`, as in `answer`.
        let number = self.number.load(Ordering::Acquire);
        number.checked_sub(1).and_then(|number| CallsiteNumber::try_from(number).ok())
    }
}

/// An entry of a table.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Address of the metadata; 0 while the entry is free. In the fast table it is [`ENTERING`] while it
    /// is being written; it has the bit [`FIELDS`] if there are fields, and [`OFF`] while the callsite
    /// is not recorded.
    address: AtomicUsize,
    /// In the fast table: the number in a word's upper 16 bits, as in a record. In the other tables: an
    /// index of the list plus one; 0 while there is none.
    value: AtomicU64,
}

/// Not an address: addresses of metadata are multiples of 8.
const ENTERING: usize = 2;
const OFF: usize = 1;
const FIELDS: usize = 4;

// Few in loom models, so that tables become full and grow.
const PROBES: usize = if cfg!(spandrel_loom) { 2 } else { 16 };
const FAST: usize = if cfg!(spandrel_loom) { 2 } else { 16_384 };
/// Entries of the first of the growing tables. Each is four times as large as the one before.
const FIRST: usize = if cfg!(spandrel_loom) { 2 } else { 1_024 };
const TABLES: usize = if cfg!(spandrel_loom) { 2 } else { 10 };

const _: () = assert!(
    size_of::<Metadata<'static>>() > 16
        && align_of::<Metadata<'static>>() > FIELDS
        && FAST.is_power_of_two()
        && FIRST.is_power_of_two()
);

/// The table of the fast paths. An array, so that no bounds have to be checked.
pub(crate) type FastSites = Arc<[Entry; FAST]>;

fn address(metadata: &'static Metadata<'static>) -> usize {
    std::ptr::from_ref(metadata).addr()
}

fn entries(n: usize) -> impl Iterator<Item = Entry> {
    std::iter::repeat_with(Entry::default).take(n)
}

/// An empty table.
pub(crate) fn fast_sites() -> FastSites {
    let all: Arc<[Entry]> = entries(FAST).collect();
    // It has exactly so many entries.
    all.try_into().unwrap_or_else(|_| unreachable!())
}

/// Bytes of the table.
pub(crate) const FAST_BYTES: usize = size_of::<[Entry; FAST]>();

/// The entry that is looked at first for a callsite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// The address in it.
    found: usize,
    address: usize,
    /// The number in it, in a word's upper 16 bits.
    number: u64,
}

impl Probe {
    /// The number of the callsite, in a word's upper 16 bits, if it is kept and has no fields.
    #[inline(always)]
    pub(crate) fn plain(self) -> Option<u64> {
        (self.found == self.address).then_some(self.number)
    }

    /// The same if it has fields, and not more than [`FIELDS_MAX`] of them.
    #[inline(always)]
    pub(crate) fn with_fields(self) -> Option<u64> {
        (self.found == self.address | FIELDS).then_some(self.number)
    }
}

/// Looks for a callsite. The same comparison tells whether it has fields.
#[inline(always)]
pub(crate) fn first_probe(sites: &[Entry; FAST], metadata: &'static Metadata<'static>) -> Probe {
    let address = address(metadata);
    let entry = &sites[home(address, FAST)];
    // Acquire: pairs with the Release in `Entry::publish`; the number is set. The number is always read:
    // that saves computing an address later.
    let found = entry.address.load(Ordering::Acquire);
    let number = entry.value.load(Ordering::Relaxed);
    Probe { found, address, number }
}

/// The index of the first entry for a callsite.
#[inline(always)]
fn home(address: usize, entries: usize) -> usize {
    // Metadata are larger than 16 bytes, and those of a program are close together: the address spreads
    // better than a hash of it, and needs one instruction, as an entry has 16 bytes, too.
    (address >> 4) % entries
}

fn probe(address: usize, table: &[Entry]) -> impl Iterator<Item = &Entry> {
    (0..PROBES).map(move |step| &table[(home(address, table.len()) + step) % table.len()])
}

/// Entries of the fast table.
impl Entry {
    /// Takes the entry, if it is free.
    fn claim(&self) -> bool {
        // Relaxed: nothing is read from it; `publish` makes it visible.
        let free = self.address.compare_exchange(0, ENTERING, Ordering::Relaxed, Ordering::Relaxed);
        free.is_ok()
    }

    fn publish(&self, address: usize, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        // Release: pairs with the Acquire in `first_probe` and `set_fast`.
        self.address.store(address, Ordering::Release);
    }
}

/// Entries of the growing tables.
impl Entry {
    /// Takes the entry for a callsite, if it is free. Returns whether it belongs to that callsite now.
    fn take_for(&self, address: usize) -> bool {
        // Relaxed: nothing is read through the address; `set_index` publishes the rest.
        let taken = self.address.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok() || taken == Err(address)
    }

    /// The index of the callsite in the list, once it is there.
    fn index(&self) -> Option<usize> {
        // Acquire: pairs with the Release in `set_index`; the list has something at that index.
        let value = self.value.load(Ordering::Acquire);
        value.checked_sub(1).and_then(|index| usize::try_from(index).ok())
    }

    /// Stores an index of the list, unless there is one already.
    fn set_index(&self, index: usize) {
        // Release: pairs with the Acquire in `index`. If another thread was first, its index stays.
        let new = index as u64 + 1;
        _ = self.value.compare_exchange(0, new, Ordering::Release, Ordering::Relaxed);
    }
}

/// The callsites that a front end has met.
#[derive(Debug)]
pub(crate) struct Sites {
    /// Only the first front end has one.
    fast: Option<FastSites>,
    tables: [OnceLock<Box<[Entry]>>; TABLES],
    list: Chunks<Site>,
}

impl Sites {
    pub(crate) fn new(fast: Option<FastSites>) -> Self {
        Self { fast, tables: std::array::from_fn(|_| OnceLock::new()), list: Chunks::default() }
    }

    /// The callsite, if it was met before.
    pub(crate) fn find(&self, metadata: &'static Metadata<'static>) -> Option<&Site> {
        let address = address(metadata);
        for table in self.tables.iter().map_while(OnceLock::get) {
            for entry in probe(address, table) {
                // Relaxed, as in `Entry::take_for`: an entry never changes its callsite.
                match entry.address.load(Ordering::Relaxed) {
                    0 => return None, // it would have been entered here
                    found if found == address => return self.site(entry),
                    _ => {}
                }
            }
        }
        None
    }

    /// The callsite of an entry.
    fn site(&self, entry: &Entry) -> Option<&Site> {
        self.list.get(entry.index()?)
    }

    /// The callsite; it is entered if it was not met before. `None` if there are too many.
    ///
    /// If another thread has just entered it, it has no answer yet, and that thread may be suspended.
    /// Whoever comes meanwhile decides, too, and does not enter the callsite again.
    #[cold]
    pub(crate) fn find_or_enter(&self, metadata: &'static Metadata<'static>) -> Option<&Site> {
        self.find(metadata).or_else(|| self.enter(metadata))
    }

    #[cold]
    fn enter(&self, metadata: &'static Metadata<'static>) -> Option<&Site> {
        let entry = self.take_entry(address(metadata))?;
        if entry.index().is_none() {
            let new = Site { metadata, answer: AtomicU64::new(UNKNOWN), number: AtomicU64::new(0) };
            // If another thread was faster, ours stays in the list and is never used.
            entry.set_index(self.list.push(new)?);
        }
        self.site(entry)
    }

    /// Finds the entry of a callsite, or takes one for it. `None` if all possible entries are taken.
    fn take_entry(&self, address: usize) -> Option<&Entry> {
        for (at, table) in self.tables.iter().enumerate() {
            if table.get().is_none() {
                // As in `Chunks::push`: nothing is allocated inside the lock of a `OnceLock`.
                let _late = table.set(entries(FIRST << (2 * at)).collect());
            }
            if let Some(entry) = probe(address, table.get()?).find(|entry| entry.take_for(address))
            {
                return Some(entry);
            }
        }
        None
    }

    /// All callsites that were met, each once, except those that are just being entered.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Site> {
        let made = (0..self.list.len()).filter_map(|index| self.list.get(index));
        made.filter(|site| self.find(site.metadata).is_some_and(|met| std::ptr::eq(met, *site)))
    }

    /// Enters a callsite into the fast table. Does nothing if its number has more than 16 bits, if it
    /// has more than [`FIELDS_MAX`] fields, or if there is no room: then it takes the general path.
    pub(crate) fn set_fast(&self, metadata: &'static Metadata<'static>, answer: Answer) {
        let Some(fast) = &self.fast else { return };
        let address = address(metadata);
        let on = match metadata.fields().len() {
            0 => address,
            1..=FIELDS_MAX => address | FIELDS,
            _ => return,
        };
        // Acquire: pairs with the Release in `publish`. A thread that finds what is stored below must
        // find the number, too, which another thread may have written.
        let mine = probe(address, &fast[..])
            .find(|entry| entry.address.load(Ordering::Acquire) & !OFF == on);
        match (mine, answer) {
            // Release: pairs with the Acquire in `first_probe`.
            (Some(entry), Answer::Kept(_)) => entry.address.store(on, Ordering::Release),
            (Some(entry), _) => entry.address.store(on | OFF, Ordering::Release),
            (None, Answer::Kept(number)) if number <= CALLSITE_LOW_MAX => {
                if let Some(free) = probe(address, &fast[..]).find(|entry| entry.claim()) {
                    free.publish(on, u64::from(number) << UPPER_SHIFT);
                }
            }
            (None, _) => {}
        }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use tracing_core::callsite::{Callsite, Identifier};
    use tracing_core::field::FieldSet;
    use tracing_core::metadata::Kind;
    use tracing_core::{Interest, Level};

    use super::*;

    struct Nowhere;
    static NOWHERE: Nowhere = Nowhere;

    impl Callsite for Nowhere {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &PLAIN
        }
    }

    const fn made(fields: &'static [&'static str]) -> Metadata<'static> {
        let fields = FieldSet::new(fields, Identifier(&NOWHERE));
        Metadata::new("name", "tests", Level::INFO, None, None, None, fields, Kind::SPAN)
    }

    static PLAIN: Metadata<'static> = made(&[]);
    static WITH_FIELDS: Metadata<'static> = made(&["a", "b"]);
    static WITH_TOO_MANY: Metadata<'static> = made(&["a"; FIELDS_MAX + 1]);

    #[test]
    fn the_first_probe_tells_whether_there_are_fields_while_the_callsite_is_kept() {
        let fast = fast_sites();
        let sites = Sites::new(Some(Arc::clone(&fast)));
        let probe = |metadata| {
            let probe = first_probe(&fast, metadata);
            (probe.plain(), probe.with_fields())
        };
        let number = Some(7 << UPPER_SHIFT);
        for (metadata, kept) in [
            (&PLAIN, (number, None)),
            (&WITH_FIELDS, (None, number)),
            (&WITH_TOO_MANY, (None, None)),
        ] {
            assert_eq!(probe(metadata), (None, None));
            for _ in 0..2 {
                sites.set_fast(metadata, Answer::Kept(7));
                assert_eq!(probe(metadata), kept);
                sites.set_fast(metadata, Answer::Below);
                assert_eq!(probe(metadata), (None, None));
            }
        }
    }
}
