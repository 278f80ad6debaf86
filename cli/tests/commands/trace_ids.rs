//! A trace is found by the id that other systems show: in every command with `-w`, and by `tree`.

use std::path::PathBuf;

use serde_json::Value;
use spandrel_storage::{SpanRow, TraceContext, TraceContextRow};
use tempfile::TempDir;

use super::fixture::{Recording, bare, info, json, new_path, run};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

/// A request with two queries that is known by its trace, another one, and one of which nothing is known.
fn profile() -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    let mut run = Recording::begin(&path, &info(1));
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
    (folder, path)
}

#[test]
fn commands_with_a_filter_find_the_spans_of_a_trace() {
    let (_folder, path) = profile();
    let calls = |words: &[&str]| -> u64 {
        let rows = json(&path, words)["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum()
    };
    assert_eq!(calls(&["top", "-w", "trace_id=4bf9"]), 3);
    assert_eq!(calls(&["top", "-w", "trace_id=4BF9.. name=query"]), 2);
    assert_eq!(calls(&["top", "-w", "has:trace_id"]), 5);
    assert_eq!(calls(&["top", "-w", "not has:trace_id"]), 2);
    let ids = |words: &[&str]| -> Vec<u64> {
        let rows = json(&path, words)["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(&["slow", "-w", "trace_id=0af7 or trace_id=4bf9", "-n", "2"]), [5, 4]);
    for command in ["slow", "flame", "hist query", "top --by target"] {
        let rows = |id: &str| {
            let filter = format!("trace_id={id}");
            let words: Vec<&str> = command.split(' ').chain(["-w", &filter]).collect();
            json(&path, &words)["rows"].as_array().unwrap().len()
        };
        assert!(rows("4bf9") > 0 && rows("dead") == 0, "{command}");
    }
}

#[test]
fn tree_takes_the_id_that_other_systems_show() {
    let (_folder, path) = profile();
    let header = format!("00-{TRACE}-00f067aa0ba902b7-01");
    for id in ["4bf9", "4bf92f35..", TRACE, &header, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"] {
        let tree = json(&path, &["tree", id]);
        assert_eq!(tree["trace_id"], 1, "{id}");
        assert_eq!(tree["otel_trace_id"], TRACE, "{id}");
        assert_eq!(tree["rows"].as_array().unwrap().len(), 3, "{id}");
    }
    let (out, err, _) = run(bare(&["tree", "t1"]).arg("--db").arg(&path));
    assert!((out + &err).contains(&format!("trace id {TRACE}")));
    assert_eq!(json(&path, &["tree", "-w", "trace_id=0af7"])["trace_id"], 4);
    assert_eq!(json(&path, &["tree", "6"])["otel_trace_id"], Value::Null, "a number is a span's");
    let (_, err, code) = run(bare(&["tree", "dead"]).arg("--db").arg(&path));
    assert_ne!(code, 0);
    assert!(err.contains("no span is known by the trace id dead"), "{err}");
    assert!(err.contains("-w has:trace_id"), "{err}");
    let (_, err, code) = run(bare(&["tree", "xyz"]).arg("--db").arg(&path));
    assert_ne!(code, 0);
    assert!(err.contains("\"xyz\" is no id"), "{err}");
}
