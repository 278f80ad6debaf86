//! Spans that live long and count by their lifetime: whoever reads their figures is told, and what to do.

use std::path::{Path, PathBuf};

use serde_json::Value;
use spandrel::{Entries, Profiler, ProfilerBuilder};
use spandrel_storage::{RunInfo, SpanRow};
use tempfile::TempDir;
use tracing::info_span;

use super::fixture::{Recording, bare, info, json, new_path, record, run};

const MS: i64 = 1_000_000;
const TOPICS: [&str; 2] = ["waiting: ", "entries: "];

/// A second of work, and spans of a name that were each open for four seconds, inside for so long and entered
/// forty times.
pub fn profile(name: &str, busy_ns: i64, entries: &str) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    let settings = format!(r#"{{"busy_time":true,"entries":"{entries}"}}"#);
    let mut run = Recording::begin(&path, &RunInfo { settings, ..info(1) });
    let [work, idle] = ["work", name].map(|name| run.name(name));
    let row = |id, callsite_id, duration_ns, busy_ns, entries| SpanRow {
        busy_ns: Some(busy_ns),
        entries,
        first_entry_ns: Some(0),
        longest_entry_ns: (entries > 1).then_some(busy_ns / 2),
        last_exit_ns: (entries > 1).then_some(duration_ns),
        ..run.span(id, callsite_id, 0, duration_ns)
    };
    let mut spans = vec![row(1, work, 1_000 * MS, 1_000 * MS, 1)];
    spans.extend((2..502).map(|id| row(id, idle, 4_000 * MS, busy_ns, 40)));
    run.batch.spans = spans;
    run.end(4_000 * MS);
    (folder, path)
}

fn text(path: &Path, words: &[&str]) -> String {
    let (out, err, code) = run(bare(words).env("COLUMNS", "1000").arg("--db").arg(path));
    assert_eq!(code, 0, "{words:?}: {err}");
    out + &err
}

/// The symptom: idle connections lead `top` with hours of self time, in a run of four seconds.
#[test]
fn idle_connections_that_lead_by_their_lifetime_are_told_of() {
    let (_folder, path) = profile("connection", 4 * MS, "long-lived");
    let evidence = "waiting: 500 spans of connection have 100.0% of the self time, and that is waiting: \
                    open for 4.00 s on average, a thread was inside for 0.1% of it";
    let way = r#".entries_of("connection", Entries::All) or SPANDREL_ENTRIES=connection=all"#;
    for command in ["top", "info", "doctor"] {
        let said = text(&path, &[command]);
        assert!(said.contains(evidence) && said.contains(way), "{command}: {said}");
        assert!(said.contains("`spandrel top --sort self_busy_ns`"), "{said}");
    }
    for command in ["top", "info"] {
        let document = json(&path, &[command]);
        let waiting = &document["waiting"];
        assert_eq!((&waiting["name"], &waiting["spans"]), (&"connection".into(), &500.into()));
        assert_eq!(waiting["busy_ns"], 2_000 * MS, "{document:#}");
    }
    let found = json(&path, &["doctor"]);
    let is_told = |row: &Value| row["topic"] == "waiting" && row["severity"] == "warning";
    assert!(found["rows"].as_array().unwrap().iter().any(is_told), "{found:#}");
}

