//! A ring file with anything in it, recovered or collected into a profile: see [`crate::fuzz`].

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // what does not hold is a panic

use std::cell::RefCell;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use spandrel_storage::{Store, StoreOptions, Synchronous};
use tempfile::TempDir;

use crate::writer::collect::{CollectOptions, collect};
use crate::writer::recover::left::{Left, places};
use crate::writer::recover::recover_one;

/// Words of the header, as `docs/src/reference/ring-file.md` has them.
const STATE: usize = 3;
const PID: usize = 10;
const HEADER_WORDS: usize = 512;

/// A ring file of a process that is gone, and where it is put.
struct Rig {
    folder: TempDir,
    bytes: Vec<u8>,
    sections: Vec<std::ops::Range<usize>>,
}

impl Rig {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let ours = || {
            let mut folder = tempfile::Builder::new();
            // As programs make it: nobody collects from another one.
            folder.permissions(std::fs::Permissions::from_mode(0o700));
            folder
        };
        let folder = ours().tempdir_in(memory).or_else(|_| ours().tempdir()).unwrap();
        let database = folder.path().canonicalize().unwrap().join("p.db");
        let mut bytes = Left::of(&database, 1, 12).bytes;
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        set(&mut bytes, PID, ended.id().into());
        sign(&mut bytes);
        let mut sections = places(&bytes);
        sections.push(0..HEADER_WORDS);
        Self { folder, bytes, sections }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("p.db")
    }

    /// The file with these changes, each to a word of some section.
    fn changed(&self, changes: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for [section, low, high, how, word @ ..] in changes.as_chunks::<12>().0 {
            let section = &self.sections[usize::from(*section) % self.sections.len()];
            let at = usize::from(u16::from_le_bytes([*low, *high])) % section.len();
            let at = section.start + at;
            let (was, word) = (word_at(&bytes, at), u64::from_le_bytes(*word));
            let now = match how % 4 {
                0 => word,
                1 => was.wrapping_add(word),
                2 => was ^ 1 << (word % 64),
                _ => word_at(&bytes, word as usize % (bytes.len() / 8)),
            };
            set(&mut bytes, at, now);
        }
        bytes
    }
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, to: u64) {
    bytes[8 * at..8 * at + 8].copy_from_slice(&to.to_ne_bytes());
}

/// Makes the sum of the header fit.
fn sign(bytes: &mut [u8]) {
    let words = (0..HEADER_WORDS - 1).filter(|at| *at != STATE);
    let sum = words.fold(u64::from_le_bytes(*b"SPANRING"), |sum, at| {
        let mixed = (sum ^ word_at(bytes, at)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 32)
    });
    set(bytes, HEADER_WORDS - 1, sum);
}

thread_local! {
    static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) };
}

/// The first byte says whether the file is collected and not recovered, whether the sum of its header is made to fit, whether the
/// profile has been there before, and whether the rest is the file as it is; the second one where it is cut. Changes to a sound
/// file follow. What is stored must make sense, and whatever is lost be counted.
pub fn recovery(data: &[u8], agrees: impl FnOnce(&Path)) {
    let [how, cut, rest @ ..] = data else { return };
    RIG.with_borrow_mut(|rig| {
        let rig = rig.get_or_insert_with(Rig::new);
        let (is_collected, is_signed) = (how & 1 != 0, how & 2 != 0);
        let mut bytes = if how & 8 != 0 { rest.to_vec() } else { rig.changed(rest) };
        if is_signed && bytes.len() >= 8 * HEADER_WORDS {
            sign(&mut bytes);
        }
        if *cut < 128 {
            bytes.truncate(bytes.len() * usize::from(*cut) / 128);
        }
        let ring = rig.folder.path().join("0-0.ring");
        let mut options = std::fs::File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&ring).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        drop(file);
        let database = rig.database();
        for suffix in ["", "-wal", "-shm"] {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            _ = std::fs::remove_file(name);
        }
        if is_collected {
            collected(rig.folder.path(), &database)
        } else {
            one(&database, &ring)
        }
        agrees(&database);
    });
}

fn options() -> StoreOptions {
    StoreOptions { synchronous: Synchronous::Off, ..StoreOptions::default() }
}

fn one(database: &Path, ring: &Path) {
    let mut store = Store::open(database, &options()).unwrap();
    if let Ok(Some(done)) = recover_one(&mut store, Some(database), ring) {
        assert!(done.ledger.balances() && done.events_ledger.balances(), "{done:?}");
    }
    store.close().unwrap();
}

fn collected(folder: &Path, database: &Path) {
    let options = CollectOptions { store: options(), ..CollectOptions::default() };
    // What cannot be stored is told of, and no error.
    _ = collect(folder, database, &options, || true, |_| ());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What the profile has must agree with itself.
    pub(crate) fn check(database: &Path) {
        // A profile of a collector that has collected nothing does not stay.
        if !database.exists() {
            return;
        }
        let reader = spandrel_query::Reader::open(database).unwrap();
        let Some(run) = reader.latest_run().unwrap() else { return };
        let found = reader.contradictions(run.id).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_sound_file_comes_out_either_way() {
        for how in [0, 1, 2, 3] {
            recovery(&[how, 255], check);
            RIG.with_borrow(|rig| {
                let database = rig.as_ref().unwrap().database();
                let reader = spandrel_query::Reader::open(database).unwrap();
                let run = reader.latest_run().unwrap().unwrap();
                assert_eq!((run.spans, run.events), (4 * 12 + 2, 12), "{how}");
            });
        }
    }

    /// `SPANDREL_TEST_CHANGED=1000000` for a million of words.
    #[test]
    fn whatever_words_are_changed_the_profile_agrees_with_itself() {
        let words = std::env::var("SPANDREL_TEST_CHANGED").ok().and_then(|n| n.parse().ok());
        let words: u64 = words.unwrap_or(1_000);
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut changed = 0;
        while changed < words {
            // Of eight files one is cut.
            let cut = if random() % 8 == 0 { random() as u8 } else { u8::MAX };
            let mut data = vec![random() as u8 & 3, cut];
            let many = 1 + random() % 64;
            changed += many;
            for _ in 0..many {
                data.extend_from_slice(&random().to_le_bytes()[..4]);
                let word = match random() % 4 {
                    0 => random() % 1_000,
                    1 => 1 << (random() % 64),
                    2 => u64::MAX - random() % 3,
                    _ => random(),
                };
                data.extend_from_slice(&word.to_le_bytes());
            }
            recovery(&data, check);
        }
    }
}
