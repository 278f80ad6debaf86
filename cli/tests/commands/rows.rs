//! A profile whose rows are not as it says is not complete.

use rusqlite::Connection;

use super::fixture::{bare, new_path, profile, run};

#[test]
fn missing_and_impossible_rows_are_found() {
    let (_folder, db) = new_path();
    for (change, what) in [
        ("", ""),
        (
            "delete from span where id = (select max(id) - 1 from span)",
            "spans: the run says 200, the file has 199",
        ),
        ("delete from event where run_id = 2", "events: the run says 4, the file has 0"),
        (
            "update span set duration_ns = -5 where id = (select max(id) - 1 from span)",
            "impossible values: 1",
        ),
        ("update span set self_ns = duration_ns + 1 where run_id = 2", "impossible values: 200"),
        (
            "update span set duration_ns = duration_ns + 1 where run_id = 2",
            "other sums than their spans: 3",
        ),
        ("delete from rollup where run_id = 2", "other sums than their spans: 3"),
        (
            "update rollup set max_ns = max_ns + 1 where run_id = 2",
            "other sums than their spans: 3",
        ),
        ("update run set spans = -1 where id = 2", "negative totals: 1"),
        (
            "update run set dropped_spans = 7 where id = 2",
            "lost spans: the run says 7, the file has 0",
        ),
        ("delete from callsite where name = 'db.query'", "without a callsite or a thread: 98"),
    ] {
        std::fs::copy(profile(), &db).unwrap();
        let connection = Connection::open(&db).unwrap();
        connection.execute_batch(change).unwrap();
        connection.close().unwrap();
        let of = |words: &[&str]| {
            let (out, err, code) = run(bare(words).arg("--db").arg(&db));
            (out + &err, code)
        };
        let is_sound = change.is_empty();
        let (said, code) = of(&["doctor", "--strict"]);
        assert_eq!(
            (said.contains(what), code),
            (true, if is_sound { 0 } else { 1 }),
            "{change}: {said}"
        );
        assert_eq!(said.contains("✗ rows:"), !is_sound, "{change}: {said}");
        for words in [
            &["top"][..],
            &["slow"],
            &["tree"],
            &["hist", "http.request"],
            &["flame"],
            &["info"],
            &["export", "csv"],
            &["diff", "2", "2"],
            &["explain", "http.request"],
        ] {
            let words = [words, &["--strict"]].concat();
            let (said, code) = of(&words);
            let expected = if is_sound { 0 } else { 5 };
            assert_eq!(code, expected, "{change} {words:?}: {said}");
        }
    }
}
