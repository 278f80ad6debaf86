//! The profile of `said/spreadsheet.md`.

use std::path::Path;

use spandrel_storage::{RunInfo, SpanRow};

use super::fixture::{Recording, info};

const FORMULA: &str = "=HYPERLINK(\"http://x\",\"a\")";

pub fn write(folder: &Path) {
    let path = &folder.join("p.db");
    for number in 1..=2 {
        let info = RunInfo { label: Some(format!("={number}")), ..info(number) };
        let mut run = Recording::begin(path, &info);
        run.thread_id = run.store.intern_thread(2, 77, Some("@worker"));
        let formula = run.name(FORMULA);
        let first = run.store.next_id();
        for id in first..first + 300 {
            let row = run.span(id, formula, id as i64 * 1_000, 1_000 * i64::from(number));
            run.batch.spans.push(SpanRow { busy_ns: Some(500), ..row });
        }
        run.end(1_000_000_000);
    }
}
