//! A table of open spans that somebody has made up, so that a look at it would have no end: each slot has the same
//! table read, or the same buffer.

#![allow(clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::cell::Cell;
use std::io;

use spandrel_ring::file::{Reader, Source};

use super::super::left::Left;
use super::super::scan::{self, Scan};
use super::*;
use crate::recorder::ring_file::layout::{OPEN_SPANS, SPILL_WORDS, SPILLS_TAKEN, settings};

/// Words of a header, as `docs/src/reference/ring-file.md` has them.
const STATE: usize = 3;
const SETTINGS: usize = 24;
const TABLE: usize = 43;
const CHECK: usize = 511;
/// The words of a slot that are changed.
const ID: usize = 1;
const SMALL: usize = 11;

/// A file, and how many bytes were read of it.
struct Counted<'a>(&'a [u8], Cell<usize>);

impl Source for Counted<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        self.1.set(self.1.get() + to.len());
        self.0.read_at(at, to)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The words of a ring file.
struct Words(Vec<u8>);

impl Words {
    fn get(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[8 * at..][..8].try_into().unwrap())
    }

    fn set(&mut self, at: usize, to: u64) {
        self.0[8 * at..][..8].copy_from_slice(&to.to_ne_bytes());
    }

    /// The first word of a table, the words of a cell, and how many there are.
    fn table(&self, number: usize) -> [usize; 3] {
        let says = |at: usize| self.get(TABLE + 3 * number + at) as usize;
        [says(0) / 8, says(1) / 8, says(2)]
    }

    /// With the sum that fits.
    fn sign(&mut self) {
        let checked = (0..CHECK).filter(|at| *at != STATE);
        let sum = checked.fold(u64::from_le_bytes(*b"SPANRING"), |sum, at| {
            let mixed = (sum ^ self.get(at)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 32)
        });
        self.set(CHECK, sum);
    }

    /// Each slot has the span that is in one, whose further fields are in the first buffer; with ids of their own, or all
    /// with the same.
    fn fill(&mut self, have_ids: bool) {
        let [at, cell, cells] = self.table(OPEN_SPANS);
        let slots = || (0..cells).map(|n| at + n * cell);
        let one = slots().find(|slot| self.get(slot + ID) != 0).unwrap();
        let mut slot: Vec<u64> = (one..one + cell).map(|at| self.get(at)).collect();
        // The number of its buffer is the second of four.
        slot[SMALL] = slot[SMALL] & !(0xFFFF << 16) | 1 << 16;
        let taken = self.table(SPILLS_TAKEN)[0];
        self.set(taken, slot[ID] << 16);
        for (n, to) in slots().enumerate() {
            slot.iter().enumerate().for_each(|(word, value)| self.set(to + word, *value));
            if have_ids {
                self.set(to + ID, 1 + n as u64);
            }
        }
    }
}

/// What is read of a file whose owner lives, and of the same when it has died; both have to find something that is damaged.
fn read_of(bytes: &[u8]) -> [usize; 2] {
    let said = |refused: Refused| refused.about(Path::new("ring")).to_string();
    let living = Counted(bytes, Cell::new(0));
    let reader = Reader::new(&living).unwrap();
    let mut view = View::of(Path::new("ring"), reader).map_err(said).unwrap().unwrap();
    let found = view.look_at_living(RingOwner::Alive).map_err(said).unwrap();
    assert!(found.damaged > 0, "{} are shown", found.spans.len());
    let dead = Counted(bytes, Cell::new(0));
    let mut reader = Reader::new(&dead).unwrap();
    let names = scan::names(&mut reader, true).map_err(said).unwrap();
    let scan = Scan::of(&mut reader, names, |_| 0, None).map_err(said).unwrap();
    assert!(scan.open_damaged > 0, "{} are shown", scan.open.len());
    [living.1.get(), dead.1.get()]
}

#[test]
fn no_table_is_read_again_for_each_slot_that_names_it() {
    type Forge = fn(&mut Words);
    let cases: [(&str, Forge); 3] = [
        ("a buffer has more words than all have", |words| {
            words.fill(false);
            words.set(SETTINGS + settings::SPILL_WORDS_EACH, 1 << 40);
        }),
        ("each slot has the same span", |words| words.fill(false)),
        ("one cell says whose all buffers are", |words| {
            let [_, cell, cells] = words.table(SPILLS_TAKEN);
            words.set(TABLE + 3 * SPILLS_TAKEN + 1, 8 * (cell * cells) as u64);
            words.set(TABLE + 3 * SPILLS_TAKEN + 2, 1);
            let all = words.table(SPILL_WORDS)[2] as u64;
            words.set(SETTINGS + settings::SPILL_WORDS_EACH, all);
            words.fill(true);
        }),
    ];
    for (case, forge) in cases {
        let mut words = Words(Left::by(1).bytes);
        forge(&mut words);
        words.sign();
        let read = read_of(&words.0);
        let most = 2 * words.0.len();
        assert!(read.iter().all(|read| *read < most), "{case}: {read:?} of {}", words.0.len());
    }
}
