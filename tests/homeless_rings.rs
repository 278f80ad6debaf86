//! Rings of programs that were killed, whose profile is not where it was.

use std::path::PathBuf;

use spandrel::recover::{homeless, recover, recover_ring, rings, waiting};
use spandrel_storage::{Store, StoreOptions};
use spandrel_tests::prelude::*;

const SPANS: i64 = 10;

/// In the child: spans of which one half is in the profile, and all others are in the ring.
fn record() {
    let path = std::env::var_os("SPANDREL_TEST_PATH").unwrap();
    let builder = Profiler::builder().database(path).flush_interval(Duration::from_secs(3_600));
    let profiler = builder.crash_proof(true).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    within(&dispatch(&profiler), || {
        (0..SPANS / 2).for_each(|_| info_span!("stored").in_scope(|| ()));
        profiler.flush(Duration::from_secs(20)).unwrap();
        (0..SPANS / 2).for_each(|_| info_span!("in the ring").in_scope(|| ()));
        child::say("recorded");
        child::listen();
    });
}

/// Runs the calling test in a process that has a folder of its own for ring files: those of others are none of its business,
/// nor its own theirs.
fn alone(test: fn(&Scratch)) {
    match child::role().as_deref() {
        Some("record") => record(),
        Some(_) => test(&scratch_for(60)),
        None => {
            let folder = tempfile::Builder::new().prefix("spandrel-rings-").tempdir_in("/dev/shm");
            let folder = folder.unwrap();
            child::plan("test").env("XDG_RUNTIME_DIR", folder.path()).start().succeed();
        }
    }
}

/// A profile in a folder of its own, whose program was killed.
fn killed(scratch: &Scratch, folder: &str) -> PathBuf {
    let database = scratch.path(folder).join("p.db");
    std::fs::create_dir(database.parent().unwrap()).unwrap();
    let mut child = child::plan("record").env("SPANDREL_TEST_PATH", &database).start();
    child.expect("recorded");
    child.kill();
    database
}

