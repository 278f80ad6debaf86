//! Requests to a recording through the file beside its profile.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use spandrel_storage::{
    Answer, AnswerState, Control, ControlClient, Error, ErrorKind, Location, Request, Store,
    StoreOptions,
};

use crate::common;

const LONG: Duration = Duration::from_secs(30);

struct Recording {
    folder: tempfile::TempDir,
    path: PathBuf,
    store: Store,
}

fn recording() -> Recording {
    let (folder, path) = common::place();
    let store = common::store(&path, &StoreOptions::default());
    Recording { folder, path, store }
}

impl Recording {
    fn sidecar(&self) -> PathBuf {
        common::sidecar(&self.path, "-ctl")
    }

    /// A connection with no code of ours in between.
    fn raw(&self) -> Connection {
        Connection::open(self.sidecar()).unwrap()
    }
}

fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64
}

fn insert(conn: &Connection, at_unix_ns: i64, command: &str, arguments: &str) {
    conn.execute(
        "INSERT INTO request (at_unix_ns, by, command, arguments, state)
         VALUES (?1, 'a test', ?2, ?3, 'asked')",
        params![at_unix_ns, command, arguments],
    )
    .unwrap();
}

fn states(conn: &Connection) -> Vec<(String, Option<String>)> {
    let mut query = conn.prepare("SELECT state, result FROM request ORDER BY id").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Looks until there is a request.
fn wait_for(control: &mut Control) -> Request {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < LONG, "no request came");
        match control.poll() {
            Ok(mut requests) if requests.len() == 1 => return requests.remove(0),
            Ok(requests) => assert!(requests.is_empty(), "{requests:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        }
        std::thread::yield_now();
    }
}

/// Asks in another thread, while `recorder` is at work.
fn ask<T>(
    path: &Path,
    timeout: Duration,
    recorder: impl FnOnce() -> T,
) -> (Result<Answer, Error>, T) {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut client = ControlClient::open(path)?;
            client.ask("mark", r#"{"label":"deploy"}"#, timeout)
        });
        let recorded = recorder();
        (asked.join().unwrap(), recorded)
    })
}

#[test]
fn a_request_is_taken_once_and_answered() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    assert_eq!(control.poll().unwrap(), []);
    let (answer, request) = ask(&recording.path, LONG, || {
        let request = wait_for(&mut control);
        assert_eq!(control.poll().unwrap(), [], "it was taken");
        while control.answer(request.id, AnswerState::Done, "{\"at_ns\":1}").is_err() {}
        request
    });
    let answer = answer.unwrap();
    assert_eq!((answer.state, answer.result.as_str()), (AnswerState::Done, "{\"at_ns\":1}"));
    assert_eq!(request.command, "mark");
    assert_eq!(request.arguments, r#"{"label":"deploy"}"#);
    assert!(request.by.contains(&std::process::id().to_string()), "{}", request.by);
    assert!((now() - request.at_unix_ns).abs() < LONG.as_nanos() as i64);
    assert_eq!(states(&recording.raw()), [], "whoever has asked has tidied up");
}

#[test]
fn requests_come_in_their_order_and_all_of_them() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    let raw = recording.raw();
    let mut taken = Vec::new();
    for n in 0..200 {
        insert(&raw, now(), &format!("c{n}"), "{}");
        // Those of one look, at most.
        if n % 64 == 63 || n == 199 {
            taken.extend(control.poll().unwrap().into_iter().map(|request| request.command));
            assert!(!control.has_more());
        }
    }
    assert_eq!(taken, (0..200).map(|n| format!("c{n}")).collect::<Vec<_>>());
    assert!(control.poll().unwrap().is_empty());
    insert(&raw, now(), "one more", "{}");
    assert_eq!(control.poll().unwrap().len(), 1);
}

