//! Ring files whose headers somebody has made up: other sizes, and a sum that fits.

#![allow(clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use spandrel_storage::{Store, StoreOptions};

use super::left::{Left, recovered};
use crate::recorder::ring_file::layout::DROPS;
use crate::recorder::ring_file::place;

/// The words of a header that are changed here, as `docs/src/reference/ring-file.md` has them.
const VERSION: usize = 1;
const STATE: usize = 3;
const FILE_BYTES: usize = 4;
const PAGE_BYTES: usize = 5;
const PID: usize = 10;
const CLOCK: usize = 14;
const SETTINGS: usize = 24;
const VALUE_WORDS: usize = 32;
const LEASED: usize = 33;
const LEASED_SLOTS: usize = 34;
const SHARED_SLOTS: usize = 35;
const PARTITIONS_AT: usize = 36;
const NAMES_AT: usize = 37;
const NAMES_WORDS: usize = 38;
const COUNTERS_AT: usize = 39;
const COUNTERS: usize = 40;
const DRAINER_AT: usize = 41;
const TABLES: usize = 42;
const TABLE: usize = 43;
const CHECK: usize = 511;
const BUILDING: u64 = u64::from_le_bytes(*b"BUILDING");
/// Where the slots of a partition begin in it.
const SLOTS_AT: u64 = 512;

/// A header of a ring file.
struct Header([u64; 512]);

impl Header {
    fn of(bytes: &[u8]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(bytes[at * 8..][..8].try_into().unwrap());
        Self(std::array::from_fn(word))
    }

    /// Puts each section where it has to be for the sizes, as long as there are such numbers.
    fn lay_out(&mut self) -> Option<()> {
        let words = &mut self.0;
        let page = words[PAGE_BYTES];
        let slot =
            (words[VALUE_WORDS].checked_mul(8)?.checked_add(8)?).checked_next_multiple_of(64)?;
        let stride = |slots: u64| {
            let bytes = slots.checked_mul(slot)?.checked_add(SLOTS_AT)?;
            bytes.checked_add(page)?.checked_next_multiple_of(page)
        };
        let partitions = stride(words[LEASED_SLOTS])?.checked_mul(words[LEASED])?;
        let partitions = partitions.checked_add(stride(words[SHARED_SLOTS])?)?;
        let mut end = page;
        let mut section = |bytes: u64| {
            let at = end;
            end = at.checked_add(bytes)?.checked_next_multiple_of(page)?;
            Some(at)
        };
        words[PARTITIONS_AT] = section(partitions)? + page;
        words[NAMES_AT] = section(words[NAMES_WORDS].checked_mul(8)?)?;
        words[COUNTERS_AT] = section(words[COUNTERS].checked_mul(8)?)?;
        words[DRAINER_AT] = section(64 * 8)?;
        for table in 0..words[TABLES] as usize {
            let at = TABLE + 3 * table;
            words[at] = section(words[at + 1].checked_mul(words[at + 2])?)?;
        }
        // The last word is alone in its page.
        section(8)?;
        words[FILE_BYTES] = end;
        Some(())
    }

    /// With the sum that fits, into a file.
    fn sign(&mut self, bytes: &mut [u8]) {
        let checked = self.0.iter().enumerate().filter(|(at, _)| *at != STATE && *at != CHECK);
        self.0[CHECK] = checked.fold(u64::from_le_bytes(*b"SPANRING"), |sum, (_, word)| {
            let mixed = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 32)
        });
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

#[test]
fn a_header_that_is_signed_anew_is_as_it_was() {
    let left = Left::by(1);
    let mut bytes = left.bytes.clone();
    let mut header = Header::of(&bytes);
    header.lay_out().unwrap();
    header.sign(&mut bytes);
    assert!(bytes == left.bytes);
}

/// A ring file of the profile in a folder, and of a process that is gone.
struct Planted {
    database: PathBuf,
    ring: PathBuf,
}

impl Planted {
    /// `change` says what is another one; the length is what the header says then.
    fn new(folder: &Path, number: &str, change: impl FnOnce(&mut Header, &mut [u8])) -> Self {
        let database = folder.join("p.db");
        drop(Store::open(&database, &StoreOptions::default()).unwrap());
        let database = place::canonical(&database).unwrap();
        let mut left = Left::of(&database, 1, 3);
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let mut header = Header::of(&left.bytes);
        header.0[PID] = ended.id().into();
        change(&mut header, &mut left.bytes);
        header.lay_out().unwrap();
        header.sign(&mut left.bytes);
        // The last one is there on every system.
        let rings = place::folders().pop().unwrap();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&rings).unwrap();
        let ring = rings.join(place::file_name(&database, ended.id(), number));
        // By one handle: whoever begins to record meanwhile, in another test, removes one that nobody has finished.
        let mut file = std::fs::File::create(&ring).unwrap();
        std::io::Write::write_all(&mut file, &left.bytes).unwrap();
        file.set_len(header.0[FILE_BYTES]).unwrap();
        Self { database, ring }
    }