fn names(database: &Path) -> Vec<(String, i64)> {
    Database::open(database).rows(
        "SELECT name, count(*) FROM spans GROUP BY 1 ORDER BY 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

#[test]
fn a_ring_whose_profile_was_renamed_with_its_folder_is_homeless_to_others_only() {
    alone(look_for_one_that_was_renamed);
}

fn look_for_one_that_was_renamed(scratch: &Scratch) {
    let before = killed(scratch, "before");
    let after = scratch.path("after").join("p.db");
    std::fs::rename(before.parent().unwrap(), after.parent().unwrap()).unwrap();
    let waits = waiting(&after).unwrap();
    let [ring] = &waits[..] else { panic!("{waits:?}") };
    let told = |at_hand: &Path| {
        let homeless = homeless(at_hand);
        let found = homeless.into_iter().find(|other| other.path == ring.path);
        found.map(|found| found.database)
    };
    assert_eq!(told(&after), None, "it waits for its profile");
    assert_eq!(told(scratch.db()), Some(before));
    assert_eq!(recover(&after, false).unwrap().rings.len(), 1);
    let half = SPANS / 2;
    assert_eq!(names(&after), [("in the ring".into(), half), ("stored".into(), half)]);
}

#[test]
fn a_recovery_into_a_new_profile_that_was_killed_before_it_had_a_run_is_begun_anew() {
    alone(recover_into_one_that_is_begun);
}

fn recover_into_one_that_is_begun(scratch: &Scratch) {
    // As far as one may come: a file with nothing in it, and one without a run.
    let begin: [fn(&Path); 2] = [
        |new| std::fs::write(new, "").unwrap(),
        |new| Store::open(new, &StoreOptions::default()).unwrap().close().unwrap(),
    ];
    // What holds something else stays as it is.
    let others = [scratch.path("text"), scratch.path("other.db")];
    std::fs::write(&others[0], "something").unwrap();
    small(&others[1]).build().unwrap().close().unwrap();
    for (case, begin) in begin.into_iter().enumerate() {
        let gone = killed(scratch, &format!("gone-{case}"));
        let ring = waiting(&gone).unwrap().remove(0).path;
        std::fs::remove_dir_all(gone.parent().unwrap()).unwrap();
        for other in &others {
            let refused = recover_ring(&ring, other).unwrap_err().to_string();
            assert!(refused.contains("there is such a file already"), "{refused}");
        }
        let new = scratch.path(&format!("new-{case}.db"));
        begin(&new);
        let recovered = recover_ring(&ring, &new).unwrap();
        assert_eq!((recovered.rings.len(), recovered.refused.len()), (1, 0), "{recovered:?}");
        assert_eq!(names(&new), [("in the ring".into(), SPANS / 2)]);
    }
}

#[test]
fn a_ring_that_was_put_back_is_said_to_be_stored_and_by_which_run() {
    alone(put_one_back);
}

fn put_one_back(scratch: &Scratch) {
    let (copy, new) = (scratch.path("copy"), scratch.path("new.db"));
    let database = killed(scratch, "there");
    let ring = waiting_of(&database);
    std::fs::copy(&ring, &copy).unwrap();
    let refused = |ring: &Path, new: &Path| recover_ring(ring, new).unwrap_err().to_string();
    // Where it is not looked for, its profile does not find it.
    let said = refused(&copy, &new);
    assert!(
        said.contains("its profile is there") && said.contains("the name that it had"),
        "{said}"
    );
    let said = refused(&ring, &new);
    assert!(said.ends_with(&format!("`spandrel recover --db {}`", database.display())), "{said}");

    assert_eq!(recover(&database, false).unwrap().rings.len(), 1);
    assert_eq!(rings(&database).unwrap(), (vec![], vec![]));
    std::fs::copy(&copy, &ring).unwrap();
    let (waiting, stored) = rings(&database).unwrap();
    let [stored] = &stored[..] else { panic!("{stored:?}") };
    assert!(waiting.is_empty() && stored.path == ring && stored.run_id == 1, "{stored:?}");
    let said = refused(&ring, &new);
    let already = |database: &Path| {
        format!("all that it has is in {} already, run 1: nobody needs it", database.display())
    };
    assert!(said.contains(&already(&database)), "{said}");
    assert!(ring.exists() && !new.exists());

    // The same where its own profile is gone, and it was recovered into another one.
    std::fs::remove_file(&ring).unwrap();
    let gone = killed(scratch, "gone");
    let ring = waiting_of(&gone);
    std::fs::copy(&ring, &copy).unwrap();
    std::fs::remove_dir_all(gone.parent().unwrap()).unwrap();
    assert_eq!(recover_ring(&ring, &new).unwrap().rings.len(), 1);
    std::fs::copy(&copy, &ring).unwrap();
    let said = refused(&ring, &new);
    assert!(said.contains(&already(&new)), "{said}");
    assert_eq!(names(&new), [("in the ring".into(), SPANS / 2)]);
}

fn waiting_of(database: &Path) -> PathBuf {
    waiting(database).unwrap().remove(0).path
}

#[test]
fn what_is_wrong_with_a_file_that_is_named_is_said() {
    alone(name_what_is_no_ring);
}

fn name_what_is_no_ring(scratch: &Scratch) {
    use std::os::unix::fs::FileExt;

    let gone = killed(scratch, "gone");
    let ring = waiting_of(&gone);
    std::fs::remove_dir_all(gone.parent().unwrap()).unwrap();
    let refused = |ring: &Path| recover_ring(ring, scratch.db()).unwrap_err().to_string();
    let [text, zeros, newer] = ["text", "zeros", "newer"].map(|name| scratch.path(name));
    std::fs::write(&text, "something else").unwrap();
    std::fs::write(&zeros, [0; 8_192]).unwrap();
    std::fs::copy(&ring, &newer).unwrap();
    // The second word is the version of the layout.
    let file = std::fs::File::options().write(true).open(&newer).unwrap();
    file.write_all_at(&2_u64.to_ne_bytes(), 8).unwrap();
    for (path, why, way_out) in [
        (scratch.path("none"), "there is no such file", "check the path"),
        (text, "this is no ring file", "check the path"),
        (zeros, "this is no ring file", "before anything was in it"),
        (newer, "has version 2 of the layout", "take the spandrel of the program that wrote it"),
    ] {
        let said = refused(&path);
        let named = path.display().to_string();
        assert!(said.starts_with(&named) && said.contains(why) && said.contains(way_out), "{said}");
        assert!(!scratch.db().exists(), "nothing is made");
    }
    assert!(recover_ring(&ring, scratch.db()).is_ok());
}
