//! The name of a file says what is written into it, unless `--format` does; and near typos are understood.

use super::fixture::{bare, profile, run};

#[test]
fn the_ending_of_a_file_decides() {
    let folder = tempfile::tempdir().unwrap();
    for (words, name, starts) in [
        (&["flame"][..], "f.svg", "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg"),
        (&["flame"], "f.HTML", "<!doctype html>"),
        (&["top"], "t.json", "{"),
        (&["top"], "t.ndjson", "{\"self_ns\""),
        (&["top"], "t.csv", "self_ns,"),
        (&["top"], "t.tsv", "self_ns\t"),
        (&["top"], "t.md", "run 2"),
        (&["slow"], "s.jsonl", "{"),
        (&["sql", "select 1 as one, 2 as two"], "q.csv", "one,two"),
        (&["tail", "-n", "2"], "t2.csv", "kind,run,"),
        (&["check"], "c.xml", "<?xml"),
        (&["report"], "r.html", "<!doctype html>"),
        (&["top", "-f", "csv"], "wrong.json", "self_ns,"),
        (&["top"], "t.txt", "run 2"),
    ] {
        let path = folder.path().join(name);
        let (out, err, code) = run(bare(words).arg("-o").arg(&path).arg("--db").arg(profile()));
        assert_eq!(code, 0, "{words:?} {name}: {out}{err}");
        let text = std::fs::read_to_string(&path).unwrap();
        let start = text.to_ascii_lowercase();
        assert!(start.starts_with(starts), "{words:?} {name}: {text:.80}");
    }
    for (words, name) in [
        (&["top"][..], "x.svg"),
        (&["top"], "x.html"),
        (&["hist", "db.query"], "x.svg"),
        (&["report"], "x.json"),
        (&["report"], "x.svg"),
        (&["top"], "x.xml"),
        (&["tail"], "x.json"),
        (&["flame", "--svg", "y.svg"], "x.svg"),
    ] {
        let path = folder.path().join(name);
        let (_, err, code) = run(bare(words).arg("-o").arg(&path).arg("--db").arg(profile()));
        assert!(code == 2 && err.starts_with("error:"), "{words:?} {name}: {err}");
        assert!(!path.exists(), "{words:?} {name}");
    }
}

#[test]
fn near_typos_are_understood() {
    let rules = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rules.path(), "[[rule]]\nspan = \"a\"\nmetric = \"p59\"\nmax = \"1s\"\n")
        .unwrap();
    let rules = rules.path().to_str().unwrap();
    for (words, meant) in [
        (&["hist", "htpp.request"][..], "did you mean http.request?"),
        (&["slow", "db.qurey"], "did you mean db.query?"),
        (&["explain", "http.reqest"], "did you mean http.request?"),
        (&["flame", "--root", "db.querry"], "did you mean db.query?"),
        (&["top", "--sort", "self_sn"], "did you mean self_ns?"),
        (&["top", "--columns", "cals"], "did you mean calls?"),
        (&["top", "--by", "tagret"], "did you mean target?"),
        (&["sql", "--recipe", "percentile"], "did you mean percentiles?"),
        (&["check", "--rules", rules], "did you mean p5"),
        (&["top", "-w", "nmae=x"], "did you mean"),
        (&["tpo"], "did you mean top?"),
        (&["top", "--limt", "3"], "--limit"),
    ] {
        let (out, err, _) = run(bare(words).env("SPANDREL_DB", profile()));
        let said = out + &err;
        assert!(said.contains(meant), "{words:?}: {said}");
    }
}

#[test]
fn no_exit_code_0_follows_an_error() {
    for words in [
        &["record", "--", "true"][..],
        &["record", "-q", "--", "true"],
        &["hist", "nobody"],
        &["top", "-w", "name=nobody"],
        &["mark", "x"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(profile(), folder.path().join("shop.db")).unwrap();
        let mut command = bare(words);
        command.env("PATH", "/usr/bin:/bin").current_dir(&folder);
        let (_, err, code) = run(&mut command);
        assert!(code != 0 || !err.contains("error:"), "{words:?}: {err}");
    }
}