#[test]
fn what_is_too_old_or_too_long_is_refused() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    let raw = recording.raw();
    let hour = 3_600_000_000_000;
    for at in [now() - hour, now() + hour, i64::MIN, i64::MAX] {
        insert(&raw, at, "mark", "{}");
    }
    insert(&raw, now(), "mark", &"x".repeat(40_000));
    insert(&raw, now(), &"x".repeat(1_000), "{}");
    insert(&raw, now(), "mark", "{}");
    let taken: Vec<_> = control.poll().unwrap().into_iter().map(|request| request.id).collect();
    assert_eq!(taken, [7]);
    // Those that are far from now have been deleted; the others say why.
    let states = states(&raw);
    let refused = states.iter().filter(|(state, why)| state == "refused" && why.is_some()).count();
    assert_eq!((refused, states.len()), (2, 3), "{states:?}");
    // An old one that its owner may still wait for is kept for a while.
    insert(&raw, now() - 20_000_000_000, "mark", "{}");
    assert_eq!(control.poll().unwrap(), []);
    assert_eq!(
        raw.query_row("SELECT state FROM request WHERE id = 8", [], |row| row.get(0)),
        Ok("refused".to_owned())
    );
}

#[test]
fn a_request_that_is_no_text_is_refused_and_the_others_are_answered() {
    let Recording { store, path, folder: _folder } = recording();
    let mut control = Control::create(&store).unwrap();
    let other = Connection::open(common::sidecar(&path, "-ctl")).unwrap();
    insert(&other, now(), "first", "{}");
    other
        .execute(
            "INSERT INTO request (at_unix_ns, by, command, arguments, state)
             VALUES (?1, 'a test', CAST(x'ff' AS TEXT), '{}', 'asked')",
            [now()],
        )
        .unwrap();
    insert(&other, now(), "last", "{\"label\":\"a\"}\0, and more");
    let taken = control.poll().unwrap();
    let commands: Vec<_> = taken.iter().map(|request| request.command.as_str()).collect();
    assert_eq!(commands, ["first", "last"]);
    let message = control.argument(&taken[1], "label", "text").unwrap_err();
    assert_eq!(message, "the arguments are not a JSON object");
    let refused = ("refused".to_owned(), Some("not UTF-8".to_owned()));
    assert_eq!(states(&other)[1], refused);
}

#[test]
fn a_requester_that_keeps_its_lock_holds_nobody_up() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    let raw = recording.raw();
    insert(&raw, now(), "mark", "{}");
    for lock in ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE", "BEGIN; SELECT * FROM request"] {
        raw.execute_batch(lock).unwrap();
        assert_eq!(control.poll().unwrap_err().kind(), ErrorKind::Busy, "{lock}");
        raw.execute_batch("COMMIT").unwrap();
    }
    let taken = control.poll().unwrap();
    assert_eq!(taken.len(), 1, "nothing was taken before");
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = control.answer(taken[0].id, AnswerState::Done, "{}").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    raw.execute_batch("COMMIT").unwrap();
    control.answer(taken[0].id, AnswerState::Done, "{}").unwrap();
    assert_eq!(states(&raw), [("done".to_owned(), Some("{}".to_owned()))]);
}

#[test]
fn without_a_recording_nobody_answers_and_no_file_is_made() {
    let recording = recording();
    let none = ControlClient::open(recording.folder.path().join("none.db")).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    let error = ControlClient::open(&recording.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering, "{error}");
    assert!(!recording.sidecar().exists());
    // One that was killed: its file is there.
    let control = Control::create(&recording.store).unwrap();
    let stale = std::fs::read(recording.sidecar()).unwrap();
    drop(control);
    assert!(!recording.sidecar().exists(), "removed in order");
    std::fs::write(recording.sidecar(), stale).unwrap();
    let (answer, ()) = ask(&recording.path, Duration::from_millis(20), || ());
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering);
    assert!(error.to_string().contains("withdrawn"), "{error}");
    assert_eq!(states(&recording.raw()), [], "the request was withdrawn");
}