    /// Begins to record, and says what was told of that.
    fn build(&self) -> Option<String> {
        let builder = crate::Profiler::builder().database(&self.database).crash_proof(false);
        let profiler = builder.build().unwrap();
        let said = profiler.stats().last_error;
        profiler.close().unwrap();
        said
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.ring);
    }
}

fn too_long(header: &mut Header, _: &mut [u8]) {
    header.0[NAMES_WORDS] += 1 << 37;
}

#[test]
fn whoever_only_wants_to_record_does_whatever_a_ring_file_says() {
    let changes: [fn(&mut Header, &mut [u8]); 4] = [
        too_long,
        |header, _| header.0[NAMES_WORDS] += 1 << 28,
        |header, _| header.0[SHARED_SLOTS] = 1 << 28,
        |header, _| header.0[TABLE + 2] += 1 << 24,
    ];
    for change in changes {
        let folder = tempfile::tempdir().unwrap();
        let planted = Planted::new(folder.path(), "00", change);
        let said = planted.build().unwrap();
        assert!(
            said.contains(planted.ring.to_str().unwrap()) && said.contains("remove it"),
            "{said}"
        );
        assert!(planted.ring.exists(), "it is not ours to remove");
        let [waits] = super::waiting(&planted.database).unwrap().try_into().unwrap();
        assert_eq!(waits.refused, Some(said));
    }
}

#[test]
fn a_file_of_a_later_layout_is_left_where_it_is_and_the_way_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let planted = Planted::new(folder.path(), "00", |header, _| header.0[VERSION] += 1);
    let ours = spandrel_ring::file::LAYOUT_VERSION;
    let why = format!(
        "{}: this ring file has version {} of the layout, and this program reads version {ours}; take the spandrel of the \
         program that wrote it",
        planted.ring.display(),
        ours + 1
    );
    assert_eq!(planted.build().as_ref(), Some(&why));
    let [waits] = super::waiting(&planted.database).unwrap().try_into().unwrap();
    assert_eq!(waits.refused, Some(why));
    assert!(planted.ring.exists());
}

#[test]
fn a_file_whose_maker_was_killed_before_it_said_whose_it_is_goes() {
    let folder = tempfile::tempdir().unwrap();
    let planted = Planted::new(folder.path(), "00", |header, bytes| {
        header.0[STATE] = BUILDING;
        bytes[header.0[NAMES_AT] as usize..header.0[COUNTERS_AT] as usize].fill(0);
    });
    assert_eq!(super::waiting(&planted.database).unwrap(), [], "nothing of it waits");
    // (Not whether it is there still: whoever begins to record at the same time, in another test, removes it.)
    super::recover(&planted.database, true).unwrap();
    assert_eq!(planted.build(), None);
    assert!(!planted.ring.exists());
}

#[test]
fn what_nobody_had_begun_to_record_into_goes_whatever_database_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut others = Vec::new();
    for (name, state) in [("building", Some(BUILDING)), ("recording", None)] {
        let of = folder.path().join(name);
        std::fs::create_dir(&of).unwrap();
        others.push(Planted::new(&of, "00", |header, _| {
            header.0[STATE] = state.unwrap_or(header.0[STATE]);
        }));
    }
    let database = folder.path().join("another.db");
    let builder = crate::Profiler::builder().database(&database).crash_proof(false);
    builder.build().unwrap().close().unwrap();
    let are_there: Vec<_> = others.iter().map(|other| other.ring.exists()).collect();
    assert_eq!(are_there, [false, true]);
}

#[test]
fn one_file_that_cannot_be_recovered_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // Made one after the other, so that one that is bad comes before and one behind it, whatever the order.
    let first = Planted::new(folder.path(), "0", too_long);
    let good = Planted::new(folder.path(), "1", |_, _| ());
    let bad = [first, Planted::new(folder.path(), "2", too_long)];
    for dry_run in [true, false] {
        let super::Recovered { rings, refused } = super::recover(&good.database, dry_run).unwrap();
        let [ring] = rings.try_into().unwrap();
        assert_eq!(
            (ring.ring, ring.spans > 0, ring.run_id.is_some()),
            (good.ring.clone(), true, !dry_run)
        );
        assert_eq!(refused.len(), 2);
        for Planted { ring, .. } in &bad {
            assert!(refused.iter().any(|why| why.to_string().contains(ring.to_str().unwrap())));
            assert!(ring.exists());
        }
        assert_eq!(good.ring.exists(), dry_run);
    }
}

