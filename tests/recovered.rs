//! What a process that was killed has recorded is recovered from its ring file: all that was published, once, and what
//! was open as crashed.

use std::collections::HashMap;
use std::path::PathBuf;

use spandrel::recover::{RingOwner, recover, waiting};
use spandrel_query::Reader;
use spandrel_tests::prelude::*;

/// How many requests are recorded before the child says so.
const REQUESTS: u64 = 1_500;
/// The same where a recovery is to take several batches.
const MANY: u64 = 6_000;

/// In the child: requests with queries, of which one is open at the end, with what is in it.
fn record_until_killed() {
    let _limit = time_limit(60);
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    // Nothing is committed but by a flush: all else comes out of the ring.
    let builder = Profiler::builder().database(&path).flush_interval(Duration::from_secs(3_600));
    let builder = builder.ring_capacity(1 << 19).batch_size(1 << 17).partitions(1);
    let profiler = builder.redact_fields(["pin"]).crash_proof(true).build().unwrap();
    let commits = std::env::var_os("SPANDREL_TEST_COMMITS").is_some();
    let requests = requests();
    let in_the_middle = || {
        if commits {
            profiler.flush(Duration::from_secs(20)).unwrap();
        }
    };
    assert_eq!(profiler.stats().crash_proof_error, None);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        for n in 0..requests {
            request(n, || {
                if n == requests / 2 {
                    in_the_middle()
                }
            });
        }
        let open = info_span!("request", n = requests, pin = "1234", late = tracing::field::Empty);
        let _inside = open.enter();
        open.record("late", "recorded later, and longer than what fits a word");
        let long = "x".repeat(700);
        let _charge = info_span!("charge", order = 4_711, long).entered();
        info!(n = requests, "charging");
        child::say(if profiler.stats().stored == 0 { "nothing stored" } else { "some stored" });
        child::listen();
    });
}

