//! What cannot be recorded into is refused at `build()`: an error of its own for each case, with the
//! path and what to do, nothing on the disk changed, and the program goes on without a profiler.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rusqlite::Connection;
use spandrel_storage::ErrorKind as Storage;
use spandrel_tests::prelude::*;
use spandrel_tests::system;

/// Everything in a folder: names, sizes and contents.
fn snapshot(folder: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let mut files = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            let target = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
            files.insert(path, target);
        } else if path.is_dir() {
            files.extend(snapshot(&path));
            files.insert(path, Vec::new());
        } else {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
    files
}

/// Asserts the refusal, and returns its message without the path.
fn refused(path: &Path, kind: Storage, remedy: &str) -> String {
    let error = small(path).build().unwrap_err();
    let message = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Storage(kind), "{message}");
    assert_eq!(error.path(), Some(path), "{message}");
    let path = path.to_str().unwrap();
    assert!(message.contains(path), "names the path: {message}");
    assert!(message.to_lowercase().contains(remedy), "says what to do ({remedy}): {message}");
    message.replace(path, "PATH")
}

/// A closed recording with some spans.
fn recording(path: &Path) {
    let profiler = small(path).build().unwrap();
    within(&dispatch(&profiler), || (0..2_000).for_each(|n| drop(info_span!("work", n))));
    ledger::check_complete(path, &profiler.close().unwrap());
}

fn program(profiler: Option<&Profiler>) {
    use tracing_subscriber::prelude::*;
    let layer = profiler.map(Profiler::layer);
    within(&tracing::Dispatch::new(tracing_subscriber::registry().with(layer)), || {
        info_span!("work").in_scope(|| info!("the program goes on"));
    });
}

#[test]
fn each_bad_path_is_refused_in_its_own_way() {
    let scratch = scratch_for(60);
    let folder = scratch.path("a folder");
    fs::create_dir(&folder).unwrap();
    let text = scratch.path("text");
    fs::write(&text, "this is no database, whatever its name says. ".repeat(100)).unwrap();
    let short = scratch.path("short");
    fs::write(&short, "?").unwrap();
    let foreign = scratch.path("foreign.db");
    let theirs = Connection::open(&foreign).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(theirs);
    let marked = scratch.path("marked.db");
    let theirs = Connection::open(&marked).unwrap();
    theirs.execute_batch("PRAGMA application_id = 77; CREATE TABLE span (x)").unwrap();
    drop(theirs);
    let newer = scratch.path("newer.db");
    recording(&newer);
    let future = Connection::open(&newer).unwrap();
    future.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(future);
    let corrupt = scratch.path("corrupt.db");
    recording(&corrupt);
    let mut bytes = fs::read(&corrupt).unwrap();
    // The header stays; the table of tables behind it does not.
    bytes[100..4_096].fill(0xA5);
    fs::write(&corrupt, bytes).unwrap();
    let truncated = scratch.path("truncated.db");
    recording(&truncated);
    let half = fs::metadata(&truncated).unwrap().len() / 2;
    fs::File::options().write(true).open(&truncated).unwrap().set_len(half).unwrap();
    let link = scratch.path("link.db");
    std::os::unix::fs::symlink(&newer, &link).unwrap();
    let dangling = scratch.path("dangling.db");
    std::os::unix::fs::symlink(scratch.path("nowhere"), &dangling).unwrap();

    let before = snapshot(scratch.folder());
    let missing = scratch.path("missing folder/profile.db");
    let messages = [
        refused(&missing, Storage::MissingFolder, "make it"),
        refused(&folder, Storage::IsDirectory, "name a file"),
        refused(&text, Storage::NotADatabase, "choose"),
        refused(&foreign, Storage::ForeignDatabase, "choose"),
        refused(&newer, Storage::NewerSchema, "upgrade"),
        refused(&corrupt, Storage::Corrupt, "move it away"),
        refused(&link, Storage::Symlink, ""),
    ];
    refused(&short, Storage::NotADatabase, "choose");
    refused(&marked, Storage::ForeignDatabase, "choose");
    refused(&truncated, Storage::Corrupt, "move it away");
    refused(&dangling, Storage::Symlink, "");
    let below_a_file = text.join("profile.db");
    let error = small(&below_a_file).build().unwrap_err();
    assert!(error.to_string().contains(below_a_file.to_str().unwrap()), "{error}");
    for (at, message) in messages.iter().enumerate() {
        assert!(!messages[..at].contains(message), "said twice: {message}");
    }
    assert_eq!(snapshot(scratch.folder()), before, "nothing on the disk was changed");
    program(None);
}

#[test]
fn an_empty_file_is_as_good_as_none() {
    let scratch = scratch_for(30);
    fs::write(scratch.db(), "").unwrap();
    recording(scratch.db());
}