#[test]
fn counts_that_no_process_reaches_do_not_overflow_together() {
    let mut left = Left::by(2);
    let mut header = Header::of(&left.bytes);
    let table = TABLE + 3 * DROPS;
    // Each of them is one that is believed.
    header.0[table + 2] = 1 << 17;
    header.lay_out().unwrap();
    left.bytes.truncate(header.0[table] as usize);
    let count = ((1_u64 << 48) - 1).to_ne_bytes();
    let cells = header.0[FILE_BYTES] as usize - left.bytes.len();
    left.bytes.extend(count.iter().cycle().take(cells));
    header.sign(&mut left.bytes);
    let scan = left.scan().unwrap();
    assert_eq!(scan.sound.iter().sum::<u64>(), 12);
    let (_folder, done) = recovered(scan);
    let done = done.unwrap();
    assert!(done.ledger.balances() && done.events_ledger.balances(), "{done:?}");
    assert_eq!(done.ledger.recorded, done.ledger.stored + done.ledger.dropped.total());
}

/// `SPANDREL_TEST_HEADERS=20000` for more of them.
#[test]
fn whatever_a_header_says_that_has_the_right_sum_nothing_worse_comes_of_it() {
    let times = std::env::var("SPANDREL_TEST_HEADERS").ok().and_then(|n| n.parse().ok());
    let times: u64 = times.unwrap_or(200);
    let left = Left::by(20);
    let known = left.scan().unwrap().sound.iter().sum::<u64>();
    let original = Header::of(&left.bytes);
    let tables =
        (0..original.0[TABLES] as usize).flat_map(|n| [TABLE + 3 * n + 1, TABLE + 3 * n + 2]);
    let mut sizes = vec![
        PAGE_BYTES,
        VALUE_WORDS,
        LEASED,
        LEASED_SLOTS,
        SHARED_SLOTS,
        NAMES_WORDS,
        COUNTERS,
        TABLES,
    ];
    sizes.extend(tables);
    // The clock, its anchors, and settings of the recorder; not the hash of its records, without which nothing is read.
    let others: Vec<_> = (CLOCK..SETTINGS).chain(SETTINGS + 1..VALUE_WORDS).collect();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut refused, mut read, mut stored) = (0, 0, 0);
    for time in 0..times {
        let mut header = Header(original.0);
        for _ in 0..=next() % 3 {
            let from = if next() % 4 == 0 { &others } else { &sizes };
            let word = &mut header.0[from[next() as usize % from.len()]];
            *word = match next() % 8 {
                0 => 0,
                1 => next(),
                2 => 1 << (next() % 64),
                3 => word.wrapping_mul(2),
                4 => *word / 2,
                5 => word.wrapping_add(8),
                6 => word.wrapping_sub(8),
                _ => *word ^ 1 << (next() % 64),
            };
        }
        header.0[TABLES] = header.0[TABLES].min(8);
        if header.lay_out().is_none() {
            continue;
        }
        let mut forged = Left { bytes: left.bytes.clone() };
        header.sign(&mut forged.bytes);
        // As long as it says, where that is not too much.
        if time % 2 == 0 && header.0[FILE_BYTES] < 1 << 26 {
            forged.bytes.resize(header.0[FILE_BYTES] as usize, 0);
        }
        let Ok(scan) = forged.scan() else {
            refused += 1;
            continue;
        };
        read += 1;
        assert!(scan.sound.iter().sum::<u64>() <= known, "more than there is");
        if time % 8 == 0 {
            let (folder, done) = recovered(scan);
            let done = match done {
                Ok(done) => done,
                Err(error) => {
                    assert!(error.to_string().starts_with("ring: it has ids that no"), "{error}");
                    continue;
                }
            };
            assert!(done.ledger.balances() && done.events_ledger.balances(), "{done:?}");
            let reader = spandrel_query::Reader::open(folder.path().join("p.db")).unwrap();
            let found = reader.contradictions(1).unwrap();
            assert!(found.is_empty(), "{found:?}");
            stored += done.ledger.stored;
        }
    }
    assert!(
        refused > 0 && read > 0 && stored > 0,
        "{refused} refused, {read} read, {stored} stored"
    );
}
