//! What stands above each view stays short, however much is missing, and says how long a run took by the clock
//! that stamps its spans.

use std::path::PathBuf;

use tempfile::TempDir;

use super::fixture::{bare, new_path, profile, run};

/// The shop, after `sql`.
fn changed(sql: &str) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    std::fs::copy(profile(), &path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path)
}

const VIEWS: [&[&str]; 12] = [
    &["top"],
    &["slow"],
    &["stalls"],
    &["tree"],
    &["flame"],
    &["hist", "http.request"],
    &["explain", "http.request"],
    &["diff", "1", "2"],
    &["runs"],
    &["info"],
    &["doctor"],
    &["check"],
];

#[test]
fn of_many_windows_of_loss_the_largest_are_named_and_the_others_counted() {
    // One every few milliseconds, as a ring makes them that is full again and again; 41 of them are large.
    let (_folder, path) = changed(
        "DELETE FROM loss;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
         INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events)
         SELECT 2, 'ring_full', i * 160000, i * 160000 + 80000, iif(i % 1250 = 1, i, 1), 0 FROM n;
         UPDATE run SET dropped_spans = (SELECT sum(spans) FROM loss) WHERE id = 2",
    );
    for words in VIEWS {
        for format in ["table", "json"] {
            let (out, err, code) = run(bare(words).args(["-f", format, "--db"]).arg(&path));
            assert!(code < 2, "{words:?}: {err}");
            assert!(out.len() + err.len() < 100_000, "{words:?} {format}: {} bytes", out.len());
        }
    }
    let (out, err, _) = run(bare(&["top", "--db"]).arg(&path));
    let line = (out + &err).lines().next().unwrap_or_default().to_owned();
    assert_eq!(line.matches("ring_full").count(), 3, "{line}");
    assert!(line.contains("ring_full +7.80 s..+7.80 s, and 49,997 more)"), "{line}");
    let (out, _, _) = run(bare(&["top", "-f", "json", "--db"]).arg(&path));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["losses"].as_array().unwrap().len(), 100);
    assert_eq!(json["losses_left_out"], 49_900);
    let largest = json["losses"].as_array().unwrap().iter().map(|loss| loss["spans"].as_u64());
    assert_eq!(largest.max(), Some(Some(48_751)));
}

#[test]
fn a_run_lasts_as_long_as_its_own_clock_says() {
    // Somebody has set the clock on the wall by an hour while it was recorded, forwards and backwards.
    for set in ["+ 3600000000000", "- 3600000000000"] {
        let (_folder, path) =
            changed(&format!("UPDATE run SET ended_unix_ns = ended_unix_ns {set}"));
        let length = |command: &str, at: &str| {
            let (out, _, _) = run(bare(&[command, "-f", "json", "--db"]).arg(&path));
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            json.pointer(at).and_then(serde_json::Value::as_i64)
        };
        for (command, at) in [
            ("top", "/run/length_ns"),
            ("info", "/run/length_ns"),
            ("info", "/rows/0/length_ns"),
            ("runs", "/rows/0/length_ns"),
        ] {
            assert_eq!(length(command, at), Some(10_000_000_000), "{command} {at} {set}");
        }
        let since = ["top", "--since", "5s", "-f", "csv", "--db"];
        let (out, err, code) = run(bare(&since).arg(&path));
        assert!(code == 0 && out.contains(",http.request"), "the last five seconds: {out}{err}");
    }
}
