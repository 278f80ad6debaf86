//! The page about a span's way through the code names functions: each is where it says.

use std::path::PathBuf;

const PAGE: &str = "docs/src/explanation/path.md";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backquotes in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn functions_are_where_the_page_says() {
    let page = read(PAGE);
    let mut checked = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [_, function, file] = cells[..] else { panic!("not three cells: {line}") };
        let Some(file) = quoted(file).next() else { continue }; // the heads of the table
        let code = read(file);
        for name in quoted(function) {
            let is_there = code.lines().any(|line| {
                let words = line.trim_start().split_once("fn ").map(|(_, rest)| rest);
                words.is_some_and(|rest| {
                    rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<']))
                })
            });
            assert!(is_there, "{PAGE}: there is no function {name} in {file}");
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn paths_lead_somewhere() {
    let crates = ["ring", "profiler", "storage", "query", "export", "cli"];
    let page = read(PAGE);
    for path in
        quoted(&page).filter(|text| crates.iter().any(|it| text.starts_with(&format!("{it}/"))))
    {
        assert!(root().join(path).exists(), "{PAGE}: there is no {path}");
    }
}
