//! What is said of a run that is collected where its ring file is gone, cut or emptied, where a collector lives and stores
//! nothing, and where it has not taken it: what is lost, what waits, and what helps.
#![cfg(all(target_os = "linux", feature = "collected"))]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use spandrel::recover::in_folder;
use spandrel_storage::{RunInfo, Store, StoreOptions};

use super::fixture::{bare, json, run, text};
use super::left_in_rings::{
    Collector, LEFT, STORED, dies, memory, of, program, requests, ring_in, said, until_stored,
};

/// Commands that tell of a run, and do not follow it.
const SCREENS: [&[&str]; 4] = [
    &["doctor", "-f", "table"],
    &["info", "-f", "table"],
    &["top", "-f", "table"],
    &["open", "-f", "table"],
];

/// Asks until this is said.
fn until_said(db: &Path, words: &[&str], what: &str) -> String {
    loop {
        let said = of(db, words);
        if said.contains(what) {
            return said;
        }
    }
}

#[test]
fn a_ring_file_that_was_removed_is_told_of_while_a_collector_has_it_and_when_nobody_has() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    let ring = ring_in(rings.path());
    std::fs::remove_file(&ring).unwrap();
    let removed = format!("somebody has removed the ring file {ring} of process");
    for words in SCREENS {
        let said = of(&db, words);
        let goes_on = format!("a collector (process {}) that has it open", std::process::id());
        assert!(said.contains(&removed) && said.contains(&goes_on), "{words:?}: {said}");
        assert!(!said.contains("is lost"), "{words:?}: {said}");
    }
    collector.stop();
    requests(&profiler, LEFT);
    let nobody = "no collector has it open: 7 spans wait in it, that is lost, and so is all that it records until it is \
                  started anew";
    let doctor = until_said(&db, SCREENS[0], nobody);
    assert!(
        doctor.contains("start the program anew") && doctor.contains("✗ ring file"),
        "{doctor}"
    );
    for words in SCREENS {
        let said = of(&db, words);
        assert!(said.contains(&removed) && said.contains(nobody), "{words:?}: {said}");
        assert!(!said.contains("no problems found") && !said.contains("0 spans open"), "{said}");
        assert!(!said.contains("`spandrel collect"), "it would find nothing: {words:?}: {said}");
    }
    let info = of(&db, SCREENS[1]);
    assert!(info.contains("recording, and not all of it comes here"), "{info}");
    let (_, _, code) = run(bare(&["doctor", "--strict", "--db"]).arg(&db));
    assert_eq!(code, 1, "a problem");
    profiler.close().unwrap();
}

/// Its process goes on, and does not record it any more.
#[test]
fn of_a_run_that_was_closed_and_whose_file_was_removed_nothing_is_said_to_be_recorded() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    collector.stop();
    requests(&profiler, LEFT);
    std::fs::remove_file(ring_in(rings.path())).unwrap();
    profiler.close().unwrap();
    let nobody =
        "which has closed it, and no collector has it open: 7 spans wait in it, that is lost";
    for words in &SCREENS[..3] {
        let said = until_said(&db, words, nobody);
        assert!(!said.contains("recording") || words[0] == "info", "{words:?}: {said}");
        assert!(!said.contains("anew") && !said.contains("live: pid"), "{words:?}: {said}");
    }
}

#[test]
fn a_collector_that_lives_and_stores_nothing_is_told_of_with_how_much_waits_and_for_how_long() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    let other = Connection::open(&db).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    requests(&profiler, LEFT);
    let ring = ring_in(rings.path());
    let waits = format!("7 spans wait in the ring file {ring} for ");
    let doctor = until_said(&db, SCREENS[0], &waits);
    assert!(doctor.contains("which looks at it, stores nothing"), "{doctor}");
    assert!(doctor.contains("somebody else writes to the profile"), "{doctor}");
    for words in SCREENS {
        let said = of(&db, words);
        assert!(said.contains(&waits), "{words:?}: {said}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    until_stored(&db, STORED + LEFT);
    let doctor = of(&db, SCREENS[0]);
    assert!(!doctor.contains("stores nothing"), "{doctor}");
    profiler.close().unwrap();
    collector.stop();
}

/// The last page goes, which has nothing but a word that says that the file is whole.
fn cut_last_page(ring: &Path) {
    let file = File::options().write(true).open(ring).unwrap();
    file.set_len(file.metadata().unwrap().len() - 4_096).unwrap();
}

#[test]
fn of_a_ring_file_that_was_cut_before_a_collector_came_the_reason_and_the_way_out_are_told() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let set = |program: &mut Command| {
        program.env("SPANDREL_TEST_RINGS", rings.path());
    };
    dies(set, || collector.stop());
    let ring = ring_in(rings.path());
    cut_last_page(Path::new(&ring));
    let check = |why: &str| {
        for words in SCREENS {
            let said = of(&db, words);
            assert!(said.contains(&ring) && said.contains(why), "{words:?}: {said}");
            for lie in ["`spandrel collect", "spans open", "process 0", "no program records"] {
                assert!(!said.contains(lie), "{lie}: {words:?}: {said}");
            }
        }
        let doctor = of(&db, SCREENS[0]);
        assert!(doctor.contains("remove"), "{doctor}");
        let open = of(&db, SCREENS[3]);
        assert!(open.contains("what is open cannot be read"), "{open}");
    };
    check("somebody has cut it short");
    let folder_said = said(&mut bare(&["open", rings.path().to_str().unwrap(), "-f", "table"]));
    assert!(folder_said.contains("what is open cannot be read"), "{folder_said}");
    assert!(!folder_said.contains("process 0 ()"), "{folder_said}");
    File::options().write(true).open(&ring).unwrap().set_len(0).unwrap();
    check("somebody has emptied");
}

