//! What the row of a run says: who, when, with which settings, and how it ended.

use std::time::{SystemTime, UNIX_EPOCH};

use spandrel_tests::prelude::*;

fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

#[test]
fn the_run_row_tells_of_the_program_and_its_settings() {
    let scratch = scratch_for(30);
    let before = unix_now();
    let label = "it's \"the\" label, \u{1f980}\nin two lines";
    let profiler =
        small(scratch.db()).label(label).commit("a1b2\"c").batch_size(77).build().unwrap();
    let live = Database::open(scratch.db());
    assert_eq!(live.count("SELECT count(*) FROM run WHERE ended_unix_ns IS NULL"), 1, "live");
    within(&dispatch(&profiler), || drop(info_span!("work")));
    let report = profiler.close().unwrap();
    let after = unix_now();
    let db = ledger::check_complete(scratch.db(), &report);
    let text = |column: &str| db.value::<String>(&format!("SELECT {column} FROM run"));
    let number = |column: &str| db.value::<i64>(&format!("SELECT {column} FROM run"));
    assert_eq!(text("label"), label);
    assert_eq!(number("pid"), i64::from(std::process::id()));
    assert_eq!(text("program"), std::env::current_exe().unwrap().to_str().unwrap());
    let args: Vec<String> = serde_json::from_str(&text("args")).unwrap();
    let own: Vec<String> = std::env::args().collect();
    assert!(args == own || args == own[1..], "{args:?}");
    assert!(!text("host").is_empty());
    assert!(text("os").contains(std::env::consts::OS), "{}", text("os"));
    let cpus = std::thread::available_parallelism().unwrap().get() as i64;
    assert_eq!(number("cpus"), cpus);
    assert!(["tsc", "cntvct", "monotonic"].contains(&text("clock").as_str()));
    // Set where it is known, by scripts/portability.sh.
    if let Ok(clock) = std::env::var("SPANDREL_TEST_CLOCK") {
        assert_eq!(text("clock"), clock);
    }
    let uuid = text("uuid");
    assert!(uuid.len() == 32 && uuid.bytes().all(|b| b.is_ascii_hexdigit()), "{uuid}");
    let settings: serde_json::Value = serde_json::from_str(&text("settings")).unwrap();
    for (name, value) in [("batch_size", 77), ("ring_capacity", 65_536), ("max_open_spans", 1_024)]
    {
        assert_eq!(settings[name], value, "{settings}");
    }
    assert_eq!(settings["commit"], "a1b2\"c", "{settings}");
    assert!(before <= number("started_unix_ns") && number("ended_unix_ns") <= after + 1_000_000);
    assert!(number("started_unix_ns") <= number("ended_unix_ns"));
}

/// The start of the run on the wall clock and the start of a span since then make the wall clock's time of
/// the span, however long it took to build the profiler.
#[test]
fn spans_are_when_the_wall_clock_says() {
    let scratch = scratch_for(60);
    // A table that takes a while to make.
    let profiler = small(scratch.db()).max_open_spans(1 << 20).build().unwrap();
    let (before, after) = within(&dispatch(&profiler), || {
        let before = unix_now();
        let span = info_span!("work");
        let after = unix_now();
        drop(span);
        (before, after)
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let at = db.value::<i64>("SELECT started_unix_ns + start_ns FROM span, run");
    // Two clocks, of which one may be slewed meanwhile.
    let slack = 2_000_000;
    assert!((before - slack..=after + slack).contains(&at), "{before} {at} {after}");
    let ended = db.value::<i64>("SELECT ended_unix_ns FROM run");
    let last = db.value::<i64>("SELECT started_unix_ns + last_ns FROM run");
    assert!(last <= ended + slack, "{last} {ended}");
}

#[test]
fn the_report_in_the_run_row_is_the_one_that_close_returns() {
    let (scratch, profiler) = recording_for(30);
    let open = within(&dispatch(&profiler), || {
        (0..10).for_each(|n| drop(info_span!("work", n)));
        info_span!("open")
    });
    let report = profiler.close().unwrap();
    within(&dispatch(&profiler), || drop(open));
    let db = ledger::check_complete(scratch.db(), &report);
    let text: String = db.value("SELECT report FROM run");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let spans = if json["spans"].is_object() { &json["spans"] } else { &json };
    assert_eq!(spans["recorded"], report.recorded, "{text}");
    assert_eq!(spans["stored"], report.stored, "{text}");
    assert_eq!(json["unfinished"], 1, "{text}");
    let labels = "SELECT count(*) FROM run WHERE label IS NULL";
    assert_eq!(db.count(labels), 1, "no label is no text");
}

#[test]
fn the_views_show_wall_clock_times_that_make_sense() {
    let (scratch, profiler) = recording_for(30);
    let before = unix_now();
    within(&dispatch(&profiler), || {
        info_span!("work").in_scope(|| {
            tracing::info!("said");
            // Something that takes time, by the clock that is to be judged.
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
        });
    });
    let after = unix_now();
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let start: i64 =
        db.value("SELECT started_unix_ns + start_ns FROM span JOIN run ON run.id = span.run_id");
    // The wall clock is read once and the rest counted on: allow it 20 ms.
    let slack = 20_000_000;
    assert!(before - slack <= start && start <= after + slack, "{before} {start} {after}");
    let ns: i64 = db.value("SELECT duration_ns FROM span");
    assert!((30_000_000..30_000_000 + after - before).contains(&ns), "{ns} ns");
    // Text and milliseconds in the views say the same as the nanoseconds.
    let off: f64 = db.value(
        "SELECT abs((julianday(started) - 2440587.5) * 86400e3 - (r.started_unix_ns + start_ns) / 1e6)
         FROM spans JOIN run AS r ON r.id = run_id",
    );
    assert!(off < 2.0, "{off} ms apart");
    assert_eq!(db.count("SELECT duration_ms = duration_ns / 1e6 FROM spans"), 1);
    let at: String = db.value("SELECT at FROM events");
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    assert_eq!(db.count("SELECT count(*) FROM slow"), 1);
    assert_eq!(db.count("SELECT count(*) FROM roots"), 1);
    assert_eq!(db.count("SELECT calls FROM top"), 1);
    assert_eq!(db.value::<String>("SELECT complete FROM runs"), "yes");
    let seconds: f64 = db.value("SELECT seconds FROM runs");
    assert!((0.03..60.0).contains(&seconds), "{seconds}");
}