#[test]
fn a_file_in_use_by_another_process_is_refused_until_that_ends() {
    if child::role().is_some() {
        let path = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
        let profiler = small(&path).build().unwrap();
        child::say("recording");
        child::listen();
        drop(profiler);
        return;
    }
    let scratch = scratch_for(60);
    let start = || {
        let mut child = child::plan("hold").env("SPANDREL_TEST_PATH", scratch.db()).start();
        child.expect("recording");
        child
    };
    let mut child = start();
    let message = refused(scratch.db(), Storage::InUse, "");
    assert!(message.contains("another"), "{message}");
    program(None);
    child.tell("enough");
    child.succeed();
    recording(scratch.db());
    // The system takes the lock back from a process that is killed.
    let mut child = start();
    refused(scratch.db(), Storage::InUse, "");
    child.kill();
    recording(scratch.db());
}

#[test]
fn no_permission() {
    if child::role().is_some() {
        let path = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
        system::become_nobody().unwrap();
        for path in [path.join("locked/profile.db"), path.join("read-only/profile.db")] {
            refused(&path, Storage::PermissionDenied, "permission");
        }
        refused(&path.join("open/read-only.db"), Storage::PermissionDenied, "permission");
        program(None);
        return;
    }
    let scratch = scratch_for(60);
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [("locked", 0o700), ("read-only", 0o555), ("open", 0o777)] {
        fs::create_dir(scratch.path(name)).unwrap();
        allow(&scratch.path(name), mode);
    }
    recording(&scratch.path("open/read-only.db"));
    allow(&scratch.path("open/read-only.db"), 0o444);
    allow(scratch.folder(), 0o755);
    if system::is_root() {
        let plan = child::plan("nobody");
        plan.env("SPANDREL_TEST_PATH", scratch.folder()).start().succeed();
    } else {
        allow(&scratch.path("locked"), 0o000);
        refused(&scratch.path("locked/profile.db"), Storage::PermissionDenied, "permission");
        refused(&scratch.path("read-only/profile.db"), Storage::PermissionDenied, "permission");
        refused(&scratch.path("open/read-only.db"), Storage::PermissionDenied, "permission");
        allow(&scratch.path("locked"), 0o700);
    }
}

#[test]
fn ids_that_no_recording_reaches_are_refused() {
    let scratch = scratch_for(60);
    recording(scratch.db());
    let db = Connection::open(scratch.db()).unwrap();
    db.execute("UPDATE run SET last_id = ?1", [1_i64 << 60]).unwrap();
    drop(db);
    refused(scratch.db(), Storage::Corrupt, "move it away");
    let db = Connection::open(scratch.db()).unwrap();
    db.execute("UPDATE run SET last_id = 1000000", []).unwrap();
    drop(db);
    recording(scratch.db());
}

#[test]
fn settings_out_of_range_are_named() {
    let scratch = scratch_for(30);
    let base = || Profiler::builder().database(scratch.db());
    let wrong = [
        ("ring_capacity", base().ring_capacity(0)),
        ("partitions", base().partitions(0)),
        ("partitions", base().partitions(100_000)),
        ("batch_size", base().batch_size(0)),
        ("max_open_spans", base().max_open_spans(0)),
        ("max_field_bytes", base().max_field_bytes(1 << 30)),
        ("flush_interval", base().flush_interval(Duration::ZERO)),
        ("path", base().database("")),
    ];
    for (name, builder) in wrong {
        let error = builder.build().unwrap_err();
        let invalid = ErrorKind::Storage(Storage::InvalidOption);
        assert!([ErrorKind::InvalidOption, invalid].contains(&error.kind()), "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 0, "no file was made");
}

#[test]
fn damaged_bytes_anywhere_do_no_harm() {
    let scratch = scratch_for(100);
    recording(scratch.db());
    let whole = fs::read(scratch.db()).unwrap();
    // A different place each time, over the whole file; the step is prime.
    for round in 0..60_usize {
        let mut bytes = whole.clone();
        let at = round * 104_729 % bytes.len();
        let end = (at + 8 + round * 16).min(bytes.len());
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
        fs::write(scratch.db(), &bytes).unwrap();
        match small(scratch.db()).build() {
            Err(error) => assert!(error.to_string().contains("profile.db"), "{error}"),
            // Damage that cannot be seen at once must not crash the program later.
            Ok(profiler) => {
                within(&dispatch(&profiler), || {
                    (0..50).for_each(|n| drop(info_span!("after", n)));
                });
                let _ = profiler.flush(Duration::from_millis(200));
                ledger::settled(&profiler.close().unwrap());
            }
        }
        for suffix in ["-wal", "-shm"] {
            let mut name = scratch.db().as_os_str().to_owned();
            name.push(suffix);
            let _ = fs::remove_file(name);
        }
    }
}