fn requests() -> u64 {
    std::env::var("SPANDREL_TEST_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(REQUESTS)
}

fn request(n: u64, between: impl Fn()) {
    info_span!("request", n).in_scope(|| {
        for part in 0..3 {
            info_span!("query", n, part).in_scope(|| {
                spin(Duration::from_micros(2));
                info!(n, part, "row");
            });
            if part == 1 {
                between();
            }
        }
    });
}

/// Starts a child, kills it when it has recorded all, and says what it had stored.
fn kill_one(path: &Path, commits: bool, requests: u64) -> String {
    let plan = child::plan("record").env("SPANDREL_TEST_PATH", path);
    let plan = plan.env("SPANDREL_TEST_REQUESTS", requests.to_string());
    let plan = if commits { plan.env("SPANDREL_TEST_COMMITS", "1") } else { plan };
    let mut child = plan.start();
    let said = child.hear().unwrap();
    let rings = waiting(path).unwrap();
    assert_eq!(rings.iter().map(|ring| ring.owner).collect::<Vec<_>>(), [RingOwner::Alive]);
    assert_eq!(recover(path, true).unwrap().rings, [], "who lives is left alone");
    child.kill();
    said
}

/// The run of a child that was killed and recovered.
fn assert_all_is_there(path: &Path, run: i64, requests: u64) {
    // Whoever recovered may have been killed behind the last commit: a log is left, which a reader that may not write cannot use.
    let log = rusqlite::Connection::open(path).unwrap();
    log.query_row("PRAGMA wal_checkpoint", [], |_| Ok(())).unwrap();
    drop(log);
    let db = Database::open(path);
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
    let count =
        |sql: &str| db.count(&format!("SELECT count(*) FROM spans WHERE run_id = {run} AND {sql}"));
    assert_eq!(count("name = 'request' AND status = 'ok'"), requests);
    assert_eq!(count("name = 'query' AND status = 'ok'"), 3 * requests);
    assert_eq!(count("status = 'crashed'"), 2);
    assert_eq!(count("status = 'crashed' AND duration_ns IS NULL AND self_ns IS NULL"), 2);
    let numbers =
        "SELECT count(DISTINCT fields ->> 'n') FROM spans WHERE name = 'request' AND status = 'ok'";
    assert_eq!(db.count(&format!("{numbers} AND run_id = {run}")), requests, "each of them once");
    let events = format!("SELECT count(*) FROM event WHERE run_id = {run}");
    assert_eq!(db.count(&events), 3 * requests + 1);
    let fields = |name: &str| -> String {
        db.value(&format!(
            "SELECT fields FROM spans WHERE run_id = {run} AND status = 'crashed' AND name = '{name}'"
        ))
    };
    let fields: HashMap<_, _> = ["request", "charge"].map(|name| (name, fields(name))).into();
    let fields: HashMap<_, serde_json::Value> = fields
        .into_iter()
        .map(|(name, text)| (name, serde_json::from_str(&text).unwrap()))
        .collect();
    assert_eq!(fields["request"]["n"], requests);
    assert_eq!(fields["request"]["late"], "recorded later, and longer than what fits a word");
    assert_eq!(fields["request"]["pin"], "[redacted]", "secrets stay out of it");
    assert_eq!(
        (&fields["charge"]["order"], &fields["charge"]["long"]),
        (&4_711.into(), &"x".repeat(700).into())
    );
    let parents = format!(
        "SELECT count(*) FROM spans AS q JOIN spans AS r ON r.id = q.parent_id
         WHERE q.run_id = {run} AND q.name = 'query' AND r.name = 'request'
           AND q.fields ->> 'n' = r.fields ->> 'n' AND q.root_id = r.id
           AND q.start_ns >= r.start_ns AND q.start_ns + q.duration_ns <= r.start_ns + r.duration_ns"
    );
    assert_eq!(db.count(&parents), 3 * requests, "parents enclose their children");
    let self_times = format!(
        "SELECT count(*) FROM span AS r WHERE r.run_id = {run} AND r.parent_id IS NULL AND r.duration_ns > 0
           AND r.self_ns <> coalesce(r.last_exit_ns, r.first_entry_ns + r.busy_ns)
             - (SELECT sum(coalesce(q.last_exit_ns, q.first_entry_ns + q.busy_ns))
                FROM span AS q WHERE q.parent_id = r.id)"
    );
    assert_eq!(db.count(&self_times), 0, "self time is without the children, whoever stored them");
    let reader = Reader::open(path).unwrap();
    let found = reader.contradictions(run).unwrap();
    assert!(found.is_empty(), "{found:?}");
    let row = reader.run(run).unwrap().unwrap();
    assert_eq!((row.spans, row.unfinished), (4 * requests + 2, 2));
    assert!(row.has_crashed() && row.ended_unix_ns.is_none() && row.dropped() == 0, "{row:?}");
    let report: serde_json::Value = serde_json::from_str(row.report.as_deref().unwrap()).unwrap();
    assert_eq!(report["spans"]["recorded"], 4 * requests + 2);
    assert_eq!(report["spans"]["stored"], 4 * requests + 2);
    assert_eq!(report["events"]["recorded"], 3 * requests + 1);
    let threads =
        format!("SELECT count(*), count(DISTINCT os_id) FROM thread WHERE run_id = {run}");
    let threads: Vec<(i64, i64)> = db.rows(&threads, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(threads[0].0, threads[0].1, "no thread is there twice");
    assert_eq!(db.count("SELECT count(*) FROM drained"), 0, "its ring is done with");
    assert_eq!(db.count("SELECT count(*) FROM open_span"), 0);
}

#[test]
fn all_that_was_published_is_moved_once_and_what_was_open_is_crashed() {
    if child::role().is_some() {
        return record_until_killed();
    }
    let _limit = time_limit(120);
    for commits in [false, true] {
        let scratch = scratch();
        let said = kill_one(scratch.db(), commits, REQUESTS);
        assert_eq!(said == "nothing stored", !commits, "{said}");
        let rings = waiting(scratch.db()).unwrap();
        assert_eq!((rings.len(), rings[0].owner, &rings[0].refused), (1, RingOwner::Dead, &None));
        let looked = recover(scratch.db(), true).unwrap().rings;
        let done = recover(scratch.db(), false).unwrap().rings;
        assert_eq!((looked.len(), done.len()), (1, 1));
        assert_eq!((looked[0].spans, looked[0].events), (done[0].spans, done[0].events));
        assert_eq!((done[0].crashed, done[0].damaged, done[0].torn), (2, 0, 0));
        let open: Vec<_> = done[0].open.iter().map(|open| open.name.as_str()).collect();
        assert_eq!(open, ["request", "charge"]);
        assert!(!rings[0].path.exists() && waiting(scratch.db()).unwrap().is_empty());
        assert_all_is_there(scratch.db(), 1, REQUESTS);
        assert_eq!(recover(scratch.db(), false).unwrap().rings, [], "there is nothing left");
    }
}

#[test]
fn what_the_process_had_written_of_itself_stays_beside_what_its_recovery_says() {
    if child::role().is_some() {
        return record_until_killed();
    }
    let _limit = time_limit(60);
    let scratch = scratch();
    kill_one(scratch.db(), true, REQUESTS);
    let of_run = |what: &str| -> String {
        Database::open(scratch.db()).value(&format!("SELECT {what} FROM run"))
    };
    let memory = of_run("report ->> '$.memory'");
    assert!(memory.contains("reserved"), "{memory}");
    // As it would say if something had been wrong.
    let wrong = r#"UPDATE run SET report =
        json_set(report, '$.last_error', 'the disk was full', '$.marks', json('{"dropped":3}'))"#;
    rusqlite::Connection::open(scratch.db()).unwrap().execute(wrong, []).unwrap();
    let done = recover(scratch.db(), false).unwrap().rings;
    assert_eq!(of_run("report ->> '$.memory'"), memory);
    assert_eq!(of_run("report ->> '$.last_error'"), "the disk was full");
    assert_eq!(of_run("CAST(report ->> '$.marks.dropped' AS TEXT)"), "3");
    let recorded = of_run("CAST(report ->> '$.spans.recorded' AS TEXT)");
    assert_eq!(recorded, done[0].ledger.recorded.to_string());
    assert_all_is_there(scratch.db(), 1, REQUESTS);
}

#[test]
fn the_next_recording_recovers_before_it_begins() {
    if child::role().is_some() {
        return record_until_killed();
    }
    let _limit = time_limit(120);
    let scratch = scratch();
    for _ in 0..2 {
        kill_one(scratch.db(), false, REQUESTS);
        let profiler = Profiler::builder().database(scratch.db()).build().unwrap();
        assert_eq!(profiler.stats().last_error, None);
        within(&dispatch(&profiler), || request(0, || ()));
        profiler.close().unwrap();
        assert!(waiting(scratch.db()).unwrap().is_empty());
    }
    for (run, is_dead) in [(1, true), (2, false), (3, true), (4, false)] {
        match is_dead {
            true => assert_all_is_there(scratch.db(), run, REQUESTS),
            false => {
                let db = Database::open(scratch.db());
                assert_eq!(db.count(&format!("SELECT spans FROM run WHERE id = {run}")), 4);
            }
        }
    }
}

/// In a child: recovers, and is killed over it.
fn recover_until_killed() {
    let _limit = time_limit(60);
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    child::say("begun");
    recover(Path::new(&path), false).unwrap();
    child::say("done");
    child::listen();
}

#[test]
fn a_recovery_that_is_killed_at_any_moment_is_completed_by_the_next_one() {
    match child::role().as_deref() {
        Some("record") => return record_until_killed(),
        Some(_) => return recover_until_killed(),
        None => {}
    }
    let kills = std::env::var("SPANDREL_TEST_KILLS").ok().and_then(|n| n.parse().ok());
    let kills: u64 = kills.unwrap_or(6);
    let _limit = time_limit(120 + 10 * kills);
    let (mut done, mut killed_over) = (0, 0);
    let mut scratch = scratch();
    kill_one(scratch.db(), false, MANY);
    for kill in 0..kills {
        if waiting(scratch.db()).unwrap().is_empty() {
            // Killed between the end of the file and what the profile says of it.
            assert_eq!(recover(scratch.db(), false).unwrap().rings, []);
            assert_all_is_there(scratch.db(), 1, MANY);
            done += 1;
            scratch = spandrel_tests::scratch();
            kill_one(scratch.db(), kill.is_multiple_of(2), MANY);
        }
        let mut child = child::plan("recover").env("SPANDREL_TEST_PATH", scratch.db()).start();
        child.expect("begun");
        // Not to wait for something, but so that the kill comes at any moment.
        std::thread::sleep(Duration::from_micros(kill * 7_919_003 % 900_000));
        killed_over += u64::from(child.kill().is_empty());
    }
    recover(scratch.db(), false).unwrap();
    assert!(waiting(scratch.db()).unwrap().is_empty());
    assert_all_is_there(scratch.db(), 1, MANY);
    println!(
        "{kills} kills, {killed_over} of them over a recovery, {done} completed before the last"
    );
    assert!(killed_over > 0);
}

#[test]
fn what_a_close_cannot_store_in_time_waits_in_the_ring_and_is_no_loss() {
    const SPANS: u64 = 5_000;
    let _limit = time_limit(60);
    let scratch = scratch();
    let path = scratch.db();
    let hour = Duration::from_secs(3_600);
    let builder = Profiler::builder().database(path).crash_proof(true).flush_interval(hour);
    let builder = builder.ring_capacity(1 << 14).close_timeout(Duration::ZERO);
    let profiler = builder.build().unwrap();
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    within(&dispatch(&profiler), || (0..SPANS).for_each(|_| drop(info_span!("x"))));
    let report = profiler.close().unwrap();
    assert!(report.timed_out && report.balances(), "{report}");
    assert_eq!((report.stored, report.dropped.total()), (0, 0), "{report}");
    assert_eq!(report.in_flight, SPANS);
    let said = report.last_error.clone().unwrap();
    assert!(said.contains("5000 spans") && said.contains("spandrel recover"), "{said}");
    drop(other);
    // The writer may still be about to say in the ring that it is closed, where nobody lets it.
    let mut rings = std::iter::repeat_with(|| waiting(path).unwrap().remove(0));
    let ring = rings.find(|ring| ring.owner == RingOwner::Dead).unwrap();
    assert!(ring.was_closed);
    assert_eq!(recover(path, true).unwrap().rings[0].spans, SPANS);
    // Where it was not waited for, it may have the profile still.
    let done = std::iter::repeat_with(|| recover(path, false)).find_map(Result::ok).unwrap();
    let [done] = &*done.rings else { panic!("one ring") };
    assert!(done.was_closed, "{done:?}");
    assert_eq!((done.spans, done.ledger.recorded, done.ledger.stored), (SPANS, SPANS, SPANS));
    assert!(!ring.path.exists() && waiting(path).unwrap().is_empty());
    let reader = Reader::open(path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.spans, run.dropped()), (SPANS, 0));
    assert!(run.ended_unix_ns.is_some() && !run.has_crashed(), "it was closed");
    assert!(reader.contradictions(1).unwrap().is_empty());
}

/// So many are stored before the profile is renamed, and so many are recorded after that.
const BEFORE: u64 = 1_000;
const AFTER: u64 = 300;

/// In the child: records, has it stored, renames the profile, and records on.
fn record_and_rename() {
    let _limit = time_limit(60);
    let path = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let builder = Profiler::builder().database(&path).flush_interval(Duration::from_secs(3_600));
    let profiler = builder.crash_proof(true).build().unwrap();
    let record = |spans: u64| {
        within(&dispatch(&profiler), || (0..spans).for_each(|_| drop(info_span!("x"))));
    };
    record(BEFORE);
    profiler.flush(Duration::from_secs(20)).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::rename(name(&path), name(&path.with_extension("old"))).unwrap();
    }
    record(AFTER);
    if child::role().as_deref() == Some("rename and store") {
        profiler.flush(Duration::from_secs(20)).unwrap();
    }
    child::say("done");
    child::listen();
}