/// Of a program that lives, and writes its profile itself.
#[test]
fn open_says_of_a_table_that_was_cut_that_it_cannot_be_read() {
    let rings = memory();
    let profiler = program(rings.path());
    let words = ["open", rings.path().to_str().unwrap(), "-f", "table"];
    let whole = said(&mut bare(&words));
    assert!(whole.contains("0 spans open"), "{whole}");
    cut_last_page(Path::new(&ring_in(rings.path())));
    let cut = said(&mut bare(&words));
    assert!(cut.contains("what is open cannot be read") && !cut.contains("spans open"), "{cut}");
    profiler.close().unwrap();
}

/// Words of the ring file's header, as the book has them.
const NAMES_AT: u64 = 37 * 8;
const DRAINER_AT: u64 = 41 * 8;
/// A word of whoever drains: when the ring was left alone.
const LEFT_ALONE_AT: u64 = 15 * 8;

fn word(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_ne_bytes(bytes)
}

/// The header of the record that says whose the ring is.
fn record_of_run(file: &File) -> u64 {
    const RUN: u64 = 4;
    let mut at = word(file, NAMES_AT) + 8;
    loop {
        let header = word(file, at);
        assert_ne!(header, 0, "there is one");
        if header >> 2 & 0x3f == RUN {
            return at;
        }
        at += 8 * (1 + (header >> 8 & 0xff_ffff));
    }
}

#[test]
fn a_ring_that_a_collector_has_refused_is_told_apart_from_one_that_it_has_not_taken_yet() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    let ring = PathBuf::from(ring_in(rings.path()));
    let other = program(rings.path());
    requests(&other, STORED);
    until_stored(&db, 2 * STORED);
    // Somebody writes to the first one, for a while.
    let file = File::options().read(true).write(true).open(&ring).unwrap();
    let at = record_of_run(&file);
    let header = word(&file, at);
    file.write_all_at(&(header ^ 1 << 40).to_ne_bytes(), at).unwrap();
    super::left_in_rings::within(&profiler, || drop(tracing::info_span!("a new name")));
    let is_left_alone =
        || in_folder(rings.path()).unwrap().iter().any(|ring| ring.left_alone.is_some());
    let drainer_at = word(&file, DRAINER_AT);
    while word(&file, drainer_at + LEFT_ALONE_AT) == 0 {
        std::thread::yield_now();
    }
    file.write_all_at(&header.to_ne_bytes(), at).unwrap();
    assert!(is_left_alone());
    let who = format!(
        "and a collector (process {}), which collects the others there, has",
        std::process::id()
    );
    for words in &SCREENS[..2] {
        let said = of(&db, words);
        let refused = format!("{who} refused it: it does not say whose it is");
        assert!(said.contains(&refused), "{words:?}: {said}");
    }
    // As a collector leaves it that is slow.
    file.write_all_at(&[0; 8], drainer_at + LEFT_ALONE_AT).unwrap();
    for words in &SCREENS[..2] {
        let said = of(&db, words);
        assert!(said.contains(&format!("{who} not taken it yet")), "{words:?}: {said}");
        assert!(!said.contains("refused"), "{words:?}: {said}");
    }
    file.write_all_at(&[1; 8], drainer_at + LEFT_ALONE_AT).unwrap();
    collector.stop();
    let collector = Collector::start(rings.path(), &db);
    until_stored(&db, 2 * STORED + 1);
    assert!(!is_left_alone(), "the next one has taken it");
    profiler.close().unwrap();
    other.close().unwrap();
    collector.stop();
}

