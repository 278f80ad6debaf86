//! Nothing is recorded into a profile, or with a log or an index, that somebody else owns or may write
//! to: they would read all of it, or write into it what they like.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use spandrel_storage::ErrorKind as Refusal;
use spandrel_tests::host::sidecar;
use spandrel_tests::prelude::*;
use spandrel_tests::system;

const NOBODY: u32 = 65_534;

/// A profile with one run of one span.
fn profile() -> Scratch {
    let scratch = scratch();
    record(scratch.db());
    scratch
}

fn record(db: &Path) {
    let profiler = small(db).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    profiler.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(profiler.close().unwrap().stored, 1);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn runs(db: &Path) -> u64 {
    Database::open(db).count("SELECT count(*) FROM run")
}

/// It is refused, with the name of `file` and a way out, and nothing was written.
fn assert_refused(db: &Path, file: &Path, way_out: &str) {
    let before = fs::read(db).unwrap();
    let error = small(db).build().unwrap_err();
    let ErrorKind::Storage(kind) = error.kind() else { panic!("{error}") };
    let symlink = way_out == "symbolic link";
    assert_eq!(kind, if symlink { Refusal::Symlink } else { Refusal::Untrusted }, "{error}");
    let said = error.to_string();
    assert!(said.starts_with(file.to_str().unwrap()) && said.contains(way_out), "{said}");
    assert_eq!(fs::read(db).unwrap(), before);
    let probes = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().contains("probe")
    };
    assert!(!fs::read_dir(db.parent().unwrap()).unwrap().any(probes));
}

#[test]
fn a_profile_that_others_can_write_is_refused_and_one_that_they_can_read_is_not() {
    let _limit = time_limit(60);
    let scratch = profile();
    for mode in [0o660, 0o606, 0o666, 0o622] {
        set_mode(scratch.db(), mode);
        assert_refused(scratch.db(), scratch.db(), "chmod 600");
        assert_eq!(fs::metadata(scratch.db()).unwrap().mode() & 0o777, mode);
    }
    // As after a restore from a backup.
    for (mode, run) in [(0o600, 2), (0o640, 3), (0o644, 4)] {
        set_mode(scratch.db(), mode);
        record(scratch.db());
        assert_eq!(runs(scratch.db()), run);
        assert_eq!(fs::metadata(scratch.db()).unwrap().mode() & 0o777, mode);
    }
}

#[test]
fn a_log_or_an_index_that_others_can_write_is_refused() {
    let _limit = time_limit(60);
    let scratch = profile();
    for suffix in ["-wal", "-shm", "-journal"] {
        let file = sidecar(scratch.db(), suffix);
        File::create(&file).unwrap();
        set_mode(&file, 0o666);
        assert_refused(scratch.db(), &file, "chmod 600");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(scratch.path("elsewhere"), &file).unwrap();
        assert_refused(scratch.db(), &file, "symbolic link");
        fs::remove_file(&file).unwrap();
    }
    record(scratch.db());
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let _limit = time_limit(60);
    match child::role().as_deref() {
        Some("nobody") => {
            let db = std::env::var("SPANDREL_TEST_PATH").unwrap();
            system::become_nobody().unwrap();
            assert_refused(Path::new(&db), Path::new(&db), "chown");
        }
        // Who uses `sudo` means the files of his own.
        Some(_) => record(Path::new(&std::env::var("SPANDREL_TEST_PATH").unwrap())),
        None if !system::is_root() => println!("only root can give a file away: skipped"),
        None => {
            let scratch = profile();
            let owner = fs::metadata(scratch.db()).unwrap().uid();
            chown(scratch.db(), Some(NOBODY), None).unwrap();
            assert_refused(scratch.db(), scratch.db(), "chown");
            let plan = child::plan("sudo").env("SPANDREL_TEST_PATH", scratch.db());
            plan.env("SUDO_UID", NOBODY.to_string()).start().succeed();
            chown(scratch.db(), Some(owner), None).unwrap();
            for suffix in ["-wal", "-shm", "-journal"] {
                let file = sidecar(scratch.db(), suffix);
                File::create(&file).unwrap();
                chown(&file, Some(NOBODY), None).unwrap();
                assert_refused(scratch.db(), &file, "chown");
                fs::remove_file(&file).unwrap();
            }
            record(scratch.db());
            // Made beforehand for somebody to walk into.
            set_mode(scratch.folder(), 0o777);
            set_mode(scratch.db(), 0o666);
            let plan = child::plan("nobody").env("SPANDREL_TEST_PATH", scratch.db());
            plan.start().succeed();
        }
    }
}

#[test]
fn a_program_with_a_loose_umask_records_again_and_again() {
    let _limit = time_limit(60);
    if child::role().is_none() {
        return child::plan("loose").start().succeed();
    }
    system::set_umask(0);
    let scratch = profile();
    let held: Profiler = small(scratch.db()).build().unwrap();
    for suffix in ["", "-wal", "-shm", "-ctl"] {
        let mode = fs::metadata(sidecar(scratch.db(), suffix)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{suffix}");
    }
    // A killed recorder leaves them behind.
    drop(held);
    record(scratch.db());
    assert_eq!(runs(scratch.db()), 3);
}
