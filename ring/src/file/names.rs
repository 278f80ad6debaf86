//! Records that are appended and stay: what the numbers in the ring's records mean.
//!
//! ```text
//!   63                      32 31                    8 7     2 1 0
//!  +--------------------------+-----------------------+-------+---+
//!  | check                    | words behind this one | kind  | S |   S: 1 claimed, 2 published; all 0: the end
//!  +--------------------------+-----------------------+-------+---+
//! ```
//!
//! Word 0 of the section is a hint where the end is; the records follow. Whoever appends makes the zero at the end a
//! *claimed* header by a compare-and-swap, which says how long the record is, then writes the record, and then
//! publishes it with a store of the whole header. So at any moment, and after a kill at any moment, each record can
//! be stepped over; a claimed one has nothing to read. A number may be used once its record is published.
//!
//! A record has numbers and texts:
//!
//! ```text
//!   how many texts << 32 | how many numbers,  the numbers,  of each text: its length in bytes, its bytes in whole words
//! ```
//!
//! The check is of the header's other parts, the record and its place, so that a reader knows a record when it sees one,
//! and finds the next one behind a damaged one.

use super::layout::mix;
use crate::sync::{AtomicU64, Ordering};
use crate::zeros::Zeros;

const CLAIMED: u64 = 1;
const PUBLISHED: u64 = 2;
const STATE: u64 = 3;
const KIND_SHIFT: u32 = 2;
const LEN_SHIFT: u32 = 8;
const CHECK_SHIFT: u32 = 32;
const LEN_MAX: usize = (1 << (CHECK_SHIFT - LEN_SHIFT)) - 1;
/// Kinds are below this.
pub const KINDS_MAX: u8 = 1 << (LEN_SHIFT - KIND_SHIFT);
/// The hint, and a place for an end.
pub(crate) const WORDS_MIN: usize = 2;
/// Where the first record begins.
const FIRST: usize = 1;

/// For the hash of the layout.
pub(crate) const LAYOUT: u64 = CLAIMED
    | PUBLISHED << 2
    | (KIND_SHIFT as u64) << 8
    | (LEN_SHIFT as u64) << 16
    | (FIRST as u64) << 24;

/// There is no room for another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamesFull;

impl std::fmt::Display for NamesFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the section of names has no more room")
    }
}

impl std::error::Error for NamesFull {}

/// The names of a ring file, as its owner appends them.
#[derive(Debug)]
pub struct Names(Zeros<AtomicU64>);

fn header(state: u64, kind: u8, len: usize) -> u64 {
    state | u64::from(kind) << KIND_SHIFT | (len as u64) << LEN_SHIFT
}

fn len_of(header: u64) -> usize {
    (header >> LEN_SHIFT) as usize & LEN_MAX
}

/// What goes into the upper half of a header, of a record whose header is at this word.
fn check(header: u64, at: usize, words: impl Iterator<Item = u64>) -> u64 {
    let sum = mix(mix(0, header & ((1 << CHECK_SHIFT) - 1)), at as u64);
    words.fold(sum, mix) >> CHECK_SHIFT << CHECK_SHIFT
}

/// The words of a text, as they lie in a record.
fn text_words(text: &[u8]) -> impl Iterator<Item = u64> + Clone {
    let words = text.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    });
    std::iter::once(text.len() as u64).chain(words)
}

impl Names {
    pub(crate) fn new(words: Zeros<AtomicU64>) -> Self {
        Self(words)
    }

    #[cfg(all(test, spandrel_loom))]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.0
    }

    /// Appends a record of a kind below [`KINDS_MAX`]. It is there for whoever reads the file, also after a kill, once
    /// this has returned.
    ///
    /// # Errors
    ///
    /// [`NamesFull`] if there is no room for it, or a record cannot be so long.
    ///
    /// # Panics
    ///
    /// If the kind is too large.
    ///
    /// # Blocking
    ///
    /// Never; as many steps as others append records at the same moment.
    pub fn append(&self, kind: u8, numbers: &[u64], texts: &[&str]) -> Result<(), NamesFull> {
        assert!(kind < KINDS_MAX, "a kind that does not fit a header");
        let words = &self.0;
        let text_len = texts.iter().map(|text| 1 + text.len().div_ceil(8)).sum::<usize>();
        let len = 1 + numbers.len() + text_len;
        if len > LEN_MAX {
            return Err(NamesFull);
        }
        let hint = words.first().ok_or(NamesFull)?;
        // Acquire: pairs with the Release of the hint below; the records before it are claimed.
        let mut at = (hint.load(Ordering::Acquire) as usize).max(FIRST);
        let place = loop {
            if at.saturating_add(len) >= words.len() {
                return Err(NamesFull);
            }
            let place = words.get(at).ok_or(NamesFull)?;
            // Acquire on failure: what stands there is a whole header. Relaxed on success: nothing is learnt, and
            // nothing but a length is told.
            match place.compare_exchange(
                0,
                header(CLAIMED, kind, len),
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => break place,
                Err(other) => at += 1 + len_of(other),
            }
        };
        // Release: pairs with the Acquire above. The larger one stays, or the next would begin far back.
        hint.fetch_max((at + 1 + len) as u64, Ordering::Release);
        let counts = (texts.len() as u64) << 32 | numbers.len() as u64;
        let texts = texts.iter().flat_map(|text| text_words(text.as_bytes()));
        let record = std::iter::once(counts).chain(numbers.iter().copied()).chain(texts);
        let published = header(PUBLISHED, kind, len);
        let sum = check(published, at, record.clone());
        for (to, word) in words[at + 1..].iter().zip(record) {
            // Relaxed: handed over with the header.
            to.store(word, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire of whoever reads the header; the record is complete.
        place.store(published | sum, Ordering::Release);
        Ok(())
    }

    /// Words that are taken, about, and how many there are.
    #[must_use]
    pub fn used(&self) -> (usize, usize) {
        // Relaxed: a figure.
        let used = self.0.first().map_or(0, |hint| hint.load(Ordering::Relaxed) as usize);
        (used.min(self.0.len()), self.0.len())
    }
}

/// A name that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a> {
    /// What it was appended as.
    pub kind: u8,
    /// Its numbers.
    pub numbers: &'a [u64],
    /// Its texts.
    pub texts: Vec<&'a str>,
}

