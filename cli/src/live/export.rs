//! A row of the table as a line of JSON, appended to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::page::{Page, Row};

/// The file, in the current folder.
pub(crate) const FILE: &str = "spandrel-rows.ndjson";

/// Times are nanoseconds; the window is the one that was shown.
pub(crate) fn line(page: &Page, row: &Row) -> Value {
    let run = &page.health.run;
    json!({
        "schema_version": 1,
        "command": "top --live",
        "run": { "id": run.id, "uuid": run.info.uuid, "label": run.info.label },
        "complete": run.is_complete(),
        "dropped": run.dropped(),
        "from_ns": page.from_ns,
        "until_ns": page.until_ns,
        "name": row.key.name,
        "target": row.key.target,
        "by": row.key.counted.as_str(),
        "calls": row.sums.calls,
        "rate": row.rate,
        "errors": row.sums.errors,
        "p50_ns": row.p50_ns,
        "p95_ns": row.p95_ns,
        "p99_ns": row.p99_ns,
        "max_ns": row.sums.max_ns,
        "total_ns": row.sums.sum_ns,
        "busy_ns": row.sums.busy_ns,
        "self_ns": row.sums.self_ns,
        "calls_by_second": row.trend,
    })
}

/// Appends a line. A file that does not begin as such lines do is left alone.
pub(crate) fn append(path: &Path, line: &Value) -> io::Result<()> {
    let mut start = [0; 1];
    match File::open(path).and_then(|mut file| file.read(&mut start)) {
        Ok(read) if read > 0 && start != *b"{" => {
            return Err(io::Error::other("it holds something else; move it away"));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        append(&path, &json!({ "a": 1 })).unwrap();
        append(&path, &json!({ "a": 2 })).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
        std::fs::write(&path, "SQLite format 3\0").unwrap();
        append(&path, &json!({})).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"SQLite format 3\0");
    }
}
