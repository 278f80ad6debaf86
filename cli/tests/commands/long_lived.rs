//! Spans that live long count by the times that they were entered: a game whose systems are spans that are
//! open for as long as it runs, beside requests that are slow in one piece.

use std::path::Path;

use serde_json::Value;
use spandrel_storage::{EntryRow, OpenSpanRow, SpanRow, Status};

use super::fixture::{Recording, Shared, bare, info, json, report, run, span, text};

pub const FRAMES: u64 = 1_000;
const FRAME_NS: i64 = 2_300_000;
/// The entries of a system are 20 us long, but for a slow one in a hundred.
const QUICK_NS: i64 = 20_000;
const SLOW_NS: i64 = 500_000;
/// One that was not recorded by itself, as it came before the system was known to live long.
const LONGEST_NS: i64 = 700_000;
/// Entries before a span was known to live long, which have no rows that count.
const EARLIER: u64 = 100;
const SYSTEMS: u64 = 3;

/// How the systems end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// They closed; one of them failed.
    Closed,
    /// They are open, as the game still runs.
    Open,
    /// They were open when the recording ended.
    Left,
}

/// The game, written once.
pub fn game(end: End) -> &'static Path {
    static CLOSED: Shared = Shared::new();
    static OPEN: Shared = Shared::new();
    static LEFT: Shared = Shared::new();
    let place = match end {
        End::Closed => &CLOSED,
        End::Open => &OPEN,
        End::Left => &LEFT,
    };
    place.written_by(|path| write(path, end, QUICK_NS))
}

pub fn write(path: &Path, end: End, quick_ns: i64) {
    let mut run = Recording::begin(path, &info(1));
    let [frame, system, request] = ["frame", "system", "request"].map(|name| run.name(name));
    let main = run.thread_id;
    let other = run.store.intern_thread(2, 2, Some("io"));
    let first = run.store.next_id();
    let life_ns = FRAMES as i64 * FRAME_NS;
    let batch = &mut run.batch;
    let (mut open, mut next) = (Vec::new(), first + 10_000);
    for at in 0..SYSTEMS {
        let from = batch.text.len();
        batch.text.push_str(&format!(r#"{{"name":"system {at}"}}"#));
        let failed = at == 1 && end == End::Closed;
        let row = SpanRow {
            self_ns: None,
            busy_ns: Some(life_ns / 50),
            entries: FRAMES,
            longest_entry_ns: Some(if at == 0 { LONGEST_NS } else { SLOW_NS }),
            first_entry_ns: Some(0),
            last_exit_ns: Some(life_ns),
            status: if failed { Status::Error } else { Status::Ok },
            fields: from..batch.text.len(),
            ..span(first + at, system, main, 0, life_ns)
        };
        match end {
            End::Closed => batch.spans.push(row),
            End::Left => {
                batch.spans.push(SpanRow { duration_ns: None, status: Status::Unfinished, ..row })
            }
            End::Open => open.push(OpenSpanRow {
                span: SpanRow { duration_ns: None, status: Status::Unfinished, ..row },
                seen_ns: life_ns,
            }),
        }
    }
    // One that did not live long, and requests that wait.
    batch.spans.push(span(first + 5, system, main, 0, 1_000_000));
    for (at, duration_ns) in [1_500_000_000, 20_000_000].into_iter().enumerate() {
        batch.spans.push(SpanRow {
            busy_ns: Some(30_000_000),
            entries: 30,
            ..span(first + 6 + at as u64, request, other, 100_000_000, duration_ns)
        });
    }
    for frame_number in 0..FRAMES {
        let start_ns = frame_number as i64 * FRAME_NS;
        let frame_id = first + 100 + frame_number;
        let mut inside = 0;
        for at in 0..SYSTEMS {
            let is_slow = frame_number % 100 == 50;
            let duration_ns = if is_slow { SLOW_NS } else { quick_ns };
            next += 1;
            if frame_number >= EARLIER {
                batch.entries.push(EntryRow {
                    id: next,
                    span_id: first + at,
                    callsite_id: system,
                    thread_id: main,
                    start_ns: start_ns + inside,
                    duration_ns,
                    around_id: frame_id,
                    self_ns: Some(duration_ns),
                    earlier_entries: if frame_number == EARLIER { EARLIER } else { 0 },
                    earlier_ns: if frame_number == EARLIER { EARLIER as i64 * quick_ns } else { 0 },
                });
            }
            inside += duration_ns;
        }
        batch.spans.push(SpanRow {
            self_ns: Some(FRAME_NS - inside),
            ..span(frame_id, frame, main, start_ns, FRAME_NS)
        });
    }
    if end == End::Open {
        batch.open_spans = Some(open);
    }
    if end == End::Open { run.leave() } else { run.end(life_ns) }
}

/// The row of a name by what it counts by.
fn row<'a>(document: &'a Value, name: &str, by: &str) -> &'a Value {
    let mut rows = document["rows"].as_array().unwrap().iter();
    let found = rows.find(|row| row["name"] == name && row["by"] == by);
    found.unwrap_or_else(|| panic!("no {name} by {by}: {document}"))
}

