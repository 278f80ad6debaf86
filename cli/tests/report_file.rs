//! The file that `spandrel report` writes: what is in it, and what it does not do to other files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

mod recorded;

use recorded::{EVIL, Recorded, document, files};
use rusqlite::Connection;

#[test]
fn sums_of_the_page_are_those_of_the_profile() {
    let recorded = Recorded::new("http://localhost:1");
    let page = recorded.report(&[]);
    let document = document(&page);
    let db = Connection::open(recorded.db()).unwrap();
    let sum = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();

    let numbers = |value: &serde_json::Value| -> Vec<i64> {
        value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
    };
    let flame = &document["flame"];
    let (depth, wall) = (numbers(&flame["depth"]), numbers(&flame["wall_ns"]));
    let roots: i64 =
        depth.iter().zip(&wall).filter(|(depth, _)| **depth == 0).map(|two| two.1).sum();
    assert_eq!(roots, sum("SELECT sum(duration_ns) FROM span WHERE parent_id IS NULL"));
    let self_ns: i64 = numbers(&flame["self_ns"]).iter().sum();
    assert_eq!(self_ns, sum("SELECT sum(self_ns) FROM span"));

    let top = document["top"].as_array().unwrap();
    let of_top = |key: &str| top.iter().map(|row| row[key].as_i64().unwrap()).sum::<i64>();
    assert_eq!(of_top("calls"), sum("SELECT count(*) FROM span WHERE duration_ns IS NOT NULL"));
    assert_eq!(of_top("total_ns"), sum("SELECT sum(duration_ns) FROM span"));
    assert_eq!(of_top("errors"), sum("SELECT count(*) FROM span WHERE status = 'error'"));
    let heat = numbers(&document["heatmap"]["names"][0]["cells"]);
    assert_eq!(heat.chunks(3).map(|cell| cell[2]).sum::<i64>(), of_top("calls"));
    assert_eq!(document["run"]["spans"], sum("SELECT count(*) FROM span"));

    let traces = document["traces"].as_array().unwrap();
    let slow: Vec<_> = traces.iter().filter(|trace| trace["failed"] == false).collect();
    assert_eq!(slow.len(), 10);
    let slowest = sum("SELECT max(duration_ns) FROM span WHERE parent_id IS NULL");
    assert_eq!(traces[0]["duration_ns"], slowest);
    for trace in traces {
        let path = trace["critical"].as_array().unwrap();
        let path: i64 = path.iter().map(|share| share["ns"].as_i64().unwrap()).sum();
        // What is open after the work is nobody's.
        let kept_open = trace["kept_open_ns"].as_i64().unwrap();
        let covered = path + kept_open;
        assert_eq!(covered, trace["duration_ns"].as_i64().unwrap(), "the path covers the trace");
        assert!(kept_open >= 0 && path > 0, "{trace}");
    }
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn the_page_says_what_top_says() {
    let recorded = Recorded::new("http://localhost:1");
    let document = document(&recorded.report(&[]));
    let top = |format: &[&str]| {
        let db = recorded.db();
        let out = recorded.spandrel(&[&["top", "--db", db.to_str().unwrap()], format].concat());
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    };
    let of_top: serde_json::Value = serde_json::from_str(&top(&["-f", "json"])).unwrap();
    let rows = of_top["rows"].as_array().unwrap();
    assert!(rows.len() > 4);
    for row in rows {
        let in_page = document["top"].as_array().unwrap().iter().find(|of_page| {
            let name = &document["names"][of_page["name"].as_u64().unwrap() as usize];
            (&name["name"], &name["target"]) == (&row["name"], &row["target"])
        });
        let in_page = in_page.unwrap();
        for key in
            ["calls", "errors", "total_ns", "self_ns", "p50_ns", "p95_ns", "p99_ns", "max_ns"]
        {
            assert_eq!(in_page[key], row[key], "{key} of {row}");
        }
    }
    let findings = document["findings"].as_array().unwrap();
    let said: Vec<&str> =
        findings.iter().map(|finding| finding["text"].as_str().unwrap()).collect();
    let notes = top(&[]);
    let notes: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("note: ")).collect();
    assert!(!notes.is_empty());
    for note in notes {
        assert!(said.contains(&note), "{note}: {said:?}");
    }
}