#[test]
fn whoever_waits_is_told_at_once_that_the_recording_has_ended() {
    let recording = recording();
    let control = Control::create(&recording.store).unwrap();
    let raw = recording.raw();
    let began = Instant::now();
    let (answer, ()) = ask(&recording.path, Duration::from_secs(600), || {
        while states(&raw).is_empty() {
            assert!(began.elapsed() < LONG, "nobody asked");
        }
        drop(control);
    });
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotAnswering);
    assert!(began.elapsed() < 2 * LONG);
}

#[test]
fn a_request_that_was_taken_and_not_done_says_so() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    let (answer, request) =
        ask(&recording.path, Duration::from_millis(300), || wait_for(&mut control));
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering);
    assert!(error.to_string().contains("may still be carried out"), "{error}");
    control.answer(request.id, AnswerState::Failed, "late").unwrap();
    control.answer(request.id + 1, AnswerState::Failed, "no such request").unwrap();
    assert_eq!(states(&recording.raw()), [("failed".to_owned(), Some("late".to_owned()))]);
}

#[test]
fn a_file_that_a_killed_recorder_left_is_replaced() {
    let recording = recording();
    drop(Control::create(&recording.store).unwrap());
    let sidecar = recording.sidecar();
    let journal = common::sidecar(&sidecar, "-journal");
    let mut control = Control::create(&recording.store).unwrap();
    insert(&recording.raw(), now(), "mark", "{}");
    let stale = std::fs::read(&sidecar).unwrap();
    drop(control);
    for content in [stale.as_slice(), b""] {
        std::fs::write(&sidecar, content).unwrap();
        std::fs::write(&journal, b"of a requester that was killed").unwrap();
        control = Control::create(&recording.store).unwrap();
        assert_eq!(control.poll().unwrap(), [], "what was asked of the other one is forgotten");
        assert!(!journal.exists());
        drop(control);
        assert!(!sidecar.exists());
    }
    std::fs::write(&sidecar, &stale).unwrap();
    Control::remove(&recording.store).unwrap();
    assert!(!sidecar.exists());
    Control::remove(&recording.store).unwrap();
}

#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let recording = recording();
    let sidecar = recording.sidecar();
    let refused = |kind| {
        let foreign = ErrorKind::ForeignDatabase;
        assert_eq!(Control::create(&recording.store).unwrap_err().kind(), foreign);
        assert_eq!(Control::remove(&recording.store).unwrap_err().kind(), foreign);
        assert_eq!(ControlClient::open(&recording.path).unwrap_err().kind(), kind);
    };
    for content in [b"somebody's notes".to_vec(), std::fs::read(&recording.path).unwrap()] {
        std::fs::write(&sidecar, &content).unwrap();
        refused(ErrorKind::ForeignDatabase);
        assert_eq!(std::fs::read(&sidecar).unwrap(), content);
    }
    std::fs::remove_file(&sidecar).unwrap();
    std::fs::create_dir(&sidecar).unwrap();
    refused(ErrorKind::NotADatabase);
    std::fs::remove_dir(&sidecar).unwrap();
    #[cfg(unix)]
    {
        let target = recording.folder.path().join("target");
        std::fs::write(&target, b"").unwrap();
        std::os::unix::fs::symlink(&target, &sidecar).unwrap();
        refused(ErrorKind::NotADatabase);
        assert_eq!(std::fs::read(&target).unwrap(), b"");
    }
}

#[test]
fn a_file_that_is_gone_or_replaced_is_noticed_and_left_alone() {
    let recording = recording();
    let sidecar = recording.sidecar();
    let mut control = Control::create(&recording.store).unwrap();
    assert_eq!(control.location().unwrap(), Location::InPlace);
    std::fs::remove_file(&sidecar).unwrap();
    assert_eq!(control.location().unwrap(), Location::Removed);
    assert_eq!(control.poll().unwrap(), []);
    std::fs::write(&sidecar, b"theirs").unwrap();
    assert_eq!(control.location().unwrap(), Location::Renamed);
    drop(control);
    assert_eq!(std::fs::read(&sidecar).unwrap(), b"theirs");
}