fn number(row: &Value, key: &str) -> i64 {
    row[key].as_i64().unwrap_or_else(|| panic!("{key}: {row}"))
}

/// A percentile of a histogram.
fn is_near(found: i64, expected: i64) -> bool {
    found.abs_diff(expected) as f64 <= expected as f64 * 0.01
}

#[test]
fn a_system_has_as_many_calls_as_it_was_entered_and_its_lifetime_counts_for_nothing() {
    for end in [End::Closed, End::Open, End::Left] {
        let db = game(end);
        let ways: [&[&str]; 4] =
            [&["top"], &["top", "--since", "+0s"], &["top", "--exact"], &["top", "-w", "name=*"]];
        for words in ways {
            let top = json(db, words);
            let system = row(&top, "system", "entries");
            let calls = (SYSTEMS * FRAMES) as i64;
            assert_eq!(number(system, "calls"), calls, "{words:?}");
            assert!(is_near(number(system, "p50_ns"), QUICK_NS), "{words:?} {system}");
            assert!(is_near(number(system, "p95_ns"), QUICK_NS), "{words:?} {system}");
            assert_eq!(number(system, "max_ns"), LONGEST_NS, "{words:?} {end:?}");
            let slow = SYSTEMS as i64 * 9;
            let total = (calls - slow) * QUICK_NS + slow * SLOW_NS;
            assert_eq!(number(system, "total_ns"), total, "{words:?}");
            // Of entries that were not recorded by themselves, self times are not known.
            let self_ns = total - (SYSTEMS * EARLIER) as i64 * QUICK_NS;
            assert_eq!(number(system, "self_ns"), self_ns, "{words:?}");
            let failed = i64::from(end == End::Closed);
            assert_eq!(number(system, "errors"), failed, "{words:?}");
            assert_eq!(number(row(&top, "system", "lifetime"), "calls"), 1, "{words:?}");
            assert_eq!(number(row(&top, "request", "lifetime"), "p99_ns"), 1_500_000_000);
            let rows = top["rows"].as_array().unwrap();
            let rows: Vec<_> = rows.iter().filter(|row| number(row, "calls") > 0).collect();
            assert_eq!(rows.len(), 4, "{words:?}: {top}");
            // Nobody was at work for longer than the thread that did it.
            let on_main = rows.iter().filter(|row| row["name"] != "request");
            let sum: i64 = on_main.map(|row| number(row, "self_ns")).sum();
            assert!(sum <= FRAMES as i64 * FRAME_NS + 1_000_000, "{words:?} {sum}");
        }
    }
}

