//! `spandrel tree` of programs whose spans live long: what was entered stands where it was entered.

use std::path::Path;

use serde_json::Value;
use spandrel::{Entries, Profiler};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{ids_of, json, new_path};

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
