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
    assert_eq!(traces.len(), 10);
    let slowest = sum("SELECT max(duration_ns) FROM span WHERE parent_id IS NULL");
    assert_eq!(traces[0]["duration_ns"], slowest);
    for trace in traces {
        let path = trace["critical"].as_array().unwrap();
        let path: i64 = path.iter().map(|share| share["ns"].as_i64().unwrap()).sum();
        assert_eq!(path, trace["duration_ns"].as_i64().unwrap(), "the path covers the trace");
    }
    assert!(page.len() < 400_000, "{} bytes", page.len());
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
