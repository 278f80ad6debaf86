//! Calls, p50, p99 and the longest call of every system, as the witness saw them: while the app lives, and after
//! the profiler's close, be the app dropped before that or not.
//!
//! Systems live as long as the app, so each time that one was entered is a call. Each case is a process of its own,
//! since Bevy's threads and the global subscriber are the process's; and one runs at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use spandrel::{Entries, Profiler};
use spandrel_query::CountedBy;
use spandrel_tests_bevy::figures::{self, Figures, Us, is_near, percentile};
use spandrel_tests_bevy::game::{self, Executor};
use spandrel_tests_bevy::witness::{Entry, Name, Witness};
use tracing_subscriber::prelude::*;

const ROLE: &str = "SPANDREL_TEST_ROLE";

const NAMES: [&str; 2] = ["system", "system_commands"];

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What differs between the cases.
struct Case {
    test: &'static str,
    /// What a rule says of systems, if there is one.
    rule: Option<Entries>,
    /// Whether the app is dropped before the close.
    is_dropped: bool,
    executor: Executor,
}

#[test]
fn app_dropped_before_close() {
    let (rule, is_dropped) = (None, true);
    let executor = Executor::MultiThreaded;
    run(&Case { test: "app_dropped_before_close", rule, is_dropped, executor });
}

#[test]
fn app_alive_at_close() {
    let (rule, is_dropped) = (None, false);
    let executor = Executor::MultiThreaded;
    run(&Case { test: "app_alive_at_close", rule, is_dropped, executor });
}

#[test]
fn one_thread_and_app_dropped_before_close() {
    let (rule, is_dropped) = (None, true);
    let executor = Executor::SingleThreaded;
    run(&Case { test: "one_thread_and_app_dropped_before_close", rule, is_dropped, executor });
}

/// As it is for spans that nobody is known to keep.
#[test]
fn a_rule_as_for_others_and_app_alive_at_close() {
    let (rule, is_dropped) = (Some(Entries::LongLived), false);
    let executor = Executor::MultiThreaded;
    run(&Case { test: "a_rule_as_for_others_and_app_alive_at_close", rule, is_dropped, executor });
}

fn run(case: &Case) {
    if std::env::var_os(ROLE).is_some() {
        return play(case);
    }
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|error| error.into_inner());
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.args(["--exact", case.test, "--nocapture"]).env(ROLE, "play").status();
    assert!(status.unwrap().success());
}

/// The app with the profiler and the witness, and their figures.
fn play(case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("game.db");
    let mut builder = Profiler::builder().database(&db);
    if let Some(entries) = case.rule {
        builder = builder.entries_of("system*", entries);
    }
    let profiler = builder.build().unwrap();
    let witness = Witness::default();
    let (first, second) = witness.layers();
    tracing_subscriber::registry().with(first).with(profiler.layer()).with(second).init();
    let mut app = game::app(case.executor);
    game::update(&mut app, game::UPDATES);

    profiler.flush(Duration::from_secs(60)).unwrap();
    let live = figures::read(&db, &NAMES);
    let mut self_times = vec![figures::self_times(&db)];
    let kept = if case.is_dropped {
        drop(app);
        None
    } else {
        Some(app)
    };
    let report = profiler.close().unwrap();
    let spans = report.spans();
    assert_eq!((spans.dropped.total(), report.entries.dropped.total()), (0, 0), "{report}");
    let closed = figures::read(&db, &NAMES);
    self_times.push(figures::self_times(&db));

    let seen = witness.entries();
    print(case, &seen, &live, &closed);
    check(case, &seen, &live, "live");
    check(case, &seen, &closed, "closed");
    for (sums, length) in &self_times {
        println!("self times by thread, of {}: {sums:?}", Us(*length));
    }
    self_times.iter().for_each(check_self_times);
    frames_name_their_slowest_system(&db, case.executor);
    drop(kept);
}

/// The one row of entries of each system that was entered.
fn of_entries<'a>(all: &'a BTreeMap<Name, Vec<Figures>>, name: &Name) -> Vec<&'a Figures> {
    let rows = all.get(name).into_iter().flatten();
    rows.filter(|row| row.counted == CountedBy::Entries).collect()
}