#[test]
fn damage_is_an_error_and_nothing_worse() {
    let recording = recording();
    let sidecar = recording.sidecar();
    let mut control = Control::create(&recording.store).unwrap();
    control.poll().unwrap();
    insert(&recording.raw(), now(), "mark", "{}");
    let whole = std::fs::read(&sidecar).unwrap();
    // In place, as the file is open.
    let overwrite = |bytes: &[u8]| {
        let file = std::fs::OpenOptions::new().write(true).truncate(true).open(&sidecar).unwrap();
        std::io::Write::write_all(&mut &file, bytes).unwrap();
    };
    for (round, len) in [0, 1, 50, 512, 5_000, whole.len()].into_iter().enumerate() {
        let mut bytes = whole[..len.min(whole.len())].to_vec();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x5A + round as u8);
        overwrite(&bytes);
        let error = control.poll().unwrap_err();
        assert!(!matches!(error.kind(), ErrorKind::Busy | ErrorKind::Full), "{error:?}");
        let client = ControlClient::open(&recording.path);
        assert!(client.is_err() || len == 0, "{client:?}");
    }
    overwrite(&whole);
    assert_eq!(control.poll().unwrap().len(), 1, "and it goes on when the file is well again");
}

#[test]
fn arguments_are_read_by_name_and_type() {
    let recording = recording();
    let mut control = Control::create(&recording.store).unwrap();
    let raw = recording.raw();
    let mut take = |arguments: &str| {
        insert(&raw, now(), "mark", arguments);
        control.poll().unwrap().remove(0)
    };
    let request = take(r#"{"label":"a \"b\" \u0000c","fields":{ "n": [1, 2] },"none":null,"n":7}"#);
    let broken = take("{label:1}");
    let list = take("[1]");
    let surrogate = take(r#"{"label":"\ud800"}"#);
    let text = |request, name| control.argument(request, name, "text");
    // Before 3.46, SQLite's JSON functions end a text at a zero character.
    let label = if rusqlite::version_number() < 3_046_000 { "a \"b\" " } else { "a \"b\" \0c" };
    assert_eq!(text(&request, "label").unwrap().as_deref(), Some(label));
    assert_eq!(text(&request, "none").unwrap(), None);
    assert_eq!(text(&request, "missing").unwrap(), None);
    let fields = control.argument(&request, "fields", "object").unwrap();
    assert_eq!(fields.as_deref(), Some(r#"{"n":[1,2]}"#));
    assert!(text(&request, "n").unwrap_err().contains("the argument n"));
    assert!(text(&request, "fields").unwrap_err().contains("text"));
    assert!(text(&broken, "label").unwrap_err().contains("JSON"));
    assert!(text(&list, "label").unwrap_err().contains("JSON"));
    // Half of a character: refused, or stored as SQLite reads it; never a panic.
    let _ = text(&surrogate, "label");
}

#[test]
fn arguments_that_are_none_are_refused_before_they_are_sent() {
    let recording = recording();
    let _control = Control::create(&recording.store).unwrap();
    let mut client = ControlClient::open(&recording.path).unwrap();
    let long = format!(r#"{{"label":"{}"}}"#, "x".repeat(40_000));
    for arguments in ["", "label", "[]", "{label:1}", long.as_str()] {
        let error = client.ask("mark", arguments, LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
    }
    assert_eq!(states(&recording.raw()), []);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_ask() {
    use std::os::unix::fs::PermissionsExt;
    let recording = recording();
    let _control = Control::create(&recording.store).unwrap();
    let mode = recording.sidecar().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}
