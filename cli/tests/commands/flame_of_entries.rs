//! `spandrel flame` and folded stacks of spans that live long: their entries have the width, where they were.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::fixture::{json, new_path, text};
use super::frames::{FRAME, FRAMES, Game, MS, profile, write};

fn document(path: &Path, words: &[&str]) -> Value {
    json(path, &[words, &["-n", "0"]].concat())
}

fn sum(rows: &Value, what: &str) -> i64 {
    rows["rows"].as_array().unwrap().iter().map(|row| row[what].as_i64().unwrap()).sum()
}

/// Self times by path, those that there are.
fn paths(flame: &Value) -> BTreeMap<String, i64> {
    let rows = flame["rows"].as_array().unwrap().iter();
    let path = |row: &Value| row["path"].as_str().unwrap().to_owned();
    let of_row = |row: &Value| (path(row), row["self_ns"].as_i64().unwrap());
    rows.map(of_row).filter(|(_, ns)| *ns > 0).collect()
}

/// The same of folded stacks.
fn folded(path: &Path) -> BTreeMap<String, i64> {
    let out = text(path, &["export", "folded", "-o", "-"]);
    let line = |line: &str| {
        let (path, ns) = line.rsplit_once(' ').unwrap();
        (path.to_owned(), ns.parse().unwrap())
    };
    out.lines().map(line).collect()
}

#[test]
fn the_widths_of_a_flame_graph_are_the_self_times_of_top() {
    for game in [Game::Over, Game::GoesOn] {
        let (_folder, path) = new_path();
        write(&path, game);
        for is_optimized in [false, true] {
            for window in [&[][..], &["--since", "+1.51s"], &["-w", "name=system dur>1ms"]] {
                let flame = document(&path, &[&["flame", "--depth", "0"], window].concat());
                let top = document(&path, &[&["top"], window].concat());
                let (width, own) = (&flame["total_width_ns"], sum(&top, "self_ns"));
                assert_eq!(*width, own, "{game:?} {is_optimized} {window:?}");
                assert_eq!(sum(&flame, "self_ns"), own);
            }
            let flame = document(&path, &["flame"]);
            let of_path = paths(&flame);
            let frames = FRAMES as i64;
            // Physics and render in the schedule, and what was done in physics in there, too.
            let system = "update;schedule;system ⟳";
            assert!(of_path[system] >= frames * 6 * MS, "{of_path:?}");
            assert_eq!(of_path[&format!("{system};system ⟳")], frames * 2 * MS, "{of_path:?}");
            assert_eq!(of_path[&format!("{system};solve")], frames * 4 * MS, "{of_path:?}");
            assert_eq!(of_path["system ⟳"], frames * 2 * MS, "audio: {of_path:?}");
            assert!(flame["rows"].as_array().unwrap().iter().any(|row| {
                row["name"] == "system" && row["by"] == "entries" && row["path"] == "system ⟳"
            }));
            assert_eq!(folded(&path), of_path, "{game:?} {is_optimized}");
            text(&path, &["optimize"]);
        }
    }
}

#[test]
fn a_frame_is_as_wide_as_it_was_long_and_nothing_is_in_two_places() {
    for weight in ["self", "busy", "wall"] {
        let flame = document(profile(), &["flame", "--depth", "0", "--weight", weight]);
        let width = |path: &str| {
            let mut rows = flame["rows"].as_array().unwrap().iter();
            let row = rows.find(|row| row["path"] == path);
            row.unwrap_or_else(|| panic!("{path}: {flame:#}"))["width_ns"].as_i64().unwrap()
        };
        // One of them is longer.
        let frames = FRAMES as i64 * FRAME + MS;
        assert_eq!(width("update"), frames, "{weight}");
        assert_eq!(width("system ⟳"), FRAMES as i64 * 2 * MS, "audio alone, {weight}");
        assert_eq!(flame["total_width_ns"], frames + FRAMES as i64 * 2 * MS, "{weight}");
    }
}

#[test]
fn a_flame_graph_says_what_the_mark_means_and_is_asked_for_by_the_name() {
    let all = text(profile(), &["flame"]);
    assert!(all.contains("⟳ lives long: each time it was entered counts"), "{all}");
    let rooted = document(profile(), &["flame", "--root", "system"]);
    assert_eq!(rooted["rows"][0]["path"], "system ⟳", "{rooted:#}");
}