/// What reading names has brought beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NamesRead {
    /// How many there were.
    pub names: u64,
    /// Claimed, and not published: whoever did is dead, or about to.
    pub unfinished: u64,
    /// Places where something stood that is no record; what comes behind each was found again.
    pub damaged: u64,
}

/// Reads the names in the words of a section, which nobody vouches for. Those of an owner that lives were copied while
/// he may have appended more: it ends where that shows.
pub(crate) fn read_names(
    words: &[u64],
    owner_is_dead: bool,
    mut each: impl FnMut(Name<'_>),
) -> NamesRead {
    let mut read = NamesRead::default();
    // So many words may be summed up in vain: a section that is made to be slow is given up.
    let mut patience = 16 * words.len();
    let mut at = FIRST;
    let mut is_lost = false;
    let mut bytes = Vec::new();
    while at < words.len() {
        let found = words[at];
        let record = words[at + 1..].get(..len_of(found));
        let is_published = found & STATE == PUBLISHED;
        if let (true, Some(record)) = (is_published, record) {
            let Some(rest) = patience.checked_sub(record.len()) else {
                read.damaged += 1;
                return read;
            };
            if check(found, at, record.iter().copied()) == found >> CHECK_SHIFT << CHECK_SHIFT {
                match parse(found, record, &mut bytes) {
                    Some(name) => {
                        read.names += 1;
                        each(name);
                    }
                    None => read.damaged += 1,
                }
                (at, is_lost) = (at + 1 + record.len(), false);
                continue;
            }
            patience = rest;
        }
        // Behind a place that is damaged nothing is known but what has a check.
        if !is_lost {
            match (found & STATE, record) {
                _ if !owner_is_dead && found & STATE != CLAIMED => return read,
                _ if found == 0 => {
                    // The end; unless this is a zero that should be something else.
                    if words[at..].iter().all(|word| *word == 0) {
                        return read;
                    }
                    read.damaged += 1;
                }
                (CLAIMED, Some(record)) if found >> CHECK_SHIFT == 0 => {
                    read.unfinished += 1;
                    at += 1 + record.len();
                    continue;
                }
                _ => read.damaged += 1,
            }
            is_lost = true;
        }
        at += 1;
    }
    read
}

/// Takes a record apart; `bytes` is where its texts go.
fn parse<'a>(header: u64, record: &'a [u64], bytes: &'a mut Vec<u8>) -> Option<Name<'a>> {
    let (counts, rest) = record.split_first()?;
    let (numbers, mut rest) = rest.split_at_checked((*counts & 0xFFFF_FFFF) as usize)?;
    let count = (counts >> 32) as usize;
    if count > rest.len() {
        return None;
    }
    bytes.clear();
    let mut ends = Vec::new();
    ends.try_reserve_exact(count).ok()?;
    bytes.try_reserve(rest.len().checked_mul(8)?).ok()?;
    for _ in 0..count {
        let (len, behind) = rest.split_first()?;
        let len = usize::try_from(*len).ok()?;
        let (text, behind) = behind.split_at_checked(len.div_ceil(8))?;
        let end = bytes.len() + len;
        bytes.extend(text.iter().flat_map(|word| word.to_le_bytes()));
        bytes.truncate(end);
        ends.push(end);
        rest = behind;
    }
    let mut start = 0;
    let texts = ends.into_iter().map(|end| {
        let text = std::str::from_utf8(bytes.get(start..end)?).ok();
        start = end;
        text
    });
    let texts = texts.collect::<Option<_>>()?;
    Some(Name { kind: (header >> KIND_SHIFT) as u8 & (KINDS_MAX - 1), numbers, texts })
}