#[test]
fn collect_does_not_reassure_of_what_it_has_not_begun() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let (missing, db) = (folder.path().join("missing"), folder.path().join("p.db"));
    let nowhere = missing.join("p.db");
    for (rings, db) in [(rings.path(), &nowhere), (missing.as_path(), &db)] {
        let words = ["collect", rings.to_str().unwrap(), "--once", "-o", db.to_str().unwrap()];
        let (_, err, code) = run(&mut bare(&words));
        assert!(code == 3 && err.contains("missing"), "{err}");
        assert!(!err.contains("nothing is lost"), "{err}");
    }
}

#[test]
fn tail_says_once_that_nothing_comes_as_no_collector_runs() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    collector.stop();
    requests(&profiler, LEFT);
    let mut tail = bare(&["tail", "--db", db.to_str().unwrap()]);
    let mut tail = tail.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let command = format!("spandrel collect {} -o {}", rings.path().display(), db.display());
    assert!(line.contains("no collector runs") && line.contains(&command), "{line}");
    // It goes on when one comes, and ends with the run; and has said it once.
    let collector = Collector::start(rings.path(), &db);
    profiler.close().unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(tail.wait().unwrap().success());
    assert!(rest.iter().all(|line| !line.contains("no collector runs")), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("run 1 has ended")), "{rest:?}");
    collector.stop();
}

#[test]
fn a_run_that_was_closed_and_whose_ring_waits_was_not_killed() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    collector.stop();
    requests(&profiler, LEFT);
    profiler.close().unwrap();
    let info = json(&db, &["info"]);
    assert_eq!((&info["state"], &info["rows"][0]["state"]), (&"closed".into(), &"closed".into()));
    let said = of(&db, SCREENS[1]);
    assert!(
        said.contains("has ended: pid") && said.contains("7 spans wait in its ring file"),
        "{said}"
    );
    assert!(!said.contains("killed") && !said.contains("live: pid"), "{said}");
}

/// What `settings` and `report` say of a run that has ended.
fn ended_with(db: &Path, settings: &str, report: &str) {
    let info = RunInfo { args: "[]".into(), settings: settings.into(), ..RunInfo::default() };
    let mut store = Store::open(db, &StoreOptions::default()).unwrap();
    store.begin_run(&info).unwrap();
    store.end_run(1, report).unwrap();
    store.close().unwrap();
}

#[test]
fn the_view_of_runs_calls_complete_what_the_command_does() {
    let counts = r#"{"elsewhere":{"spans":3,"events":0,"links":0,"entries":0}}"#;
    let harmless =
        r#"{"filter":"elsewhere=info","label":"\"elsewhere\":{\"","x":"\"goes_on\":true"}"#;
    for (settings, report, is_complete) in [
        ("{}", "{}", true),
        (harmless, r#"{"last_error":"\"ring_was_cut\":true,\"goes_on\":true"}"#, true),
        (counts, "{}", false),
        ("{}", counts, false),
        ("{}", r#"{"x":1,"goes_on":true}"#, false),
        ("{}", r#"{"ring_was_cut":true,"recorded":0}"#, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("p.db");
        ended_with(&db, settings, report);
        let runs = json(&db, &["runs"]);
        assert_eq!(runs["rows"][0]["complete"], is_complete, "{settings} {report}");
        let view = text(&db, &["sql", "SELECT complete FROM runs", "-f", "csv"]);
        let answer = if is_complete { "yes" } else { "no" };
        assert!(view.contains(answer), "{settings} {report}: {view}");
    }
}

#[test]
fn a_span_without_an_end_says_for_how_long_it_was_open_wherever_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    super::crashed::write(folder.path());
    let db = folder.path().join("p.db");
    // The second request began after 50 ms, and the last sign of life came after 71.
    let view = text(&db, &["sql", "SELECT id, open_ms FROM spans ORDER BY id", "-f", "csv"]);
    assert!(view.contains("3,21") && view.contains("4,11") && view.contains("1,\n"), "{view}");
    let tree = json(&db, &["tree", "s4"]);
    let spans = tree["rows"].as_array().unwrap();
    let of = |id: &str| spans.iter().find(|span| span["id"].to_string().contains(id)).unwrap();
    assert_eq!(
        (&of("3")["open_ns"], &of("4")["open_ns"]),
        (&21_000_000.into(), &11_000_000.into())
    );
    assert!(of("5")["open_ns"].is_null());
    let drawn = text(&db, &["tree", "s4", "-f", "table"]);
    assert!(drawn.contains("≥11.00 ms") && drawn.contains("≥21.00 ms"), "{drawn}");
    let listed = text(&db, &["sql", "--recipe", "unfinished"]);
    assert!(listed.contains("crashed, open for at least 21.0 ms"), "{listed}");
    let tail = text(&db, &["tail", "-n", "9"]);
    assert!(tail.contains("crashed") && tail.contains("open for at least 21.00 ms"), "{tail}");
}
