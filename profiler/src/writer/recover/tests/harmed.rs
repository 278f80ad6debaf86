//! Ring files that lie where a profile's are, with words that no process of ours has written.

use super::*;
use crate::recorder::ring_file::layout::{anchors, settings};

/// Words of a ring file's header, see the book's page of ring files.
mod header {
    pub(super) const BOOT: usize = 6;
    pub(super) const PID: usize = 10;
    pub(super) const ANCHORS: usize = 16;
    pub(super) const DRAINER_AT: usize = 41;
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

    fn set_threads_above(&mut self, to: i64) {
        let at = self.word(header::DRAINER_AT) as usize / 8 + drainer::THREADS_ABOVE;
        self.set(at, to.wrapping_add(1).cast_unsigned());
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
        let mut done = recover(&self.database, false)?;
        match done.refused.is_empty() {
            true => Ok(done.rings),
            false => Err(done.refused.remove(0)),
        }
    }

    /// Whether the next recording is stored, and all that is in the profile makes sense.
    fn next_is_stored(&self) {
        let profiler = crate::Profiler::builder().database(&self.database).crash_proof(false);
        let profiler = profiler.build().unwrap();
        let dispatch = Dispatch::new(profiler.subscriber());
        dispatcher::with_default(&dispatch, || info_span!("next").in_scope(|| ()));
        let stats = profiler.close().unwrap().stats;
        assert_eq!((stats.stored, stats.dropped.total()), (1, 0), "{:?}", stats.last_error);
        let reader = spandrel_query::Reader::open(&self.database).unwrap();
        let run = reader.latest_run().unwrap().unwrap();
        assert!(reader.contradictions(run.id).unwrap().is_empty());
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
    assert_eq!(recover(&case.database, false).unwrap().rings, [], "nobody takes it for a ring");
    assert_eq!(waiting(&case.database).unwrap(), []);
    std::fs::remove_file(renamed).unwrap();
}

#[test]
fn where_ids_of_threads_begin_is_not_believed_if_it_cannot_be() {
    for above in [i64::MAX - 1, i64::MAX, -1, i64::MIN, 1 << 40, 7] {
        let mut case = Case::new(1, 10, true);
        case.set_threads_above(above);
        let done = case.recover().unwrap();
        assert_eq!((done[0].spans, done[0].crashed, done[0].damaged), (40, 2, 0), "{above}");
        let store = Store::open(&case.database, &StoreOptions::default()).unwrap();
        let last = store.thread_id(0);
        store.close().unwrap();
        // Other tests of this process have threads, too.
        assert!((1..1 << 24).contains(&last), "{last} of {above}");
        case.next_is_stored();
    }
}

#[test]
fn ids_that_are_not_of_the_run_or_near_their_end_are_not_stored() {
    for (first_id, is_in_profile) in
        [(FIRST_ID_MAX - 100_000, true), (FIRST_ID_MAX - 100_000, false), (1_000, true)]
    {
        let mut case = Case::new(first_id, 10, is_in_profile);
        assert_eq!(case.word(24 + settings::FIRST_ID), first_id);
        let error = case.recover().unwrap_err().to_string();
        assert!(error.contains("ids"), "{error}");
        assert!(case.ring.exists(), "whoever knows better may recover it");
        case.next_is_stored();
    }
    let mut case = Case::new(1_000, 10, false);
    assert_eq!(case.recover().unwrap()[0].spans, 40, "its profile was taken away");
}

#[test]
fn a_ring_that_is_left_keeps_its_ids_for_when_it_is_recovered() {
    let mut case = Case::new(1_000, 10, true);
    case.recover().unwrap_err();
    let last = case.left.scan().unwrap().last_id;
    case.next_is_stored();
    let reader = spandrel_query::Reader::open(&case.database).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    let mut ids = Vec::new();
    reader.spans(run.id, |span| ids.push(span.id)).unwrap();
    assert!(ids.len() == 1 && ids[0] > last, "{ids:?}, {last}");
    // What a ring says does not take all ids from its profile.
    let mut case = Case::new(FIRST_ID_MAX - 100_000, 10, true);
    case.recover().unwrap_err();
    case.next_is_stored();
    let store = Store::open(&case.database, &StoreOptions::default()).unwrap();
    assert!(store.next_id() < 1_000_000);
    store.close().unwrap();
}

#[test]
fn what_the_profile_refuses_is_not_called_damaged() {
    let mut case = Case::new(1, 10, true);
    assert_eq!(case.recover().unwrap()[0].spans, 40);
    // Somebody puts it there again: the run says that nothing more comes into it.
    assert_eq!(case.recover().unwrap(), []);
    // As if it did not say so, where the profile has all of its ids.
    let connection = rusqlite::Connection::open(&case.database).unwrap();
    connection.execute("UPDATE run SET report = json_remove(report, '$.crashed')", []).unwrap();
    drop(connection);
    let done = case.recover().unwrap();
    let (spans, events) = (done[0].ledger.dropped, done[0].events_ledger.dropped);
    assert_eq!((spans.row_refused, spans.damaged, spans.abandoned), (40, 0, 0));
    assert_eq!((events.row_refused, events.damaged, done[0].damaged), (10, 0, 0));
    let reader = spandrel_query::Reader::open(&case.database).unwrap();
    assert_eq!(reader.run(1).unwrap().unwrap().spans, 42);
    assert!(reader.contradictions(1).unwrap().is_empty());
    let rows = reader.losses(1).unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.reason, row.spans, row.events)).collect();
    assert_eq!(rows, [("row_refused", 40, 10)]);
}
