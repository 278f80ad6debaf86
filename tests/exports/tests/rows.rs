//! CSV and NDJSON hold every column of every span, also for DuckDB, pandas and polars.

use std::process::Command;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_export::{Format, Settings};
use spandrel_tests_exports::profile::{STARTED_UNIX_NS, id};
use spandrel_tests_exports::{Given, Made, entangled, forests, shown};

/// The rows as they have to be, by column.
fn expected(made: &Made) -> Vec<Vec<(&'static str, Value)>> {
    let given = &made.given;
    let row = |at: usize| {
        let span = &given.spans[at];
        let name = made.name(at);
        vec![
            ("id", id(at).into()),
            ("parent_id", given.parent_id(at).into()),
            ("root_id", given.root_id(at).into()),
            ("run_id", 1.into()),
            ("name", name.into()),
            ("target", format!("shop::{name}").into()),
            ("level", "INFO".into()),
            ("module", "shop".into()),
            ("file", "src/\"shop\".rs".into()),
            ("line", 7.into()),
            ("thread", given.threads[given.worker(at)].clone().into()),
            ("thread_os_id", 4711.into()),
            ("made_on", given.threads[span.thread].clone().into()),
            ("made_on_os_id", 4711.into()),
            ("start_ns", span.start_ns.into()),
            ("start_unix_ns", STARTED_UNIX_NS.saturating_add(span.start_ns).into()),
            ("duration_ns", span.duration_ns.into()),
            ("busy_ns", span.duration_ns.map(|ns| ns / 3).into()),
            ("self_ns", given.self_ns(at).into()),
            ("entries", (at as u64 % 4).into()),
            ("first_entry_ns", given.times(at)[0].into()),
            ("longest_entry_ns", given.times(at)[1].into()),
            ("last_exit_ns", given.times(at)[2].into()),
            ("self_busy_ns", given.self_busy_ns(at).into()),
            ("status", given.status(at).as_str().into()),
            ("trace_id", Value::Null),
            ("otel_span_id", Value::Null),
            ("otel_parent_id", Value::Null),
        ]
    };
    (0..given.spans.len()).map(row).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check_csv(made: &Made) {
    let (bytes, written) = made.export(Format::Csv);
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!((rows.len(), written.spans), (made.given.spans.len(), rows.len() as u64));
    for ((row, expected), span) in rows.iter().zip(expected(made)).zip(&made.given.spans) {
        assert_eq!(row.len(), expected.len() + 1);
        for (at, (name, value)) in expected.iter().enumerate() {
            assert_eq!((&header[at], &row[at]), (*name, text(value).as_str()));
        }
        assert_eq!(&row[expected.len()], span.fields.as_deref().unwrap_or_default());
    }
}

fn check_ndjson(made: &Made) {
    let (bytes, _) = made.export(Format::Ndjson);
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), made.given.spans.len());
    for ((line, expected), span) in text.lines().zip(expected(made)).zip(&made.given.spans) {
        let row: Value = serde_json::from_str(line).unwrap();
        for (name, value) in expected {
            assert_eq!(row[name], value, "{name}");
        }
        // What is no JSON, or has a string that no Unicode text can be, which strict readers refuse, is text.
        let Some(fields) = span.fields.as_deref() else { continue };
        if serde_json::from_str::<Value>(fields).is_err() {
            assert_eq!(row["fields"]["fields"], fields);
            continue;
        }
        let fits = |digits: &str| digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok();
        assert_eq!(row["fields"], shown::numbers(fields, fits));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_column_of_every_span(given in forests()) {
        let made = given.make();
        check_csv(&made);
        check_ndjson(&made);
    }
}

#[test]
fn a_spreadsheet_takes_nothing_for_a_formula() {
    let span = spandrel_tests_exports::SpanSpec { duration_ns: Some(1), ..Default::default() };
    let names = vec!["=HYPERLINK(\"http://x\")".to_owned()];
    let made = Given { spans: vec![span], names, threads: vec![None], ..Given::default() }.make();
    let name = |settings: &Settings| {
        let (bytes, _) = made.export_as(settings);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        reader.records().next().unwrap().unwrap()[4].to_owned()
    };
    let settings = Settings::new(Format::Csv);
    assert_eq!(name(&settings), "=HYPERLINK(\"http://x\")");
    assert_eq!(name(&settings.csv_safe(true)), "'=HYPERLINK(\"http://x\")");
}

#[test]
fn duckdb_pandas_and_polars_read_every_cell() {
    let Some(python) = std::env::var_os("SPANDREL_TEST_PYTHON") else {
        eprintln!(
            "SKIPPED: scripts/exports.sh installs what reads rows, and sets SPANDREL_TEST_PYTHON"
        );
        return;
    };
    let made = entangled::given().make();
    let rows: Vec<Value> = expected(&made)
        .into_iter()
        .zip(&made.given.spans)
        .map(|(cells, span)| {
            let fields = ("fields", span.fields.clone().into());
            cells
                .into_iter()
                .chain([fields])
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        })
        .collect();
    let folder = made.folder.path();
    for (name, bytes) in [
        ("spans.csv", made.export(Format::Csv).0),
        ("spans.ndjson", made.export(Format::Ndjson).0),
        ("expected.json", serde_json::to_vec(&rows).unwrap()),
    ] {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rows.py");
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    let (out, said) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 6);
}
