//! Spans that live long and count by their lifetime: whoever reads their figures is told, and what to do.

use std::path::{Path, PathBuf};

use spandrel::{Entries, Profiler, ProfilerBuilder};
use spandrel_storage::{RunInfo, SpanRow};
use tempfile::TempDir;
use tracing::info_span;

use super::fixture::{Recording, bare, info, new_path, record, run};

const MS: i64 = 1_000_000;

/// The profiles of `said/waiting.md`.
pub fn write_all(folder: &Path) {
    for (folder_name, name, busy_ns, entries) in [
        ("idle", "connection", 4 * MS, "long-lived"),
        ("quick", "connection", MS, "long-lived"),
        ("ws", "ws", MS, "db=off"),
        ("spaces", "a b", MS, "long-lived"),
        ("all", "ws", MS, "all"),
        ("odd", "a,b=c", MS, "long-lived"),
        ("works", "request", 400 * MS, "long-lived"),
    ] {
        write(&super::said::at(folder, folder_name), name, busy_ns, entries);
    }
}

/// The same, of a file of its own.
pub fn profile(name: &str, busy_ns: i64, entries: &str) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    write(&path, name, busy_ns, entries);
    (folder, path)
}

/// A second of work, and spans of a name that were each open for four seconds, inside for so long and entered
/// forty times.
fn write(path: &Path, name: &str, busy_ns: i64, entries: &str) {
    let settings = format!(r#"{{"busy_time":true,"entries":"{entries}"}}"#);
    let mut run = Recording::begin(path, &RunInfo { settings, ..info(1) });
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
}

fn text(path: &Path, words: &[&str]) -> String {
    let (out, err, code) = run(bare(words).env("COLUMNS", "1000").arg("--db").arg(path));
    assert_eq!(code, 0, "{words:?}: {err}");
    out + &err
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