#[test]
fn the_page_says_why_spans_failed_and_has_a_trace_of_each_kind() {
    let recorded = Recorded::new("http://localhost:1");
    let document = document(&recorded.report(&["-n", "1"]));
    let failures = document["failures"].as_array().unwrap();
    let spans = failures.iter().map(|failure| failure["spans"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(spans, document["run"]["errors"].as_u64().unwrap());
    let [failure] = &**failures else { panic!("{failures:?}") };
    let (spans, message) = (&failure["spans"], &failure["message"]);
    assert_eq!((spans.as_u64(), message.as_str()), (Some(4), Some("it failed")));
    let traces = document["traces"].as_array().unwrap();
    let of_it = traces.iter().find(|trace| trace["id"] == failure["trace"]).unwrap();
    let row = of_it["rows"].as_array().unwrap().iter().find(|row| row["id"] == failure["span"]);
    assert_eq!(row.unwrap()["status"], "error");
}

/// One shard is slow: the page names it, as `explain` does.
#[test]
fn the_page_says_what_sets_slow_spans_apart() {
    let recorded = Recorded::new("http://localhost:1");
    let db = Connection::open(recorded.db()).unwrap();
    // Ten times as many requests, of which one in twenty is slow: by row, since nobody says which ids come.
    db.execute_batch(
        "INSERT INTO span SELECT s.id + 10000000 * n.value, run_id, NULL, s.id + 10000000 * n.value,
           callsite_id, thread_id, start_ns, duration_ns, busy_ns, self_ns, entries, status, fields,
           first_entry_ns, longest_entry_ns, last_exit_ns, longest_thread_id, self_busy_ns, NULL
         FROM span AS s, json_each('[1,2,3,4,5,6,7,8,9]') AS n
         WHERE callsite_id = (SELECT id FROM callsite WHERE name = 'http.request');
         CREATE TEMP TABLE request AS
           SELECT id, row_number() OVER (ORDER BY id) % 20 = 7 AS slow FROM span
           WHERE callsite_id = (SELECT id FROM callsite WHERE name = 'http.request');
         UPDATE span SET duration_ns = duration_ns + 50000000 * slow,
           fields = '{\"shard\":' || slow || '}'
         FROM request WHERE request.id = span.id;
         UPDATE run SET last_id = last_id + 90000000, spans = (SELECT count(*) FROM span)",
    )
    .unwrap();
    drop(db);
    let document = document(&recorded.report(&["-w", "dur>1us"]));
    let findings = document["findings"].as_array().unwrap();
    let of_it = findings.iter().find(|finding| {
        let text = finding["text"].as_str().unwrap();
        text.starts_with("http.request, the slowest (dur >= p95 = ") && text.contains("shard = 1")
    });
    let of_it = of_it.unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(of_it["about"], "http.request");
}

#[test]
fn the_page_says_what_blocked_the_executor() {
    let recorded = Recorded::new("http://localhost:1");
    let held = |document: &serde_json::Value| -> Vec<String> {
        let all = document["findings"].as_array().unwrap().iter();
        let all = all.map(|finding| finding["text"].as_str().unwrap().to_owned());
        let stalls = all.filter(|text| text.contains("spandrel stalls"));
        // On a busy machine the other spans, which are as they were recorded, may have waited for a processor.
        stalls.filter(|text| text.starts_with("http.request held ")).collect()
    };
    let db = Connection::open(recorded.db()).unwrap();
    // Futures of two polls; of one of them, a poll takes 103 ms.
    db.execute_batch(
        "CREATE TEMP TABLE request AS
           SELECT id, row_number() OVER (ORDER BY id) = 3 AS blocks FROM span
           WHERE callsite_id = (SELECT id FROM callsite WHERE name = 'http.request');
         UPDATE span SET entries = 2, first_entry_ns = 0, longest_entry_ns = 103000000 * blocks,
           busy_ns = 103000000, last_exit_ns = 103000000
         FROM request WHERE request.id = span.id",
    )
    .unwrap();
    drop(db);
    let found = held(&document(&recorded.report(&[])));
    let [text] = found.as_slice() else { panic!("{found:?}") };
    assert!(text.contains("103.00 ms"), "{text}");
    assert!(held(&document(&recorded.report(&["-w", "longest<10ms"]))).is_empty());
}

#[test]
fn a_page_is_named_after_its_profile_and_nothing_else_is_left() {
    let recorded = Recorded::new("http://localhost:1");
    let out = recorded.spandrel(&["report"]);
    assert!(out.status.success());
    assert!(out.stdout.is_empty());
    assert_eq!(files(recorded.folder.path()), ["shop & co.db", "shop & co.html"]);
    let page = std::fs::read_to_string(recorded.folder.path().join("shop & co.html")).unwrap();
    assert!(!page.contains(EVIL), "a name is markup");
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains('\u{202e}') || page.contains("\\u003c"), "text stands in JSON only");
}

#[test]
fn a_profile_is_never_replaced_by_a_page() {
    let recorded = Recorded::new("http://localhost:1");
    let before = std::fs::read(recorded.db()).unwrap();
    let out = recorded.spandrel(&["report", "-o", "shop & co.db"]);
    assert_eq!(out.status.code(), Some(3));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("is a database and is not replaced"), "{said}");
    assert_eq!(std::fs::read(recorded.db()).unwrap(), before);
    assert_eq!(files(recorded.folder.path()), ["shop & co.db"]);
}

