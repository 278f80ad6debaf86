//! The profiles of `said/asked_by.md`.

use std::path::Path;

use spandrel_storage::{CallsiteInfo, CallsiteKind, SpanRow};

use super::fixture::{Recording, info};

pub fn write(folder: &Path) {
    shop(&super::said::at(folder, "shop"));
    super::fixture::write(&super::said::at(folder, "plain"));
    unmeasured(&super::said::at(folder, "unmeasured"));
    callsites(&super::said::at(folder, "callsites"));
    busy(&super::said::at(folder, "busy"));
}

/// Two runs: 400 calls of `apply` of two targets, each in a `request` of a shard. In the second run those of
/// `cache` run for three times as long, and their durations stay; of shard 3, all take twice as long.
fn shop(path: &Path) {
    for number in 1..=2_i64 {
        let mut run = Recording::begin(path, &info(number as u32));
        let request = run.name_of("request", "http");
        let apply = ["cache", "disk"].map(|target| run.name_of("apply", target));
        let first = run.store.next_id();
        for at in 0..400_i64 {
            let shard = at % 4;
            let fields = run.text(&format!(r#"{{"shard":{shard}}}"#));
            let slower = if shard == 3 { number } else { 1 };
            let duration_ns = (1_000_000 + at * 500) * slower;
            let id = first + at as u64 * 2;
            let which = usize::from(at % 2 == 1);
            let busy_ns = if which == 0 { 100_000 * (number * 2 - 1) } else { 50_000 };
            let row = SpanRow {
                busy_ns: Some(busy_ns),
                self_ns: Some(duration_ns),
                entries: 2,
                fields,
                ..run.span(id, request, at * 20_000_000, duration_ns * 2)
            };
            let child = SpanRow {
                id: id + 1,
                parent_id: id,
                callsite_id: apply[which],
                duration_ns: Some(duration_ns),
                ..row.clone()
            };
            run.batch.spans.extend([row, child]);
        }
        run.end(10_000_000_000);
    }
}

/// Nobody measured how long threads were inside.
fn unmeasured(path: &Path) {
    let mut run = Recording::begin(path, &info(1));
    let work = run.name("work");
    for id in 1..=300 {
        let row = run.span(id, work, id as i64 * 1_000, 1_000);
        run.batch.spans.push(SpanRow { busy_ns: None, entries: 0, ..row });
    }
    run.leave();
}

/// Calls of a name of two targets, of one of them from two places.
fn callsites(path: &Path) {
    let mut run = Recording::begin(path, &info(1));
    for (id, (name, target, line, from, length)) in (1..).zip([
        ("request", "http", 1, 0, 100),
        ("apply", "cache", 1, 0, 20),
        ("apply", "disk", 1, 20, 30),
        ("apply", "disk", 2, 50, 40),
    ]) {
        let callsite_id = run.store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: target.into(),
            level: "INFO",
            module: None,
            file: Some("a.rs".into()),
            line: Some(line),
        });
        run.batch.spans.push(SpanRow {
            parent_id: u64::from(id > 1),
            root_id: 1,
            busy_ns: Some(0),
            self_ns: Some(0),
            ..run.span(id, callsite_id, from * 1_000_000, length * 1_000_000)
        });
    }
    run.leave();
}

/// As four workers make it that are inside of the span of their job for nearly all of its time.
fn busy(path: &Path) {
    let mut run = Recording::begin(path, &info(1));
    let job = run.name("job");
    let row = run.span(1, job, 0, 1_000_000);
    run.batch.spans.push(SpanRow { busy_ns: Some(3_900_000), entries: 4, ..row });
    run.leave();
}