#[test]
fn a_profile_that_was_renamed_keeps_what_it_has_and_the_next_one_gets_the_rest() {
    if child::role().is_some() {
        return record_and_rename();
    }
    let _limit = time_limit(120);
    for role in ["rename", "rename and store"] {
        let scratch = scratch();
        let path = scratch.db();
        let mut child = child::plan(role).env("SPANDREL_TEST_PATH", path).start();
        child.expect("done");
        child.kill();
        // As whoever records next does: the profile may not be there.
        Profiler::builder().database(path).build().unwrap().close().unwrap();
        let of = |path: &Path| {
            let run = Reader::open(path).unwrap().run(1).unwrap().unwrap();
            (run.spans, run.dropped())
        };
        assert_eq!(of(&path.with_extension("old")), (BEFORE, 0), "{role}");
        assert_eq!(of(path), (AFTER, 0), "{role}");
        let run = |path: &Path| Reader::open(path).unwrap().run(1).unwrap().unwrap();
        let elsewhere = run(path).elsewhere().unwrap();
        assert_eq!((elsewhere.spans, elsewhere.goes_on), (BEFORE, false), "{role}");
        let old = run(&path.with_extension("old"));
        assert!(!old.is_complete() && !run(path).is_complete(), "each has a part");
        if role == "rename and store" {
            assert!(old.elsewhere().unwrap().goes_on);
        }
        assert!(waiting(path).unwrap().is_empty());
    }
}

#[test]
fn a_ring_file_that_is_removed_is_noticed_and_the_recording_goes_on() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let builder = Profiler::builder().database(scratch.db()).crash_proof(true);
    let profiler = builder.close_timeout(Duration::ZERO).build().unwrap();
    assert!(profiler.stats().is_crash_proof);
    let rings = waiting(scratch.db()).unwrap();
    std::fs::remove_file(&rings[0].path).unwrap();
    within(&dispatch(&profiler), || drop(info_span!("x")));
    profiler.flush(Duration::from_secs(20)).unwrap();
    let stats = profiler.stats();
    let said = stats.crash_proof_error.unwrap();
    assert!(
        said.starts_with(rings[0].path.to_str().unwrap()) && said.contains("removed"),
        "{said}"
    );
    assert!(!stats.is_crash_proof && stats.stored == 1);
    // What cannot be stored now is lost, and not left for anybody.
    let other = rusqlite::Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    within(&dispatch(&profiler), || drop(info_span!("y")));
    let report = profiler.close().unwrap();
    assert_eq!((report.stored, report.dropped.store_error, report.in_flight), (1, 1, 0));
}