#[test]
fn losses_are_in_the_page_and_in_what_is_said() {
    let recorded = Recorded::with_losses();
    let out = recorded.spandrel(&["report", "-o", "page.html", "--strict"]);
    assert_eq!(out.status.code(), Some(5), "incomplete");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("were lost"), "{said}");
    let document = document(&std::fs::read_to_string(recorded.page()).unwrap());
    assert_eq!(document["complete"], false);
    let losses = document["losses"].as_array().unwrap();
    assert_eq!(losses[0]["reason"], "ring_full");
    let lost: u64 = losses.iter().map(|loss| loss["spans"].as_u64().unwrap()).sum();
    assert_eq!(document["dropped"], lost);
}

#[test]
fn a_run_is_compared_with_a_baseline() {
    let recorded = Recorded::new("http://localhost:1");
    let other = Recorded::new("http://localhost:1");
    let baseline = other.db();
    let document = document(&recorded.report(&["--baseline", baseline.to_str().unwrap()]));
    let rows = document["diff"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5, "each name is in both");
    assert_eq!(rows[0]["quantiles"].as_array().unwrap().len(), 3);
    let out = recorded.spandrel(&["report", "--baseline", "nothing like that"]);
    assert_eq!(out.status.code(), Some(3));
}

#[test]
fn values_that_were_set_are_in_the_page() {
    let recorded = Recorded::new("http://localhost:1");
    let db = Connection::open(recorded.db()).unwrap();
    let run = "(SELECT max(id) FROM run)";
    let mut last: i64 = 0;
    for n in 1..=200_i64 {
        let length = "(SELECT max(last_ns) FROM run)";
        let sql = format!(
            "INSERT INTO gauge (run_id, name, at_ns, value, version, updates) VALUES
               ({run}, 'queue', {length} * {n} / 200, {n} - 50, {n} * 2, 2),
               ({run}, ?1, {length} * {n} / 200, NULL, {n}, 1)"
        );
        db.execute(&sql, [EVIL]).unwrap();
        last = n;
    }
    let page = recorded.report(&[]);
    assert!(!page.contains(EVIL), "a name is markup");
    let document = document(&page);
    let gauges = document["gauges"].as_array().unwrap();
    let of = |name: &str| gauges.iter().find(|gauge| gauge["name"] == name).unwrap();
    let queue = of("queue");
    assert_eq!((&queue["min"], &queue["max"]), (&(-49.0).into(), &150.0.into()));
    assert_eq!((&queue["last"], &queue["mean"]), (&150.0.into(), &50.5.into()));
    assert_eq!((&queue["samples"], &queue["updates"]), (&last.into(), &(2 * last).into()));
    let values = queue["values"].as_array().unwrap();
    let known: Vec<f64> = values.iter().filter_map(serde_json::Value::as_f64).collect();
    assert_eq!((values.len(), known.len()), (80, 80));
    assert!(known.is_sorted() && known.last() == Some(&150.0), "{known:?}");
    assert!(gauges.iter().any(|gauge| gauge["last"].is_null() && gauge["min"].is_null()));
    assert_eq!(gauges.len(), 2);
}
