//! Screens say what is there: of the file, not of this build, and of the spans that went wrong.

use std::time::Duration;

use rusqlite::Connection;
use spandrel::{MemoryPart, Profiler};

use super::fixture::{bare, new_path, run, write};

#[test]
fn info_says_the_version_of_the_file_not_of_the_program() {
    let (_folder, path) = new_path();
    write(&path);
    let db = path.to_str().unwrap();
    let said = |words: &[&str]| run(bare(&["info", "--db", db]).args(words)).0;
    let now = spandrel_storage::SCHEMA_VERSION;
    assert!(said(&[]).contains(&format!("   schema {now}   ")));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", now - 1).unwrap();
    let old = said(&[]);
    assert!(old.contains(&format!("   schema {}   ", now - 1)), "{old}");
    let json: serde_json::Value = serde_json::from_str(&said(&["-f", "json"])).unwrap();
    assert_eq!(json["schema"], now - 1);
}

#[test]
fn info_lists_the_memory_of_a_recording_while_it_goes_on_and_after() {
    let (_folder, path) = new_path();
    let db = path.to_str().unwrap();
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let dispatch = tracing::Dispatch::new(profiler.subscriber());
    tracing::dispatcher::with_default(&dispatch, || drop(tracing::info_span!("one").entered()));
    profiler.flush(Duration::from_secs(60)).unwrap();
    let check = |when: &str| {
        let said = |words: &[&str]| run(bare(&["info", "--db", db]).args(words)).0;
        let short = said(&[]);
        assert!(
            short.contains("\nmemory: ") && short.contains(" MiB in use (ring 4.0, open spans"),
            "{short}"
        );
        // What is said to be reserved is told from what is in use.
        let words: Vec<&str> = short.split_whitespace().collect();
        assert!(words.join(" ").contains(" more are reserved, and hold nothing"), "{short}");
        let long = said(&["-v"]);
        let rows = long.lines().skip_while(|line| !line.starts_with("memory, MiB")).skip(1);
        let rows: Vec<_> = rows.take(MemoryPart::ALL.len() + 1).collect();
        for (part, row) in MemoryPart::ALL.iter().zip(&rows) {
            assert!(row.starts_with(&format!("  {} ", part.as_str().replace('_', " "))), "{long}");
        }
        assert!(rows.last().unwrap().starts_with("  all "), "{long}");
        let words: Vec<&str> = long.split_whitespace().collect();
        assert!(words.join(" ").contains("below 24 MiB at default settings"), "{long}");
        let json: serde_json::Value = serde_json::from_str(&said(&["-f", "json"])).unwrap();
        let parts = json["memory"]["parts"].as_array().unwrap();
        for name in ["reserved_bytes", "used_bytes"] {
            let sum: u64 = parts.iter().map(|part| part[name].as_u64().unwrap()).sum();
            assert_eq!(json["memory"][name], sum, "{when}: {json}");
        }
        // At most 24 MiB with all that is not in the list.
        assert!(json["memory"]["peak_bytes"].as_u64().unwrap() < 20 << 20, "{when}: {json}");
        assert_eq!(json["state"], when);
        json["memory"]["used_bytes"].as_u64().unwrap()
    };
    check("live");
    let report = profiler.close().unwrap();
    assert_eq!(check("ended"), report.memory.total().used);
}

#[test]
fn runs_says_of_which_programs_they_are_where_those_were_collected() {
    let (_folder, path) = new_path();
    write(&path);
    let words = || run(bare(&["runs", "--db", path.to_str().unwrap()]).args(["-f", "table"])).0;
    let before = words();
    assert!(!before.contains("program"), "{before}");
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE run SET settings = json_set(settings, '$.collected_from', '/dev/shm/shop'),
                            program = '/srv/bin/till', pid = 4711",
        )
        .unwrap();
    let after = words();
    let (head, first) = after.split_once('\n').unwrap();
    assert!(head.ends_with("  program   pid"), "{after}");
    assert!(first.lines().all(|line| line.ends_with("  till     4711")), "{after}");
    let rows = run(bare(&["runs", "--db", path.to_str().unwrap()]).args(["-f", "json"])).0;
    assert!(rows.contains("\"/srv/bin/till\""), "{rows}");
}
