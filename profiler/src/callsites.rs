//! Small numbers for callsites: a fixed table from `&'static Metadata` to its number.
//!
//! Looking a callsite up takes no lock and at most [`PROBES`] steps. A callsite is entered once,
//! under a lock, when it registers (before its first span).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tracing_core::Metadata;

use crate::mutex::Mutex;
use crate::record::{self, UPPER_SHIFT};

/// The number of a callsite within this recording.
pub(crate) type CallsiteNumber = u16;

const ENTRIES: usize = 16_384;
const PROBES: usize = 16;
/// A quarter of the entries, so that a run of [`PROBES`] taken entries does not happen; and all
/// that the [`record`] has room for.
pub(crate) const CALLSITES_MAX: usize = ENTRIES / 4;

#[derive(Debug)]
struct Entry {
    /// Address of the metadata, 0 while the entry is free. Written once.
    address: AtomicUsize,
    /// The number, where it stands in a record: in a word's upper 16 bits. Valid once `address` is
    /// set.
    number: AtomicU64,
}

/// All callsites that this recording has met.
#[derive(Debug)]
pub(crate) struct Callsites {
    entries: Box<[Entry; ENTRIES]>,
    /// The metadata by number; locked by registration and by the writer only.
    list: Mutex<Vec<&'static Metadata<'static>>>,
    /// The same, for those who take no lock.
    by_number: Box<[OnceLock<&'static Metadata<'static>>]>,
}

fn address(metadata: &'static Metadata<'static>) -> usize {
    std::ptr::from_ref(metadata).addr()
}

/// Where a callsite is looked for first.
#[inline(always)]
fn home(address: usize) -> usize {
    // Metadata are larger than 16 bytes, and those of a program lie side by side: the address as it
    // stands spreads them better than a hash would, and takes one instruction, as an entry has 16
    // bytes, too.
    (address >> 4) % ENTRIES
}

const _: () = assert!(size_of::<Metadata<'static>>() > 16 && ENTRIES.is_power_of_two());

fn probe(address: usize) -> impl Iterator<Item = usize> {
    (0..PROBES).map(move |step| (home(address) + step) % ENTRIES)
}

impl Entry {
    fn number(&self) -> CallsiteNumber {
        // Relaxed: valid since `address` was read with Acquire, or under the lock.
        record::upper_of(self.number.load(Ordering::Relaxed))
    }
}

impl Callsites {
    pub(crate) fn new() -> Self {
        let free = || Entry { address: AtomicUsize::new(0), number: AtomicU64::new(0) };
        let entries: Box<[Entry]> = std::iter::repeat_with(free).take(ENTRIES).collect();
        // So many were taken; an array instead of a slice spares a check in `first_probe`.
        let entries = entries.try_into().unwrap_or_else(|_| unreachable!());
        let by_number = std::iter::repeat_with(OnceLock::new).take(CALLSITES_MAX).collect();
        Self { entries, list: Mutex::new(Vec::new()), by_number }
    }

    /// The number of a callsite that is found where it is looked for first, in a word's upper 16
    /// bits.
    #[inline(always)]
    pub(crate) fn first_probe(&self, metadata: &'static Metadata<'static>) -> Option<u64> {
        let address = address(metadata);
        let entry = &self.entries[home(address)];
        // Acquire: as in `number`, which is read in any case: that spares an address.
        let found = entry.address.load(Ordering::Acquire);
        let number = entry.number.load(Ordering::Relaxed);
        (found == address).then_some(number)
    }

    /// The number of a callsite; registers it if need be. `None` when the table is full.
    #[inline]
    pub(crate) fn number(&self, metadata: &'static Metadata<'static>) -> Option<CallsiteNumber> {
        let address = address(metadata);
        for index in probe(address) {
            let entry = &self.entries[index];
            // Acquire: pairs with the Release in `register`; the number is set.
            match entry.address.load(Ordering::Acquire) {
                0 => break,
                found if found == address => {
                    return Some(entry.number());
                }
                _ => {}
            }
        }
        self.register(metadata)
    }

    /// Enters a callsite, unless it is there already.
    #[cold]
    pub(crate) fn register(&self, metadata: &'static Metadata<'static>) -> Option<CallsiteNumber> {
        let address = address(metadata);
        // In a forked child it may be nobody's: the callsite is then refused as if the table were full.
        let mut list = self.list.lock()?;
        for index in probe(address) {
            let entry = &self.entries[index];
            // Relaxed: entries are written under the lock that we hold.
            match entry.address.load(Ordering::Relaxed) {
                0 if list.len() >= CALLSITES_MAX => return None,
                0 => {
                    let number = list.len();
                    list.push(metadata);
                    self.by_number[number].get_or_init(|| metadata);
                    entry.number.store((number as u64) << UPPER_SHIFT, Ordering::Relaxed);
                    // Release: pairs with the Acquire in `number`.
                    entry.address.store(address, Ordering::Release);
                    return Some(number as CallsiteNumber);
                }
                found if found == address => {
                    return Some(entry.number());
                }
                _ => {}
            }
        }
        None
    }

    /// The callsite with this number. Takes no lock.
    pub(crate) fn metadata(&self, number: CallsiteNumber) -> Option<&'static Metadata<'static>> {
        self.by_number.get(usize::from(number))?.get().copied()
    }

    /// The metadata of the callsites numbered `from` and above.
    pub(crate) fn since(&self, from: usize) -> Vec<&'static Metadata<'static>> {
        let list = self.list.lock();
        list.and_then(|list| Some(list.get(from..)?.to_vec())).unwrap_or_default()
    }
}
