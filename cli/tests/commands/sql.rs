//! `spandrel sql`: recipes, streams, and files.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::fixture::{profile, run, spandrel};

#[test]
fn every_recipe_runs_and_says_what_it_answers() {
    let (list, _, _) = run(&mut spandrel(&["sql", "--recipes", "-f", "json"]));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let recipes = list["rows"].as_array().unwrap();
    assert!(recipes.len() > 10);
    for recipe in recipes {
        let name = recipe["recipe"].as_str().unwrap();
        assert!(recipe["about"].as_str().unwrap().ends_with(['.', '?']), "{recipe}");
        let (out, err, code) =
            run(&mut spandrel(&["sql", "--recipe", name, "--run", "1", "-f", "json"]));
        assert_eq!(code, 0, "{name}: {err}");
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        // Of all that the fixture has, and it has no unfinished span.
        assert_eq!(found["total"] == 0, name == "unfinished", "{name}: {out}");
        let (shown, _, _) = run(&mut spandrel(&["sql", "--recipe", name, "--show"]));
        assert_eq!(shown, recipe["sql"].as_str().unwrap());
    }
}

#[test]
fn percentiles_are_exact() {
    let words = ["sql", "--recipe", "percentiles", "--run", "1", "-f", "tsv"];
    let (out, _, _) = run(&mut spandrel(&words));
    // 98 queries of 1 to 10 ms: all but two of those that take 1 ms.
    let line = out.lines().find(|line| line.starts_with("db.query")).unwrap();
    assert_eq!(line, "db.query\t98\t6\t10\t10\t10");
    let window = [&words[..], &["--between", "+0s..+1s"]].concat();
    let (out, _, _) = run(&mut spandrel(&window));
    let line = out.lines().find(|line| line.starts_with("http.request")).unwrap();
    assert_eq!(line, "http.request\t10\t5.5\t10.5\t10.5\t10.5");
}

#[test]
fn a_query_comes_from_the_standard_input_and_goes_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut command = spandrel(&["sql", "-f", "csv", "-o", path.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"select id, 'a,\"b' as x from span limit 2").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "id,x\n1,\"a,\"\"b\"\n2,\"a,\"\"b\"\n");
    // One that fails in the midst leaves what is there.
    let endless =
        "with recursive n(i) as (values(1) union all select i + 1 from n) select i from n";
    let words = ["sql", "-f", "csv", "--timeout", "50ms", "-o", path.to_str().unwrap(), endless];
    assert_eq!(run(&mut spandrel(&words)).2, 3);
    assert!(fs::read_to_string(&path).unwrap().starts_with("id,x\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // And never a profile.
    let before = fs::read(profile()).unwrap();
    let words = ["sql", "select 1", "-o", profile().to_str().unwrap()];
    assert_eq!(run(&mut spandrel(&words)).2, 3);
    assert!(before == fs::read(profile()).unwrap());
}

#[test]
fn a_cut_is_loud() {
    let all = "select id from span";
    let (out, err, _) = run(&mut spandrel(&["sql", "-f", "csv", all, "--max-rows", "3"]));
    assert_eq!(
        (out.lines().count(), err.as_str()),
        (4, "! cut after 3 rows; --max-rows 0 reads all\n")
    );
    let (out, err, _) = run(&mut spandrel(&["sql", "-f", "csv", all]));
    assert_eq!((out.lines().count(), err.as_str()), (401, ""));
    let (out, err, _) = run(&mut spandrel(&["sql", "-f", "json", all, "-n", "3", "-q"]));
    assert!(out.contains("\"truncated\": true") && err.contains("cut after 3 rows"), "{err}");
}