/// One that is known by its length only: a window that has all entries of its span has it, and no other one has.
#[test]
fn the_longest_entry_is_in_windows_that_have_all_entries_of_its_span() {
    for end in [End::Closed, End::Open, End::Left] {
        let db = game(end);
        let max_ns = |words: &[&str]| number(row(&json(db, words), "system", "entries"), "max_ns");
        for words in [["top", "--since", "+0s"], ["top", "--until", "+3s"]] {
            assert_eq!(max_ns(&words), LONGEST_NS, "{words:?} {end:?}");
        }
        for words in [["top", "--since", "+1ms"], ["top", "--until", "+2s"]] {
            assert_eq!(max_ns(&words), SLOW_NS, "{words:?} {end:?}");
        }
        let lines = json(db, &["hist", "system", "--since", "+0s"]);
        assert_eq!(number(row(&lines, "system", "entries"), "max_ns"), LONGEST_NS, "{end:?}");
    }
    let rules = tempfile::NamedTempFile::new().unwrap();
    let rule = "[[rule]]\nspan = \"system\"\nby = \"entries\"\nmetric = \"max\"\nmax = \"600us\"\n";
    std::fs::write(rules.path(), rule).unwrap();
    let words = ["check", "--since", "+0s", "--rules", rules.path().to_str().unwrap()];
    let verdicts = json(game(End::Closed), &words);
    assert_eq!(verdicts["failed"], 1, "{verdicts}");
}

#[test]
fn rows_of_what_lives_long_are_marked_and_the_mark_is_explained() {
    let page = text(game(End::Closed), &["top"]);
    let is_marked = |line: &&str| line.contains("system ⟳");
    assert_eq!(page.lines().filter(is_marked).count(), 1, "{page}");
    assert!(page.contains("⟳ lives long: each time it was entered counts"), "{page}");
    assert!(page.contains("1 of 3 spans of system failed"), "{page}");
    let left = text(game(End::Left), &["top"]);
    let but = "3 unfinished spans are not counted, but for their entries if they live long";
    assert!(left.contains(but), "{left}");
    let without = text(game(End::Closed), &["top", "-w", "name!=system"]);
    assert!(!without.contains('⟳'), "{without}");
    let ascii = text(game(End::Closed), &["top", "--ascii"]);
    assert!(ascii.contains("system @") && ascii.is_ascii(), "{ascii}");
}

