//! The file through which other processes ask a recording.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{Input, folder};
use spandrel_storage::{AnswerState, Control, ControlClient, Store, StoreOptions};

/// A recording that can be asked.
struct Asked {
    store: Store,
    folder: TempDir,
}

impl Asked {
    fn new() -> Self {
        let folder = folder();
        let store = Store::open(folder.path().join("p.db"), &StoreOptions::default()).unwrap();
        Self { store, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("p.db-ctl")
    }
}

thread_local! {
    static ASKED: Asked = Asked::new();
}

/// Rows that somebody wrote, or, if the first byte is odd, the file overwritten in places.
pub fn control(data: &[u8]) {
    let mut input = Input(data);
    let spoil = input.byte() % 2 == 1;
    ASKED.with(|asked| if spoil { spoiled(asked, input) } else { rows(asked, input) });
}

/// Each row: how old, its state, then who, what and with what, lines that may be no text.
fn rows(asked: &Asked, mut input: Input<'_>) {
    let mut control = Control::create(&asked.store).unwrap();
    let other = Connection::open(asked.path()).unwrap();
    other.pragma_update(None, "synchronous", "OFF").unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let now = i64::try_from(now).unwrap();
    let mut asked_for = 0;
    let tx = other.unchecked_transaction().unwrap();
    while !input.is_empty() && asked_for < 200 {
        let states = ["asked", "asked", "asked", "taken", "done", "nonsense"];
        let state = states[usize::from(input.byte()) % states.len()];
        let at = now.saturating_sub(input.i64());
        let (by, command, arguments) = (input.line(), input.line(), input.line());
        tx.execute(
            "INSERT INTO request (at_unix_ns, by, command, arguments, state)
             VALUES (?1, CAST(?2 AS TEXT), CAST(?3 AS TEXT), CAST(?4 AS TEXT), ?5)",
            params![at, by, command, arguments, state],
        )
        .unwrap();
        asked_for += 1;
    }
    tx.commit().unwrap();
    let count = |state: &str| -> i64 {
        let sql = "SELECT count(*) FROM request WHERE state = ?1";
        other.query_row(sql, [state], |row| row.get(0)).unwrap()
    };
    // What is wrong with a request is that request's, and not the end of the others.
    let mut taken = Vec::new();
    for _ in 0..=asked_for / 64 {
        taken.extend(control.poll().unwrap());
    }
    assert_eq!(count("asked"), 0, "nobody waits in vain");
    for request in &taken {
        assert!(request.arguments.len() <= 32 * 1024 && request.by.len() <= 256);
        for (name, kind) in
            [("label", "text"), ("fields", "object"), ("until", "text"), ("a\"b", "text")]
        {
            match control.argument(request, name, kind) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    assert!(serde_json::from_str::<serde_json::Value>(&request.arguments).is_ok());
                    assert!(kind == "text" || value.starts_with('{'));
                }
                Err(message) => assert!(!message.is_empty()),
            }
        }
        control.answer(request.id, AnswerState::Done, "{}").unwrap();
    }
    assert!(count("done") >= taken.len() as i64);
    assert!(control.poll().unwrap().is_empty());
}

/// Both sides look at a file that was overwritten: neither hangs nor takes much.
fn spoiled(asked: &Asked, mut input: Input<'_>) {
    let mut control = Control::create(&asked.store).unwrap();
    let profile = asked.folder.path().join("p.db");
    let mut client = ControlClient::open(&profile).ok();
    let asks = |client: &mut Option<ControlClient>| {
        if let Some(client) = client {
            let answer = client.ask("mark", r#"{"label":"a"}"#, Duration::ZERO);
            assert!(answer.is_err(), "nobody has answered");
        }
    };
    asks(&mut client);
    let mut file = fs::OpenOptions::new().write(true).open(asked.path()).unwrap();
    let len = file.metadata().unwrap().len();
    while !input.is_empty() {
        let at = (u64::from(input.byte()) | u64::from(input.byte()) << 8) % len;
        let size = usize::from(input.byte() % 32) + 1;
        let patch = input.bytes(size);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(patch).unwrap();
    }
    // The change counter, as a commit through SQLite changes it.
    file.seek(SeekFrom::Start(24)).unwrap();
    file.write_all(&[0x7f, 1, 2, 3]).unwrap();
    // On this process's locks the file is not closed before the connections are.
    if let Ok(requests) = control.poll() {
        assert!(requests.len() <= 64);
        for request in &requests {
            let _ = control.argument(request, "label", "text");
            let _ = control.answer(request.id, AnswerState::Refused, "no");
        }
    }
    asks(&mut client);
    asks(&mut ControlClient::open(&profile).ok());
    drop((client, control, file));
}
