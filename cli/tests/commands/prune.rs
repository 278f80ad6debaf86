//! `spandrel prune`: what goes, what stays, and who is in the way.

use std::path::Path;

use spandrel_query::Reader;
use spandrel_storage::{Store, StoreOptions};

use super::fixture::{bare, run, write};

fn prune(path: &Path, words: &[&str]) -> (String, String, i32) {
    run(bare(&["prune"]).args(words).arg("--db").arg(path))
}

fn spans(path: &Path) -> Vec<u64> {
    let reader = Reader::open(path).unwrap();
    let runs = reader.runs().unwrap();
    runs.iter().map(|run| reader.counts(run.id).unwrap().spans).collect()
}

#[test]
fn the_oldest_runs_go_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    write(&path);
    for words in [&["--runs", "1", "--dry-run"][..], &["--runs", "2"], &["--runs", "3"]] {
        let (out, err, code) = prune(&path, words);
        assert_eq!((code, spans(&path)), (0, vec![200, 200]), "{words:?} {out}{err}");
    }
    let (out, _, _) = prune(&path, &["--runs", "1", "--dry-run", "-f", "json"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["rows"][0]["spans"], &said["dry_run"]), (&200.into(), &true.into()));
    let (out, err, code) = prune(&path, &["--runs", "1", "-f", "json"]);
    assert_eq!(code, 0, "{err}");
    let did: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(did["rows"][0]["spans"], 200, "{out}");
    assert_eq!(spans(&path), [0, 200]);
    let run = &Reader::open(&path).unwrap().runs().unwrap()[0];
    assert_eq!((run.spans, run.pruned_spans, run.dropped_spans), (200, 200, 12));
    // All of it began longer ago than a second.
    assert_eq!(prune(&path, &["--keep", "1s"]).2, 0);
    assert_eq!(spans(&path), [0, 0]);
}

#[test]
fn a_recording_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    write(&path);
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let (_, err, code) = prune(&path, &["--keep", "1s"]);
    assert_eq!(code, 3);
    assert!(err.contains("hint: end the recording"), "{err}");
    store.close().unwrap();
    assert_eq!(spans(&path), [200, 200]);
}