#[test]
fn the_way_out_works_on_what_is_recorded() {
    // Together they were inside for less than `work`.
    let (_folder, path) = profile("connection", MS, "long-lived");
    let first = |words: &[&str]| {
        let document = json(&path, words);
        let row = &document["rows"][0];
        (row["name"].as_str().unwrap().to_owned(), row["busy_ns"].as_i64().unwrap())
    };
    assert_eq!(first(&["top"]), ("connection".into(), 500 * MS));
    assert_eq!(first(&["top", "--sort", "busy_ns"]), ("work".into(), 1_000 * MS));
    assert_eq!(first(&["top", "--sort", "inside", "-w", "dur>0s"]), ("work".into(), 1_000 * MS));
    let said = text(&path, &["top", "--sort", "busy_ns"]);
    let mut lines = said.lines().skip_while(|line| !line.contains("self%"));
    assert!(lines.next().unwrap().contains("inside ▼"), "what it is ranked by is shown: {said}");
    assert!(lines.next().unwrap().contains("work"), "{said}");
    let (_, err, code) = run(bare(&["top", "--by", "busy", "--db"]).arg(&path));
    assert!(code != 0 && err.contains("`--sort busy_ns` ranks by it"), "{err}");
}

#[test]
fn the_rule_that_is_said_keeps_those_that_were_set_and_can_be_written() {
    let rule = |name: &str, set: &str| {
        let (_folder, path) = profile(name, MS, set);
        let said = text(&path, &["doctor"]);
        let (_, rule) = said.split_once("in the next recording ").unwrap();
        let (rule, _) = rule.split_once(" makes each entry a call").unwrap();
        rule.to_owned()
    };
    let both = ".entries_of(\"ws\", Entries::All) or SPANDREL_ENTRIES=db=off,ws=all";
    assert_eq!(rule("ws", "db=off"), both);
    let quoted = ".entries_of(\"a b\", Entries::All) or SPANDREL_ENTRIES='a b=all'";
    assert_eq!(rule("a b", "long-lived"), quoted);
    let all = ".entries_of(\"ws\", Entries::All) or SPANDREL_ENTRIES=all,ws=all";
    assert_eq!(rule("ws", "all"), all);
    let (_folder, path) = profile("ws", MS, "all");
    let said = text(&path, &["doctor"]);
    assert!(said.contains("`all` without a name makes calls only of what lives long"), "{said}");
    assert_eq!(rule("a,b=c", "long-lived"), ".entries_of(\"a,b=c\", Entries::All)");
}

#[test]
fn what_works_is_not_told_of() {
    let (_folder, path) = profile("request", 400 * MS, "long-lived");
    for command in ["top", "info", "doctor"] {
        let said = text(&path, &[command]);
        assert!(TOPICS.iter().all(|topic| !said.contains(topic)), "{command}: {said}");
    }
}

/// What `doctor` says of an actor that was entered 1,500 times.
fn of_an_actor(settings: impl FnOnce(ProfilerBuilder) -> ProfilerBuilder) -> Option<String> {
    let (_folder, path) = new_path();
    record(&path, settings(Profiler::builder()), |_| {
        let actor = info_span!("actor");
        (0..1_500).for_each(|_| actor.in_scope(|| info_span!("message").in_scope(|| ())));
    });
    let said = text(&path, &["doctor"]);
    let at = said.find("entries: ")?;
    Some(said[at..].lines().take(2).collect::<Vec<_>>().join(" "))
}

#[test]
fn without_entries_doctor_says_that_what_lives_long_counts_by_its_lifetime() {
    let told = "entries: 1 span of actor was entered again and again (1,500 times), and counts by its \
                lifetime, waiting included";
    let said = of_an_actor(|builder| builder.entries(Entries::Off)).unwrap();
    assert!(said.starts_with(told) && said.contains("SPANDREL_ENTRIES=off: "), "{said}");
    let said = of_an_actor(|builder| builder.entries_of("act*", Entries::Off)).unwrap();
    assert!(
        said.starts_with(told) && said.contains("SPANDREL_ENTRIES='long-lived,act*=off'"),
        "{said}"
    );
    let said = of_an_actor(|builder| builder.busy_time(false)).unwrap();
    assert!(said.starts_with(told) && said.contains("SPANDREL_BUSY_TIME=true"), "{said}");
    assert_eq!(of_an_actor(|builder| builder), None);
    assert_eq!(of_an_actor(|builder| builder.entries_of("message", Entries::Off)), None);
}