/// Spans that are there, of which nothing that was recorded is a call that is asked about.
#[test]
fn no_row_has_no_calls_unless_it_says_why() {
    let asked: [&[&str]; 6] = [
        &["top", "-w", "dur>600us"],
        &["top", "-w", "dur>600us", "--by", "field.name"],
        &["top", "--until", "+0.1s"],
        &["top", "-w", "field.name=\"system 0\""],
        &["top", "--exact"],
        &["top", "--by", "callsite", "-w", "dur>600us"],
    ];
    for end in [End::Closed, End::Open, End::Left] {
        for words in asked {
            let document = json(game(end), words);
            for row in document["rows"].as_array().unwrap() {
                let is_open = row["unfinished"].as_u64().is_some_and(|count| count > 0);
                assert!(number(row, "calls") > 0 || is_open, "{end:?} {words:?}: {row}");
            }
        }
    }
    let page = text(game(End::Closed), &["top", "-w", "dur>600us"]);
    let why = "no row for system ⟳: 1 span matches, but no entry that was recorded by itself";
    assert!(page.contains(why), "{page}");
    assert!(!text(game(End::Closed), &["top"]).contains("no row for"));
    // Those that are open, but for those whose entries have a row.
    let of_system = json(game(End::Left), &["top", "--by", "field.name", "-w", "name=system"]);
    let rows = of_system["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| number(row, "calls") > 0), "{of_system}");
    assert_eq!(of_system["unfinished"], 3);
    let diff = json(game(End::Closed), &["diff", "latest", "latest", "-w", "dur>600us"]);
    let rows = diff["rows"].as_array().unwrap().iter();
    assert!(rows.clone().all(|row| number(row, "calls_a") > 0), "{diff}");
}

#[test]
fn a_filter_a_window_and_a_thread_ask_about_entries() {
    let db = game(End::Closed);
    let calls = |words: &[&str]| {
        let document = json(db, words);
        let rows = document["rows"].as_array().unwrap().iter();
        let long = rows.filter(|row| row["by"] == "entries");
        long.map(|row| number(row, "calls")).collect::<Vec<_>>()
    };
    assert_eq!(calls(&["top", "-w", "dur>=100us"]), [27]);
    assert_eq!(calls(&["top", "-w", "dur>=100us", "--by", "field.name"]), [9, 9, 9]);
    assert_eq!(calls(&["top", "-w", "field.name=\"system 1\""]), [FRAMES as i64]);
    // From the 500th frame to the 599th.
    let window = ["top", "--between", "+1.15s..+1.38s"];
    assert_eq!(calls(&window), [300]);
    let threads = json(db, &["top", "--by", "thread"]);
    let of = |thread: &str| {
        let mut rows = threads["rows"].as_array().unwrap().iter();
        rows.find(|row| row["thread"] == thread).unwrap().clone()
    };
    assert_eq!(
        (of("main")["by"].as_str(), of("io")["by"].as_str()),
        (Some("both"), Some("lifetime"))
    );
    assert_eq!(number(&of("main"), "calls"), (SYSTEMS * FRAMES + FRAMES + 1) as i64);
    let targets = json(db, &["top", "--by", "target"]);
    assert_eq!(targets["rows"].as_array().unwrap().len(), 1, "{targets}");
}

#[test]
fn a_distribution_is_of_entries_and_of_each_kind_apart() {
    let db = game(End::Closed);
    let both = json(db, &["hist", "system"]);
    assert_eq!(number(row(&both, "system", "entries"), "calls"), (SYSTEMS * FRAMES) as i64);
    assert_eq!(number(row(&both, "system", "lifetime"), "calls"), 1);
    let one = json(db, &["hist", "system", "-w", "dur<1ms"]);
    assert_eq!(one["by"], "entries");
    assert_eq!(number(&one, "calls"), (SYSTEMS * (FRAMES - EARLIER)) as i64);
    assert!(is_near(number(&one, "p50_ns"), QUICK_NS), "{one}");
    let page = text(db, &["hist", "system", "-w", "dur<1ms"]);
    assert!(page.contains("⟳ lives long"), "{page}");
    let page = text(db, &["hist"]);
    assert!(page.contains("system ⟳"), "{page}");
}

/// The longest call of `top` may be one of those.
#[test]
fn calls_that_slow_does_not_rank_are_told() {
    let db = game(End::Closed);
    let all = "300 more calls of what lives long are known by their sum only";
    let of_name = "300 more calls of system are known by their sum only, and not among them";
    for words in [&["slow"][..], &["slow", "--since", "+0s"], &["slow", "--by", "name"]] {
        assert!(text(db, words).contains(all), "{words:?}");
        assert_eq!(number(&json(db, words), "summed_only"), 300);
    }
    assert!(text(db, &["slow", "system"]).contains(of_name));
    let one = ["slow", "system", "-w", "field.name=\"system 0\""];
    assert!(text(db, &one).contains("100 more calls of system"));
    for words in [&["slow", "frame"][..], &["slow", "system", "-w", "dur<1ms"]] {
        assert!(!text(db, words).contains("sum only"), "{words:?}");
        assert_eq!(number(&json(db, words), "summed_only"), 0);
    }
}

/// The first entries of a span are counted and summed up, and not recorded one by one.
#[test]
fn calls_that_no_bar_has_are_told() {
    let db = game(End::Closed);
    let summed =
        "of 3,000 calls of system, 300 are known by their sum only: no bar and no percentile";
    for words in [&["hist"][..], &["hist", "system"], &["explain"], &["hist", "--since", "+0s"]] {
        assert!(text(db, words).contains(summed), "{words:?}");
        let document = json(db, words);
        let rows = document["rows"].as_array().unwrap();
        let of = |row: &&Value| number(row, "summed_only");
        assert_eq!(rows.iter().map(|row| of(&row)).sum::<i64>(), 300, "{words:?}: {document}");
    }
    // Of one system alone, a distribution of its own.
    let one = ["hist", "system", "-w", "field.name=\"system 0\""];
    let document = json(db, &one);
    assert_eq!((number(&document, "calls"), number(&document, "summed_only")), (900, 100));
    let page = text(db, &one);
    assert!(page.contains("of 1,000 calls of system, 100 are known by their sum only"), "{page}");
    let page = text(db, &["explain", "system", "-w", "field.name=\"system 0\""]);
    assert!(page.contains("100 more calls of system are known by their sum only"), "{page}");
    for words in [&["hist", "frame"][..], &["hist", "system", "-w", "dur<1ms"]] {
        assert_eq!(number(&json(db, words), "summed_only"), 0);
        assert!(!text(db, words).contains("sum only"), "{words:?}");
    }
}

#[test]
fn the_view_top_has_both_kinds() {
    let words =
        ["sql", "select calls, errors, mean_ms from top where name = 'system' order by counted_by"];
    let document = json(game(End::Closed), &words);
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(number(&rows[0], "calls"), (SYSTEMS * FRAMES) as i64);
    assert_eq!(number(&rows[1], "calls"), 1);
    assert!(rows[0]["mean_ms"].as_f64().unwrap() < 0.03, "{document}");
}

#[test]
fn among_the_slowest_are_the_longest_entries_and_no_lifetime_of_what_lives_long() {
    for end in [End::Closed, End::Open] {
        let db = game(end);
        let all = json(db, &["slow", "-n", "0"]);
        let rows = all["rows"].as_array().unwrap();
        let recorded = SYSTEMS * (FRAMES - EARLIER);
        assert_eq!(rows.len() as u64, FRAMES + 3 + recorded, "{end:?}");
        assert_eq!(all["total"].as_u64(), Some(FRAMES + 3 + recorded));
        // A request that waits is slow as a whole.
        assert_eq!((&rows[0]["name"], &rows[0]["by"]), (&"request".into(), &"lifetime".into()));
        let of_systems = json(db, &["slow", "system", "-n", "28"]);
        let filtered = json(db, &["slow", "-n", "28", "-w", "name=system"]);
        assert_eq!(of_systems["rows"], filtered["rows"]);
        let rows = of_systems["rows"].as_array().unwrap();
        assert_eq!(
            (number(&rows[0], "duration_ns"), &rows[0]["by"]),
            (1_000_000, &"lifetime".into())
        );
        for row in &rows[1..] {
            assert_eq!((number(row, "duration_ns"), &row["by"]), (SLOW_NS, &"entries".into()));
            assert_eq!((number(row, "busy_ns"), &row["thread"]), (SLOW_NS, &"main".into()));
            assert!(row["fields"]["name"].as_str().unwrap().starts_with("system "), "{row}");
            let frame_number = number(row, "start_ns") / FRAME_NS;
            assert_eq!(frame_number % 100, 50, "{row}");
            assert!(row["around_id"].is_u64(), "{row}");
        }
        let one = json(db, &["slow", "system", "--by", "field.name", "--since", "+1s"]);
        assert_eq!(one["rows"].as_array().unwrap().len(), 3, "{one}");
    }
}

#[test]
fn when_a_longest_entry_began_is_known_exactly_if_it_was_recorded_by_itself() {
    for end in [End::Closed, End::Open] {
        let of = |system: u64| {
            let named = format!("field.name=\"system {system}\"");
            let words = ["stalls", "--all-threads", "--blocking", "400us", "-w", &named];
            let found = json(game(end), &words);
            let page = text(game(end), &words);
            let row = &found["rows"][0];
            (number(row, "start_ns"), number(row, "latest_start_ns"), page.contains(".."))
        };
        // The first slow one that was recorded: behind that of the system before, in the same frame.
        let exact = 150 * FRAME_NS + SLOW_NS;
        assert_eq!(of(1), (exact, exact, false), "{end:?}");
        let (earliest, latest, is_range) = of(0);
        assert!(earliest < latest && is_range, "{end:?}: it was not recorded by itself");
    }
}

#[test]
fn the_work_of_an_entry_is_its_length() {
    for words in [&["slow", "--by", "work", "-n", "0"][..], &["slow", "-n", "0", "-w", "dur<1ms"]] {
        let found = json(game(End::Closed), words);
        let entries = found["rows"].as_array().unwrap().iter().filter(|row| row["by"] == "entries");
        let work: Vec<_> =
            entries.map(|row| (&row["last_exit_ns"], number(row, "duration_ns"))).collect();
        assert_eq!(work.len() as u64, SYSTEMS * (FRAMES - EARLIER), "{words:?}");
        assert!(work.iter().all(|(work, length)| **work == *length), "{words:?}: {:?}", work[0]);
    }
}

#[test]
fn a_list_of_the_slowest_marks_entries_and_leads_to_what_was_around_the_first() {
    let page = text(game(End::Closed), &["slow", "system", "-w", "dur<1ms", "-n", "3"]);
    assert_eq!(page.matches("system ⟳").count(), 3, "{page}");
    assert!(page.contains("⟳ lives long: each time it was entered counts"), "{page}");
    let row = json(game(End::Closed), &["slow", "system", "-w", "dur<1ms", "-n", "1"]);
    let around = number(&row["rows"][0], "around_id");
    assert!(page.contains(&format!("`spandrel tree s{around}`")), "{page}");
}

#[test]
fn a_comparison_and_a_check_are_of_entries() {
    let folder = tempfile::tempdir().unwrap();
    let slower = folder.path().join("slower.db");
    write(&slower, End::Closed, 2 * QUICK_NS);
    let before = game(End::Closed);
    let diff = json(before, &["diff", before.to_str().unwrap(), slower.to_str().unwrap()]);
    let system = row(&diff, "system", "entries");
    assert_eq!(number(system, "calls_a"), (SYSTEMS * FRAMES) as i64);
    assert!(is_near(number(system, "p50_a_ns"), QUICK_NS), "{system}");
    assert!(is_near(number(system, "p50_b_ns"), 2 * QUICK_NS), "{system}");
    assert_eq!(system["p50_significant"], true, "{system}");
    // Of all entries, those that are known by their sum only included.
    let top = json(before, &["top"]);
    let mean_ns = number(row(&top, "system", "entries"), "mean_ns");
    let busy_ns = system["busy_a_ns"].as_f64().unwrap();
    assert!((busy_ns - mean_ns as f64).abs() <= 1.0, "{busy_ns} for {mean_ns}: {system}");
    assert_eq!(number(row(&diff, "system", "lifetime"), "calls_a"), 1);
    let page = text(before, &["diff", before.to_str().unwrap(), slower.to_str().unwrap()]);
    assert!(page.contains("system ⟳: B is ") && page.contains("⟳ lives long"), "{page}");

    let rules = folder.path().join("rules.toml");
    let check = |by: &str, metric: &str, bound: &str| {
        let rule = format!("[[rule]]\nspan = \"system\"\n{by}\nmetric = \"{metric}\"\n{bound}\n");
        std::fs::write(&rules, rule).unwrap();
        let words = ["check", "--rules", rules.to_str().unwrap(), "-f", "json", "--baseline"];
        let (out, err, _) = run(bare(&words).arg(before).arg("--db").arg(&slower));
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        document["rows"].as_array().unwrap().clone()
    };
    let entries = "by = \"entries\"";
    for (metric, bound, outcome) in [
        ("p50", "max = \"30us\"", "failed"),
        ("p99", "max = \"1ms\"", "passed"),
        ("max", "max = \"699us\"", "failed"),
        ("max", "max = \"700us\"", "passed"),
        ("calls", "max = 2_999", "failed"),
        ("calls", "max = 3_000", "passed"),
        ("error_rate", "max = 0.33", "failed"),
        ("error_rate", "max = 0.34", "passed"),
        ("p50", "percent = 10", "failed"),
        ("p50", "percent = 200", "passed"),
    ] {
        let rows = check(entries, metric, bound);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let found = (&rows[0]["outcome"], &rows[0]["by"]);
        assert_eq!(found, (&outcome.into(), &"entries".into()), "{metric} {bound}: {rows:?}");
    }
    assert_eq!(check("", "calls", "max = 10_000").len(), 2, "one of each kind");
    let rows = check("by = \"lifetime\"", "calls", "max = 1");
    assert_eq!((rows.len(), &rows[0]["outcome"]), (1, &"passed".into()));
}

#[test]
fn what_is_open_all_the_time_can_be_checked() {
    let (out, err, code) =
        run(bare(&["check", "--db"]).arg(game(End::Open)).args(["-w", "name=system dur<1ms"]));
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_page_has_what_top_has_and_entries_in_its_order_of_time() {
    let db = game(End::Closed);
    let document = report(db);
    let name = |number: &Value| document["names"][number.as_u64().unwrap() as usize].clone();
    let top = json(db, &["top"]);
    let rows = document["top"].as_array().unwrap();
    assert_eq!(rows.len(), top["rows"].as_array().unwrap().len());
    for in_page in rows {
        let name = name(&in_page["name"]);
        let by = if name["long"] == true { "entries" } else { "lifetime" };
        let of_top = row(&top, name["name"].as_str().unwrap(), by);
        let keys =
            ["calls", "errors", "total_ns", "self_ns", "p50_ns", "p95_ns", "p99_ns", "max_ns"];
        for key in keys {
            assert_eq!(in_page[key], of_top[key], "{key} of {name}");
        }
    }
    assert_eq!((number(&document["run"], "spans"), number(&document["run"], "errors")), (1_006, 1));
    // A bar for an entry, and none as long as a system lived.
    let timeline = &document["timeline"];
    let lengths = timeline["duration_ns"].as_array().unwrap().iter().map(Value::as_i64);
    assert_eq!(lengths.max().unwrap(), Some(1_500_000_000));
    let mut shown = timeline["name"].as_array().unwrap().iter().map(name);
    assert!(shown.any(|name| name["long"] == true), "{timeline}");
    let traces = document["traces"].as_array().unwrap();
    assert!(
        traces.iter().all(|trace| trace["failed"] == true
            || name(&trace["name"])["name"] != "system"
            || number(trace, "duration_ns") < 2_000_000),
        "{traces:?}"
    );
}

#[test]
fn recipes_have_calls_of_entries_and_no_lifetime_of_what_lives_long() {
    let db = game(End::Closed);
    for (recipe, column) in [("percentiles", "p50_ms"), ("timeline", "mean_ms")] {
        let document = json(db, &["sql", "--recipe", recipe, "-n", "0"]);
        let rows = document["rows"].as_array().unwrap();
        let of_systems: Vec<_> = rows.iter().filter(|row| row["name"] == "system").collect();
        assert!(of_systems.len() > 1, "{document}");
        assert!(of_systems.iter().all(|row| row[column].as_f64().unwrap() < 1.1), "{document}");
    }
    let places = json(db, &["sql", "--recipe", "callsites"]);
    let mut calls = places["rows"].as_array().unwrap().iter().map(|row| number(row, "calls"));
    assert!(calls.any(|calls| calls == (SYSTEMS * FRAMES) as i64 + 1), "{places}");
}

#[test]
fn a_recipe_for_children_has_the_entries_of_systems_in_their_frames() {
    for end in [End::Closed, End::Open, End::Left] {
        let document = json(game(end), &["sql", "--recipe", "children"]);
        let rows = document["rows"].as_array().unwrap();
        let [row] = &rows[..] else { panic!("{end:?}: {document}") };
        assert_eq!((&row["parent"], &row["child"]), (&"frame".into(), &"system".into()));
        let calls = (SYSTEMS * (FRAMES - EARLIER)) as i64;
        assert_eq!(number(row, "calls"), calls, "{end:?}");
        let slow = SYSTEMS as i64 * 9;
        let sum_ns = (calls - slow) * QUICK_NS + slow * SLOW_NS;
        let (ms, percent) = (row["child_ms"].as_f64(), row["percent_of_parent"].as_f64());
        assert_eq!(ms, Some(sum_ns as f64 / 1e6), "{end:?}");
        let share = 100.0 * sum_ns as f64 / (FRAMES as i64 * FRAME_NS) as f64;
        assert!(percent.is_some_and(|percent| (percent - share).abs() < 0.1), "{document}");
    }
}

#[test]
fn a_recipe_for_threads_has_the_work_of_entries_and_no_lifetime() {
    for end in [End::Closed, End::Open, End::Left] {
        let document = json(game(end), &["sql", "--recipe", "threads"]);
        let of = |thread: &str| {
            let mut rows = document["rows"].as_array().unwrap().iter();
            rows.find(|row| row["thread"] == thread).unwrap_or_else(|| panic!("{document}"))
        };
        let calls = FRAMES + 1 + SYSTEMS * (FRAMES - EARLIER);
        assert_eq!((number(of("main"), "calls"), number(of("io"), "calls")), (calls as i64, 2));
        let top = json(game(end), &["top", "--by", "thread"]);
        for row in top["rows"].as_array().unwrap() {
            let same = of(row["thread"].as_str().unwrap());
            let ns = number(row, "self_ns");
            let ms = same["self_ms"].as_f64().unwrap();
            assert!((ms - ns as f64 / 1e6).abs() <= 0.001, "{end:?}: {same} {row}");
            assert_eq!(number(same, "errors"), number(row, "errors"), "{end:?}: {same} {row}");
        }
    }
}

#[test]
fn a_recipe_for_fields_has_the_entries_of_each_system() {
    for end in [End::Closed, End::Open, End::Left] {
        let document = json(game(end), &["sql", "--recipe", "fields"]);
        let rows = document["rows"].as_array().unwrap();
        assert_eq!(rows.len() as u64, SYSTEMS, "{end:?}: {document}");
        for row in rows {
            assert_eq!((&row["name"], &row["field"]), (&"system".into(), &"name".into()));
            assert!(row["value"].as_str().unwrap().starts_with("system "), "{document}");
            assert_eq!(number(row, "calls"), (FRAMES - EARLIER) as i64, "{end:?}");
            let (mean, longest) = (row["mean_ms"].as_f64(), row["max_ms"].as_f64());
            let sum = 9 * SLOW_NS + (FRAMES - EARLIER - 9) as i64 * QUICK_NS;
            let expected = sum as f64 / 1e6 / (FRAMES - EARLIER) as f64;
            assert!(mean.is_some_and(|mean| (mean - expected).abs() < 0.001), "{document}");
            assert_eq!(longest, Some(SLOW_NS as f64 / 1e6));
        }
    }
}

#[test]
fn a_recipe_for_traces_at_once_has_none_that_lives_long() {
    for end in [End::Closed, End::Open, End::Left] {
        let document = json(game(end), &["sql", "--recipe", "concurrency"]);
        // The systems would be three more: a frame, and the requests or the system that ended at once.
        let most =
            document["rows"].as_array().unwrap().iter().map(|row| number(row, "most_at_once"));
        assert_eq!(most.max(), Some(3), "{end:?}: {document}");
    }
}
