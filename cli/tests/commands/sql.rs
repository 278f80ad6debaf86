//! `spandrel sql`: recipes.

use super::fixture::{bare, new_path, run, spandrel};

#[test]
fn every_recipe_runs_and_says_what_it_answers() {
    let (list, _, _) = run(&mut spandrel(&["sql", "--recipes", "-f", "json"]));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let recipes = list["rows"].as_array().unwrap();
    assert!(recipes.len() > 10);
    for recipe in recipes {
        let name = recipe["recipe"].as_str().unwrap();
        assert!(recipe["about"].as_str().unwrap().ends_with(['.', '?']), "{recipe}");
        let (out, err, code) =
            run(&mut spandrel(&["sql", "--recipe", name, "--run", "1", "-f", "json"]));
        assert_eq!(code, 0, "{name}: {err}");
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        // Of all that the fixture has, and it has no unfinished span.
        assert_eq!(found["total"] == 0, name == "unfinished", "{name}: {out}");
        let (shown, _, _) = run(&mut spandrel(&["sql", "--recipe", name, "--show"]));
        assert_eq!(shown, recipe["sql"].as_str().unwrap());
    }
}

#[test]
fn every_recipe_runs_on_a_file_of_the_version_before() {
    let (_folder, path) = new_path();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(include_str!("../../../query/tests/schemas/version_2.sql")).unwrap();
    conn.pragma_update(None, "user_version", 2).unwrap();
    conn.pragma_update(None, "application_id", spandrel_storage::APPLICATION_ID).unwrap();
    conn.execute_batch(
        "INSERT INTO run (id, uuid, started_unix_ns, ended_unix_ns, pid, program, args, host, os, cpus,
           clock, settings, first_id, last_id, last_ns, spans, unfinished, events, links,
           dropped_spans, dropped_events, pruned_spans, pruned_events)
         VALUES (1, 'u', 5, 50, 1, 'p', '[]', 'h', 'o', 2, 'tsc', '{}', 10, 510, 9, 2, 0, 1, 0, 4, 0, 0, 0);
         INSERT INTO callsite (id, kind, name, target, level) VALUES (1, 'span', 'a', 't', 'INFO');
         INSERT INTO thread (id, run_id, os_id) VALUES (1, 1, 7);
         INSERT INTO span VALUES (10, 1, NULL, 10, 1, 1, 0, 9, 9, 5, 1, 'ok', '{\"k\":1}'),
           (11, 1, 10, 10, 1, 1, 1, 4, 4, 4, 1, 'ok', '{\"k\":1}');
         INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events)
         VALUES (1, 'ring_full', 1, 2, 4, 0);",
    )
    .unwrap();
    drop(conn);
    let ask = |words: &[&str]| run(bare(words).args(["-f", "json", "--db"]).arg(&path));
    let list: serde_json::Value = serde_json::from_str(&ask(&["sql", "--recipes"]).0).unwrap();
    for recipe in list["rows"].as_array().unwrap() {
        let name = recipe["recipe"].as_str().unwrap();
        let (out, err, code) = ask(&["sql", "--recipe", name]);
        assert!(code < 2, "{name}: {err}");
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        let is_there = ["children", "fields", "threads", "concurrency", "losses"].contains(&name);
        assert!(!is_there || found["total"] == 1, "{name}: {out}");
    }
}
