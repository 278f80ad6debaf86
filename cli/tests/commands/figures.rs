//! The same figure is the same in every command, and is of what is there.

use serde_json::Value;

use super::check::write_runs;
use super::fixture::{json, new_path, profile, text};

fn row<'a>(document: &'a Value, name: &str) -> &'a Value {
    let mut rows = document["rows"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap()
}

#[test]
fn percentiles_never_exceed_the_largest_and_are_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let few = folder.path().join("few.db");
    write_runs(&few, &[3]);
    let rules = folder.path().join("rules.toml");
    for (db, name) in
        [(few.as_path(), "work"), (profile(), "db.query"), (profile(), "http.request")]
    {
        let top = json(db, &["top"]);
        let top = row(&top, name);
        let ways: [&[&str]; 3] = [
            &["top", "-w", "dur>=0s"],
            &["top", "--since", "+0s"],
            &["top", "-w", "has:fields or dur>=0s"],
        ];
        for words in ways {
            let other = json(db, words);
            for key in ["p50_ns", "p95_ns", "p99_ns", "max_ns", "mean_ns", "calls"] {
                assert_eq!(row(&other, name)[key], top[key], "{words:?} {key}");
            }
        }
        let hist = json(db, &["hist", name]);
        let diff = json(db, &["diff", "latest", "latest"]);
        let diff = row(&diff, name);
        for metric in ["p50", "p95", "p99"] {
            let [here, max] =
                [&top[format!("{metric}_ns")], &top["max_ns"]].map(|v| v.as_i64().unwrap());
            assert!(here <= max, "{name} {metric}: {here} > {max}");
            assert_eq!(hist[format!("{metric}_ns")], here, "hist {metric}");
            assert_eq!(diff[format!("{metric}_b_ns")], here, "diff {metric}");
        }
        let mean = diff["mean_b_ns"].as_i64().unwrap();
        assert!((mean - top["mean_ns"].as_i64().unwrap()).abs() <= 1, "{diff}");
        assert_eq!(diff["calls_b"], top["calls"]);
        let text = format!(
            "[[rule]]\nspan = \"{name}\"\nmetric = [\"p50\", \"mean\"]\nmax = \"1h\"\nsamples = 1\n"
        );
        std::fs::write(&rules, text).unwrap();
        let check = json(db, &["check", "--rules", rules.to_str().unwrap()]);
        let p50 = &check["rows"][0];
        if p50["outcome"] != "not_judged" {
            assert_eq!(p50["value_ns"], top["p50_ns"]);
            assert!(p50["low_ns"].as_i64() <= p50["value_ns"].as_i64());
        }
    }
}

#[test]
fn calls_of_several_runs_are_those_of_a_run() {
    let (_folder, db) = new_path();
    write_runs(&db, &[60, 60, 60, 120]);
    let diff = json(&db, &["diff", "1,2,3", "4"]);
    let work = row(&diff, "work");
    assert_eq!((&work["calls_a"], &work["calls_b"]), (&60.into(), &120.into()));
    assert_eq!(work["calls_change"].as_f64(), Some(1.0));
}

#[test]
fn explain_of_few_spans_selects_the_slowest() {
    let folder = tempfile::tempdir().unwrap();
    for calls in [2, 3, 5, 20] {
        let db = folder.path().join(format!("{calls}.db"));
        write_runs(&db, &[calls]);
        for sel in ["p95..", "p100..", "p50.."] {
            let found = json(&db, &["explain", "work", "--sel", sel]);
            assert!(found["selected"].as_u64() > Some(0), "{calls} {sel}: {found}");
        }
    }
}

#[test]
fn after_pruning_counts_are_of_what_is_there() {
    let (_folder, db) = new_path();
    write_runs(&db, &[900]);
    // Half of a second: rollups are of whole ones.
    text(&db, &["sql", "select 1"]);
    let before = json(&db, &["prune", "--runs", "1", "--dry-run"]);
    assert_eq!(before["rows"][0]["spans"], 0);
    let mut store =
        spandrel_storage::Store::open(&db, &spandrel_storage::StoreOptions::default()).unwrap();
    let started = super::fixture::info(1).started_unix_ns;
    while store.prune_before(started + 450_000_000).unwrap().more {}
    store.close().unwrap();
    let left = json(&db, &["sql", "select count(*) as n from span where duration_ns is not null"]);
    let left = &left["rows"][0]["n"];
    assert!(left.as_u64().is_some_and(|left| left > 0 && left < 900), "{left}");
    let slow = json(&db, &["slow", "work", "-n", "5"]);
    assert_eq!(&slow["total"], left, "slow");
    assert_eq!(&json(&db, &["slow", "-n", "5"])["total"], left);
    assert_eq!(&row(&json(&db, &["top"]), "work")["calls"], left, "top");
    assert_eq!(&json(&db, &["hist", "work"])["calls"], left, "hist");
    let explain = json(&db, &["explain", "work"]);
    let all = explain["selected"].as_u64().unwrap() + explain["rest"].as_u64().unwrap();
    assert_eq!(Some(all), left.as_u64(), "explain");
}

#[test]
fn what_the_spans_are_selected_by_is_no_finding() {
    let fields_of = |sel: &str| -> Vec<String> {
        let found = json(profile(), &["explain", "http.request", "--sel", sel]);
        assert!(found["selected"].as_u64() > Some(0), "{found}");
        let rows = found["rows"].as_array().unwrap();
        rows.iter().map(|row| row["field"].as_str().unwrap().to_owned()).collect()
    };
    let shard = fields_of("has:error");
    assert!(
        !shard.contains(&"status".to_owned()) && shard.contains(&"shard".to_owned()),
        "{shard:?}"
    );
    let status = fields_of("field.shard=4");
    assert!(
        !status.contains(&"shard".to_owned()) && status.contains(&"status".to_owned()),
        "{status:?}"
    );
    assert!(!fields_of("start>=+5s").contains(&"start".to_owned()));
}
