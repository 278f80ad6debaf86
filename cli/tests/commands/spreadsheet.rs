//! Text of a profile that a spreadsheet would take for a formula.

use std::path::Path;

use spandrel_storage::{RunInfo, SpanRow};

use super::fixture::{Recording, bare, both, info, new_path, run};

const FORMULA: &str = "=HYPERLINK(\"http://x\",\"a\")";

fn write(path: &Path) {
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

/// The fields of separated values.
fn fields(page: &str, by: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(by)
        .has_headers(false)
        .flexible(true)
        .from_reader(page.as_bytes());
    reader
        .records()
        .flat_map(|row| row.unwrap().iter().map(String::from).collect::<Vec<_>>())
        .collect()
}

fn formulas(fields: &[String]) -> usize {
    let is_number = |field: &&String| field.parse::<f64>().is_ok();
    let starts = |field: &&String| field.starts_with(['=', '+', '-', '@']);
    fields.iter().filter(|field| starts(field) && !is_number(field)).count()
}

#[test]
fn no_text_is_a_formula_where_that_was_asked_for() {
    let (_folder, db) = new_path();
    write(&db);
    for words in [
        &["top"][..],
        &["slow"],
        &["tree"],
        &["flame"],
        &["diff", "1", "2"],
        &["tail", "-n", "3"],
        &["runs"],
        &["sql", "select name as \"=a\" from spans"],
        &["export"],
    ] {
        for (format, by) in [("csv", b','), ("tsv", b'\t')] {
            if words[0] == "export" && format == "tsv" {
                continue;
            }
            let given = [words, &["-f", format]].concat();
            let (out, err) = both(&db, &given);
            assert!(formulas(&fields(&out, by)) > 0, "{given:?} shows none: {out}");
            let is_told = err.contains("; for a spreadsheet, use --spreadsheet");
            assert!(is_told || words[0] == "tail", "{given:?}: {err}");
            let (out, err, code) = run(bare(&given).arg("--spreadsheet").arg("--db").arg(&db));
            assert_eq!((formulas(&fields(&out, by)), code), (0, 0), "{given:?}: {out}{err}");
            assert!(!err.contains("formula"), "{given:?}: {err}");
            assert!(
                fields(&out, by).iter().any(|field| field.starts_with('\'')),
                "{given:?}: {out}"
            );
        }
    }
}

#[test]
fn it_is_refused_where_there_are_no_separated_values() {
    let (_folder, db) = new_path();
    write(&db);
    for words in [&["top"][..], &["runs", "-f", "json"], &["export", "chrome"], &["export"]] {
        let (out, err, code) = run(bare(words).arg("--spreadsheet").arg("--db").arg(&db));
        assert!(code == 2 && err.contains("--spreadsheet is for"), "{words:?}: {out}{err}");
    }
}