fn check(
    case: &Case,
    seen: &BTreeMap<Name, Vec<Entry>>,
    all: &BTreeMap<Name, Vec<Figures>>,
    when: &str,
) {
    let mut checked = 0;
    for (name, entries) in seen.iter().filter(|(name, _)| NAMES.contains(&name.0.as_str())) {
        if case.rule.is_some() && entries.len() < 100 {
            continue; // it counts by its lifetime
        }
        let rows = of_entries(all, name);
        let context = format!("{when}, {name:?}: {rows:?}");
        let [figures] = rows[..] else { panic!("not one row: {context}") };
        assert_eq!(figures.calls, entries.len() as u64, "{context}");
        // With the rule, those before it counted as long-lived are known by their number, sum and longest only.
        let measured = figures.measured as usize;
        assert!(measured <= entries.len() && measured > 0, "{context}");
        assert!(case.rule.is_some() || measured == entries.len(), "{context}");
        let later = &entries[entries.len() - measured..];
        let [p50, p99] = [0.5, 0.99].map(|q| percentile(later, q));
        let max = percentile(entries, 1.0);
        for [of_50, of_99] in [figures.near_ns, figures.exact_ns] {
            assert!(is_near(of_50, p50), "p50 is {p50:?} by the witness; {context}");
            assert!(is_near(of_99, p99), "p99 is {p99:?} by the witness; {context}");
        }
        assert!(is_near(figures.max_ns, max), "the longest is {max:?} by the witness; {context}");
        // Half of all calls are as long as the system works, however busy the machine is.
        if ["::walk", "::think"].iter().any(|end| name.1.ends_with(end)) {
            let p50 = percentile(entries, 0.5);
            assert!(is_near(figures.exact_ns[0], p50), "of all, p50 is {p50:?}; {context}");
        }
        checked += 1;
    }
    assert!(checked > game::SYSTEMS.len(), "{checked} were checked: {seen:?}");
    for system in game::SYSTEMS {
        let name = ("system".to_owned(), format!("spandrel_tests_bevy::game::{system}"));
        assert_eq!(seen[&name].len() as u64, game::UPDATES, "{name:?}");
    }
}

/// Nobody has more self time than there was, also when all spans have closed that were open for as long as the app.
fn check_self_times((sums, length): &(BTreeMap<String, i64>, i64)) {
    assert!(!sums.is_empty());
    for (thread, sum) in sums {
        assert!(sum <= length, "{thread}: {sum} ns of self time in {length} ns");
    }
}

/// Asked of the command, if it was built.
fn frames_name_their_slowest_system(db: &Path, executor: Executor) {
    let Some(command) = std::env::var_os("SPANDREL_TEST_COMMAND") else {
        println!("SKIPPED: a frame's tree, SPANDREL_TEST_COMMAND is not set");
        return;
    };
    let ask = |arguments: &[&str]| {
        let output = Command::new(&command).args(arguments).arg("--db").arg(db).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let rows = ask(&["sql", "SELECT id FROM spans WHERE name = 'update' ORDER BY id", "-f", "csv"]);
    let frames: Vec<&str> = rows.lines().skip(1).collect();
    assert_eq!(frames.len() as u64, game::UPDATES);
    let mut elsewhere = 0;
    // Late enough that its systems live long, with a rule or without.
    for slow in 20..game::UPDATES / game::SLOW_EACH {
        let id = frames[(slow * game::SLOW_EACH) as usize - 1];
        let text = ask(&["tree", &format!("s{id}"), "-f", "json"]);
        let tree: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is_think = |row: &serde_json::Value| {
            row["name"] == "system" && row["fields"]["name"] == "spandrel_tests_bevy::game::think"
        };
        // On the thread of the frame it is in the tree, and the frame waited for it.
        let is_slow = |row: &serde_json::Value| {
            is_think(row)
                && row["by"] == "entries"
                && row["on_critical_path"] == true
                && row["critical_ns"].as_i64().unwrap() >= 6_000_000
        };
        let is_inside = tree["rows"].as_array().unwrap().iter().any(is_slow);
        // On another one it is beside it, and the longest stands in front.
        let beside = tree["meanwhile"].as_array().unwrap();
        let longest_ns = |row: &serde_json::Value| row["longest_ns"].as_i64().unwrap();
        assert!(beside.is_sorted_by_key(|row| std::cmp::Reverse(longest_ns(row))), "{tree:#}");
        let is_beside = beside.iter().any(|row| is_think(row) && longest_ns(row) >= 6_000_000);
        assert!(is_inside != is_beside, "{tree:#}");
        assert!(is_inside || executor == Executor::MultiThreaded, "{tree:#}");
        elsewhere += u64::from(is_beside);
        if is_beside && elsewhere == 1 {
            println!("{}", ask(&["tree", &format!("s{id}")]));
        }
    }
    println!("  the slowest system was on another thread than the frame {elsewhere} times");
}

fn print(
    case: &Case,
    seen: &BTreeMap<Name, Vec<Entry>>,
    live: &BTreeMap<Name, Vec<Figures>>,
    closed: &BTreeMap<Name, Vec<Figures>>,
) {
    println!("\n{}, µs", case.test);
    println!("  {:38} {:>6} {:>10} {:>10} {:>10}", "system", "calls", "p50", "p99", "max");
    for system in game::SYSTEMS {
        let name = ("system".to_owned(), format!("spandrel_tests_bevy::game::{system}"));
        let entries = &seen[&name];
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| Us(percentile(entries, q).0));
        println!("  {system:8} {:29} {:>6} {p50} {p99} {max}", "witness", entries.len());
        for (when, all) in [("live", live), ("closed", closed)] {
            for row in all.get(&name).into_iter().flatten().filter(|row| row.calls > 0) {
                let by = format!("{when}, by {}, {} measured", row.counted.as_str(), row.measured);
                println!("  {:8} {by:29} {row}", "");
            }
        }
    }
}
