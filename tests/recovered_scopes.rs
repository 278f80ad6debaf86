//! Scopes of a process that was killed: those that had ended are there once, and those that were open as crashed, where they
//! were. A thread keeps slots for its scopes, which say a part of what they say while none is open there.

use spandrel::recover::recover;
use spandrel::scope;
use spandrel_tests::killing;
use spandrel_tests::prelude::*;

/// Nests that have ended.
const NESTS: u64 = 500;

/// In the child.
fn record_until_killed() {
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    // Nothing is committed but by a flush, and there is none.
    let builder = Profiler::builder().database(&path).flush_interval(Duration::from_secs(3_600));
    let builder = builder.ring_capacity(1 << 16).batch_size(1 << 15).busy_time(times());
    let profiler = builder.crash_proof(true).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    profiler.subscriber().init().unwrap();
    for n in 0..NESTS {
        nest(n);
    }
    let _outer = scope!("open");
    let _fields = scope!("open with fields", n = NESTS, name = "a name");
    for n in NESTS..2 * NESTS {
        nest(n);
    }
    let _span = info_span!("open span").entered();
    nest(2 * NESTS);
    let _inner = scope!("open inside");
    child::say("ready");
    child::listen();
}

fn times() -> bool {
    std::env::var_os("SPANDREL_TEST_UNTIMED").is_none()
}

fn nest(n: u64) {
    let _plain = scope!("plain");
    let _fields = scope!("fields", n, half = n as f64 / 2.0);
    drop(scope!("leaf"));
    if n.is_multiple_of(7) {
        // One that ends in the slow way, and leaves its slot.
        let _failed = scope!("failed", n);
        error!("on purpose");
    }
}

#[test]
fn scopes_that_were_open_are_crashed_and_no_others() {
    alone!();
    let role = child::role();
    if role.as_deref() == Some("record") {
        return record_until_killed();
    }
    if !killing::is_in_own_folder(role.as_deref()) {
        return;
    }
    let scratch = scratch_for(120);
    for untimed in [false, true] {
        let path = scratch.db().with_extension(if untimed { "untimed.db" } else { "timed.db" });
        let plan = child::plan("record").env("SPANDREL_TEST_PATH", &path);
        let plan = if untimed { plan.env("SPANDREL_TEST_UNTIMED", "1") } else { plan };
        let mut child = plan.start();
        assert_eq!(child.hear().unwrap(), "ready");
        child.kill();
        assert_eq!(recover(&path, false).unwrap().rings.len(), 1);
        all_is_there(&Database::open(&path));
    }
}

fn all_is_there(db: &Database) {
    let nests = 2 * NESTS + 1;
    let count = |sql: &str| db.count(&format!("SELECT count(*) FROM spans s WHERE {sql}"));
    for name in ["plain", "fields", "leaf"] {
        assert_eq!(count(&format!("name = '{name}' AND status = 'ok'")), nests, "{name}");
        assert_eq!(count(&format!("name = '{name}' AND entries <> 1")), 0, "{name}");
    }
    let failed = (0..nests).filter(|n| n.is_multiple_of(7)).count() as u64;
    assert_eq!(count("name = 'failed' AND status = 'error'"), failed);
    assert_eq!(count("name NOT LIKE 'open%' AND status = 'crashed'"), 0);
    let open: Vec<(String, String, Option<String>)> = db.rows(
        "SELECT s.name, s.status, p.name FROM spans s LEFT JOIN spans p ON p.id = s.parent_id
         WHERE s.name LIKE 'open%' ORDER BY s.start_ns, s.id",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    let expected = [
        ("open", None),
        ("open with fields", Some("open")),
        ("open span", Some("open with fields")),
        ("open inside", Some("open span")),
    ];
    let expected: Vec<_> = expected
        .map(|(name, parent)| (name.to_owned(), "crashed".to_owned(), parent.map(str::to_owned)))
        .into();
    assert_eq!(open, expected);
    let fields = "json_extract(fields, '$.n') = 500 AND json_extract(fields, '$.name') = 'a name'";
    assert_eq!(count(&format!("name = 'open with fields' AND {fields}")), 1);
    assert_eq!(count("name <> 'open with fields' AND name LIKE 'open%' AND fields IS NOT NULL"), 0);
    let parents = [("fields", "plain"), ("leaf", "fields"), ("failed", "fields")];
    for (child, parent) in parents {
        let wrong = format!(
            "name = '{child}' AND (SELECT p.name FROM spans p WHERE p.id = s.parent_id) IS NOT '{parent}'"
        );
        assert_eq!(count(&wrong), 0, "{child} in {parent}");
    }
    let roots = "name = 'plain' AND parent_id IS NULL";
    assert_eq!(count(roots), NESTS);
    let inside = |parent: &str| {
        count(&format!(
            "name = 'plain' AND (SELECT p.name FROM spans p WHERE p.id = s.parent_id) = '{parent}'"
        ))
    };
    assert_eq!((inside("open with fields"), inside("open span")), (NESTS, 1));
}
