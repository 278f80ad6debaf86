//! `spandrel tree` of programs whose spans live long: what was entered stands where it was entered.

use std::path::{Path, PathBuf};

use serde_json::Value;
use spandrel::{Entries, Profiler};
use tempfile::TempDir;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{ids_of, json, new_path, text};
use super::frames::{
    AUDIO, BUSY_FRAME, COLLIDE, FRAMES, Game, MS, PHYSICS, POLL, RENDER, VISITS, frame_id, write,
};

fn made(game: Game) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    write(&path, game);
    (folder, path)
}

fn page(path: &Path, words: &[&str]) -> Vec<String> {
    text(path, &[&["tree"], words].concat()).lines().map(str::to_owned).collect()
}

fn document(path: &Path, words: &[&str]) -> Value {
    json(path, &[&["tree", "-n", "0"], words].concat())
}

/// What a row is about: depth, name or the name of the system, span.
fn rows(document: &Value) -> Vec<(u64, String, u64)> {
    let rows = document["rows"].as_array().unwrap().iter();
    let name = |row: &Value| match row["fields"]["name"].as_str() {
        Some(system) => format!("⟳ {system}"),
        None => row["name"].as_str().unwrap().to_owned(),
    };
    rows.map(|row| (row["depth"].as_u64().unwrap(), name(row), row["id"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_frame_names_its_slowest_system() {
    for game in [Game::Over, Game::GoesOn] {
        let (_folder, path) = made(game);
        let trace = format!("t{}", frame_id(7));
        let found = document(&path, &[&trace]);
        let id = frame_id(7);
        let expected = [
            (0, "update", id),
            (1, "schedule", id + 1),
            (2, "⟳ physics", PHYSICS),
            (3, "solve", id + 2),
            (3, "⟳ collide", COLLIDE),
            (2, "⟳ render", RENDER),
        ]
        .map(|(depth, name, id)| (depth, name.to_owned(), id));
        assert_eq!(rows(&found), expected, "{game:?}");
        let of = |row: usize, what: &str| found["rows"][row][what].clone();
        assert_eq!(of(2, "duration_ns"), 9 * MS);
        assert_eq!((of(2, "self_ns"), of(2, "parent_id")), ((3 * MS).into(), (id + 1).into()));
        assert_eq!((of(2, "by"), of(1, "by")), ("entries".into(), "lifetime".into()));
        assert!(of(2, "entry_id").is_u64() && of(1, "entry_id").is_null());
        // The critical path is that of the one thread.
        let critical: Vec<i64> =
            (0..6).map(|row| of(row, "critical_ns").as_i64().unwrap()).collect();
        assert_eq!(critical, [MS, 3 * MS, 3 * MS, 4 * MS, 2 * MS, 3 * MS], "{game:?}");
        let blamed = &found["critical_path"];
        assert_eq!(
            (&blamed[0]["name"], &blamed[0]["critical_ns"]),
            (&"system".into(), &(8 * MS).into())
        );
        let lines = page(&path, &[&trace]);
        let slowest =
            lines.iter().find(|line| line.contains("⟳ system") && line.contains("9.00 ms"));
        let slowest = slowest.unwrap_or_else(|| panic!("{lines:#?}"));
        assert!(slowest.starts_with('◆') && slowest.contains("name=physics"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("system 50.0%")), "{lines:#?}");
    }
}

#[test]
fn many_entries_of_a_span_are_one_line() {
    let (_folder, path) = made(Game::Over);
    let trace = format!("t{}", frame_id(BUSY_FRAME));
    let lines = page(&path, &[&trace]);
    let line = lines.iter().find(|line| line.contains("× 120"));
    let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(line.contains("⟳ system × 120") && line.contains("485.00 µs"), "{lines:#?}");
    assert!(line.contains("longest 9.00 µs"), "{lines:#?}");
    let all = page(&path, &[&trace, "--children", "0"]);
    let each = all.iter().filter(|line| line.contains("name=poll")).count();
    assert_eq!(each as i64, VISITS, "{all:#?}");
    let found = document(&path, &[&trace]);
    assert_eq!(found["entries"], 3 + VISITS);
    let polls = rows(&found).into_iter().filter(|(_, _, id)| *id == POLL);
    assert_eq!(polls.count() as i64, VISITS);
}

#[test]
fn of_more_children_than_are_shown_entries_are_summed_up_by_name() {
    let (_folder, path) = made(Game::Over);
    let lines = page(&path, &[&format!("t{}", frame_id(3)), "--children", "1"]);
    let more: Vec<&str> = lines.iter().filter(|l| l.contains(" more ")).map(|l| l.trim()).collect();
    let expected = ["⟳ system × 1 more      2.00 ms", "⟳ system × 1 more      3.00 ms"];
    assert!(
        more.len() == 2
            && more
                .iter()
                .zip(expected)
                .all(|(line, end)| { line.split_whitespace().eq(end.split_whitespace()) }),
        "{lines:#?}"
    );
    assert!(lines.iter().any(|line| line.contains("name=physics")), "{lines:#?}");
}

#[test]
fn the_trace_of_a_span_that_lives_long_sums_its_entries_up() {
    for game in [Game::Over, Game::GoesOn] {
        let (_folder, path) = made(game);
        for id in [format!("t{PHYSICS}"), format!("s{PHYSICS}")] {
            let lines = page(&path, &[&id]);
            let line = lines.iter().find(|line| line.contains("lives long"));
            let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
            assert!(line.contains("200 entries, 1.80 s total, longest 9.00 ms"), "{lines:#?}");
            assert!(lines.iter().any(|line| line.contains("solve")), "{lines:#?}");
            assert!(
                lines.iter().any(|line| line.contains("none: the root lives long")),
                "{lines:#?}"
            );
        }
        let found = document(&path, &[&format!("t{PHYSICS}")]);
        assert_eq!(found["critical_path"], serde_json::json!([]));
        assert_eq!(found["rows"][0]["by"], "entries");
        assert_eq!(found["rows"].as_array().unwrap().len() as u64, 1 + FRAMES);
        // Nobody's child, and entered in no span.
        let found = document(&path, &[&format!("t{AUDIO}")]);
        assert_eq!(rows(&found), [(0, "⟳ audio".to_owned(), AUDIO)]);
    }
}

#[test]
fn the_slowest_trace_is_no_span_that_lives_long() {
    for game in [Game::Over, Game::GoesOn] {
        let (_folder, path) = made(game);
        assert_eq!(document(&path, &[])["trace_id"], frame_id(BUSY_FRAME), "{game:?}");
        text(&path, &["optimize"]);
        let found = document(&path, &[]);
        assert_eq!(found["trace_id"], frame_id(BUSY_FRAME), "{game:?}");
        assert_eq!(found["entries"], 3 + VISITS, "an index leaves no entry out");
    }
}

/// Below each `schedule` of a recording: names of systems, and what is below each.
fn systems(path: &Path, trace: u64) -> Vec<(String, Vec<String>)> {
    let rows = rows(&document(path, &[&format!("t{trace}")]));
    assert_eq!((rows[0].1.as_str(), rows[1].1.as_str()), ("update", "schedule"), "{rows:?}");
    let mut systems: Vec<(String, Vec<String>)> = Vec::new();
    for (depth, name, _) in &rows[2..] {
        match depth {
            2 => systems.push((name.clone(), Vec::new())),
            3 => systems.last_mut().unwrap().1.push(name.clone()),
            _ => panic!("{rows:?}"),
        }
    }
    systems
}

#[test]
fn frames_of_a_recording_name_their_systems_while_it_goes_on_and_after() {
    let (_folder, path) = new_path();
    let builder = Profiler::builder().entries_of("system", Entries::All);
    let profiler = builder.database(&path).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(subscriber, || {
        let systems = ["physics", "render"].map(|name| info_span!("system", name));
        for _ in 0..50 {
            let _update = info_span!("update").entered();
            let _schedule = info_span!("schedule").entered();
            systems[0].in_scope(|| {
                drop(info_span!("solve").entered());
                systems[1].in_scope(|| ());
            });
            systems[1].in_scope(|| ());
        }
        profiler.flush(std::time::Duration::from_secs(60)).unwrap();
        check(&path);
        // Its systems are still open when the recording ends.
        profiler.close().unwrap();
        check(&path);
    });
    fn check(path: &Path) {
        let frames = ids_of(path, "update");
        assert_eq!(frames.len(), 50);
        let [physics, render] = ["⟳ physics", "⟳ render"].map(str::to_owned);
        let below = vec!["solve".to_owned(), render.clone()];
        for frame in [frames[0], frames[20], frames[49]] {
            let expected = [(physics.clone(), below.clone()), (render.clone(), Vec::new())];
            assert_eq!(systems(path, frame), expected);
        }
    }
}
