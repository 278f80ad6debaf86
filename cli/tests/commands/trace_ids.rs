//! The profile of `said/trace_ids.md`.

use std::path::Path;

use spandrel_storage::{SpanRow, TraceContext, TraceContextRow};

use super::fixture::{Recording, info};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

/// A request with two queries that is known by its trace, another one, and one of which nothing is known.
pub fn write(folder: &Path) {
    let mut run = Recording::begin(&folder.join("p.db"), &info(1));
    let names = ["request", "query"].map(|name| run.name(name));
    for (id, parent_id) in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 4), (6, 0), (7, 6)] {
        let (from, length) = (id as i64 * 1_000_000, 1_000_000 * (id as i64 + 1));
        run.batch.spans.push(SpanRow {
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            ..run.span(id, names[usize::from(parent_id != 0)], from, length)
        });
    }
    for (root_id, trace) in [(1, TRACE), (4, OTHER)] {
        let context =
            TraceContext { trace_id: trace.parse().unwrap(), span_id: None, parent_id: None };
        run.batch.contexts.push(TraceContextRow { span_id: root_id, root_id, context });
    }
    run.end(100_000_000_000);
}
