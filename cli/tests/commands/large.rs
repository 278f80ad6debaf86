//! What is said of profiles so large that indexes matter. None is made here: the row of the run says so.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::fixture::{bare, new_path, profile, run};

/// The shop, as if it had two million spans.
fn large() -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    std::fs::copy(profile(), &path).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute("UPDATE run SET spans = 2000000", []).unwrap(), 2);
    (folder, path)
}

fn says(path: &Path, words: &[&str]) -> bool {
    let (out, err, code) = run(bare(words).arg("--db").arg(path));
    assert!(code < 2, "{words:?}: {err}");
    let note = "looked at 2,000,000 spans; `spandrel optimize` makes indexes";
    (out + &err).contains(note)
}

fn in_window<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--since", "+2s"]].concat()
}

const NAME: &str = "http.request";

/// Whole runs have to be read whatever indexes there are, but for `slow`, `tree` and `flame`.
const WITHOUT_A_WINDOW: [(&[&str], bool); 10] = [
    (&["top"], false),
    (&["top", "--exact"], false),
    (&["slow"], true),
    (&["slow", "--by", "self"], false),
    (&["tree"], true),
    (&["flame"], true),
    (&["flame", "-w", "dur>1us"], false),
    (&["hist", NAME], false),
    (&["explain", NAME], false),
    (&["diff"], false),
];

#[test]
fn whoever_reads_everything_for_want_of_an_index_says_so() {
    let (folder, path) = large();
    let svg = folder.path().join("flame.svg");
    let svg = svg.to_str().unwrap();
    let page = folder.path().join("page.html");
    let page = page.to_str().unwrap();
    let windows: &[&[&str]] = &[
        &["top"],
        &["slow"],
        &["slow", "--by", "self"],
        &["tree"],
        &["flame"],
        &["flame", "--svg", svg],
        &["flame", "--html", page],
        &["hist", NAME],
        &["explain", NAME],
        &["diff"],
        &["check"],
        &["export", "ndjson"],
        &["report", "-o", page],
    ];
    for words in windows {
        assert!(says(&path, &in_window(words)), "{words:?} in a window of time");
    }
    for (words, expected) in WITHOUT_A_WINDOW {
        assert_eq!(says(&path, words), expected, "{words:?}");
    }
    assert_eq!(run(bare(&["optimize", "--db"]).arg(&path)).2, 0);
    for words in windows {
        assert!(!says(&path, &in_window(words)), "{words:?} with indexes");
    }
    assert!(!says(profile(), &["slow"]), "small profiles are quick without");
}

#[test]
fn the_doctor_advises_indexes_for_large_profiles() {
    let (_folder, path) = large();
    let advice = "`spandrel optimize` makes them";
    let doctor = || run(bare(&["doctor", "--db"]).arg(&path)).0;
    let said = doctor();
    assert!(
        said.contains("indexes: the file has 4,000,000 spans") && said.contains(advice),
        "{said}"
    );
    assert_eq!(run(bare(&["optimize", "--db"]).arg(&path)).2, 0);
    assert!(!doctor().contains(advice));
}
