//! Ring files that lie where a profile's are, with words that no process of ours has written.

use super::*;
use crate::recorder::ring_file::layout::anchors;

/// Words of a ring file's header, see the book's page of ring files.
mod header {
    pub(super) const BOOT: usize = 6;
    pub(super) const PID: usize = 10;
    pub(super) const ANCHORS: usize = 16;
    pub(super) const WORDS: usize = 512;
}

/// A profile, and a ring file of it that a process has left which is gone.
struct Case {
    _folder: TempDir,
    database: PathBuf,
    ring: PathBuf,
    left: Left,
}

impl Case {
    /// Ids of the ring begin there; those of the run in the profile, if it is in it, with 1.
    fn new(first_id: u64, requests: u64, is_in_profile: bool) -> Self {
        let (folder, store) = match is_in_profile {
            true => profile(),
            false => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("p.db");
                (folder, Store::open(path, &StoreOptions::default()).unwrap())
            }
        };
        let database = place::canonical(store.path()).unwrap();
        store.close().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let rings = place::folders().pop().unwrap();
        let ring = rings.join(place::file_name(&database, ended.id(), UUID));
        let mut case =
            Self { left: Left::of(&database, first_id, requests), _folder: folder, database, ring };
        case.set(header::PID, u64::from(ended.id()));
        case
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.left.bytes[8 * at..8 * at + 8].try_into().unwrap())
    }

    fn set(&mut self, at: usize, to: u64) {
        self.left.bytes[8 * at..8 * at + 8].copy_from_slice(&to.to_ne_bytes());
    }

    /// Writes the file, with a header whose sum fits.
    fn lie_there(&mut self) {
        let words = 0..header::WORDS - 1;
        let sum = words.filter(|at| *at != 3).fold(self.word(0), |sum, at| {
            let mixed = (sum ^ self.word(at)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 32)
        });
        self.set(header::WORDS - 1, sum);
        std::fs::write(&self.ring, &self.left.bytes).unwrap();
    }

    fn recover(&mut self) -> Result<Vec<Recovery>, Error> {
        self.lie_there();
        recover(&self.database, false)
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.ring);
    }
}

#[test]
fn a_ring_of_which_nothing_makes_sense_is_renamed_and_not_removed() {
    let mut case = Case::new(1, 10, true);
    // As if all of it had been recorded before the run began.
    case.set(header::BOOT, 1);
    case.set(header::ANCHORS + anchors::ORIGIN_TICKS, 1 << 61);
    let error = case.recover().unwrap_err().to_string();
    let mut renamed = case.ring.clone().into_os_string();
    renamed.push(".damaged");
    let renamed = PathBuf::from(renamed);
    assert!(error.contains("makes sense") && error.ends_with(renamed.to_str().unwrap()), "{error}");
    assert!(!case.ring.exists());
    assert_eq!(std::fs::read(&renamed).unwrap(), case.left.bytes);
    assert_eq!(recover(&case.database, false).unwrap(), [], "nobody takes it for a ring");
    assert_eq!(waiting(&case.database).unwrap(), []);
    std::fs::remove_file(renamed).unwrap();
}
